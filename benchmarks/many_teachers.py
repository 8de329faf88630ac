"""Lesson 07 with more seeds: ensembles, generations, assistants, peers, a teacher without labels.

    TINYKD_SCALE=full python benchmarks/many_teachers.py      # datasets/results/many_teachers.json

Each seed has its own 1-D digits: four schools with 200 labelled signals each, that train a teacher
of their own shape; 3,000 unlabelled signals, 500 held out, 3,000 to test on. In every setting all
methods train the same student for the same number of steps.

  schools     one student learns from one school's teacher, or from an average of all
  gap         a small student learns from that average, with assistants in between or without
  generations a student teaches the next of its kind, on the labelled signals or on unlabelled ones
  mutual      two peers on one school's labels, alone or teaching each other
  views       DINO in small: features by a linear probe on 200 labels, and what collapses

A killed script goes on where it stopped: a finished seed of a setting is in the file. Without
TINYKD_SCALE=full it does a run of seconds into a temporary folder, which says nothing about
distillation.
"""

import copy
import time
from collections.abc import Callable
from typing import Any

import torch
from records import FULL, Records, arguments
from torch import Tensor, nn
from torch.nn import functional as F

import tinykd
from tinykd import (
    MLP,
    Batches,
    ConvNet,
    HardLabels,
    KnownLogits,
    Mutual,
    Peers,
    ResNet,
    SoftTargets,
    Trainer,
    accuracy,
    confidence,
    cosine,
    disturb,
    ema_update,
    ensemble_logits,
    entropy,
    load_mnist1d,
    log_softmax,
    predict,
    softmax,
)

SETTINGS: dict[str, Any] = {
    "labelled": 200, "unlabelled": 3000, "held_out": 500, "test": 3000, "T": 1.0,
    "school_steps": 300, "school_rate": 1e-2, "student_steps": 300, "student_rate": 2e-2,
    "generations": 2, "views_steps": 300, "collapse_steps": 150,
}  # fmt: skip
if not FULL:
    SETTINGS |= {"unlabelled": 400, "test": 200, "school_steps": 8, "student_steps": 8}
    SETTINGS |= {"views_steps": 8, "collapse_steps": 8}
LABELLED, T = int(SETTINGS["labelled"]), SETTINGS["T"]
SCHOOLS: dict[str, Callable[[], nn.Module]] = {
    "residual": lambda: ResNet(1, 16, 32, 32, 10, dims=1),
    "deep": lambda: ResNet(1, 8, 16, 32, 10, depth=2, dims=1),
    "convolution": lambda: ConvNet(1, 48, 64, 10, dims=1),
    "connected": lambda: MLP(40, 200, 200, 10, dropout=0.2),
}


def new_student() -> nn.Module:
    return ResNet(1, 8, 16, 10, dims=1)


def new_small() -> nn.Module:
    return ConvNet(1, 6, 12, 10, dims=1)


def new_middle() -> nn.Module:
    return ConvNet(1, 24, 48, 10, dims=1)


class World:
    """The signals of one seed, its four schools and what their teachers say of everything."""

    def __init__(self, seed: int) -> None:
        sizes = [4 * LABELLED, *(int(SETTINGS[k]) for k in ("unlabelled", "held_out", "test"))]
        x, y = load_mnist1d(sum(sizes), seed=1000 + seed)
        parts = list(zip(x.split(sizes), y.split(sizes), strict=True))
        (self.x, self.y), (self.free, _), self.held, self.test = parts
        self.seed = seed
        self.says: dict[str, dict[str, Tensor]] = {}
        for n, (name, new) in enumerate(SCHOOLS.items()):
            own = slice(n * LABELLED, (n + 1) * LABELLED)
            torch.manual_seed(100 * seed + n)
            model, rate = new(), 3e-3 if name == "connected" else SETTINGS["school_rate"]
            batches = Batches(self.x[own], self.y[own], size=50, seed=seed)
            self.fit(model, HardLabels(), None, batches, int(SETTINGS["school_steps"]), rate)
            self.says[name] = {
                "free": predict(model, self.free),
                "held": predict(model, self.held[0]),
                "test": predict(model, self.test[0]),
            }
        self.held_out = {k: accuracy(z["held"], self.held[1]) for k, z in self.says.items()}
        self.best = max(self.held_out, key=lambda name: self.held_out[name])
        n = list(SCHOOLS).index(self.best)
        self.own = slice(n * LABELLED, (n + 1) * LABELLED)

    def fit(
        self, model: nn.Module, objective: Any, teacher: Any, batches: Batches, steps: int,
        rate: float = SETTINGS["student_rate"],
    ) -> nn.Module:  # fmt: skip
        adam = lambda parameters: torch.optim.Adam(parameters, rate)  # noqa: E731
        how = {"schedule": cosine(1, 0), "progress": False, "device": "cpu"}
        trainer = Trainer(model, objective, teacher, adam, **how)
        trainer.fit(batches, epochs=max(1, round(steps / len(batches))))
        return model

    def student(
        self, new: Callable[[], nn.Module], told: Tensor | None, own: slice | None = None,
        both: bool = False, longer: int = 1, more: int = 0,
    ) -> nn.Module:  # fmt: skip
        """From labels of the signals `own`, from what it is told of the unlabelled, or `both`."""
        torch.manual_seed(100 * self.seed + 50 + more)
        seed, steps = self.seed + 1000 * more, longer * int(SETTINGS["student_steps"])
        if own is None:
            batches, objective = Batches(self.free, size=100, seed=seed), 1.0 * SoftTargets(T=T)
        else:
            batches = Batches(self.x[own], self.y[own], size=100, seed=seed)
            objective = 0.5 * SoftTargets(T=T) + 0.5 * HardLabels() if both else 1.0 * HardLabels()
        teacher = None if told is None else KnownLogits(told)
        return self.fit(new(), objective, teacher, batches, steps)

    def average(self, part: str, kind: str, weights: Any = None) -> Tensor:
        logits = torch.stack([z[part] for z in self.says.values()])
        w = confidence(logits) if weights == "confidence" else weights
        return ensemble_logits(logits, T, kind, w)

    def right(self, model: nn.Module | Tensor) -> float:
        logits = model if isinstance(model, Tensor) else predict(model, self.test[0])
        return accuracy(logits, self.test[1])


def averages(world: World) -> dict[str, tuple[str, Any]]:
    by_accuracy = torch.tensor(list(world.held_out.values()))
    return {
        "mixture": ("probabilities", None),
        "geometric mean": ("logits", None),
        "mixture by confidence": ("probabilities", "confidence"),
        "geometric mean by accuracy": ("logits", by_accuracy),
    }


def schools(world: World) -> dict[str, dict[str, float]]:
    everyone = slice(0, 4 * LABELLED)
    found = {f"teacher, {name}": world.right(z["test"]) for name, z in world.says.items()}
    found |= {"teacher, best": world.right(world.says[world.best]["test"])}
    for name, how in averages(world).items():
        found[f"teacher, {name}"] = world.right(world.average("test", *how))
    results = {name: {"accuracy": value} for name, value in found.items()}
    students = {
        "labels": lambda: world.student(new_student, None, everyone),
        "labels, one school": lambda: world.student(new_student, None, world.own),
        "soft targets": lambda: world.student(new_student, world.says[world.best]["free"]),
    }
    for name, how in averages(world).items():
        told = world.average("free", *how)
        students[name] = lambda told=told: world.student(new_student, told)
    return results | timed(world, students)


def timed(world: World, students: dict[str, Callable]) -> dict[str, dict[str, float]]:
    found = {}
    for name, train in students.items():
        before = time.process_time()
        model = train()
        seconds = round(time.process_time() - before, 1)
        found[name] = {"accuracy": world.right(model), "seconds": seconds}
    return found


def gap(world: World) -> dict[str, dict[str, float]]:
    told = world.average("free", "logits")

    def through(*makers: Callable) -> nn.Module:
        said = told
        for more, new in enumerate(makers):
            model = world.student(new, said, more=more - len(makers) + 1)
            said = predict(model, world.free)
        return model

    return timed(world, {
        "labels": lambda: world.student(new_small, None, slice(0, 4 * LABELLED)),
        "soft targets": lambda: through(new_small),
        "soft targets, twice as long": lambda: world.student(new_small, told, longer=2),
        "an assistant": lambda: through(new_middle, new_small),
    })  # fmt: skip


def generations(world: World) -> dict[str, dict[str, float]]:
    count = int(SETTINGS["generations"])
    first = world.student(new_student, None, world.own)
    found = {"labels": {"accuracy": world.right(first)}}
    longer = world.student(new_student, None, world.own, longer=count + 1)
    found["labels, as long as all generations"] = {"accuracy": world.right(longer)}
    for place in ("same signals", "unlabelled signals"):
        model, all_logits = first, [predict(first, world.test[0])]
        for n in range(1, count + 1):
            own = world.own if place == "same signals" else None
            said = predict(model, world.free if own is None else world.x[own])
            model = world.student(new_student, said, own, both=own is not None, more=n)
            all_logits.append(predict(model, world.test[0]))
            found[f"{place}, generation {n}"] = {"accuracy": world.right(all_logits[-1])}
        mean = ensemble_logits(torch.stack(all_logits[1:]))
        found[f"{place}, all generations"] = {"accuracy": world.right(mean)}
    return found | {"soft targets": found["unlabelled signals, generation 1"]}


def mutual(world: World) -> dict[str, dict[str, float]]:
    found, own = {}, world.own
    for name, weight in (("labels", 0.0), ("mutual", 1.0)):
        torch.manual_seed(100 * world.seed + 50)
        peers = Peers(new_student(), new_student())
        batches = Batches(world.x[own], world.y[own], size=100, seed=world.seed)
        world.fit(peers, Mutual(peers, weight=weight), None, batches, SETTINGS["student_steps"])
        each = [world.right(peer) for peer in peers.peers]
        found[name] = {"accuracy": sum(each) / 2, "ensemble": world.right(peers)}
        if weight == 0:
            said = [predict(peer, world.x[own]) for peer in peers.peers]
            students = [
                world.student(new_student, z, own, both=True, more=n) for n, z in enumerate(said)
            ]
            accuracies = [world.right(model) for model in students]
            both = ensemble_logits(torch.stack([predict(m, world.test[0]) for m in students]))
            found["soft targets"] = {
                "accuracy": sum(accuracies) / 2, "ensemble": world.right(both)
            }  # fmt: skip
    return found


# ------------------------------------------------------------------------- a teacher without labels


def features(net: nn.Sequential, signals: Tensor) -> Tensor:
    net.eval()
    with torch.no_grad(), tinykd.Capture(net, ["0.blocks.2"]) as acts:
        net(signals)
        found = acts["0.blocks.2"].mean(-1)
    net.train()
    return found


def probe(train: Tensor, labels: Tensor, test: Tensor, truth: Tensor) -> float:
    """Accuracy of a linear layer, by ridge regression to one-hot labels."""
    mean, spread = train.mean(0), train.std(0) + 1e-3
    a, b = (torch.cat([(f - mean) / spread, torch.ones(len(f), 1)], 1) for f in (train, test))
    targets = F.one_hot(labels, 10).float()
    weights = torch.linalg.solve(a.T @ a + 10 * torch.eye(a.shape[1]), a.T @ targets)
    return accuracy(b @ weights, truth)


def probed(net: nn.Sequential, train: tuple, test: tuple) -> float:
    (x, labels), (other, truth) = train, test
    return probe(features(net, x), labels, features(net, other), truth)


def views(world: World) -> dict[str, dict[str, float]]:
    found = {}
    kinds = {"DINO": (True, 0.04), "no centring": (False, 0.04), "no sharpening": (True, 1.0)}
    for name, (centred, sharp) in kinds.items():
        torch.manual_seed(100 * world.seed + 70)
        body = ConvNet(1, 16, 32, 64, 64, dims=1)
        student = nn.Sequential(body, nn.ReLU(), nn.Linear(64, 32))
        teacher = copy.deepcopy(student).requires_grad_(False)
        tests = (world.x[world.own], world.y[world.own]), world.test
        found.setdefault("as it starts", {"accuracy": probed(teacher, *tests)})
        adam, centre = torch.optim.Adam(student.parameters(), 5e-3), torch.zeros(32)
        steps = SETTINGS["views_steps" if name == "DINO" else "collapse_steps"]
        for _ in range(int(steps)):
            batch = world.free[torch.randint(len(world.free), (128,))]
            both = torch.cat([disturb(batch), disturb(batch)])
            with torch.no_grad():
                said = teacher(both)
            p = softmax(said - centre if centred else said, sharp)
            loss = -(p.roll(128, 0) * log_softmax(student(both), 0.1)).sum(-1).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            ema_update(teacher, student, 0.99)
            centre = 0.9 * centre + 0.1 * said.mean(0)
        found[name] = {
            "accuracy": probed(teacher, *tests),
            "entropy_of_mean": float(entropy(p.mean(0).clamp_min(1e-30).log())),
            "mean_entropy": float(entropy(p.clamp_min(1e-30).log()).mean()),
        }
    return found


EXPERIMENTS = {
    "schools": schools, "generations": generations, "mutual": mutual, "gap": gap, "views": views,
}  # fmt: skip


def main() -> None:
    given = arguments(__doc__, [1, 2, 3, 4, 5]).parse_args()
    records = Records("many_teachers", given.out, SETTINGS, views=[])
    record = records.found
    worlds: dict[int, World] = {}
    for setting, experiment in EXPERIMENTS.items():
        for seed in given.seeds:
            rows = record["views" if setting == "views" else "runs"]
            if any((one["setting"], one["seed"]) == (setting, seed) for one in rows):
                continue
            if seed not in worlds:
                worlds[seed] = World(seed)
            before = time.process_time()
            results = experiment(worlds[seed])
            for method, values in results.items():
                rows.append({"setting": setting, "method": method, "seed": seed} | values)
            records.keep()
            print(
                f"seed {seed}, {setting}: {time.process_time() - before:.0f} s of CPU", flush=True
            )
            for method, values in results.items():
                print(f"    {method:36s}", {k: round(v, 3) for k, v in values.items()}, flush=True)
    print(records.file)


if __name__ == "__main__":
    main()
