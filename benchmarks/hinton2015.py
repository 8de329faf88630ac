"""Section 3 of Hinton, Vinyals, Dean 2015 (arXiv 1503.02531) at paper scale: MNIST, error counts.

    TINYKD_SCALE=full python benchmarks/hinton2015.py
    TINYKD_SCALE=full python benchmarks/hinton2015.py --only sweep-30 --seeds 3 4 5 6 7 8 9

The first line makes the paper's table with three teachers. The second asks cheap questions of more
seeds: those learn from the stored logits of the seed-0 teacher, so what their intervals say holds
for that teacher. `smoothed-WIDTH` is the rival without a teacher: labels smoothed by the amount
that does best on 10,000 training digits held out. Processors without bf16 want --precision float32;
runs at another precision than SETTINGS say so.

Every finished run is added to datasets/results/hinton2015.json at once; a killed or interrupted
script goes on where it stopped (checkpoints lie in --work). The test digits are read once a run,
after training; temperatures, epochs and rates were chosen on 10,000 training digits held out, and
output biases are chosen on training digits. In one choice the test digits had a say: a second
cycle of 100 epochs made the teacher of seed 0 no better (71 errors after 68), and was not taken up.
Without TINYKD_SCALE=full it does a run of seconds on a few digits, which checks the script and says
nothing about distillation.
"""

import argparse
import functools
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import tinykd
from tinykd import MLP, Batches, CachedTeacher, HardLabels, SoftTargets, Trainer
from tinykd.files import atomic

ROOT = Path(__file__).resolve().parents[1]
RESULTS, FIGURE = ROOT / "datasets" / "results", ROOT / "docs" / "hinton2015.png"
SETTINGS = {
    "schedule": "linear warm-up over 5% of the steps, then cosine to 0",
    "precision": "bf16",
    "teacher": {
        "optimizer": "SGD",
        "lr": 0.15,
        "batch": 512,
        "epochs": 160,
        "dropout": 0.25,
        "max_norm": 3.0,
        "jitter": 2,
    },
    "student": {"optimizer": "Adam", "lr": 2e-3, "batch": 128, "epochs": 40, "T": 20},
    "sweep": {"optimizer": "Adam", "lr": 2e-3, "batch": 128, "epochs": 20},
    "weights": {"soft": 0.9, "hard": 0.1},
    "temperatures": {"300": [1, 2.5, 4, 8, 12, 20, 40], "30": [1, 2.5, 4, 8, 20]},
    "smoothing": {"tried": [0.05, 0.1, 0.2], "seeds": [0]},
}
TEACHERS = 3  # seeds with a teacher of their own; later ones learn from the logits of teacher 0
SECTION_3 = ["baseline", "distilled", "no_three", "sevens_eights", "sweep-300", "sweep-30"]
SMOOTHED = ["smoothed-800", "smoothed-300", "smoothed-30"]
OPTIMIZERS = {
    "SGD": lambda ps, lr: torch.optim.SGD(ps, lr, momentum=0.9, nesterov=True, fused=True),
    "Adam": lambda ps, lr: torch.optim.Adam(ps, lr, fused=True),
}


class Lab:
    """The data, the results so far, and where half-done runs lie."""

    def __init__(self, out: Path, work: Path, full: bool, precision: str) -> None:
        self.out, self.work, self.full, self.precision = out, work, full, precision
        self.file = out / "hinton2015.json"
        self.images, self.labels = tinykd.load_mnist("train")
        if not full:
            self.images, self.labels = self.images[:2000], self.labels[:2000]

    @property
    def runs(self) -> list[dict]:
        """The results so far; read anew each time, so that several scripts may share the work."""
        return json.loads(self.file.read_text())["runs"] if self.file.exists() else []

    def done(self, **key: object) -> bool:
        """Is there a result with this experiment, seed, width and T?"""
        return any(all(run.get(k) == v for k, v in key.items()) for run in self.runs)

    def train(self, model: MLP, objective, keep: Tensor, name: str, teacher=None, **how) -> float:
        """Train on the digits in `keep` with one loop for teacher and students; returns seconds."""
        seed = how["seed"]
        torch.manual_seed(1000 + seed)
        augment = (
            (lambda x: tinykd.jitter(x, how["jitter"], subpixel=True))
            if how.get("jitter")
            else None
        )
        batches = Batches(
            self.images[keep], self.labels[keep], how["batch"], augment=augment, seed=seed
        )
        limit = how.get("max_norm")
        constraint = [lambda trainer: tinykd.max_norm(trainer.model, limit)] if limit else []
        start = time.perf_counter()
        history = Trainer(
            model,
            objective,
            teacher,
            lambda ps: OPTIMIZERS[how["optimizer"]](ps, how["lr"]),
            schedule=tinykd.warm_up(tinykd.cosine(1, 0), 0.05),
            precision=self.precision,
            callbacks=constraint,
            checkpoint=self.work / f"{name}.ckpt",
        ).fit(batches, epochs=how["epochs"] if self.full else 1, resume=True)
        print(f"{name}: loss {history[-1]['loss']:.4f}, {time.perf_counter() - start:.0f} s here")
        return sum(record["seconds"] for record in history)

    def record(self, model: MLP, seconds: float, **key: object) -> None:
        """Read the test digits, once, and keep the result."""
        images, labels = tinykd.load_mnist("test")
        logits = tinykd.predict(model, images)
        run = {**key, **errors(logits, labels), "seconds": round(seconds, 1)}
        if "bias" in key:
            shifted = logits.clone()
            shifted[:, key["classes"]] += key["bias"]
            run["with_bias"] = errors(shifted, labels)
        self.add(run)

    def add(self, run: dict) -> None:
        """Keep the result of a run."""
        if self.precision != SETTINGS["precision"]:
            run["precision"] = self.precision
        versions = {"python": platform.python_version(), "torch": torch.__version__}
        versions |= {"numpy": np.__version__, "tinykd": tinykd.__version__}
        content = {"settings": SETTINGS, "versions": versions, "runs": [*self.runs, run]}
        self.out.mkdir(parents=True, exist_ok=True)
        with atomic(self.file) as part:
            part.write_text(json.dumps(content, indent=1) + "\n")
        print("  ", {k: v for k, v in run.items() if k != "errors_by_class"})


def errors(logits: Tensor, labels: Tensor) -> dict:
    """Number of wrong digits, in all and by true class."""
    wrong = logits.argmax(-1) != labels
    by_class = torch.bincount(labels[wrong], minlength=10).tolist()
    return {"errors": int(wrong.sum()), "of": len(labels), "errors_by_class": by_class}


def best_bias(model: MLP, images: Tensor, labels: Tensor, classes: list[int]) -> float:
    """The shift of the biases of `classes` that makes fewest errors on these training digits."""
    logits = tinykd.predict(model, images)
    grid = torch.arange(-15, 15.01, 0.1)
    counts = []
    for bias in grid:
        shifted = logits.clone()
        shifted[:, classes] += bias
        counts.append(int((shifted.argmax(-1) != labels).sum()))
    best = [bias for bias, count in zip(grid, counts, strict=True) if count == min(counts)]
    return round(float(torch.stack(best).median()), 2)


def teacher_of(lab: Lab, seed: int) -> MLP:
    """2 x 1200 ReLU with dropout, weight constraint and jitter on all digits; trained once."""
    how = SETTINGS["teacher"]
    torch.manual_seed(seed)
    model = MLP(784, 1200, 1200, 10, dropout=how["dropout"])
    everything = torch.ones(len(lab.labels), dtype=torch.bool)
    seconds = lab.train(model, HardLabels(), everything, f"teacher-{seed}", seed=seed, **how)
    if not lab.done(experiment="teacher", seed=seed):
        lab.record(model, seconds, experiment="teacher", seed=seed, width=1200)
        if seed == 0:  # the targets that lesson 03 distils from
            CachedTeacher.write(lab.out / "hinton2015_teacher", model, lab.images)
    return model


def student(
    lab: Lab, teacher: Callable[[], MLP] | None, keep: Tensor, name: str, how: dict, **key
) -> None:
    """A plain ReLU net, from soft targets if it has a T: no jitter, no dropout.

    Without a `teacher` the soft targets are the stored ones, those of seed 0.
    """
    if key.get("T") and teacher is None:
        key["teacher"] = 0
    if lab.done(**key):
        return
    torch.manual_seed(100 + key["seed"])
    model = MLP(784, key["width"], key["width"], 10)
    objective, source = HardLabels(label_smoothing=key.get("smoothing", 0.0)), None
    if key.get("T"):
        weight = SETTINGS["weights"]
        objective = weight["soft"] * SoftTargets(T=key["T"]) + weight["hard"] * HardLabels()
        if teacher is None:
            source = CachedTeacher(lab.out / "hinton2015_teacher", inputs=lab.images)
        else:
            source = CachedTeacher.write(lab.work / f"{name}-targets", teacher(), lab.images[keep])
    seconds = lab.train(model, objective, keep, name, source, seed=key["seed"], **how)
    if "classes" in key:
        key["bias"] = best_bias(model, lab.images, lab.labels, key["classes"])
    lab.record(model, seconds, **key)


def best_smoothing(lab: Lab, width: int, how: dict) -> float:
    """The label smoothing of fewest errors on the last sixth of the training digits, held out."""
    tuning, kept = SETTINGS["smoothing"], len(lab.labels) * 5 // 6
    for seed in tuning["seeds"]:
        for amount in tuning["tried"]:
            key = {"experiment": "smoothing", "seed": seed, "width": width, "smoothing": amount}
            if lab.done(**key):
                continue
            torch.manual_seed(100 + seed)
            model = MLP(784, width, width, 10)
            objective = HardLabels(label_smoothing=amount)
            name, keep = f"smoothing-{width}-{amount}-{seed}", torch.arange(kept)
            seconds = lab.train(model, objective, keep, name, seed=seed, **how)
            found = errors(tinykd.predict(model, lab.images[kept:]), lab.labels[kept:])
            lab.add({**key, "val_errors": found["errors"], "seconds": round(seconds, 1)})
    runs = [run for run in _of(lab.runs, "smoothing") if run["width"] == width]
    of = {s: [run["val_errors"] for run in runs if run["smoothing"] == s] for s in tuning["tried"]}
    return min(of, key=lambda amount: np.mean(of[amount]))


# Errors of 10,000 in section 3 of the paper; one run each.
PAPER = {"teacher": 67, "baseline": 146, "distilled": 74}
PAPER_SHIFTED = {"no_three": (206, 109), "sevens_eights": (4730, 1320)}  # plain, with the bias


def table(runs: list[dict]) -> str:
    """Paper and ours as a Markdown table: mean over seeds, 95% interval, every seed."""
    rows = [
        "| test errors of 10,000 | paper | ours: mean ± 95% interval | seeds |",
        "|---|---|---|---|",
    ]
    papers = [(name, None, paper) for name, paper in PAPER.items()]
    for name, (plain, shifted) in PAPER_SHIFTED.items():
        papers += [(name, None, plain), (name, "with_bias", shifted)]
    for name, part, paper in papers:
        of = [run[part] if part else run for run in _section_3(runs, name)]
        if of:
            rows.append(_row(f"{name}, bias shifted" if part else name, paper, of))
    return "\n".join(rows)


def differences(runs: list[dict]) -> str:
    """What is compared seed by seed: mean difference in test errors and its 95% interval."""

    def errors(experiment: str, width: int, **more) -> dict[int, int]:
        key = {"experiment": experiment, "width": width, **more}
        fitting = [run for run in runs if all(run.get(k) == v for k, v in key.items())]
        return {run["seed"]: run["errors"] for run in fitting}

    students, teachers = errors("distilled", 800), errors("teacher", 1200)
    of = {run["seed"]: run.get("teacher", run["seed"]) for run in _of(runs, "distilled")}
    pairs = {
        "800 units, student - its teacher": (students, {s: teachers[of[s]] for s in students}),
        "800 units, student - labels": (students, errors("baseline", 800)),
        "800 units, student - smoothed labels": (students, errors("smoothed", 800)),
    }
    low, high = (errors("sweep", 30, T=T) for T in (2.5, 4))
    paper_best = {seed: (low[seed] + high[seed]) / 2 for seed in low.keys() & high.keys()}
    for what, ours in (
        *((f"T = {T}", errors("sweep", 30, T=T)) for T in (1, 8, 20)),
        ("labels", errors("sweep", 30, T=None)),
        ("smoothed labels", errors("smoothed", 30)),
    ):
        pairs[f"30 units, {what} - mean of T = 2.5, 4"] = ours, paper_best
    lines = []
    for name, (ours, theirs) in pairs.items():
        gaps = [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]
        if gaps:
            mean, half = tinykd.mean_interval(gaps)
            lines.append(f"{name:<48} {mean:+6.1f} ± {half:5.1f} ({len(gaps)} seeds)")
    return "\n".join(lines)


def _of(runs: list[dict], experiment: str) -> list[dict]:
    return [run for run in runs if run["experiment"] == experiment]


def _section_3(runs: list[dict], experiment: str) -> list[dict]:
    """The runs of the paper's table: each seed has a teacher of its own."""
    return [run for run in _of(runs, experiment) if run["seed"] < TEACHERS]


def _row(name: str, paper: int, runs: list[dict]) -> str:
    errors = [run["errors"] for run in runs]
    mean, half = tinykd.mean_interval(errors)
    return f"| {name.replace('_', ' ')} | {paper} | {mean:.1f} ± {half:.1f} | {errors} |"


def figure(runs: list[dict], path: Path) -> None:
    """The README's picture: teacher, baseline and student, every seed beside the paper's number."""
    import matplotlib

    matplotlib.use("agg")
    from tinykd import plots

    errors = {name: [run["errors"] for run in _section_3(runs, name)] for name in PAPER}
    labels = {"teacher": "teacher\n1200-1200", "baseline": "800-800\nlabels only"}
    labels["distilled"] = "800-800\nsoft targets, T = 20"
    axes = plots.bars({labels[k]: v for k, v in errors.items()}, "errors on 10,000 test digits")
    for i, paper in enumerate(PAPER.values()):
        axes.hlines(paper, i - 0.42, i + 0.42, color="black", linestyle="--")
        axes.annotate(f"paper {paper}", (i + 0.42, paper), (0, 3), textcoords="offset points")
    axes.figure.set_size_inches(7, 3.6)
    path.parent.mkdir(exist_ok=True)
    axes.figure.savefig(path, dpi=130)


def experiment(lab: Lab, name: str, seed: int, teacher: Callable[[], MLP] | None) -> None:
    """What is still missing of one experiment with one seed."""
    kind, _, width = name.partition("-")
    how = SETTINGS["student" if width in ("", "800") else "sweep"]
    key = {"experiment": kind, "seed": seed, "width": int(width or 800)}
    everything = torch.ones(len(lab.labels), dtype=torch.bool)
    if kind == "sweep":
        student(lab, None, everything, f"hard-{width}-{seed}", how, T=None, **key)
        for T in SETTINGS["temperatures"][width]:
            student(lab, teacher, everything, f"sweep-{width}-{T}-{seed}", how, T=T, **key)
    elif kind == "smoothed":
        amount = best_smoothing(lab, int(width), how)
        student(lab, None, everything, f"{name}-{seed}", how, smoothing=amount, **key)
    elif kind == "baseline":
        student(lab, None, everything, f"{name}-{seed}", how, **key)
    elif kind == "distilled":
        student(lab, teacher, everything, f"{name}-{seed}", how, T=how["T"], **key)
    elif teacher is not None:  # the stored logits are those of all digits
        classes = [3] if name == "no_three" else [7, 8]
        mine = torch.isin(lab.labels, torch.tensor(classes))
        keep = ~mine if name == "no_three" else mine
        key |= {"T": how["T"], "classes": classes}
        student(lab, teacher, keep, f"{name}-{seed}", how, **key)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=None, help="where results go")
    parser.add_argument("--work", type=Path, default=Path("hinton2015.work"), help="checkpoints")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(TEACHERS)))
    choices = [*SECTION_3, *SMOOTHED]
    parser.add_argument("--only", nargs="+", choices=choices, default=SECTION_3, metavar="NAME")
    parser.add_argument("--precision", choices=["bf16", "float32"], default=None)
    parser.add_argument("--teachers", action="store_true", help="train the teachers, then stop")
    args = parser.parse_args()
    full = tinykd.scale() == "full"
    precision = args.precision or (SETTINGS["precision"] if full else tinykd.best_precision())
    out = args.out or (RESULTS if full else args.work / "results")
    lab = Lab(out, args.work, full, precision)
    if not lab.done(experiment="teacher", seed=0):
        teacher_of(lab, 0)  # later seeds learn from its stored logits
    for seed in args.seeds:
        # Trained, or read from its checkpoint, only if a run that is still missing asks for it.
        teacher = functools.cache(functools.partial(teacher_of, lab, seed))
        if seed >= TEACHERS:
            teacher = None
        elif not lab.done(experiment="teacher", seed=seed):
            teacher()
        for name in () if args.teachers else args.only:
            experiment(lab, name, seed, teacher)
        count = sum(run["seed"] == seed for run in lab.runs)
        print(f"seed {seed}: all {count} runs are in {lab.file}; --out FOLDER runs them anew")
    print(f"{len(lab.runs)} runs in {lab.file}")
    if not args.teachers:
        print(table(lab.runs))
        print(differences(lab.runs))
    if not args.teachers and all(_section_3(lab.runs, name) for name in PAPER):
        figure(lab.runs, FIGURE if full else args.work / "hinton2015.png")


if __name__ == "__main__":
    main()
