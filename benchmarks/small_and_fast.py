"""Lesson 08 with five seeds: a small student, pruned nets, nets of few bits, on MNIST.

    TINYKD_SCALE=full python benchmarks/small_and_fast.py

1. The teacher, a ResNet, learns 55,000 jittered digits
   -> datasets/results/small_and_fast_teacher.npz
2. "small": MobileNets learn 2,000 of these digits, drawn anew for each seed, from labels or from
   the teacher's soft targets.
3. "weights ...": an MLP that learned so is pruned to a share of zeros and trained on meanwhile;
   "units ...": a share of its hidden units is cut out, and what is left is trained on. Rivals of
   the same small size start anew, with the steps of the large net and of its repair together.
4. "... bits": a MobileNet of 2 is quantised, and trained on as quantised.

Rates of repairs, of nets begun anew and of few bits were chosen on held-out digits of one more
seed, among 0.001, 0.003 and 0.01, for labels and for soft targets: 0.01 was best for both, or
within 0.2 points of it.

-> datasets/results/small_and_fast.json, a record for each setting, method and seed; test digits are
read once a run, at its end. A killed script goes on where it stopped. Without TINYKD_SCALE=full it
does a run of seconds on a few digits, which checks the script and says nothing about distillation.
"""

import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from records import FULL, Records, arguments
from torch import Tensor, nn

import tinykd
from tinykd import (
    MLP,
    Batches,
    HardLabels,
    KnownLogits,
    MobileNet,
    ResNet,
    SoftTargets,
    Trainer,
    cosine,
    predict,
)
from tinykd.compress import (
    GradualPruning,
    make_permanent,
    prune_weights,
    quantized,
    slimmer,
    sparsity,
)
from tinykd.files import atomic

SETTINGS: dict[str, Any] = {
    "teacher": {"sizes": [1, 16, 32, 64, 10], "digits": 55_000, "epochs": 2, "rate": 5e-3},
    "digits": 2000,
    "batch": 100,
    "T": 4,
    "student": {"sizes": [1, 8, 16, 32, 64, 10], "steps": 400, "rate": 1e-2},
    "mlp": {"sizes": [784, 300, 300, 10], "steps": 600, "rate": 2e-3},
    "recovery": {"steps": 200, "rate": 1e-2},
    "anew": {"rate": 1e-2},
    "weights": [0.9, 0.95],
    "units": [0.5, 0.8],
    "quantised": {"bits": [8, 4], "steps": 100, "rate": 1e-2},
    "optimizer": "Adam, rate along a cosine to 0",
}
if not FULL:
    SETTINGS |= {
        "teacher": SETTINGS["teacher"] | {"sizes": [1, 4, 8, 10], "digits": 300, "epochs": 1},
        "digits": 200,
        "student": {"sizes": [1, 4, 8, 10], "steps": 4, "rate": 1e-2},
        "mlp": {"sizes": [784, 20, 20, 10], "steps": 4, "rate": 2e-3},
        "recovery": {"steps": 4, "rate": 1e-3},
        "weights": [0.9],
        "units": [0.5],
        "quantised": {"bits": [8, 4], "steps": 2, "rate": 1e-3},
    }


def teacher_of(folder: Path, images: Tensor, labels: Tensor) -> ResNet:
    """The trained teacher: from its file, or trained."""
    how, file = SETTINGS["teacher"], folder / "small_and_fast_teacher.npz"
    torch.manual_seed(0)
    net = ResNet(*how["sizes"])
    if not file.exists():
        count = how["digits"]
        batches = Batches(images[:count], labels[:count], size=100, augment=tinykd.jitter)
        Trainer(
            net,
            HardLabels(),
            optimizer=lambda ps: torch.optim.Adam(ps, how["rate"]),
            schedule=tinykd.warm_up(cosine(1, 0)),
            progress=False,
            device="cpu",
        ).fit(batches, epochs=how["epochs"])
        with atomic(file) as part, part.open("wb") as out:
            np.savez(out, **{k: v.half().numpy() for k, v in net.state_dict().items()})
    stored = np.load(file)
    net.load_state_dict({k: torch.tensor(stored[k]).float() for k in stored.files})
    return net.eval()


class World:
    """The transfer set of a seed and what the teacher says of it."""

    def __init__(self, seed: int, teacher: nn.Module, train: Any, test: Any) -> None:
        rows = np.random.default_rng((seed, 0)).permutation(SETTINGS["teacher"]["digits"])
        rows = torch.tensor(rows[: SETTINGS["digits"]])
        self.seed, self.test = seed, test
        self.x, self.y = train[0][rows], train[1][rows]
        self.said = predict(teacher, self.x)
        self.student: nn.Module | None = None  # that of `small`, for `few_bits`

    def fit(
        self, net: nn.Module, told: Tensor | None, steps: int, rate: float, callbacks: Any = ()
    ) -> nn.Module:
        """Train on labels, or on soft targets if `told`."""
        objective = HardLabels() if told is None else 1.0 * SoftTargets(T=SETTINGS["T"])
        batches = Batches(self.x, self.y, size=SETTINGS["batch"], seed=self.seed)
        Trainer(
            net,
            objective,
            None if told is None else KnownLogits(told),
            lambda ps: torch.optim.Adam(ps, rate),
            schedule=cosine(1, 0),
            progress=False,
            device="cpu",
            callbacks=callbacks,
        ).fit(batches, epochs=max(1, round(steps / len(batches))))
        return net

    def fresh(self, make: Callable[[], nn.Module], told: Tensor | None, how: dict, steps: int = 0):
        torch.manual_seed(self.seed)
        return self.fit(make(), told, steps or how["steps"], how["rate"])

    def measures(self, net: nn.Module) -> dict[str, float]:
        z, y = predict(net, self.test[0]), self.test[1]
        return {
            "accuracy": tinykd.accuracy(z, y),
            "nll": tinykd.negative_log_likelihood(z, y),
            "ece": tinykd.calibration_error(z, y),
        }


Found = Iterator[tuple[str, str, nn.Module]]


def small(world: World) -> Found:
    """The student, from labels and from the teacher."""
    how = SETTINGS["student"]
    for method, told in (("labels", None), ("soft targets", world.said)):
        world.student = world.fresh(lambda: MobileNet(*how["sizes"]), told, how)
        yield "small", method, world.student


def pruned(world: World) -> Found:
    """An MLP that has zeros, and one that has fewer units."""
    how, after = SETTINGS["mlp"], SETTINGS["recovery"]
    base = world.fresh(lambda: MLP(*how["sizes"]), world.said, how)
    yield "large MLP", "soft targets", base
    yield "large MLP", "labels", world.fresh(lambda: MLP(*how["sizes"]), None, how)
    own = predict(base, world.x)
    teachers = {"labels": None, "soft targets": world.said, "soft targets of itself": own}
    for share in SETTINGS["weights"]:
        setting = f"weights {share:.0%}"
        for method, told in {"nothing": 0, **teachers}.items():
            net, steps = copy.deepcopy(base), after["steps"]
            if method == "nothing":
                prune_weights(net, share)
            else:
                halfway = GradualPruning(share, steps // 2)
                world.fit(net, told, steps, after["rate"], [halfway])
            make_permanent(net)
            assert abs(sparsity(net) - share) < 0.001
            yield setting, method, net
    for share in SETTINGS["units"]:
        setting = f"units {share:.0%}"
        yield setting, "nothing", slimmer(base, share)
        for method, told in teachers.items():
            yield (
                setting,
                method,
                world.fit(slimmer(base, share), told, after["steps"], after["rate"]),
            )
        sizes = [layer.in_features for layer in slimmer(base, share).layers] + [10]
        make = lambda sizes=sizes: MLP(*sizes)  # noqa: E731
        for method, told in (("labels", None), ("soft targets", world.said)):
            steps = how["steps"] + after["steps"]
            yield setting, f"anew, {method}", world.fresh(make, told, SETTINGS["anew"], steps)


def few_bits(world: World) -> Found:
    """The student in few bits, trained on."""
    how, after = SETTINGS["student"], SETTINGS["quantised"]
    base = world.student or world.fresh(lambda: MobileNet(*how["sizes"]), world.said, how)
    for bits in after["bits"]:
        setting = f"{bits} bits"
        yield setting, "nothing", quantized(base, world.x[:500], bits)
        for method, told in (("labels", None), ("soft targets", world.said)):
            net = quantized(base, world.x[:500], bits)
            yield setting, method, world.fit(net, told, after["steps"], after["rate"])


def main() -> None:
    given = arguments(__doc__, [1, 2, 3, 4, 5]).parse_args()
    records = Records("small_and_fast", given.out, SETTINGS, teacher={})
    record = records.found
    train, test = tinykd.load_mnist("train"), tinykd.load_mnist("test")
    if not FULL:
        test = test[0][:300], test[1][:300]
    teacher = teacher_of(records.folder, *train)
    if not record["teacher"]:
        record["teacher"] = {"accuracy": tinykd.accuracy(predict(teacher, test[0]), test[1])}
    for seed in given.seeds:
        world = World(seed, teacher, train, test)
        for experiment in (small, pruned, few_bits):
            name = experiment.__name__
            if any((r["experiment"], r["seed"]) == (name, seed) for r in record["runs"]):
                continue
            before = time.process_time()
            for setting, method, net in experiment(world):
                row = {"experiment": name, "setting": setting, "method": method, "seed": seed}
                seconds = round(time.process_time() - before, 2)
                record["runs"].append(row | world.measures(net) | {"seconds": seconds})
                print(row, f"{record['runs'][-1]['accuracy']:.4f}", flush=True)
                before = time.process_time()
            records.keep()
    print(records.file)


if __name__ == "__main__":
    main()
