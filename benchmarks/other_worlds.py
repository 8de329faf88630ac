"""Lesson 10 with more seeds: one task after another, another view, attacks, tasks nobody taught.

    TINYKD_SCALE=full python benchmarks/other_worlds.py      # datasets/results/other_worlds.json

All with MNIST at 14 x 14 pixels; each seed takes digits of its own for training, the test digits
are the same. In every setting all methods train the same student for the same number of steps.

  new digits   0 to 4, then 5 to 9: fine-tuning, the old self's soft targets, a few old digits kept
  rotation     upright digits, then turned by 45 degrees, then by 90
  shadows      a student that sees ink by row and column; its teacher sees images and sentences
  robust       small students with attacked digits, from labels or from a robust teacher
  probes       what students of a teacher of 0 to 4 know about 5 to 9, and about slant

Every run says under "what" what its accuracy is. A killed script goes on where it stopped: a
finished seed of a setting is in the file. Without TINYKD_SCALE=full it does a run of seconds into a
temporary folder, which says nothing about distillation.
"""

import copy
import time
from collections.abc import Callable
from typing import Any

import torch
from records import FULL, Records, arguments
from torch import Tensor, nn
from torch.nn import functional as F

from tinykd import (
    MLP,
    Adversarial,
    Batches,
    ByDescription,
    Capture,
    HardLabels,
    Hint,
    KnownLogits,
    SoftTargets,
    Trainer,
    WithoutForgetting,
    accuracy,
    clip_loss,
    cosine,
    cross_entropy,
    forgetting,
    frozen,
    learning,
    linear_probe,
    load_mnist,
    pgd,
    predict,
    random_search,
    withstands,
)
from tinykd.data import all_sentences, attributes, bag_of_words, shadows

SETTINGS: dict[str, Any] = {
    "digits": 9000, "test": 2000,
    "task_digits": 3000, "task_steps": 150, "T": 2.0, "weight": 1.0, "kept": 100,
    "described": 3000, "shadow_sentences": 300, "clip_steps": 400, "shadow_steps": 400, "tau": 0.1,
    "eps": 0.1, "robust_digits": 1000, "teacher_steps": 800, "robust_steps": 400,
    "attack": 20, "attacked": 1000,
    "probe_digits": 3000, "probe_steps": 400, "probe_labels": 300,
}  # fmt: skip
if not FULL:
    SETTINGS |= {"digits": 1200, "test": 200, "task_digits": 400, "task_steps": 6, "attack": 2}
    SETTINGS |= {
        "described": 400,
        "attacked": 100,
        "clip_steps": 6,
        "shadow_steps": 6,
        "teacher_steps": 6,
    }
    SETTINGS |= {"robust_digits": 200, "robust_steps": 6, "probe_digits": 400, "probe_steps": 6}
EPS, T = SETTINGS["eps"], SETTINGS["T"]
Found = dict[str, dict[str, float]]


class World:
    """The digits of one seed, at 14 x 14 pixels, and the test digits."""

    def __init__(self, seed: int) -> None:
        images, labels = load_mnist("train")
        tests, truth = load_mnist("test")
        mine = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        mine = mine[: int(SETTINGS["digits"])]
        self.seed, self.big, self.y = seed, images[mine], labels[mine]
        self.test_big, self.test_y = tests[: int(SETTINGS["test"])], truth[: int(SETTINGS["test"])]
        self.x, self.test_x = halved(self.big), halved(self.test_big)

    def fit(
        self, model: nn.Module, objective: Any, x: Tensor, y: Tensor | None, steps: int,
        teacher: Any = None, rate: float = 5e-3, size: int = 100,
    ) -> nn.Module:  # fmt: skip
        batches = Batches(x, y, size=size, seed=self.seed, drop_last=True)
        adam = lambda parameters: torch.optim.Adam(parameters, rate)  # noqa: E731
        how = {"schedule": cosine(1, 0), "progress": False, "device": "cpu"}
        trainer = Trainer(model, objective, teacher, adam, **how)
        trainer.fit(batches, epochs=max(1, round(steps / len(batches))))
        return model

    def new(self, *sizes: int, more: int = 0) -> MLP:
        torch.manual_seed(100 * self.seed + more)
        return MLP(*sizes)


def halved(images: Tensor) -> Tensor:
    return F.avg_pool2d(images.unsqueeze(1), 2).squeeze(1)


# ------------------------------------------------------------------------ one task after the other


def in_turn(world: World, tasks: list, method: str, weight: float) -> list[list[float]]:
    """Accuracies [t, j] on task j after task t; a task has digits, tests and masks of classes."""
    model, matrix, kept = world.new(196, 100, 10), [], []
    steps, count = int(SETTINGS["task_steps"]), int(SETTINGS["kept"])
    for n, task in enumerate(tasks):
        x, y = task["train"]
        if n == 0 or method == "labels":
            objective, teacher = 1.0 * WithoutForgetting(task["old"], task["new"], weight=0), None
        elif method == "soft targets":
            objective, teacher = 1.0 * WithoutForgetting(task["old"], task["new"], T, weight), (
                copy.deepcopy(model)
            )  # fmt: skip
        else:
            objective, teacher = 1.0 * HardLabels(), None
            times = max(1, len(x) // (count * n)) if method == "replay" else 1
            old = [tuple(part.repeat_interleave(times, 0) for part in pair) for pair in kept]
            x, y = (torch.cat(part) for part in zip((x, y), *old, strict=True))
        world.fit(model, objective, x, y, steps, teacher)
        some = slice(None) if method == "all digits" else slice(count)
        kept.append((task["train"][0][some], task["train"][1][some]))
        matrix.append([task_accuracy(model, other) for other in tasks])
    matrix.append(accuracy(predict(model, world.test_x), world.test_y))
    return matrix


def task_accuracy(model: nn.Module, task: dict) -> float:
    """Among the classes of the task alone: the model is told which task it is."""
    x, y = task["test"]
    return accuracy(predict(model, x).masked_fill(~task["new"], -torch.inf), y)


def compared(world: World, tasks: list, what: str) -> Found:
    found = {}
    for method in ("labels", "soft targets", "replay", "all digits"):
        before = time.process_time()
        *matrix, ten = in_turn(world, tasks, method, SETTINGS["weight"])
        found[method] = {
            "accuracy": sum(matrix[-1]) / len(tasks), "forgetting": forgetting(matrix),
            "learning": learning(matrix), "matrix": matrix, "what": what,
            "seconds": round(time.process_time() - before, 1),
        }  # fmt: skip
        if len(tasks) == 2:
            found[method]["ten_classes"] = ten
    return found


def new_digits(world: World) -> Found:
    tasks, number = [], torch.arange(10)
    for n in (0, 1):
        new = number // 5 == n
        train, test = ((y // 5 == n).nonzero()[:, 0] for y in (world.y, world.test_y))
        train = train[: int(SETTINGS["task_digits"])]
        tasks.append({
            "train": (world.x[train], world.y[train]), "new": new, "old": ~new,
            "test": (world.test_x[test], world.test_y[test]),
        })  # fmt: skip
    return compared(world, tasks, "mean over both halves at the end, told which half it is")


def turned(images: Tensor, degrees: float) -> Tensor:
    angle = torch.tensor(degrees).deg2rad()
    c, s = angle.cos(), angle.sin()
    turn = torch.stack([torch.stack([c, -s, 0 * c]), torch.stack([s, c, 0 * c])])
    grid = F.affine_grid(turn.expand(len(images), 2, 3), [len(images), 1, 28, 28], False)
    return F.grid_sample(images.unsqueeze(1), grid, align_corners=False).squeeze(1).clamp(0, 1)


def rotation(world: World) -> Found:
    tasks, every, count = [], torch.ones(10, dtype=torch.bool), int(SETTINGS["task_digits"])
    for n, degrees in enumerate((0, 45, 90)):
        part = slice(n * count, (n + 1) * count)
        tasks.append({
            "train": (halved(turned(world.big[part], degrees)), world.y[part]),
            "test": (halved(turned(world.test_big, degrees)), world.test_y),
            "new": every, "old": every,
        })  # fmt: skip
    return compared(world, tasks, "mean over the three angles at the end")


# --------------------------------------------------------------------------------- another view


def shadow_views(world: World) -> Found:
    texts, meaning = all_sentences()
    words = bag_of_words(texts)
    said, test_said = (
        torch.cat([y.unsqueeze(1), attributes(images, like=world.big)], 1)
        for y, images in ((world.y, world.big), (world.test_y, world.test_big))
    )
    number = lambda rows: ((rows[:, 0] * 2 + rows[:, 1]) * 3 + rows[:, 2]) * 3 + rows[:, 3]  # noqa: E731
    withheld = (meaning[:, 0] + meaning[:, 2] + meaning[:, 3]) % 4 == 0  # (180,)
    described = (~withheld[number(said)]).nonzero()[:, 0][: int(SETTINGS["described"])]
    x, which = world.x[described], number(said)[described]
    # the two towers
    images, text = world.new(196, 200, 200, 32), world.new(words.shape[1], 64, 32, more=1)
    adam = torch.optim.Adam([*images.parameters(), *text.parameters()], 3e-3)
    steps = int(SETTINGS["clip_steps"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    draw = torch.Generator().manual_seed(world.seed)
    for _ in range(steps):
        rows = torch.randint(len(x), (200,), generator=draw)
        loss = clip_loss(images(x[rows]), text(words[which[rows]]), SETTINGS["tau"]).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
    with frozen(text):
        bank = text(words)
    tests = number(test_said)
    new = withheld[tests]

    def scores(encoder: nn.Module, view: Tensor) -> dict[str, float]:
        z = predict(ByDescription(encoder, bank, SETTINGS["tau"]), view)
        guess = meaning[z.argmax(1)]
        right = guess == test_said
        each = {f"{kind}": float(right[new, n].float().mean())
                for n, kind in enumerate(("digit", "size", "stroke", "slant"))}  # fmt: skip
        return {
            "accuracy": float(right[new].all(1).float().mean()),
            "described": float(right[~new].all(1).float().mean()),
        } | each

    what = "whole sentence right of 180, digits of combinations that were never described"
    found: Found = {"teacher": scores(images, world.test_x) | {"what": what}}
    known = (~withheld).nonzero()[:, 0]  # sentences that are used at all
    place = torch.full((len(texts),), -1).scatter(0, known, torch.arange(len(known)))
    few = described[: int(SETTINGS["shadow_sentences"])]
    kinds = {
        "labels": (HardLabels(), few, place[number(said)[few]]),
        "soft targets, few digits": (SoftTargets(T=1), few, None),
        "soft targets": (SoftTargets(T=1), torch.arange(len(world.x)), None),
    }
    for method, (objective, rows, y) in kinds.items():
        before = time.process_time()
        classes = bank[known] if y is not None else bank
        student = world.new(28, 64, 32, more=2)
        told = KnownLogits(predict(ByDescription(images, bank, SETTINGS["tau"]), world.x[rows]))
        world.fit(
            ByDescription(student, classes, SETTINGS["tau"]), 1.0 * objective,
            shadows(world.x[rows]), y,
            int(SETTINGS["shadow_steps"]), None if y is not None else told, rate=1e-2,
        )  # fmt: skip
        found[method] = scores(student, shadows(world.test_x)) | {"what": what}
        found[method]["seconds"] = round(time.process_time() - before, 1)
    return found


# -------------------------------------------------------------------------------------- attacks


def robust(world: World) -> Found:
    steps, count = int(SETTINGS["teacher_steps"]), int(SETTINGS["robust_digits"])
    rest, few = slice(count, None), slice(0, count)
    strong = world.new(196, 200, 200, 10)
    world.fit(strong, 1.0 * Adversarial(HardLabels(), strong, EPS), world.x[rest], world.y[rest],
              steps, rate=2e-3)  # fmt: skip
    plain = world.new(196, 200, 200, 10)
    world.fit(plain, HardLabels(), world.x[rest], world.y[rest], steps, rate=2e-3)

    def scores(model: nn.Module) -> dict[str, Any]:
        def gradient(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
            return pgd(model, x, lambda z: cross_entropy(z, y), EPS, int(SETTINGS["attack"]))

        def without(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
            return random_search(model, x, y, EPS, 5 * int(SETTINGS["attack"]))

        some = slice(int(SETTINGS["attacked"]))
        stands = withstands(model, world.test_x[some], world.test_y[some], [gradient, without])
        return {
            "accuracy": float(stands.float().mean()),
            "clean": accuracy(predict(model, world.test_x), world.test_y),
            "what": f"right after PGD and after a random search, eps {EPS} of [0, 1]",
        }

    found: Found = {"teacher": scores(strong), "plain teacher": scores(plain)}
    soft = SoftTargets(T=1)
    kinds: dict[str, tuple[Callable, Any]] = {
        "plain labels": (lambda m: 1.0 * HardLabels(), None),
        "plain soft targets": (lambda m: 1.0 * soft, strong),
        "labels": (lambda m: 1.0 * Adversarial(HardLabels(), m, EPS), None),
        "labels, half clean": (
            lambda m: 0.5 * Adversarial(HardLabels(), m, EPS) + 0.5 * HardLabels(), None),
        "soft targets": (lambda m: 5 / 6 * Adversarial(soft, m, EPS) + 1 / 6 * soft, strong),
        "soft targets of the plain teacher": (
            lambda m: 5 / 6 * Adversarial(soft, m, EPS) + 1 / 6 * soft, plain),
    }  # fmt: skip
    for method, (objective, teacher) in kinds.items():
        before = time.process_time()
        student = world.new(196, 32, 10, more=3)
        world.fit(student, objective(student), world.x[few], world.y[few],
                  int(SETTINGS["robust_steps"]), teacher, rate=1e-2)  # fmt: skip
        seconds = round(time.process_time() - before, 1)
        found[method] = scores(student) | {"seconds": seconds}
    return found


# ------------------------------------------------------------------------- tasks nobody taught


def hidden_units(model: nn.Module, x: Tensor) -> Tensor:
    with frozen(model), Capture(model, ["layers.1"]) as acts:
        model(x)
        return F.relu(acts["layers.1"])


def probes(world: World) -> Found:
    low, test_low = world.y < 5, world.test_y < 5
    teacher = world.new(196, 200, 100, 5)
    steps, count, few = (int(SETTINGS[f"probe_{k}"]) for k in ("steps", "digits", "labels"))
    world.fit(teacher, HardLabels(), world.x[low], world.y[low], steps, rate=2e-3)
    lean, test_lean = (attributes(b, world.big)[:, 2] for b in (world.big, world.test_big))
    high, test_high = ((~part).nonzero()[:, 0] for part in (low, test_low))
    ours, some = low.nonzero()[:, 0][:few], slice(0, few)

    def scores(model: nn.Module) -> dict[str, Any]:
        train, test = hidden_units(model, world.x), hidden_units(model, world.test_x)
        a, b = high[:few], test_high
        five = (train[a], world.y[a] - 5), (test[b], world.test_y[b] - 5)
        own = (train[ours], world.y[ours]), (test[test_low], world.test_y[test_low])
        return {
            "accuracy": linear_probe(*five, 0.1),
            "slant": linear_probe((train[some], lean[some]), (test, test_lean), 0.1),
            "own_task": linear_probe(*own, 0.1),
            "what": f"digits 5 to 9, a linear probe with {few} labels on the last hidden layer",
        }

    small = (196, 32, 16, 5)
    found: Found = {
        "teacher": scores(teacher),
        "as it starts": scores(world.new(*small, more=4)),
    }
    every = torch.arange(count)
    old = every[low[:count]]
    kinds = {
        "labels": (HardLabels(), old),
        "soft targets": (SoftTargets(T=4), every),
        "representation": (Hint("layers.1", "layers.1", nn.Linear(16, 100)), every),
        "representation, digits 0 to 4": (Hint("layers.1", "layers.1", nn.Linear(16, 100)), old),
    }
    for method, (objective, rows) in kinds.items():
        before = time.process_time()
        student = world.new(*small, more=4)
        y = world.y[rows] if method == "labels" else None
        world.fit(student, 1.0 * objective, world.x[rows], y, steps, teacher, rate=1e-2)
        found[method] = scores(student) | {"seconds": round(time.process_time() - before, 1)}
    return found


EXPERIMENTS = {
    "new digits": new_digits, "rotation": rotation, "shadows": shadow_views, "robust": robust,
    "probes": probes,
}  # fmt: skip


def main() -> None:
    parser = arguments(__doc__, [1, 2, 3, 4, 5])
    parser.add_argument("--only", nargs="*", default=list(EXPERIMENTS), choices=list(EXPERIMENTS))
    given = parser.parse_args()
    records = Records("other_worlds", given.out, SETTINGS)
    record = records.found
    worlds: dict[int, World] = {}
    for setting in given.only:
        for seed in given.seeds:
            if any((one["setting"], one["seed"]) == (setting, seed) for one in record["runs"]):
                continue
            if seed not in worlds:
                worlds[seed] = World(seed)
            before = time.process_time()
            results = EXPERIMENTS[setting](worlds[seed])
            for method, values in results.items():
                run = {"setting": setting, "method": method, "seed": seed} | values
                record["runs"].append(run)
            records.keep()
            print(
                f"seed {seed}, {setting}: {time.process_time() - before:.0f} s of CPU", flush=True
            )
            for method, values in results.items():
                shown = {k: round(v, 3) for k, v in values.items() if isinstance(v, float)}
                print(f"    {method:34s}", shown, flush=True)
    print(records.file)


if __name__ == "__main__":
    main()
