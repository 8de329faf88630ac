"""Lesson 16 with more seeds: a flow of many steps, and students of four, two and one.

    TINYKD_SCALE=full python benchmarks/fewer_steps.py      # datasets/results/fewer_steps.json

MNIST at 14 x 14 pixels. One judge for all seeds; each seed trains a teacher from nothing and every
student from it. All start from the teacher's weights, and have about as many steps of training.
Distances are from the 10,000 test digits, which were used for nothing else.

  teacher            the flow, guided, in 1 to 16 steps: two evaluations a step
  labels             the same flow trained for longer on the data, guided, in 1, 2, 4 steps
  labels, unguided   the same without guidance: one evaluation a step, as a student
  soft targets       halved: from 8 guided steps to 4, 2, 1
  regression         one step, learned at once from the teacher's walks
  consistency        one step, from any point of a walk

A run's "accuracy" is the share of images in which the judge reads the digit that was asked for,
"frechet" their Frechet distance (less is better). "seconds" is the student's training,
"sampling" what 1,000 images take, in seconds of the processor (of the clock on a GPU).
A killed script goes on where it stopped: a finished seed is in the file. Without TINYKD_SCALE=full
it does a run of seconds into a temporary folder, which says nothing about distillation.
"""

import copy
import time
from collections.abc import Callable
from typing import Any

import torch
from records import FULL, Records, arguments
from torch import Tensor, nn

from tinykd import MLP, Batches, HardLabels, MovingAverage, Trainer, cosine
from tinykd.flow import (
    Consistency,
    FlowBatches,
    FlowMatching,
    FlowNet,
    Guided,
    Judge,
    MatchVelocity,
    TwoIntoOne,
    euler,
    halving,
    small_digits,
)
from tinykd.metrics import frechet_distance, nearest_distance

SETTINGS: dict[str, Any] = {
    "digits": 50_000, "width": 256, "teacher_epochs": 6, "epochs": 3, "pairs": 10_000,
    "pair_epochs": 15, "w": 1.5, "most": 8, "momentum": 0.95, "samples": 3000, "near": 300,
}  # fmt: skip
if not FULL:
    SETTINGS |= {"digits": 256, "width": 32, "teacher_epochs": 1, "epochs": 1, "pairs": 128}
    SETTINGS |= {"pair_epochs": 1, "samples": 100, "near": 20}
W, MOST, COUNT = SETTINGS["w"], SETTINGS["most"], SETTINGS["samples"]


class Studio:
    """Where images are made and judged: digits, the judge, a device."""

    def __init__(self, device: str) -> None:
        digits, labels = small_digits("train")
        self.x, self.y = digits[: SETTINGS["digits"]], labels[: SETTINGS["digits"]]
        self.tests, self.device = small_digits("test")[0], device
        torch.manual_seed(0)
        reader = MLP(196, 128, 64, 10)
        self.fit(reader, HardLabels(), Batches(self.x, self.y, size=128), 3, rate=3e-3)
        self.judge = Judge(reader.cpu(), self.tests)
        self.spare = digits[50_000:]

    def floor(self, seed: int) -> float:
        """The distance of real digits, as many as are made."""
        some = torch.randperm(10_000, generator=torch.Generator().manual_seed(seed))[:COUNT]
        return frechet_distance(self.judge.features(self.spare[some]), self.judge.real)

    def fit(
        self, model: nn.Module, objective: Any, batches: Any, epochs: int, teacher: Any = None,
        rate: float = 1e-3, callbacks: Any = (),
    ) -> float:  # fmt: skip
        """Train; returns the seconds."""
        before = self.clock()
        adam = lambda parameters: torch.optim.Adam(parameters, rate, fused=True)  # noqa: E731
        how = {"schedule": cosine(1, 0), "progress": False, "device": self.device}
        trainer = Trainer(model, objective, teacher, adam, callbacks=callbacks, **how)
        trainer.fit(batches, epochs=epochs)
        return self.clock() - before

    def clock(self) -> float:
        return time.process_time() if self.device == "cpu" else time.perf_counter()

    def made(self, model: nn.Module, noise: Tensor, y: Tensor, steps: int) -> Tensor:
        images = euler(model, noise.to(self.device), y.to(self.device), steps)
        return images.clamp(-1, 1).cpu()

    def look(self, model: nn.Module, steps: int, seed: int) -> dict[str, Any]:
        """Distance, share as asked, seconds."""
        noise = torch.randn(COUNT, 196, generator=torch.Generator().manual_seed(1000 + seed))
        y = torch.arange(COUNT) % 10
        images, spent = self.made(model, noise, y, steps), []
        for _ in range(3):
            before = self.clock()
            self.made(model, noise[:1000], y[:1000], steps)
            spent.append(self.clock() - before)
        return {
            "frechet": self.judge.distance(images),
            "accuracy": self.judge.as_asked(images, y),
            "sampling": round(min(spent), 4),
        }

    def near(self, images: Tensor) -> float:
        """Median distance to the nearest training digit."""
        return float(nearest_distance(images[: SETTINGS["near"]], self.x)[0].median())


def students(studio: Studio, seed: int) -> dict[tuple[str, int], dict[str, Any]]:
    """Everything of one seed: {(method, steps): what was found}."""
    torch.manual_seed(seed)
    x, y, fit = studio.x, studio.y, studio.fit
    net = FlowNet(196, SETTINGS["width"])
    data = FlowBatches(x, y, drop=0.1, seed=seed)
    seconds = fit(net, FlowMatching(), data, SETTINGS["teacher_epochs"], rate=2e-3)
    teacher = Guided(net, W)
    found: dict[tuple[str, int], dict[str, Any]] = {}

    def note(method: str, model: nn.Module, seconds: float, *steps: int) -> None:
        for n in steps:
            found[method, n] = studio.look(model, n, seed) | {"seconds": round(seconds, 1)}
            print(f"    {method:18s}{n:3d}", found[method, n], flush=True)

    note("teacher", teacher, seconds, 1, 2, 4, 8, 16)
    spent: dict[int, float] = {}

    def stage(new: nn.Module, old: nn.Module, n: int) -> None:
        batches = FlowBatches(x, y, times=torch.arange(n) / n, seed=seed)
        spent[n] = fit(new, MatchVelocity(), batches, 1,
                       TwoIntoOne(old, n))  # fmt: skip

    for n, student in halving(net, teacher, MOST, stage).items():
        note("soft targets", student, sum(s for k, s in spent.items() if k >= n), n)

    count = SETTINGS["pairs"]
    before = studio.clock()
    noise, kinds = torch.randn(count, 196), torch.arange(count) % 10
    images = euler(teacher, noise.to(studio.device), kinds.to(studio.device), MOST).cpu()
    walks = studio.clock() - before
    pairs = FlowBatches(images, kinds, noise=noise, times=torch.zeros(1), seed=seed)
    student = copy.deepcopy(net)
    seconds = fit(student, FlowMatching(), pairs, SETTINGS["pair_epochs"])
    note("regression", student, seconds + walks, 1)
    fresh = torch.randn(SETTINGS["near"], 196)
    made = studio.made(student, fresh, kinds[: len(fresh)], 1)
    found["regression", 1]["near"] = studio.near(made)
    made = studio.made(teacher, fresh, kinds[: len(fresh)], MOST)
    found["teacher", MOST]["near"] = studio.near(made)

    student = copy.deepcopy(net)
    average = MovingAverage(student, SETTINGS["momentum"])
    weight: Callable[[Tensor], Tensor] = lambda t: (1 - t) ** 2  # noqa: E731
    batches = FlowBatches(x, y, times=torch.arange(MOST) / MOST, seed=seed)
    seconds = fit(student, MatchVelocity(weight), batches, SETTINGS["epochs"],
                  Consistency(teacher, average.model, MOST), callbacks=[average])  # fmt: skip
    note("consistency", student, seconds, 1)

    longer = copy.deepcopy(net)
    seconds = fit(longer, FlowMatching(), data, SETTINGS["epochs"])
    note("labels", Guided(longer, W), seconds, 1, 2, 4)
    note("labels, unguided", longer, seconds, 1, 2, 4)
    return found


def main() -> None:
    parser = arguments(__doc__, [1, 2, 3, 4, 5])
    parser.add_argument("--device", default="cpu", help="where nets are trained, such as cuda")
    given = parser.parse_args()
    records = Records("fewer_steps", given.out, SETTINGS)
    runs = records.found["runs"]
    missing = [seed for seed in given.seeds if all(run["seed"] != seed for run in runs)]
    studio = Studio(given.device) if missing else None
    for seed in missing:
        assert studio is not None
        print(f"seed {seed}", flush=True)
        for (method, n), values in students(studio, seed).items():
            setting = f"{n} step{'s' * (n > 1)}"
            runs.append({"method": method, "setting": setting, "seed": seed} | values)
        real = {"frechet": studio.floor(seed), "near": studio.near(studio.tests)}
        runs.append({"method": "real", "setting": "real", "seed": seed} | real)
        records.keep()
    print(records.file)


if __name__ == "__main__":
    main()
