"""Lesson 05 at full scale: does distillation help a small net on MNIST-1D, and against what?

    TINYKD_SCALE=full python benchmarks/does_it_help.py

A ConvNet learns 4,000 labelled signals; MLPs learn 1,000 of them, drawn anew for each seed, from
labels or from the ConvNet's soft targets. Ten seeds are trained side by side, as one stack. What is
chosen (rate, L2, smoothing, T) is chosen on 2,000 held-out signals; the 4,000 test signals are
measured for every run too, so that the lesson can show what choosing on them would do.

-> datasets/results/does_it_help.json, a record for each setting, method and seed. A killed script
goes on where it stopped. Without TINYKD_SCALE=full it does a run of seconds on a few signals, which
checks the script and says nothing about distillation.
"""

import argparse
import itertools
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import tinykd
from tinykd import (
    MLP,
    Batches,
    ConvNet,
    HardLabels,
    KnownLogits,
    SideBySide,
    SideBySideBatches,
    SoftTargets,
    Trainer,
    cosine,
    linear,
)
from tinykd.files import atomic

ROOT = Path(__file__).resolve().parents[1]
SETTINGS: dict[str, Any] = {
    "pool": 4000,
    "labelled": 1000,
    "held_out": 2000,
    "test": 4000,
    "seeds": 10,
    "student": [40, 100, 10],
    "steps": 1000,
    "batch": 50,
    "optimizer": "SGD, momentum 0.9, rate along a cosine to 0",
    "rates": [0.01, 0.03, 0.1, 0.3],
    "decays": [0, 0.003, 0.01, 0.03],
    "smoothings": [0.05, 0.1, 0.2],
    "temperatures": [1, 2, 4, 8, 16],
    "alpha": 0.9,
    "T": 4,
    "teacher": {"channels": [1, 32, 64, 128, 10], "rate": 0.01, "epochs": 20, "batch": 100},
    "teachers": [1, 2, 4, 10, 50],
    "widths": [25, 200],
    "budgets": [200, 2000],
}


def brief(x: Any) -> Any:
    """A number to five digits: more would be noise."""
    return float(f"{x:.5g}") if isinstance(x, float) else x


class Lab:
    """The data, the teachers, the results so far."""

    def __init__(self, out: Path, full: bool) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.file, self.full, self.how = out / "does_it_help.json", full, dict(SETTINGS)
        if not full:
            self.how |= {"pool": 200, "labelled": 100, "held_out": 100, "test": 100, "seeds": 2}
            self.how |= {"steps": 4, "rates": [0.1], "decays": [0, 0.01], "smoothings": [0.1]}
            self.how |= {"temperatures": [1, 4], "teachers": [1], "widths": [5], "budgets": [2]}
            self.how |= {"teacher": SETTINGS["teacher"] | {"epochs": 1}}
        versions = {"torch": torch.__version__, "python": platform.python_version()}
        self.record: dict[str, Any] = {"settings": self.how, "versions": versions}
        self.record |= {"teachers": [], "runs": [], "sweep": []}
        if self.file.exists():
            self.record |= json.loads(self.file.read_text())
        self.x, self.y = tinykd.load_mnist1d(self.how["pool"], seed=1)
        x, y = tinykd.load_mnist1d(self.how["held_out"] + self.how["test"], seed=2)
        cut = self.how["held_out"]
        self.held_out, self.test = (x[:cut], y[:cut]), (x[cut:], y[cut:])
        self.seeds = range(self.how["seeds"])
        self.said: dict[int, tuple[Tensor, Tensor]] = {}  # epochs -> logits of pool and test

    def keep(self) -> None:
        whole = {key: value for key, value in self.record.items() if not isinstance(value, list)}
        text = json.dumps(whole, indent=1)[:-2]
        for key in ("teachers", "runs", "sweep"):  # a line for each record
            lines = (json.dumps({k: brief(x) for k, x in r.items()}) for r in self.record[key])
            text += f',\n "{key}": [\n  ' + ",\n  ".join(lines) + "\n ]"
        with atomic(self.file) as part:
            part.write_text(text + "\n}\n")

    def teacher(self, epochs: int) -> tuple[Tensor, Tensor]:
        """Logits of the teacher after `epochs` epochs, for the pool and the test signals."""
        if epochs not in self.said:
            how, before = self.how["teacher"], time.perf_counter()
            torch.manual_seed(0)
            net = ConvNet(*how["channels"], dims=1)
            Trainer(
                net,
                HardLabels(),
                optimizer=lambda ps: torch.optim.Adam(ps, how["rate"]),
                schedule=cosine(1, 0),
                progress=False,
            ).fit(Batches(self.x, self.y, size=how["batch"]), epochs=epochs)
            seconds = time.perf_counter() - before
            before = time.perf_counter()
            self.said[epochs] = tinykd.predict(net, self.x), tinykd.predict(net, self.test[0])
            asked = time.perf_counter() - before
            if epochs not in [t["epochs"] for t in self.record["teachers"]]:
                pool, test = self.said[epochs]
                found = {
                    "epochs": epochs,
                    "pool": tinykd.accuracy(pool, self.y),
                    "held_out": tinykd.accuracy(
                        tinykd.predict(net, self.held_out[0]), self.held_out[1]
                    ),
                    "test": tinykd.accuracy(test, self.test[1]),
                    "entropy": tinykd.entropy(pool).mean().item(),
                    "entropy_T": tinykd.entropy(pool, self.how["T"]).mean().item(),
                    "seconds": seconds,
                    "seconds_asked": asked,
                }
                self.record["teachers"].append(found)
                self.keep()
        return self.said[epochs]

    def students(
        self,
        objective: Any,
        rate: float,
        decay: float,
        told: Tensor | None = None,
        steps: int | None = None,
        labelled: int | None = None,
        width: int | None = None,
        schedule: Any = None,
        adam: bool = False,
    ) -> SideBySide:
        """A stack of students, one a seed, trained."""
        steps, labelled = steps or self.how["steps"], labelled or self.how["labelled"]
        sizes = list(self.how["student"])
        sizes[1] = width or sizes[1]
        rows = [
            np.random.default_rng((s, 0)).permutation(len(self.x))[:labelled] for s in self.seeds
        ]
        batches = SideBySideBatches(
            self.x, self.y, torch.tensor(np.stack(rows)), self.how["batch"], self.seeds
        )
        nets = []
        for seed in self.seeds:
            torch.manual_seed(seed)
            nets.append(MLP(*sizes))
        stack = SideBySide(nets)

        def sgd(parameters: Any) -> torch.optim.Optimizer:
            if adam:
                return torch.optim.AdamW(parameters, rate, weight_decay=0)
            return torch.optim.SGD(parameters, rate, momentum=0.9, weight_decay=decay)

        # times the number of nets: the mean over all of them becomes the mean of each
        Trainer(
            stack,
            len(self.seeds) * objective,
            None if told is None else KnownLogits(told),
            sgd,
            schedule=schedule or cosine(1, 0),
            progress=False,
        ).fit(batches, epochs=max(1, round(steps / len(batches))))
        return stack

    def measure(self, stack: SideBySide, teacher: Tensor) -> list[dict[str, float]]:
        """What each net of the stack is worth; T is fitted on the held-out signals."""
        found = []
        y = self.test[1]
        for held_out, z in zip(
            stack.answers(self.held_out[0]), stack.answers(self.test[0]), strict=True
        ):
            T = tinykd.fit_temperature(held_out, self.held_out[1])
            found.append(
                {
                    "accuracy": tinykd.accuracy(z, y),
                    "held_out": tinykd.accuracy(held_out, self.held_out[1]),
                    "nll": tinykd.negative_log_likelihood(z, y),
                    "ece": tinykd.calibration_error(z, y),
                    "T_fitted": T,
                    "nll_scaled": tinykd.negative_log_likelihood(z, y, T),
                    "ece_scaled": tinykd.calibration_error(z, y, T=T),
                    "agreement": tinykd.agreement(z, teacher),
                    "kl": tinykd.forward_kl(z, teacher).mean().item(),
                }
            )
        return found

    def run(
        self, setting: str, method: str, objective: Any, rate: float, decay: float, **more: Any
    ) -> None:
        """Train and measure one method in one setting, unless that was done; keep it."""
        kind = "sweep" if setting.startswith("sweep") else "runs"
        same = [r for r in self.record[kind] if (r["setting"], r["method"]) == (setting, method)]
        if any(r["rate"] == rate and r["decay"] == decay for r in same):
            return
        before = time.perf_counter()
        teacher = more.pop("teacher", self.how["teacher"]["epochs"])
        try:
            found = self.measure(
                self.students(objective, rate, decay, **more), self.teacher(teacher)[1]
            )
        except tinykd.NonFiniteLoss:
            print(f"{setting}: {method}, rate {rate}, L2 {decay}: diverged", flush=True)
            found = [{"accuracy": 0.1, "held_out": 0.1, "diverged": True} for _ in self.seeds]
        seconds = (time.perf_counter() - before) / len(self.seeds)
        for seed, one in zip(self.seeds, found, strict=True):
            one = {
                "setting": setting,
                "method": method,
                "rate": rate,
                "decay": decay,
                "seed": seed,
            } | one
            self.record[kind].append(one | {"seconds": round(seconds, 3)})
        self.keep()
        mean = np.mean([one["accuracy"] for one in found])
        print(f"{setting}: {method}, rate {rate}, L2 {decay}: {mean:.4f}", flush=True)

    def best(self, setting: str, **only: Any) -> tuple[str, float, float]:
        """Method, rate and L2 of a sweep with the most right answers on the held-out signals."""
        tried: dict[tuple, list[float]] = {}
        for r in self.record["sweep"]:
            if r["setting"] == setting and all(r[key] in value for key, value in only.items()):
                tried.setdefault((r["method"], r["rate"], r["decay"]), []).append(r["held_out"])
        return max(tried, key=lambda key: np.mean(tried[key]))


def soft(T: Any = 4, alpha: Any = 0.9) -> Any:
    """Hinton's objective; alpha may be a schedule."""
    hard = (lambda p: 1 - alpha(p)) if callable(alpha) else 1 - alpha
    return alpha * SoftTargets(T) + hard * HardLabels()


def every(epochs: float, factor: float, whole: float) -> Any:
    """A learning rate that is multiplied by `factor` after every `epochs` of `whole` epochs."""
    return lambda progress: factor ** int(progress * whole / epochs + 1e-9)


def everything(lab: Lab) -> None:
    how, (pool, _) = lab.how, lab.teacher(lab.how["teacher"]["epochs"])
    T, alpha = how["T"], how["alpha"]
    # 1: rate and L2 of labels and of soft targets, the same choice for both
    for rate, decay in itertools.product(how["rates"], how["decays"]):
        lab.run("sweep: labels", "labels", HardLabels(), rate, decay)
        lab.run("sweep: soft targets", "soft targets", soft(T, alpha), rate, decay, told=pool)
    first = how["rates"][0]
    for setting, only in (
        ("one rate for both, no L2", {"rate": [first], "decay": [0]}),
        ("each its own rate, no L2", {"decay": [0]}),
        ("each its own rate and L2", {}),
    ):
        _, *chosen = lab.best("sweep: labels", **only)
        lab.run(setting, "labels", HardLabels(), *chosen)
        _, *chosen = lab.best("sweep: soft targets", **only)
        lab.run(setting, "soft targets", soft(T, alpha), *chosen, told=pool)
    last = "each its own rate and L2"
    _, rate, decay = lab.best("sweep: labels")
    # 2: null hypotheses
    for s, r, d in itertools.product(how["smoothings"], how["rates"][-2:], how["decays"][-3:-1]):
        lab.run("sweep: smoothing", f"smoothing {s}", HardLabels(s), r, d)
    name, r, d = lab.best("sweep: smoothing")
    lab.run(last, "label smoothing", HardLabels(float(name.split()[1])), r, d)
    stack = lab.students(HardLabels(), rate, decay)
    own, twice = stack.answers(lab.x), 2 * how["steps"]
    for r, d in itertools.product(how["rates"][-2:], how["decays"][-3:-1]):
        lab.run("sweep: twice the steps", "labels", HardLabels(), r, d, steps=twice)
        lab.run("sweep: own last generation", "own", soft(T, alpha), r, d, told=own)
    chosen = lab.best("sweep: twice the steps")[1:]
    lab.run(last, "labels, twice the steps", HardLabels(), *chosen, steps=twice)
    chosen = lab.best("sweep: own last generation")[1:]
    lab.run(last, "own last generation", soft(T, alpha), *chosen, told=own)
    for d in (0.001, 0.003):
        whole = {"labelled": how["pool"]}
        lab.run("sweep: all labels", "labels", HardLabels(), 0.1, d, **whole)
        lab.run("sweep: all soft", "soft", 1.0 * SoftTargets(T), 0.1, d, told=pool, **whole)
    _, r, d = lab.best("sweep: all labels")
    lab.run(last, "all 4,000 labels", HardLabels(), r, d, **whole)
    _, r, d = lab.best("sweep: all soft")
    lab.run(last, "soft targets of all 4,000", 1.0 * SoftTargets(T), r, d, told=pool, **whole)
    # 3: temperatures and constant weights, then schedules
    _, rate, decay = lab.best("sweep: soft targets")
    for t in how["temperatures"]:
        lab.run("sweep: T", f"T = {t}", soft(t, alpha), rate, decay, told=pool)
    for a in (0.5, 0.6, 0.7, 1.0):
        lab.run("sweep: weight", f"weight {a}", soft(T, a), rate, decay, told=pool)
    claims = "claims"
    epochs = how["steps"] * how["batch"] / how["labelled"]
    lab.run(claims, "labels", HardLabels(), *lab.best("sweep: labels")[1:])
    for name, objective in {
        "soft targets": soft(T, alpha),
        "T = 2": soft(2, alpha),
        "weight 0.7": soft(T, 0.7),
        "weight 0.7 to 0.6": soft(T, linear(0.7, 0.6)),
        "weight 0.7 to 0.4": soft(T, linear(0.7, 0.4)),
        "T from 8 to 1": soft(linear(8, 1), alpha),
        "T from 1 to 8": soft(linear(1, 8), alpha),
    }.items():
        lab.run(claims, name, objective, rate, decay, told=pool)
    lab.run(
        claims, "no L2", soft(T, alpha), *lab.best("sweep: soft targets", decay=[0])[1:], told=pool
    )
    for name, schedule in {
        "constant rate": 1.0,
        "rate x 0.9 every 3 epochs": every(3, 0.9, epochs),
    }.items():
        lab.run(claims, name, soft(T, alpha), rate, decay, told=pool, schedule=schedule)
    for name, r, schedule in (
        ("Adam 0.001, x 0.9 every 3 epochs", 0.001, every(3, 0.9, epochs)),
        ("Adam 0.001, constant", 0.001, 1.0),
        ("Adam 0.001, cosine", 0.001, None),
        ("Adam 0.01, x 0.9 every 3 epochs", 0.01, every(3, 0.9, epochs)),
        ("Adam 0.01, cosine", 0.01, None),
    ):
        lab.run(claims, name, soft(T, alpha), r, 0, told=pool, schedule=schedule, adam=True)
    # 4: which teacher, for which student, for how long
    for width, steps in itertools.product(how["widths"], how["budgets"]):
        setting, more = f"{width} units, {steps} steps", {"width": width, "steps": steps}
        lab.run(setting, "labels", HardLabels(), rate, decay, **more)
        lab.run(setting, "soft targets", soft(T, alpha), rate, decay, told=pool, **more)
        for n, t in itertools.product(how["teachers"], (1, T)):
            name = f"teacher of {n} epochs, T = {t}"
            told = lab.teacher(n)[0]
            lab.run(setting, name, soft(t, alpha), rate, decay, told=told, teacher=n, **more)
    lab.keep()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=None, help="datasets/results at full scale")
    given, full = parser.parse_args(), tinykd.scale() == "full"
    out = given.out or (
        ROOT / "datasets" / "results" if full else Path(tempfile.gettempdir()) / "does_it_help"
    )
    everything(Lab(out, full))


if __name__ == "__main__":
    main()
