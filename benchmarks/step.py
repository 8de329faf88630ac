"""What a training step costs over the same step in a bare PyTorch loop.

    python benchmarks/step.py [--rounds 9]

One core, the same weights, batches and AdamW, cross-entropy and soft targets at T = 4 from a live
teacher, checkpoint and progress bar off. A round times both, one after the other, the order
turning; printed are the medians over rounds of seconds a step and of their ratio. "large" is an MLP
of 1200 teaching one of 800 units on batches of 128; "tiny" nets of 16 and 8 units on batches of 8,
where the arithmetic is nothing and what is measured is the loop. Seconds are those of the
processor, so that what else runs on the machine matters little.
"""

import argparse
import statistics
import time

import torch
from torch.nn import functional as F

from tinykd import MLP, Batches, HardLabels, SoftTargets, Trainer

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


def bare(student: MLP, teacher: MLP, batches: list, optimizer: torch.optim.Optimizer) -> None:
    """Knowledge distillation as one would write it by hand."""
    student.train()
    teacher.eval()
    for x, y in batches:
        optimizer.zero_grad()
        with torch.no_grad():
            soft = teacher(x)
        logits = student(x)
        log_q, log_p = F.log_softmax(logits / T, -1), F.log_softmax(soft / T, -1)
        kl = F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
        loss = ALPHA * T**2 * kl + (1 - ALPHA) * F.cross_entropy(logits, y)
        loss.backward()
        optimizer.step()


def measure(case: dict, rounds: int) -> tuple[float, float, float]:
    """Median seconds a step of the bare loop and of Trainer, and the median of the ratio."""
    torch.manual_seed(0)
    student, teacher = MLP(*case["student"]), MLP(*case["teacher"])
    x = torch.randn(case["size"] * case["steps"], case["student"][0])
    y = torch.randint(case["student"][-1], (len(x),))
    batches = [(b["inputs"], b["labels"]) for b in Batches(x, y, size=case["size"])]
    objective = ALPHA * SoftTargets(T=T) + (1 - ALPHA) * HardLabels()
    factory = lambda ps: torch.optim.AdamW(ps, RATE)  # noqa: E731
    trainer = Trainer(student, objective, teacher, factory, device="cpu", progress=False)
    optimizer = factory(student.parameters())

    def ours() -> None:
        trainer.fit(batches)

    def theirs() -> None:
        bare(student, teacher, batches, optimizer)

    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for n in range(rounds + 1):  # the first does not count
        for run in (ours, theirs) if n % 2 else (theirs, ours):
            start = time.process_time()
            run()
            if n:
                seconds[run.__name__].append((time.process_time() - start) / case["steps"])
    ratios = [a / b for a, b in zip(seconds["ours"], seconds["theirs"], strict=True)]
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    return middle["theirs"], middle["ours"], statistics.median(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for name, case in CASES.items():
        theirs, ours, ratio = measure(case, rounds)
        print(
            f"{name}: bare {1e6 * theirs:.0f} us a step, tinykd {1e6 * ours:.0f}, ratio {ratio:.3f}"
        )


if __name__ == "__main__":
    main()
