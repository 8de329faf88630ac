"""Training a language model: tokens a second, and the share of the device's arithmetic they use.

    python benchmarks/throughput.py [--device cuda] [--batch 16] [--length 1024] [--out FILE]

A decoder of SmolLM2-135M's shape (random weights: the arithmetic is the same), bf16 autocast, fused
AdamW, random tokens of one length, all of them labels. SFT by tinykd.Trainer, plain and with what
its docstrings offer (a chunked head, torch.compile), against the bare loop around transformers'
LlamaForCausalLM of the same shape, plain and compiled; and distillation from a teacher of the same
shape. Measured in turn, `--rounds` times, after one pass that does not count; medians. The share is
of the rate at which one large matrix product of the same precision runs here: 6 operations per
token for each weight of a matrix (the head included), 6 per pair of positions that attend and
width, as PaLM counts them (arXiv 2204.02311, appendix B).
"""

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import tinykd
from tinykd import HardLabels, SoftTargets, Trainer
from tinykd.lm import Chunked, Config, Headless, Transformer

SHAPE = {"vocab": 49_152, "width": 576, "layers": 30, "heads": 9, "kv_heads": 3, "hidden": 1536}
SMALL = {"vocab": 300, "width": 32, "layers": 2, "heads": 4, "kv_heads": 2, "hidden": 64}


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def matrix_rate(device: str, size: int) -> float:
    """Operations a second of a bf16 product of two (size, size) matrices."""
    clock = time.perf_counter if device == "cuda" else time.process_time
    a, b = (torch.randn(size, size, device=device).bfloat16() for _ in range(2))
    seconds = []
    for _ in range(6):
        start = clock()
        a @ b
        wait(device)
        seconds.append(clock() - start)
    return 2 * size**3 / statistics.median(seconds[1:])


def optimizer(parameters: object) -> torch.optim.Optimizer:
    """That of all rivals."""
    return torch.optim.AdamW(parameters, 1e-4, weight_decay=0.0, fused=True)


def hugging_face(shape: dict[str, int]) -> nn.Module:
    """The same shape in transformers, float32 weights."""
    import transformers  # here, so that benchmarks/scale.py can use what stands above in a second

    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=shape["vocab"],
            hidden_size=shape["width"],
            num_hidden_layers=shape["layers"],
            num_attention_heads=shape["heads"],
            num_key_value_heads=shape["kv_heads"],
            intermediate_size=shape["hidden"],
            tie_word_embeddings=True,
            max_position_embeddings=4096,
        )
    )


class Rivals:
    """One method a rival: a pass over the same batches."""

    def __init__(self, shape: dict[str, int], args: argparse.Namespace) -> None:
        torch.manual_seed(0)
        self.device, config = args.device, Config(**shape, tied=True)
        self.model = Transformer(config)
        self.teacher, self.theirs = copy.deepcopy(self.model), hugging_face(shape).to(args.device)
        rows = torch.randint(shape["vocab"], (args.steps, args.batch, args.length + 1))
        ids, labels = rows[..., :-1].contiguous(), rows[..., 1:].flatten(1).contiguous()
        positions = torch.arange(args.batch * args.length)
        self.batches = [
            {"input_ids": x, "positions": positions, "labels": y}
            for x, y in zip(ids, labels, strict=True)
        ]
        self.masked = [{**b, "attention_mask": torch.ones_like(ids[0])} for b in self.batches]
        self.ours = {
            "tinykd": self.trainer(self.model, HardLabels()),
            "tinykd, a mask of ones": self.trainer(self.model, HardLabels()),
            "tinykd, chunked head": self.trainer(Headless(self.model), Chunked(HardLabels(), 1024)),
            "tinykd, compiled": self.trainer(torch.compile(self.model), HardLabels()),
            "tinykd, distillation": self.trainer(self.model, SoftTargets(T=1), self.teacher),
            "tinykd, distillation, chunked head": self.trainer(
                Headless(self.model), Chunked(SoftTargets(T=1), 1024), Headless(self.teacher)
            ),
        }
        self.compiled = torch.compile(self.theirs)
        self.their_optimizer = optimizer(self.theirs.parameters())

    def trainer(self, model: nn.Module, objective: object, teacher: object = None) -> Trainer:
        """A Trainer with the settings of all."""
        return Trainer(
            *(model, objective, teacher, optimizer),
            device=self.device,
            precision="bf16",
            clip=1.0,
            progress=False,
        )

    def bare(self, model: nn.Module) -> None:
        """The loop one would write around a model of transformers."""
        model.train()
        for batch in self.batches:
            ids, labels = (batch[k].to(self.device) for k in ("input_ids", "labels"))
            with torch.autocast(self.device, torch.bfloat16):
                logits = model(input_ids=ids, use_cache=False).logits
            loss = nn.functional.cross_entropy(logits.float().flatten(0, 1), labels)
            self.their_optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            self.their_optimizer.step()

    def runs(self) -> dict[str, Callable[[], object]]:
        """Name -> one pass over the batches."""
        ours = {
            name: lambda one=one, b=self.masked if "mask" in name else self.batches: one.fit(b)
            for name, one in self.ours.items()
        }
        return ours | {
            "transformers, bare loop": lambda: self.bare(self.theirs),
            "transformers, bare loop, compiled": lambda: self.bare(self.compiled),
        }


def operations(shape: dict[str, int], length: int) -> float:
    """Floating-point operations of training on one token, forward and backward."""
    size = shape["width"] // shape["heads"]
    attention = shape["width"] * size * (2 * shape["heads"] + 2 * shape["kv_heads"])
    matrices = shape["layers"] * (attention + 3 * shape["width"] * shape["hidden"])
    matrices += shape["vocab"] * shape["width"]
    return 6 * matrices + 6 * shape["layers"] * shape["width"] * length


def main() -> None:
    """Measure, in turn."""
    small = tinykd.scale() == "smoke"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=2 if small else 16)
    parser.add_argument("--length", type=int, default=8 if small else 1024)
    parser.add_argument("--steps", type=int, default=2 if small else 10)
    parser.add_argument("--rounds", type=int, default=1 if small else 3)
    parser.add_argument("--matrix", type=int, default=64 if small else 8192)
    parser.add_argument("--without", nargs="*", default=[], help="methods whose names hold this")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    shape = SMALL if small else SHAPE
    rate, rivals = matrix_rate(args.device, args.matrix), Rivals(shape, args)
    runs = {k: f for k, f in rivals.runs().items() if not any(w in k for w in args.without)}
    tokens, found = args.steps * args.batch * args.length, {name: [] for name in runs}
    for turn in range(args.rounds + 1):
        for name in list(runs)[:: 1 if turn % 2 else -1]:
            start = time.perf_counter()
            runs[name]()
            wait(args.device)
            speed = tokens / (time.perf_counter() - start)
            if turn:
                found[name].append(speed)
            print(f"round {turn}  {name:36} {speed:10.0f} tokens/s", flush=True)
    card = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
    print(f"{card}, torch {torch.__version__}, matrices at {rate / 1e12:.2f} TFLOP/s in bf16")
    rows, base = [], statistics.median(found["tinykd"])
    for name, speeds in found.items():
        middle = statistics.median(speeds)
        share = middle * operations(shape, args.length) / rate
        of_share = f"{share:.0%} of the rate" if "distillation" not in name else ""
        print(f"{name:36} {middle:10.0f} tokens/s  {middle / base:.2f} of ours  {of_share}")
        row = {"method": name, "tokens_per_second": middle, "runs": speeds}
        rows.append(row | ({} if "distillation" in name else {"share": share}))
    if args.out:
        settings = {"device": card, "torch": torch.__version__, "matrix_rate": rate}
        settings |= {k: v for k, v in vars(args).items() if k not in ("out", "without", "device")}
        args.out.write_text(json.dumps({"settings": settings, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
