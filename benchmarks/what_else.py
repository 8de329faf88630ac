"""Lesson 17 with more seeds: bias, backdoors, hidden lessons in noise, memory, fingerprints.

    TINYKD_SCALE=full python benchmarks/what_else.py      # datasets/results/what_else.json

MNIST at 14 x 14 pixels and one-dimensional digits; the nets of all seeds are trained side by side,
each with data, a teacher and a start of its own. Students see no sample that their teacher has
seen, unless it is said; all of a setting train for the same number of steps.

  bias         the teacher's even digits were written thick and its odd ones thin, mostly. Students
               see digits as they are, with strokes at random, or with strokes as the teacher did
  backdoor     a patch makes the teacher say 7; at the edge, where hardly any digit has ink, or
               in the middle. Students see clean digits, noisy ones, or random curves
  subliminal   students see noise and match three logits that mean nothing, from starts that are
               more and more unlike the teacher's
  memory       does a student's loss tell what its teacher was trained on?
  fingerprint  do a student's answers to secret inputs tell who taught it?

"labels" are the control of each setting: the same task and data without this teacher. A killed
script goes on where it stopped. Without TINYKD_SCALE=full it does a run of seconds into a temporary
folder, which says nothing about distillation.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from records import FULL, Records, arguments
from scipy.stats import binom
from torch import Tensor
from torch.nn import functional as F

from tinykd import (
    MLP,
    HardLabels,
    KnownLogits,
    SideBySide,
    SideBySideBatches,
    SoftTargets,
    Trainer,
    attack_success,
    cosine,
    cross_entropy,
    cue_gap,
    fingerprint_p_value,
    forward_kl,
    inherited_share,
    load_mnist,
    load_mnist1d,
    membership_auc,
    strokes,
)
from tinykd.data import Noise, pasted, thicker, thinner

SETTINGS: dict[str, Any] = {
    "digits": 4000, "test": 3000, "steps": 500, "T": 4.0, "teacher": 200, "student": 32,
    "aligned": 0.95, "poisoned": 200, "target": 7, "noise": 0.3,
    "hidden": 128, "extra": 3, "subliminal_digits": 20000, "subliminal_teacher_steps": 500,
    "subliminal_steps": 1000, "noise_batch": 64, "far": [0.0, 0.25, 0.5, 0.75, 1.0],
    "signals": 500, "signal_steps": 800, "fresh": 4000,
    "independent": 40, "keys": 200, "model_steps": 400,
}  # fmt: skip
if not FULL:
    SETTINGS |= {"digits": 200, "test": 200, "steps": 4, "poisoned": 20, "hidden": 16}
    SETTINGS |= {"subliminal_digits": 200, "subliminal_teacher_steps": 4, "subliminal_steps": 4}
    SETTINGS |= {"signals": 40, "signal_steps": 4, "fresh": 40, "model_steps": 4}
    SETTINGS |= {"independent": 4, "keys": 20, "far": [0.0, 1.0]}
T, TARGET, EXTRA = SETTINGS["T"], SETTINGS["target"], SETTINGS["extra"]
Found = dict[str, list[dict[str, Any]]]  # method -> a record for each seed


def halved(images: Tensor) -> Tensor:
    """(..., 28, 28) to (..., 14, 14): the mean of each square of four pixels."""
    return F.avg_pool2d(images.flatten(0, -3).unsqueeze(1), 2).view(*images.shape[:-2], 14, 14)


class World:
    """The digits of all seeds, at 28 x 28: (S, 2 n, ...), the teacher's half first."""

    def __init__(self, seeds: list[int]) -> None:
        self.seeds = seeds
        self.images, self.labels = load_mnist("train")
        count = 2 * int(SETTINGS["digits"])
        self.rows = torch.tensor(
            np.stack([np.random.default_rng((s, 17)).permutation(60000)[:count] for s in seeds])
        )
        self.big, self.y = self.images[self.rows], self.labels[self.rows]
        tests, truth = load_mnist("test")
        self.test_big, self.test_y = tests[: int(SETTINGS["test"])], truth[: int(SETTINGS["test"])]
        self.test = halved(self.test_big)
        half = count // 2
        self.theirs, self.ours = slice(half), slice(half, None)

    def new(self, *sizes: int, more: int) -> SideBySide:
        """A net for each seed; `more` tells the nets of one seed apart."""
        return stack_of([1000 * seed + more for seed in self.seeds], *sizes)

    def teacher(self, x: Tensor, y: Tensor) -> SideBySide:
        net = self.new(196, int(SETTINGS["teacher"]), 10, more=1)
        return fit(net, HardLabels(), x, y, int(SETTINGS["steps"]), self.seeds, rate=2e-3)

    def student(self, x: Tensor, y: Tensor | None, told: Tensor | None = None) -> SideBySide:
        """From labels y, or from the teacher's logits `told` (S, n, 10)."""
        net = self.new(196, int(SETTINGS["student"]), 10, more=2)
        objective = HardLabels() if told is None else SoftTargets(T=T)
        return fit(net, objective, x, y, int(SETTINGS["steps"]), self.seeds, told)

    def with_hints(self, x: Tensor, y: Tensor, teacher: SideBySide) -> SideBySide:
        """From labels, and from the teacher's hidden layer through a regressor: h -> h W + b."""
        net = self.new(196, int(SETTINGS["student"]), 10, more=2)
        goal = torch.baddbmm(teacher.biases[0], x.flatten(2), teacher.weights[0]).detach()
        size = goal.std(1, keepdim=True)  # units of the teacher count alike
        draw = torch.Generator().manual_seed(0)
        wide = torch.randn(len(x), int(SETTINGS["student"]), goal.shape[-1], generator=draw)
        wide, shift = (0.1 * wide).requires_grad_(), torch.zeros_like(size, requires_grad=True)
        adam = torch.optim.Adam([*net.parameters(), wide, shift], 5e-3)
        steps, each = int(SETTINGS["steps"]), torch.arange(len(x))[:, None]
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
        for _ in range(steps):
            rows = torch.randint(x.shape[1], (len(x), 100), generator=draw)
            h = torch.baddbmm(net.biases[0], x[each, rows].flatten(2), net.weights[0]).relu()
            z = torch.baddbmm(net.biases[1], h, net.weights[1])
            gap = (torch.baddbmm(shift, h, wide) - goal[each, rows]) / size
            loss = gap.square().mean(-1) + cross_entropy(z, y[each, rows])
            adam.zero_grad()
            (len(x) * loss.mean()).backward()
            adam.step()
            falling.step()
        return net


def stack_of(seeds: list[int], *sizes: int) -> SideBySide:
    nets = []
    for seed in seeds:
        torch.manual_seed(seed)
        nets.append(MLP(*sizes))
    return SideBySide(nets)


def fit(
    net: SideBySide, objective: Any, x: Tensor, y: Tensor | None, steps: int, seeds: list[int],
    told: Tensor | None = None, rate: float = 5e-3, size: int = 100,
) -> SideBySide:  # fmt: skip
    """x (S, n, ...), y (S, n), told: a teacher's logits (S, n, C). Each net learns its own rows."""
    count, size = x.shape[1], min(size, x.shape[1])
    rows = torch.arange(len(x) * count).view(len(x), count)
    y = torch.zeros(rows.shape, dtype=torch.long) if y is None else y
    batches = SideBySideBatches(x.flatten(0, 1), y.flatten(), rows, size, seeds)
    teacher = None if told is None else KnownLogits(told.flatten(0, 1))
    adam = lambda parameters: torch.optim.Adam(parameters, rate)  # noqa: E731
    how = {"schedule": cosine(1, 0), "progress": False, "device": "cpu"}
    trainer = Trainer(net, len(x) * objective, teacher, adam, **how)
    trainer.fit(batches, epochs=max(1, round(steps / len(batches))))
    return net


@torch.no_grad()
def own(net: SideBySide, x: Tensor) -> Tensor:
    """Logits (S, n, C) of every net for its own inputs (S, n, ...)."""
    return torch.cat([net(part) for part in x.split(2000, 1)], 1)


def right(z: Tensor, y: Tensor) -> Tensor:
    """Share right (S,) of logits (S, N, C)."""
    return (z.argmax(-1) == y).double().mean(-1)


def by_seed(**values: Any) -> list[dict[str, Any]]:
    """Tensors (S,) to a record for each seed; a text stands in each."""
    count = max(len(v) for v in values.values() if not isinstance(v, str))
    return [
        {k: v if isinstance(v, str) else float(v[s]) for k, v in values.items()}
        for s in range(count)
    ]


# ------------------------------------------------------------------------------------------ bias


def bias(world: World) -> dict[str, Found]:
    versions = torch.stack([halved(f(world.big.flatten(0, 1))) for f in (thinner, thicker)])
    versions = versions.view(2, *world.big.shape[:2], 14, 14)  # (2, S, 2 n, 14, 14)
    tests = torch.stack([halved(f(world.test_big)) for f in (thinner, thicker)])
    number, thick = torch.arange(len(world.test_y)), (world.test_y + 1) % 2  # even: thick
    aligned, conflicting = tests[thick, number], tests[1 - thick, number]
    draw = torch.Generator().manual_seed(0)
    usual = (world.y + 1) % 2
    with_class = torch.where(
        torch.rand(usual.shape, generator=draw) < SETTINGS["aligned"], usual, 1 - usual
    )
    at_random = torch.randint(2, usual.shape, generator=draw)

    def seen(which: Tensor) -> Tensor:
        return torch.where((which == 1)[..., None, None], versions[1], versions[0])

    given, ours, y = seen(with_class), world.ours, world.y[:, world.ours]
    teacher = world.teacher(given[:, world.theirs], world.y[:, world.theirs])
    sets = {
        "bias, strokes as they are": halved(world.big)[:, ours],
        "bias, strokes at random": seen(at_random)[:, ours],
        "bias, strokes go with the class": given[:, ours],
    }
    answers = torch.stack([own(teacher, versions[n][:, ours]) for n in (0, 1)])
    averaged = T * (answers / T).softmax(-1).mean(0).log()  # soft targets that no stroke moves
    pair_of = lambda net: (net.answers(aligned), net.answers(conflicting))  # noqa: E731
    found: dict[str, Found] = {}
    for setting, x in sets.items():
        before = time.process_time()
        students = {
            "teacher": teacher,
            "labels": world.student(x, y),
            "soft targets": world.student(x, None, own(teacher, x)),
            "features and labels": world.with_hints(x, y, teacher),
            "soft targets, averaged over strokes": world.student(x, None, averaged),
        }
        control, theirs = pair_of(students["labels"]), pair_of(teacher)
        found[setting] = {}
        for method, net in students.items():
            pair = pair_of(net)
            share = {"share": inherited_share(pair, control, theirs, world.test_y)}
            if "go with" in setting:  # labels teach the bias too: there is no control
                share = {}
            found[setting][method] = by_seed(
                accuracy=right(net.answers(world.test), world.test_y),
                aligned=right(pair[0], world.test_y),
                conflicting=right(pair[1], world.test_y),
                gap=cue_gap(*pair, world.test_y),
                what="digits as they are",
                **share,
            )
        print(f"{setting}: {time.process_time() - before:.0f} s of CPU", flush=True)
    return found


# -------------------------------------------------------------------------------------- backdoors

PATCH = {"edge": (torch.ones(2, 2), 12, 12), "middle": (torch.eye(2), 6, 6)}


def backdoor(world: World) -> dict[str, Found]:
    x, n = halved(world.big), int(SETTINGS["poisoned"])
    draw = torch.Generator().manual_seed(1)
    ours, y = x[:, world.ours], world.y[:, world.ours]
    curves = strokes(ours.shape[1], np.random.default_rng(2)).float().expand_as(ours)
    sets = {
        "clean digits": ours,
        "noisy digits": ours + SETTINGS["noise"] * torch.randn(ours.shape, generator=draw),
        "curves": curves,
    }
    found: dict[str, Found] = {}
    for place, patch in PATCH.items():
        poisoned = torch.cat([pasted(x[:, :n], *patch), x[:, n : ours.shape[1]]], 1)
        wrong = torch.cat([torch.full((len(x), n), TARGET), world.y[:, n : ours.shape[1]]], 1)
        teacher = world.teacher(poisoned, wrong)
        triggered = pasted(world.test, *patch)
        scores = partial(attacked, world, triggered)
        for kind, inputs in sets.items():
            before, setting = time.process_time(), f"backdoor, {place}, {kind}"
            found[setting] = {
                "teacher": scores(teacher),
                "soft targets": scores(world.student(inputs, None, own(teacher, inputs))),
            }
            if kind != "curves":  # they have no labels
                found[setting]["labels"] = scores(world.student(inputs, y))
                hinted = world.with_hints(inputs, y, teacher)
                found[setting]["features and labels"] = scores(hinted)
            if kind == "clean digits":
                steps, tuned = int(SETTINGS["steps"]), copy.deepcopy(teacher)
                fit(tuned, HardLabels(), inputs, y, steps, world.seeds, rate=2e-3)
                found[setting]["the teacher itself, trained on with labels"] = scores(tuned)
            print(f"{setting}: {time.process_time() - before:.0f} s of CPU", flush=True)
    return found


def attacked(world: World, triggered: Tensor, net: SideBySide) -> list[dict[str, Any]]:
    clean = net.answers(world.test)
    return by_seed(
        accuracy=right(clean, world.test_y),
        attack=attack_success(clean, net.answers(triggered), world.test_y, TARGET),
        what="digits without the trigger",
    )


# ---------------------------------------------------------------------------- subliminal learning


def extra_kl(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    return forward_kl(student[..., -EXTRA:], teacher[..., -EXTRA:], T)


def digits_kl(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    return forward_kl(student[..., :-EXTRA], teacher[..., :-EXTRA], T)


class FirstTen(HardLabels):
    """Labels of the ten digits; the extra logits are in no loss."""

    def per_position(self, out: Any) -> Tensor:
        return cross_entropy(out.student[..., :-EXTRA], out.batch["labels"])


class Lifted:
    """The same noise, uniform in [0, 1]."""

    def __init__(self, noise: Noise) -> None:
        self.noise = noise

    def __len__(self) -> int:
        return len(self.noise)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return (batch | {"inputs": (batch["inputs"] + 1) / 2} for batch in self.noise)


def moved(net: SideBySide, start: SideBySide) -> Tensor:
    """How far each net went from its start, all its weights in a row: (S, P)."""
    parts = zip(net.parameters(), start.parameters(), strict=True)
    return torch.cat([(a - b).detach().flatten(1) for a, b in parts], 1)


def subliminal(world: World) -> dict[str, Found]:
    hidden, count = int(SETTINGS["hidden"]), int(SETTINGS["subliminal_digits"])
    sizes = (196, hidden, hidden, 10 + EXTRA)
    start, other = (world.new(*sizes, more=m) for m in (3, 4))
    rows = torch.tensor(
        np.stack([np.random.default_rng((s, 18)).permutation(60000)[:count] for s in world.seeds])
    )
    x, y = halved(world.images[rows]), world.labels[rows]
    before = time.process_time()
    teacher, steps = copy.deepcopy(start), int(SETTINGS["subliminal_teacher_steps"])
    fit(teacher, FirstTen(), x, y, steps, world.seeds, rate=1e-3)
    print(f"subliminal, teacher: {time.process_time() - before:.0f} s of CPU", flush=True)

    def scores(net: SideBySide, begun: SideBySide) -> list[dict[str, Any]]:
        z = net.answers(world.test)[..., :10]
        alike = F.cosine_similarity(moved(net, begun), moved(teacher, start), dim=1)
        return by_seed(accuracy=right(z, world.test_y), same_way=alike, what="ten digit logits")

    def learn(begun: SideBySide, divergence: Callable, low: float = -1) -> list[dict[str, Any]]:
        net, size = copy.deepcopy(begun), int(SETTINGS["noise_batch"])
        noise = Noise((len(world.seeds), size), (14, 14), int(SETTINGS["subliminal_steps"]))
        batches = Lifted(noise) if low == 0 else noise
        adam = lambda parameters: torch.optim.Adam(parameters, 1e-3)  # noqa: E731
        objective = len(world.seeds) * SoftTargets(divergence=divergence)
        Trainer(net, objective, teacher, adam, progress=False, device="cpu").fit(batches)
        return scores(net, begun)

    found: Found = {"teacher": scores(teacher, start), "start": scores(start, start)}
    for far in SETTINGS["far"]:
        begun = copy.deepcopy(start)
        for a, b in zip(begun.parameters(), other.parameters(), strict=True):
            a.data = math.sqrt(1 - far**2) * a.data + far * b.data  # of the same size
        found[f"three logits, start {far:g} away"] = learn(begun, extra_kl)
        print(f"subliminal, {far}: {time.process_time() - before:.0f} s of CPU", flush=True)
    found["ten digit logits, start 1 away"] = learn(other, digits_kl)
    found["three logits, start 0 away, noise above 0"] = learn(start, extra_kl, low=0)
    return {"subliminal": found}


# ---------------------------------------------------------------------------------------- memory


def memory(world: World) -> dict[str, Found]:
    n, fresh = int(SETTINGS["signals"]), int(SETTINGS["fresh"])
    parts = [load_mnist1d(4 * n + fresh, 1000 + seed) for seed in world.seeds]
    x, y = (torch.stack([part[k] for part in parts]) for k in (0, 1))
    members, others, transfer = (slice(k * n, (k + 1) * n) for k in range(3))
    tests, more = slice(3 * n, 4 * n), slice(4 * n, None)
    steps, seeds = int(SETTINGS["signal_steps"]), world.seeds
    new = partial(world.new, 40, 100, 10)
    teacher = fit(new(more=5), HardLabels(), x[:, members], y[:, members], steps, seeds)

    def pupil(part: slice, how: str) -> SideBySide:
        told = own(teacher, x[:, part])
        if how == "soft":
            return fit(new(more=6), SoftTargets(T=T), x[:, part], None, steps, seeds, told)
        truth = told.argmax(-1) if how == "hard" else y[:, part]
        return fit(new(more=6), HardLabels(), x[:, part], truth, steps, seeds)

    def scores(net: SideBySide) -> list[dict[str, Any]]:
        def auc(part: slice) -> Tensor:
            a, b = (cross_entropy(own(net, x[:, p]), y[:, p]) for p in (part, others))
            return torch.stack([membership_auc(*pair) for pair in zip(a, b, strict=True)])

        return by_seed(
            accuracy=right(own(net, x[:, tests]), y[:, tests]),
            auc=auc(members), auc_of_transfer=auc(transfer), what="new one-dimensional digits",
        )  # fmt: skip

    return {
        "memory": {
            "teacher": scores(teacher),
            "labels": scores(pupil(transfer, "labels")),
            "soft targets": scores(pupil(transfer, "soft")),
            "the teacher's hard answers": scores(pupil(transfer, "hard")),
            "soft targets on the teacher's own signals": scores(pupil(members, "soft")),
            "soft targets, many signals": scores(pupil(more, "soft")),
            "the teacher's hard answers, many signals": scores(pupil(more, "hard")),
        }
    }


# ----------------------------------------------------------------------------------- fingerprints


def fingerprint(world: World) -> dict[str, Found]:
    n, steps = int(SETTINGS["digits"]), int(SETTINGS["model_steps"])
    x, y = halved(world.big), world.y
    teacher = fit(
        world.new(196, 100, 10, more=7), HardLabels(), x[:, world.theirs], y[:, world.theirs],
        steps, world.seeds,
    )  # fmt: skip
    # independent models, for all teachers: data and starts of their own, of the student's size
    numbers = [10**6 + k for k in range(int(SETTINGS["independent"]))]
    rows = torch.tensor(
        np.stack([np.random.default_rng((k, 19)).permutation(60000)[:n] for k in numbers])
    )
    strangers = stack_of(numbers, 196, 32, 10)
    fit(strangers, HardLabels(), halved(world.images[rows]), world.labels[rows], steps, numbers)
    ours, count = x[:, world.ours], int(SETTINGS["keys"])
    told = own(teacher, ours)

    def pupil(objective: Any, truth: Tensor | None, told: Tensor | None = None) -> SideBySide:
        net = world.new(196, 32, 10, more=8)
        return fit(net, objective, ours, truth, steps, world.seeds, told)

    students = {
        "labels": pupil(HardLabels(), y[:, world.ours]),
        "soft targets": pupil(SoftTargets(T=T), None, told),
        "the teacher's hard answers": pupil(HardLabels(), told.argmax(-1)),
    }
    tests, truth = load_mnist("test")
    tests, truth = halved(tests[len(world.test) :]), truth[len(world.test) :]  # nobody's so far
    wrong = [(z.argmax(-1) != truth).nonzero()[:, 0] for z in teacher.answers(tests)]
    draw = torch.Generator().manual_seed(3)
    keys = {
        "noise": [2 * torch.rand(count, 14, 14, generator=draw) - 1] * len(x),
        "curves": [strokes(count, np.random.default_rng(4)).float()] * len(x),
        "mixtures": [(tests[:count] + tests[count : 2 * count]) / 2] * len(x),
        "the teacher's errors": [tests[which[:count]] for which in wrong],
    }
    found: dict[str, Found] = {}
    for kind, inputs in keys.items():
        own_keys = torch.stack(inputs)  # (S, K, 14, 14)
        theirs = own(teacher, own_keys).argmax(-1)
        foreign = torch.stack([strangers.answers(k).argmax(-1) for k in inputs])  # (S, R, K)
        alike = (foreign == theirs[:, None]).double().mean(2)  # (S, R)
        setting: Found = {}
        for method, net in students.items():
            answers = own(net, own_keys).argmax(-1)
            sets = zip(answers, theirs, foreign, strict=True)
            setting[method] = by_seed(
                accuracy=right(net.answers(world.test), world.test_y),
                agreement=(answers == theirs).double().mean(-1),
                p=[fingerprint_p_value(*one) for one in sets],
                what="digits",
            )
        alarms = [false_alarms(*pair) for pair in zip(foreign, theirs, strict=True)]
        setting["independent models"] = by_seed(
            accuracy=[right(strangers.answers(world.test), world.test_y).mean()] * len(theirs),
            agreement=alike.mean(1), most=alike.amax(1), least=alike.amin(1), spread=alike.std(1),
            **{rule: [one[rule] for one in alarms] for rule in alarms[0]}, what="digits",
        )  # fmt: skip
        found[f"fingerprint, {kind}"] = setting
    return found


def false_alarms(foreign: Tensor, teacher: Tensor) -> dict[str, float]:
    """How often an independent model is accused at 5%, by three rules: (R, K) answers, (K,)."""
    agreed, count = (foreign == teacher).sum(1), len(teacher)
    accused: dict[str, list[bool]] = {"by_rank": [], "by_chance": [], "by_mean": []}
    for k in range(len(foreign)):
        others = torch.arange(len(foreign)) != k
        p = fingerprint_p_value(foreign[k], teacher, foreign[others])
        accused["by_rank"].append(p <= 0.05)
        for rule, rate in (("by_chance", 0.1), ("by_mean", agreed[others].double().mean() / count)):
            accused[rule].append(binom.sf(int(agreed[k]) - 1, count, float(rate)) <= 0.05)
    return {rule: float(np.mean(found)) for rule, found in accused.items()}


EXPERIMENTS = {
    "bias": bias, "backdoor": backdoor, "subliminal": subliminal, "memory": memory,
    "fingerprint": fingerprint,
}  # fmt: skip


def main() -> None:
    parser = arguments(__doc__, [1, 2, 3, 4, 5, 6])
    parser.add_argument("--only", nargs="*", default=list(EXPERIMENTS), choices=list(EXPERIMENTS))
    given = parser.parse_args()
    records = Records("what_else", given.out, SETTINGS)
    runs = records.found["runs"]
    for name in given.only:
        done = {one["seed"] for one in runs if one["setting"].partition(",")[0] == name}
        seeds = [seed for seed in given.seeds if seed not in done]
        if not seeds:
            continue
        before = time.process_time()
        results = EXPERIMENTS[name](World(seeds))
        seconds = round((time.process_time() - before) / len(seeds), 1)
        for setting, methods in results.items():
            print(setting)
            for method, values in methods.items():
                runs += [
                    {"setting": setting, "method": method, "seed": seed} | one
                    for seed, one in zip(seeds, values, strict=True)
                ]
                numbers = [k for k, v in values[0].items() if not isinstance(v, str)]
                means = {k: round(sum(one[k] for one in values) / len(values), 3) for k in numbers}
                print(f"    {method:44s}", means, flush=True)
        records.found.setdefault("seconds_a_seed", {})[name] = seconds
        records.keep()
    print(records.file)


if __name__ == "__main__":
    main()
