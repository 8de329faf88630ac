"""Lesson 06 at full scale: one teacher, the same students, other inputs.

    TINYKD_SCALE=full python benchmarks/better_data.py

The teacher learns the first 25,000 digits of MNIST (14 x 14 pixels, the mean of each 2 x 2), the
students have the next 25,000 (the pool) without labels, apart from ten of each class, another draw
for each seed; the students of all seeds are trained side by side, as one batch of matrices.
Temperature and learning rate are chosen on the last 10,000. Every student takes the same number of
steps of 100 inputs; the test digits are read once a run, at its end.
-> datasets/results/better_data.json, a record {"setting", "method", "seed", "accuracy", ...} a run.

A killed script goes on where it stopped. Without TINYKD_SCALE=full it does a run of seconds on few
digits, which checks the script and says nothing about data.
"""

import argparse
import json
import math
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import tinykd
from tinykd import (
    MLP,
    Batches,
    ClassGaussians,
    HardLabels,
    SideBySide,
    Trainer,
    cosine,
    cross_entropy,
    entropy,
    forward_kl,
    jitter,
    load_mnist,
    mixed,
    predict,
    soft_labels_kl,
    softmax,
    strokes,
    uncertainty_weights,
)
from tinykd.batch import IGNORE
from tinykd.files import atomic

ROOT = Path(__file__).resolve().parents[1]
FULL: dict[str, Any] = {
    "digits": 25_000,
    "epochs": 6,
    "steps": 1_000,
    "made": 20_000,  # jittered, mixed, generated or drawn; shown again where steps ask for more
    "seeds": [0, 1, 2, 3, 4],
    "sizes": [250, 750, 2_500, 5_000, 25_000],
    "some": 1_000,  # digits that are kept by hard-sample mining
}
SMOKE: dict[str, Any] = FULL | {
    "digits": 2_000,
    "epochs": 4,
    "steps": 15,
    "seeds": [0, 1],
    "sizes": [100, 2_000],
    "some": 100,
}
COMMON: dict[str, Any] = {
    "teacher": "MLP 196-300-300-10, dropout 0.2, jitter 1, Adam 3e-3 and cosine, batches of 250",
    "student": "MLP 196-100-10, Adam 1e-2 and cosine, batches of 100",
    "T": 4.0,
    "lr": 1e-2,
    "labelled": 10,  # of each class
    "threshold": 0.95,
    "components": 40,
}


class Lab:
    """Digits, teacher, and what is made of a seed's labelled digits."""

    def __init__(self, out: Path, full: bool) -> None:
        self.settings = COMMON | (FULL if full else SMOKE)
        self.file = out / "better_data.json"
        versions = {"torch": torch.__version__, "python": platform.python_version()}
        self.record: dict[str, Any] = {"settings": self.settings, "versions": versions, "runs": []}
        if self.file.exists():
            self.record = json.loads(self.file.read_text())
        digits = self.settings["digits"]
        images, labels = load_mnist("train")
        self.test, self.test_labels = load_mnist("test")
        self.test, images = halved(self.test), halved(images)
        self.pool, self.pool_labels = images[25_000:][:digits], labels[25_000:][:digits]
        self.held_out, self.held_out_labels = images[50_000:], labels[50_000:]
        torch.manual_seed(0)
        self.teacher = MLP(196, 300, 300, 10, dropout=0.2)
        adam = torch.optim.Adam(self.teacher.parameters(), 3e-3)
        trainer = Trainer(
            self.teacher,
            HardLabels(),
            None,
            adam,
            schedule=cosine(1, 0),
            progress=False,
            device="cpu",
        )
        trainer.fit(
            Batches(images[:digits], labels[:digits], 250, augment=lambda x: jitter(x, 1)),
            epochs=self.settings["epochs"],
        )
        right = tinykd.accuracy(self.ask(self.test), self.test_labels)
        self.record["teacher"] = {"accuracy": right}
        self.answers = self.ask(self.pool)
        self.weak_answers: list[Tensor] | None = None

    def keep(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with atomic(self.file) as part:
            part.write_text(json.dumps(self.record, indent=1) + "\n")

    def ask(self, inputs: Tensor) -> Tensor:
        """The teacher's logits."""
        return predict(self.teacher, inputs)

    def students(self, inputs: Sequence[Tensor], seeds: Sequence[int], **how: Any) -> SideBySide:
        """A student a seed, trained side by side: by labels, logits or shares, a tensor a seed.

        how: T, lr, and weights of the samples.
        """
        steps, size = self.settings["steps"], 100
        orders, nets = [], []
        for x, seed in zip(inputs, seeds, strict=True):
            rng, passes = np.random.default_rng(seed), math.ceil(size * steps / len(x))
            order = np.concatenate([rng.permutation(len(x)) for _ in range(passes)])
            orders.append(torch.tensor(order[: size * steps]).view(steps, size))
            torch.manual_seed(seed)
            nets.append(MLP(196, 100, 10))
        students = SideBySide(nets)
        T, names = how.get("T", self.settings["T"]), ("labels", "logits", "shares", "weights")
        optimizer = torch.optim.Adam(students.parameters(), how.get("lr", self.settings["lr"]))
        rate, first = cosine(1, 0), optimizer.param_groups[0]["lr"]
        for step in range(steps):
            batch = {
                name: torch.stack(
                    [x[o[step]] for x, o in zip(how.get(name, inputs), orders, strict=True)]
                )
                for name in ("inputs", *(name for name in names if name in how))
            }
            z = students(batch["inputs"])
            if "logits" in batch:
                each = forward_kl(z, batch["logits"], T)
            elif "labels" in batch:
                each = cross_entropy(z, batch["labels"])
            else:
                each = soft_labels_kl(z, batch["shares"])
            if "weights" in batch:
                each = batch["weights"] * each
            valid = (batch["labels"] != IGNORE).sum(1) if "labels" in batch else size
            optimizer.param_groups[0]["lr"] = first * rate(step / steps)
            optimizer.zero_grad()
            (each.sum(1) / valid).sum().backward()  # a mean a seed: no seed feels the others
            optimizer.step()
        return students

    def fit(self, inputs: Any, **how: Any) -> list[float]:
        """Accuracies on the test digits, read once. What is one tensor serves every seed."""
        seeds = self.settings["seeds"]
        for name in ("labels", "logits", "shares", "weights"):
            if isinstance(how.get(name), Tensor):
                how[name] = [how[name]] * len(seeds)
        inputs = [inputs] * len(seeds) if isinstance(inputs, Tensor) else inputs
        nets = self.students(inputs, seeds, **how)
        return [tinykd.accuracy(z, self.test_labels) for z in nets.answers(self.test)]

    def told(self, inputs: list[Tensor], **how: Any) -> list[float]:
        """The same with the teacher's soft targets on these inputs."""
        return self.fit(inputs, logits=[self.ask(x) for x in inputs], **how)

    def each(self, make: Callable[[int], Any]) -> list:
        """What `make` gives for every seed."""
        return [make(seed) for seed in self.settings["seeds"]]

    def few(self, seed: int) -> tuple[Tensor, Tensor]:
        """Ten labelled digits of each class, this seed's draw."""
        rng, k = np.random.default_rng(seed), self.settings["labelled"]
        numbers = [np.flatnonzero(self.pool_labels.numpy() == c) for c in range(10)]
        rows = torch.tensor(np.concatenate([rng.choice(n, k, replace=False) for n in numbers]))
        return self.pool[rows], self.pool_labels[rows]

    def count(self) -> int:
        """How many inputs are made of the labelled digits, or of nothing."""
        return min(100 * self.settings["steps"], self.settings["made"])

    def shifted(self, seed: int) -> tuple[Tensor, Tensor]:
        """The labelled digits, each time shifted by up to a pixel."""
        torch.manual_seed(1000 + seed)
        x, y = self.few(seed)
        rows = torch.arange(self.count()) % len(x)
        return jitter(x[rows], 1, subpixel=True), y[rows]

    def mixed(self, seed: int, kind: str) -> tuple[Tensor, Tensor]:
        """Mixtures; with shares of labels, the logits of averaged answers, or the teacher's."""
        x, y = self.few(seed)
        rows, rng = torch.arange(self.count()) % len(x), np.random.default_rng(2000 + seed)
        partner = torch.tensor(rng.permutation(len(rows)))
        share = torch.tensor(rng.uniform(size=len(rows))).float()
        first = self.shifted(seed)[0] if kind == "jittered" else x[rows]
        inputs = mixed(first, partner, share)
        if kind == "labels":
            return inputs, mixed(F.one_hot(y[rows], 10).float(), partner, share)
        if kind == "averaged":
            p = softmax(self.ask(x), self.settings["T"])[rows]
            return inputs, self.settings["T"] * mixed(p, partner, share).log()
        return inputs, self.ask(inputs)

    def new_digits(self, seed: int, count: int) -> tuple[Tensor, Tensor]:
        """From a generator that was fitted to the labelled digits, and their classes."""
        torch.manual_seed(6000 + seed)
        classes = torch.arange(count) % 10
        generator = ClassGaussians(*self.few(seed), self.settings["components"])
        return generator.sample(classes).clamp(0, 1), classes

    def synthetic(self, seed: int, kind: str) -> Tensor:
        """Noise, scrambled pixels, or strokes of a pen."""
        n, rng = self.count(), np.random.default_rng(5000 + seed)
        torch.manual_seed(3000 + seed)
        if kind == "noise":
            return torch.rand(n, 14, 14)
        if kind == "scrambled":
            flat = self.few(seed)[0].flatten(1)
            return flat.gather(0, torch.randint(len(flat), (n, 196))).view(-1, 14, 14)
        return strokes(n, rng)

    def weak(self) -> list[Tensor]:
        """Logits on the pool of nets that have learned the labelled digits alone."""
        if self.weak_answers is None:
            few, seeds = self.each(self.few), self.settings["seeds"]
            nets = self.students([x for x, _ in few], seeds, labels=[y for _, y in few])
            self.weak_answers = list(nets.answers(self.pool))
        return self.weak_answers

    def sure(self, logits: Tensor) -> Tensor:
        """Pseudo-labels, -100 where the teacher is not sure."""
        best, answer = softmax(logits).max(-1)
        return answer.masked_fill(best < self.settings["threshold"], -100)

    def some(self, seed: int, n: int) -> Tensor:
        """n random digits of the pool; a smaller set lies inside a larger one."""
        return torch.tensor(np.random.default_rng(seed).permutation(len(self.pool))[:n])

    def parts(self, rows: list[Tensor]) -> list[float]:
        """Soft targets on these digits of the pool."""
        return self.fit([self.pool[r] for r in rows], logits=[self.answers[r] for r in rows])


def halved(images: Tensor) -> Tensor:
    """(N, 28, 28) to (N, 14, 14): the mean of each 2 x 2."""
    return F.avg_pool2d(images.unsqueeze(1), 2).squeeze(1)


def methods(lab: Lab) -> dict[tuple[str, str], Callable[[], list[float]]]:
    """(setting, method) -> accuracies, one a seed."""
    few, pool, z, n = lab.each(lab.few), lab.pool, lab.answers, lab.settings["some"]
    x, y, every = [one for one, _ in few], [labels for _, labels in few], lab.pool_labels
    by_doubt, count = entropy(z).argsort(), lab.count()
    found: dict[str, dict[str, Callable[[], list[float]]]] = {}

    def by(name: str, make: Callable[[int], tuple[Tensor, Tensor]]) -> list[float]:
        """Students of what `make` gives a seed: inputs, and labels, logits or shares for them."""
        inputs, targets = zip(*lab.each(make), strict=True)
        return lab.fit(inputs, **{name: targets})

    def of_pool(name: str, targets: Tensor, size: int) -> list[float]:
        rows = lab.each(lambda s: lab.some(s, size))
        return lab.fit([pool[r] for r in rows], **{name: [targets[r] for r in rows]})

    found["a hundred digits"] = {
        "labels": lambda: lab.fit(x, labels=y),
        "soft targets": lambda: lab.told(x),
        "labels, jitter": lambda: by("labels", lab.shifted),
        "labels, mixup": lambda: by("shares", lambda s: lab.mixed(s, "labels")),
        "jitter": lambda: lab.told(lab.each(lambda s: lab.shifted(s)[0])),
        "mixtures, averaged": lambda: by("logits", lambda s: lab.mixed(s, "averaged")),
        "mixtures, asked": lambda: by("logits", lambda s: lab.mixed(s, "asked")),
        "mixtures of jittered, asked": lambda: by("logits", lambda s: lab.mixed(s, "jittered")),
        **{
            kind: lambda kind=kind: lab.told(lab.each(lambda s: lab.synthetic(s, kind)))
            for kind in ("noise", "scrambled", "strokes")
        },
        "generator": lambda: lab.told(lab.each(lambda s: lab.new_digits(s, count)[0])),
        "generator, its class as label": lambda: by("labels", lambda s: lab.new_digits(s, count)),
    }
    found["pool, strong teacher"] = {
        "labels": lambda: lab.fit(pool, labels=every),
        "soft targets": lambda: lab.fit(pool, logits=z),
        "soft targets, T = 1": lambda: lab.fit(pool, logits=z, T=1.0),
        "pseudo-labels": lambda: lab.fit(pool, labels=z.argmax(-1)),
        "pseudo-labels, sure": lambda: lab.fit(pool, labels=lab.sure(z)),
        "weighted, β = 0.3": lambda: lab.fit(pool, logits=z, weights=uncertainty_weights(z, 0.3)),
        "weighted, β = 1.0": lambda: lab.fit(pool, logits=z, weights=uncertainty_weights(z, 1.0)),
    }
    found["pool, weak teacher"] = {
        "labels": lambda: lab.fit(x, labels=y),
        "soft targets": lambda: lab.fit(pool, logits=lab.weak()),
        "pseudo-labels": lambda: lab.fit(pool, labels=[w.argmax(-1) for w in lab.weak()]),
        "pseudo-labels, sure": lambda: lab.fit(pool, labels=[lab.sure(w) for w in lab.weak()]),
    }
    same = len(lab.settings["seeds"])
    half = lab.each(lambda s: torch.cat([by_doubt[-n // 2 :], lab.some(s, n // 2)]))
    found[f"{n:,} digits of the pool, chosen"] = {
        "labels": lambda: of_pool("labels", every, n),
        "soft targets": lambda: of_pool("logits", z, n),
        "most uncertain": lambda: lab.parts([by_doubt[-n:]] * same),
        "most certain": lambda: lab.parts([by_doubt[:n]] * same),
        "half uncertain, half random": lambda: lab.parts(half),
    }

    def new(s: int, size: int) -> Tensor:
        """`size` of as many new digits as the pool holds, nested as its own subsets are."""
        return lab.new_digits(s, len(pool))[0][lab.some(s, size)]

    for size in lab.settings["sizes"]:
        found[f"{size} of the pool"] = {
            "labels": lambda k=size: of_pool("labels", every, k),
            "soft targets": lambda k=size: of_pool("logits", z, k),
            "generator": lambda k=size: lab.told(lab.each(lambda s: new(s, k))),
        }

    def beyond(s: int) -> Tensor:
        """Four shifted copies of the pool, no two alike."""
        torch.manual_seed(1000 + s)
        return jitter(pool.repeat(4, 1, 1), 1, subpixel=True)

    found[f"{size} of the pool"]["jitter"] = lambda: lab.told(lab.each(beyond))
    return {(setting, name): run for setting, of in found.items() for name, run in of.items()}


def chosen(lab: Lab) -> dict[str, float]:
    """Errors in percent on the digits held out, of students with a hundred digits, every seed."""
    few, seeds = lab.each(lab.few), lab.settings["seeds"]
    x, y = [one for one, _ in few], [labels for _, labels in few]
    soft = {"logits": [lab.ask(one) for one in x]}
    tried: dict[str, dict[str, Any]] = {
        f"soft targets, T = {T:g}": soft | {"T": T} for T in (1.0, 2.0, 4.0, 8.0)
    }
    for lr in (3e-3, 1e-2, 3e-2):
        tried[f"labels, learning rate {lr:g}"] = {"labels": y, "lr": lr}
        tried[f"soft targets, learning rate {lr:g}"] = soft | {"lr": lr}
    found = {}
    for name, how in tried.items():
        answers = lab.students(x, seeds, **how).answers(lab.held_out)
        right = [tinykd.accuracy(one, lab.held_out_labels) for one in answers]
        found[name] = round(100 * (1 - float(np.mean(right))), 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=None, help="datasets/results at full scale")
    given, full = parser.parse_args(), tinykd.scale() == "full"
    out = given.out or (
        ROOT / "datasets" / "results" if full else Path(tempfile.mkdtemp(prefix="better_data-"))
    )
    lab = Lab(out, full)
    if "chosen" not in lab.record["settings"]:
        lab.record["settings"]["chosen"] = chosen(lab)
        lab.keep()
    done = {(run["setting"], run["method"]) for run in lab.record["runs"]}
    for (setting, method), run in methods(lab).items():
        if (setting, method) in done:
            continue
        before = time.process_time()
        accuracies = run()
        seconds = (time.process_time() - before) / len(accuracies)
        for seed, right in zip(lab.settings["seeds"], accuracies, strict=True):
            lab.record["runs"].append(
                {"setting": setting, "method": method, "seed": seed}
                | {"accuracy": round(right, 4), "seconds": round(seconds, 1)}
            )
        lab.keep()
        errors = [round(100 * (1 - right), 2) for right in accuracies]
        print(f"{setting}, {method}: {np.mean(errors):.2f}% wrong {errors}", flush=True)
    print(lab.file)


if __name__ == "__main__":
    main()
