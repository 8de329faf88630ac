"""An epoch from a teacher that was asked once: over the student's arithmetic, and a live teacher.

    python benchmarks/cached.py [--rounds 9] [--out benchmarks/results.json]

One core; an MLP of 1200 units teaches one of 800, 5,120 inputs of 784 numbers in batches of 128,
soft targets at T = 4, AdamW. "arithmetic alone" is a bare loop whose soft targets lie in memory,
batch by batch; "tinykd" reads a CachedTeacher: rows looked up by number, float16 on disk, and every
sample compared with the one that the teacher was asked about. What is over the arithmetic alone is
gathering the batch (the other has its batches ready; 0.1 ms of 13 a step), that comparison in
double precision (0.15 ms), the gradient's norm (0.3 ms), counts, and reading the losses, so that a
NaN stops before it reaches the weights. PyTorch's AdamW as it comes, in both.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from in_turns import in_turns, keep, rows, show
from step import CASES, RATE, T
from torch.nn import functional as F

import tinykd
from tinykd import MLP, Batches, CachedTeacher, SoftTargets, Trainer, predict


def main() -> None:
    small = tinykd.scale() == "smoke"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2 if small else 9)
    parser.add_argument("--samples", type=int, default=256 if small else 5120)
    parser.add_argument("--out", type=Path, help="results.json to put the numbers into")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    case = CASES["large"]
    teacher, x = MLP(*case["teacher"]), torch.randn(args.samples, 784)
    batches = Batches(x, size=case["size"], shuffle=False)
    soft = predict(teacher, x).split(case["size"])
    made = [(batch["inputs"], p) for batch, p in zip(batches, soft, strict=True)]
    factory = lambda ps: torch.optim.AdamW(ps, RATE)  # noqa: E731

    def student() -> MLP:
        torch.manual_seed(1)
        return MLP(*case["student"])

    plain = student().train()
    optimizer = factory(plain.parameters())

    def alone() -> None:
        for inputs, target in made:
            optimizer.zero_grad()
            log_q, log_p = F.log_softmax(plain(inputs) / T, -1), F.log_softmax(target / T, -1)
            kl = F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
            (T**2 * kl).backward()
            optimizer.step()

    with tempfile.TemporaryDirectory() as folder:
        cache = CachedTeacher.write(f"{folder}/teacher", teacher, x, progress=False)
        runs = {"arithmetic alone": alone}
        for name, one in (("tinykd", cache), ("tinykd, live teacher", teacher)):
            trainer = Trainer(
                student(), 1.0 * SoftTargets(T=T), one, factory, device="cpu", progress=False
            )
            runs[name] = lambda trainer=trainer: trainer.fit(batches)
        found = rows(in_turns(runs, args.rounds), per=len(batches))
    show("cached teacher", found)
    keep("cached teacher", found, args.out, samples=args.samples, size=case["size"])


if __name__ == "__main__":
    main()
