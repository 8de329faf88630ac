"""Lesson 04 with more seeds: what a teacher's inside adds to labels and to soft targets.

    TINYKD_SCALE=full python benchmarks/features.py

1-D digits (`tinykd.load_mnist1d`). A seed has a teacher, labelled signals, a start and an order of
its own; all methods of a seed share them, and the number of steps. Three parts:

  methods  one student for each way to look at the teacher, 300 labelled signals
  layers   hints from every block of the teacher to every block of the student
  few      100 and 1000 labelled signals, for the methods that need little else
  thin     FitNets' case on MNIST: 12 layers of 24 ReLU units, torch's start, SGD, 600 steps

The weight of each method (and the T of soft targets, the share of label smoothing) is the best of
three or four on held-out signals, with a seed that is used for nothing else; the test is read once
a run.
-> datasets/results/features.json; about half an hour of one core. A killed script goes on where it
stopped. Without TINYKD_SCALE=full: a run of seconds, which checks the script and says nothing.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import tinykd
from tinykd import (
    MLP,
    Batches,
    ConvNet,
    HardLabels,
    Hint,
    Jacobian,
    SoftTargets,
    Trainer,
    accuracy,
    agreement,
    cosine,
    features,
    knowledge_moved,
    load_mnist,
    load_mnist1d,
    predict,
)
from tinykd.files import atomic

ROOT = Path(__file__).resolve().parents[1]
TEACHER, STUDENT = (32, 64, 128), (8, 16, 32)
PLACES = (20, 10, 5)  # of the three blocks, on both sides
SETTINGS: dict[str, Any] = {
    "teacher": "ConvNet(1, 32, 64, 128, 10, dims=1), 4000 signals, 1000 steps of 100, Adam 0.01",
    "student": "ConvNet(1, 8, 16, 32, 10, dims=1), Adam 0.01, cosine to 0, steps of 50",
    "steps": 600,
    "seeds": 5,
    "layer_seeds": 3,
    "tuning_seeds": [100],
    "held_out": 2000,
    "test": 5000,
}
# What is tried for each method; the objective is made of it by `objective`.
GRID: dict[str, list[float]] = {
    "labels": [0],
    "label smoothing": [0.05, 0.1, 0.2],
    "soft targets": [2, 4, 8],
    "hint": [0.3, 1, 3, 10],
    "hints at 3 blocks": [0.3, 1, 3, 10],
    "attention": [1, 10, 100],
    "selectivity": [1, 10, 100],
    "distances": [1, 10, 100, 1000],
    "angles": [2, 20, 200, 2000],
    "similarity": [100, 1000, 10000, 100000],
    "contrastive": [0.1, 0.3, 1, 3],
    "Jacobian": [0.3, 1, 3, 10],
}
BOTH = ("hints at 3 blocks", "Jacobian")  # added to soft targets, each with its own weight
FEW = ("labels", "soft targets", "hints at 3 blocks", "Jacobian")


class Pooled(nn.Module):
    """Mean over places, then a linear map."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.linear = nn.Linear(a, b)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.mean(2))


def contrastive(student: Tensor, teacher: Tensor) -> Tensor:
    return features.contrastive(student, teacher.mean(2))


contrastive.couples_samples = True  # type: ignore[attr-defined]


def hint(ours: int, theirs: int) -> Hint:
    """Through a 1-convolution, brought to the teacher's places."""
    regressor: nn.Module = nn.Conv1d(STUDENT[ours], TEACHER[theirs], 1)
    if ours != theirs:
        regressor = nn.Sequential(regressor, nn.AdaptiveAvgPool1d(PLACES[theirs]))
    return Hint(f"blocks.{ours}", f"blocks.{theirs}", regressor)


def inside(method: str, x: float, student: nn.Module, teacher: nn.Module) -> Any:
    """What the method adds: its term times its weight x."""
    every, last = [f"blocks.{n}" for n in range(3)], "blocks.2"
    losses = {
        "selectivity": features.neuron_selectivity,
        "distances": features.relational_distances,
        "angles": features.relational_angles,
        "similarity": features.similarity_preserving,
    }
    if method in losses:
        return x * Hint(last, last, loss=losses[method])
    if method == "hint":
        return x * hint(2, 2)
    if method == "hints at 3 blocks":
        return x * sum(hint(n, n) for n in range(3))
    if method == "attention":
        return x * Hint(every, every, loss=features.attention_transfer)
    if method == "contrastive":
        return x * Hint(last, last, Pooled(STUDENT[2], TEACHER[2]), loss=contrastive)
    return x * Jacobian(student, teacher)


def objective(method: str, best: dict[str, float], student: nn.Module, teacher: nn.Module) -> Any:
    """The objective of a method, at its best setting."""
    if method in ("labels", "label smoothing"):
        return 1.0 * HardLabels(label_smoothing=best[method])
    if method == "soft targets":
        return 1.0 * SoftTargets(T=best[method])
    if method.startswith("soft targets + "):
        added = method.removeprefix("soft targets + ")
        soft = SoftTargets(T=best["soft targets"])
        return soft + inside(added, best[added], student, teacher)
    return HardLabels() + inside(method, best[method], student, teacher)


class Lab:
    """Data and teachers, seed by seed, and what has been run."""

    def __init__(self, out: Path, full: bool) -> None:
        self.path, self.full = out / "features.json", full
        self.found: dict[str, Any] = {"settings": SETTINGS, "tuning": [], "best": {}, "runs": []}
        if self.path.exists():
            self.found = json.loads(self.path.read_text())
        self.steps = SETTINGS["steps"] if full else 6
        size = (lambda n: n) if full else (lambda n: max(n // 20, 50))
        self.held_out = load_mnist1d(size(SETTINGS["held_out"]), seed=7_000)
        self.test = load_mnist1d(size(SETTINGS["test"]), seed=8_000)
        self.teacher_data = size(4000)
        self.teachers: dict[int, nn.Module] = {}
        self.base: dict[tuple[int, int], Tensor] = {}  # the label-only student's logits, the last

    def teacher(self, seed: int) -> nn.Module:
        if seed not in self.teachers:
            torch.manual_seed(seed)
            signals, labels = load_mnist1d(self.teacher_data, seed=9_000 + seed)
            net = ConvNet(1, *TEACHER, 10, dims=1)
            self.train(net, 1.0 * HardLabels(), signals, labels, None, seed, 100, 1000)
            self.teachers[seed] = net
        return self.teachers[seed]

    def train(
        self,
        net: nn.Module,
        aim: Any,
        signals: Tensor,
        labels: Tensor,
        teacher: nn.Module | None,
        seed: int,
        size: int,
        steps: int,
    ) -> None:
        batches = Batches(signals, labels, size=size, seed=seed)
        steps = steps if self.full else self.steps
        Trainer(
            net,
            aim,
            teacher=teacher,
            optimizer=lambda ps: torch.optim.Adam(ps, 0.01),
            schedule=cosine(1, 0),
            device="cpu",
            progress=False,
        ).fit(batches, epochs=max(1, steps // len(batches)))

    def student(
        self, make: Callable[[nn.Module, nn.Module], Any], seed: int, count: int
    ) -> tuple[nn.Module, float]:
        teacher = self.teacher(seed)
        signals, labels = load_mnist1d(count, seed=1_000 + seed)
        torch.manual_seed(seed)
        net = ConvNet(1, *STUDENT, 10, dims=1)
        start = time.process_time()
        aim = make(net, teacher)  # draws its regressors after the student: all start the same
        asked = teacher if aim.teacher_layers() else None
        self.train(net, aim, signals, labels, asked, seed, 50, self.steps)
        return net, time.process_time() - start

    def save(self) -> None:
        with atomic(self.path) as part:
            part.write_text(json.dumps(self.found, indent=1) + "\n")

    def tune(self, method: str) -> None:
        if method in self.found["best"]:
            return
        scores = {}
        for x in GRID[method]:
            values = []
            for seed in SETTINGS["tuning_seeds"] if len(GRID[method]) > 1 else []:
                net, _ = self.student(
                    lambda s, t, x=x: objective(method, {method: x}, s, t), seed, 300
                )
                values.append(accuracy(predict(net, self.held_out[0]), self.held_out[1]))
            self.found["tuning"].append({"method": method, "x": x, "held_out": values})
            scores[x] = sum(values)
        self.found["best"][method] = max(scores, key=lambda x: scores[x])
        print(f"best {method}: {self.found['best'][method]:g} of {scores}", flush=True)
        self.save()

    def run(self, method: str, make: Callable[..., Any], seed: int, count: int) -> None:
        setting = f"{count} labels"
        key = {"method": method, "setting": setting, "seed": seed}
        if any(key.items() <= run.items() for run in self.found["runs"]):
            return
        net, seconds = self.student(make, seed, count)
        logits, (signals, truth) = predict(net, self.test[0]), self.test
        theirs = predict(self.teacher(seed), signals)
        run = key | {
            "accuracy": accuracy(logits, truth),
            "agreement": agreement(logits, theirs),
            "teacher_accuracy": accuracy(theirs, truth),
            "seconds": round(seconds, 2),
        }
        if method == "labels":
            self.base = {(seed, count): logits}
        if (seed, count) not in self.base:
            net, _ = self.student(lambda s, t: 1.0 * HardLabels(), seed, count)
            self.base = {(seed, count): predict(net, signals)}
        base = self.base[seed, count]
        run["moved"] = knowledge_moved(logits, base, theirs).item()
        run["moved_by_class"] = [
            round(x, 4) for x in knowledge_moved(logits, base, theirs, truth).tolist()
        ]
        self.found["runs"].append(run)
        print(f"{setting} {method} seed {seed}: {run['accuracy']:.3f} {seconds:.1f} s", flush=True)
        self.save()


THIN = ("labels", "soft targets", "two stages", "many hints", "labels, Adam", "labels, He's start")


def thin(method: str, seed: int, steps: int) -> float:
    """Test accuracy of the thin, deep student of lesson 04, trained in one of six ways."""
    digits, labels = load_mnist("train")
    digits, labels = digits[:10_000].flatten(1), labels[:10_000]

    def fit(net: nn.Module, aim: Any, steps: int, teacher: Any = None) -> None:
        def optimizer(ps: Any) -> torch.optim.Optimizer:
            if method == "labels, Adam":
                return torch.optim.Adam(ps, 2e-3)
            return torch.optim.SGD(ps, 0.05, momentum=0.9)

        batches = Batches(digits, labels, size=100, seed=seed)
        trainer = Trainer(
            net, aim, teacher, optimizer, schedule=cosine(1, 0), device="cpu", progress=False
        )
        trainer.fit(batches, epochs=max(1, steps // 100))

    torch.manual_seed(1_000 + seed)
    teacher = MLP(784, 100, 100, 10)
    if "labels" not in method:
        fit(teacher, HardLabels(), steps)
    torch.manual_seed(seed)
    net = MLP(784, *[24] * 12, 10)
    if method != "labels, He's start":
        for layer in net.layers:
            layer.reset_parameters()  # type: ignore[operator]
    if method.startswith("labels"):
        fit(net, HardLabels(), steps)
    elif method == "soft targets":
        fit(net, SoftTargets(T=4), steps, teacher)
    elif method == "two stages":
        fit(net, Hint("layers.6", "layers.1", nn.Linear(24, 100)), steps // 2, teacher)
        fit(net, SoftTargets(T=4), steps // 2, teacher)
    else:
        odd = range(1, 12, 2)
        hints = Hint(
            [f"layers.{n}" for n in odd],
            [f"layers.{n}" for n in (0, 0, 0, 1, 1, 1)],
            [nn.Linear(24, 100) for _ in odd],
        )
        fit(net, hints + HardLabels(), steps, teacher)
    test, truth = load_mnist("test")
    return accuracy(predict(net, test), truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    full = tinykd.scale() == "full"
    out = arguments.out or (ROOT / "datasets/results" if full else Path(tempfile.mkdtemp()))
    out.mkdir(parents=True, exist_ok=True)
    lab = Lab(out, full)
    for method in GRID:
        lab.tune(method)
    best = lab.found["best"]
    methods = [*GRID, *(f"soft targets + {name}" for name in BOTH)]
    for seed in range(SETTINGS["seeds"] if full else 2):
        for method in methods:
            lab.run(method, lambda s, t, m=method: objective(m, best, s, t), seed, 300)
        for theirs in range(3 if seed < SETTINGS["layer_seeds"] else 0):
            for ours in range(3):
                name = f"hint from block {theirs} to block {ours}"
                x = best["hint"]
                lab.run(
                    name,
                    lambda s, t, a=ours, b=theirs, x=x: HardLabels() + x * hint(a, b),
                    seed,
                    300,
                )
        for count in (100, 1000):
            for method in FEW:
                lab.run(method, lambda s, t, m=method: objective(m, best, s, t), seed, count)
        for method in THIN:
            key = {"method": method, "setting": "thin and deep", "seed": seed}
            if any(key.items() <= run.items() for run in lab.found["runs"]):
                continue
            start = time.process_time()
            right = thin(method, seed, SETTINGS["steps"] if full else 2)
            seconds = round(time.process_time() - start, 2)
            lab.found["runs"].append(key | {"accuracy": right, "seconds": seconds})
            print(f"thin and deep, {method} seed {seed}: {right:.3f}", flush=True)
            lab.save()
    print(f"{len(lab.found['runs'])} runs in {lab.path}")


if __name__ == "__main__":
    main()
