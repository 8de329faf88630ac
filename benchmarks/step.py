"""What a training step costs: a bare PyTorch loop, tinykd, transformers' Trainer, torchdistill.

    python benchmarks/step.py [--rounds 9] [--out benchmarks/results.json]

One core, the same weights, batches and AdamW, cross-entropy and soft targets at T = 4 from a live
teacher; checkpoint, logs and progress bar off. "large" is an MLP of 1200 teaching one of 800 units
on batches of 128; "tiny" nets of 16 and 8 units on batches of 8, where the arithmetic is nothing
and what is measured is the loop. All get their batches ready made, so that no loader is measured;
transformers' Trainer has clipping off, as all. torchdistill's box is driven as its example scripts
do it. Left out is what is not installed (`make .venv-peers` installs it). All have PyTorch's AdamW
as it comes, which on a CPU goes over the memory eight times; "fused" goes once, and is what
`Trainer` takes where it is given no optimizer.

What bounds ours in the tiny case: what a bare loop does not do. The gradient's norm and the losses
are read, so that a NaN stops before it reaches the weights; valid positions are counted, and terms
give a value for each, so that accumulation and padding change nothing: 20 small operations on
tensors, of two to five microseconds each.
"""

import argparse
import contextlib
import functools
import io
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from in_turns import in_turns, keep, rows, show, versions
from torch.nn import functional as F

import tinykd
from tinykd import MLP, Batches, HardLabels, SoftTargets, Trainer, frozen

CASES = {
    "large": {
        "student": (784, 800, 800, 10),
        "teacher": (784, 1200, 1200, 10),
        "size": 128,
        "steps": 40,
    },
    "tiny": {"student": (16, 8, 3), "teacher": (16, 16, 3), "size": 8, "steps": 400},
}
T, ALPHA, RATE = 4.0, 0.9, 1e-3


def loss_by_hand(logits: torch.Tensor, soft: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Knowledge distillation as one would write it by hand."""
    log_q, log_p = F.log_softmax(logits / T, -1), F.log_softmax(soft / T, -1)
    kl = F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
    return ALPHA * T**2 * kl + (1 - ALPHA) * F.cross_entropy(logits, y)


def bare(
    student: MLP, teacher: MLP, batches: list, fused: bool | None = None
) -> Callable[[], None]:
    """A loop around it."""
    optimizer = torch.optim.AdamW(student.parameters(), RATE, fused=fused)

    def run() -> None:
        student.train()
        teacher.eval()
        for x, y in batches:
            optimizer.zero_grad()
            with torch.no_grad():
                soft = teacher(x)
            loss_by_hand(student(x), soft, y).backward()
            optimizer.step()

    return run


def ours(
    student: MLP, teacher: MLP, batches: list, fused: bool | None = None
) -> Callable[[], None]:
    """tinykd's Trainer. Its own AdamW, where none is given, is the fused one."""
    objective = ALPHA * SoftTargets(T=T) + (1 - ALPHA) * HardLabels()
    factory = lambda ps: torch.optim.AdamW(ps, RATE, fused=fused)  # noqa: E731
    trainer = Trainer(student, objective, teacher, factory, device="cpu", progress=False)
    return lambda: trainer.fit(batches)


def hugging_face(student: MLP, teacher: MLP, batches: list) -> Callable[[], None]:
    """transformers' Trainer, compute_loss as its documentation overrides it."""
    import transformers

    class Distiller(transformers.Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, **rest):  # type: ignore
            with torch.no_grad():
                soft = teacher(inputs["x"])
            logits = model(inputs["x"])
            loss = loss_by_hand(logits, soft, inputs["labels"])
            return (loss, logits) if return_outputs else loss

    teacher.eval()
    folder = tempfile.mkdtemp()
    arguments = transformers.TrainingArguments(
        folder,
        per_device_train_batch_size=1,
        num_train_epochs=1,
        learning_rate=RATE,
        weight_decay=0.01,
        lr_scheduler_type="constant",
        optim="adamw_torch",
        max_grad_norm=0.0,
        use_cpu=True,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        train_sampling_strategy="sequential",
    )
    made = [{"x": x, "labels": y} for x, y in batches]
    trainer = Distiller(student, arguments, train_dataset=made, data_collator=lambda one: one[0])

    def run() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.train()

    return run


def torchdistill(student: MLP, teacher: MLP, batches: list) -> Callable[[], None]:
    """torchdistill's DistillationBox with its KDLoss."""
    from torchdistill.core.distillation import get_distillation_box
    from torchdistill.core.interfaces import forward_proc  # noqa: F401  registers what config names
    from torchdistill.losses import mid_level  # noqa: F401

    logging.disable(logging.INFO)
    sides = {f"{s}_module_path": "." for s in ("student", "teacher")}
    sides |= {f"{s}_module_io": "output" for s in ("student", "teacher")}
    kd = {"key": "KDLoss", "kwargs": sides | {"temperature": T, "alpha": 1 - ALPHA}}
    terms = {"kd": {"criterion": kd, "weight": 1.0}}
    config = {
        "num_epochs": 1,
        "train_data_loader": {"dataset_id": None},
        "val_data_loader": {"dataset_id": None},
        "teacher": {"requires_grad": False, "forward_proc": "forward_batch_only"},
        "student": {"forward_proc": "forward_batch_only"},
        "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": terms}},
        "optimizer": {"key": "AdamW", "kwargs": {"lr": RATE}},
    }
    device = torch.device("cpu")
    box = get_distillation_box(teacher, student, {}, config, device, None, False, 1)

    def run() -> None:
        box.pre_epoch_process(epoch=0)
        for x, y in batches:
            box.pre_forward_process()
            loss = box.forward_process(x, y, None)
            box.post_forward_process(loss)

    return run


RIVALS = {
    "bare loop": bare,
    "tinykd": ours,
    "bare loop, fused AdamW": functools.partial(bare, fused=True),
    "tinykd, fused AdamW": functools.partial(ours, fused=True),
    "transformers' Trainer": hugging_face,
    "torchdistill": torchdistill,
}


def rivals(case: dict, size: int) -> dict[str, Callable[[], None]]:
    """Each with nets of its own from the same seed, and the same batches."""
    torch.manual_seed(0)
    x = torch.randn(case["size"] * size, case["student"][0])
    y = torch.randint(case["student"][-1], (len(x),))
    batches = [(b["inputs"], b["labels"]) for b in Batches(x, y, size=case["size"])]
    found: dict[str, Callable[[], None]] = {}
    first = None
    for name, make in RIVALS.items():
        torch.manual_seed(0)
        student, teacher = MLP(*case["student"]), MLP(*case["teacher"])
        try:
            found[name] = make(student, teacher, batches)
        except ImportError as missing:
            print(f"{name} is left out: {missing}")
            continue
        found[name]()
        with frozen(student):  # the same weights after a pass, or it is another training
            said = student(x[:64])
        first = said if first is None else first
        off = ((said - first).norm() / first.norm()).item()
        print(f"{name}: after a pass the student's logits are off by {off:.0e}", flush=True)
        if off > 0.1:
            raise SystemExit(f"{name} does not train as the bare loop does")
    return found


def main() -> None:
    small = tinykd.scale() == "smoke"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2 if small else 9)
    parser.add_argument("--steps", type=int, default=3 if small else None)
    parser.add_argument("--out", type=Path, help="results.json to put the numbers into")
    args = parser.parse_args()
    torch.set_num_threads(1)
    used = versions("transformers", "torchdistill", "tinykd")
    for name, case in CASES.items():
        steps = args.steps or case["steps"]
        found = rows(in_turns(rivals(case, steps), args.rounds), per=steps)
        show(name, found)
        keep(f"step, {name}", found, args.out, **case | {"steps": steps}, versions=used)


if __name__ == "__main__":
    main()
