"""README's table: what each technique gained here over labels and over plain soft targets.

    python benchmarks/techniques.py           # writes it into README.md
    python benchmarks/techniques.py --check   # exit status 1 if README.md has another one

Nothing is typed in: means of seed-by-seed differences, in points of accuracy where nothing else is
said, and their 95% intervals, from datasets/results/*.json.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from marked import table_of_readme

from tinykd import mean_interval

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- techniques -->", "<!-- end of techniques -->"


class Shown(NamedTuple):
    """Settings of a results file, and what they are called; key: what is compared, times scale."""

    lesson: str
    file: str
    settings: dict[str, str]
    key: str = "accuracy"
    scale: float = 100


SHOWN = [
    Shown("04", "features", {"300 labels": "1-D digits, 300 labelled"}),
    Shown(
        "05",
        "does_it_help",
        {
            "one rate for both, no L2": "1-D digits, 1,000 labelled, one learning rate for both",
            "each its own rate and L2": "the same, each with its own learning rate and L2",
        },
    ),
    Shown(
        "06",
        "better_data",
        {
            "a hundred digits": "MNIST, 10 labelled of each class",
            "pool, strong teacher": "… and 25,000 without labels (labels: their true ones)",
            "pool, weak teacher": "… labelled by the student's own last generation",
        },
    ),
    Shown(
        "07",
        "many_teachers",
        {
            "schools": "1-D digits, four teachers of 200 labels each (labels: all 800)",
            "gap": "a gap in capacity",
            "generations": "generations",
        },
    ),
    Shown(
        "08",
        "small_and_fast",
        {
            "small": "MNIST, a net for a phone",
            "weights 95%": "95% of the weights pruned, then trained on",
            "units 80%": "80% of the inner units cut out, then trained on",
            "8 bits": "8-bit integers, trained with the rounding",
            "4 bits": "4 bits",
        },
    ),
    Shown(
        "08",
        "prune_language_model",
        {
            "heads and feed-forward, by rank": "half a language model cut by rank, then trained",
            "heads and feed-forward, blind": "… cut blindly",
        },
    ),
    Shown(
        "09",
        "search_as_teacher",
        {
            "one round": "Dots and Boxes, optimal moves (labels: the move that was played)",
            "three rounds": "… three rounds of search and student",
        },
    ),
    Shown(
        "10",
        "other_worlds",
        {
            "new digits": "digits 0 to 4, then 5 to 9: both at the end (labels: fine-tuning)",
            "rotation": "three angles in turn: all of them at the end (labels: fine-tuning)",
            "shadows": "images described by a student that sees two shadows of them",
            "robust": "right after an attack (labels: trained on attacks)",
        },
    ),
    Shown(
        "15",
        "beyond_one_teacher",
        {
            "few texts": "calculator, 64 of the teacher's texts (labels: these, read on)",
            "many texts": "… all texts that it wrote",
            "style": "a house style without being told (labels: its own texts, told)",
        },
    ),
    Shown(
        "16",
        "fewer_steps",
        {
            "1 step": "digits out of noise in one step: Fréchet distance, less is better "
            "(labels: a flow, guided; soft targets: halved)"
        },
        "frechet",
        1,
    ),
    Shown(
        "17",
        "what_else",
        {"bias, strokes at random": "points lost where a cue misleads, less is better"},
        "gap",
    ),
    Shown(
        "17",
        "what_else",
        {
            "backdoor, edge, noisy digits": "attacked by a teacher's backdoor, %, less is better",
            "backdoor, middle, clean digits": "… another trigger, nothing but clean digits",
        },
        "attack",
    ),
    Shown(
        "17",
        "what_else",
        {"memory": "what a student's loss tells of its teacher's data, AUC in %, less is better"},
        "auc",
    ),
    Shown(
        "18",
        "ten_kilobytes",
        {"10-18-26, patient int8": "distorted digits, an ONNX file of less than 10 kB"},
    ),
    Shown(
        "18",
        "hundred_kilobytes",
        {
            "11000x8 int8": "sentences, an ONNX file of less than 100 kB: 100 x rank correlation",
            "11000x8, few rated int8": "… 2,000 of 18,725 rated",
        },
        "correlation",
    ),
]
CALLED = {
    "nothing": "no training afterwards",
    "all digits": "all tasks at once",
    "start": "no more training",
}
RIVALS = ("labels", "soft targets")


def differences(runs: list[dict], method: str, rival: str, shown: Shown) -> list[float]:
    """How far a method is above its rival, one for each seed that both have."""
    a, b = ({r["seed"]: r[shown.key] for r in runs if r["method"] == m} for m in (method, rival))
    return [shown.scale * (a[seed] - b[seed]) for seed in sorted(a.keys() & b.keys())]


def gain(runs: list[dict], method: str, rival: str, shown: Shown) -> str:
    """Mean and interval of the differences; bold where the interval leaves out 0."""
    found = differences(runs, method, rival, shown)
    if method == rival or len(found) < 2:
        return ""
    mean, half = mean_interval(found)
    words = f"{mean:+.1f} ± {half:.1f}"
    return f"**{words}**" if abs(mean) > half else words


def lines() -> Iterator[str]:
    """The table, line by line."""
    yield "| technique | over labels | over soft targets | seconds | lesson |"
    yield "|---|---|---|---|---|"
    for shown in SHOWN:
        found = json.loads((ROOT / f"datasets/results/{shown.file}.json").read_text("utf-8"))
        for setting, title in shown.settings.items():
            runs = [
                r
                for r in found["runs"]
                if r["setting"] == setting
                and "from block" not in r["method"]
                and not re.match("teacher(, |$)|plain teacher|chance|takes a box", r["method"])
            ]
            seeds = {r["seed"] for r in runs}
            yield f"| *{title}, {len(seeds)} seeds* | | | | {shown.lesson} |"
            methods = {r["method"] for r in runs} - {"labels"}
            for method in sorted(
                methods, key=lambda m: (-fmean(differences(runs, m, "labels", shown)), m)
            ):
                gains = " | ".join(gain(runs, method, rival, shown) for rival in RIVALS)
                own = [r["seconds"] for r in runs if r["method"] == method and "seconds" in r]
                seconds = f"{sum(own) / len(own):.1f}" if own else ""
                yield f"| {CALLED.get(method, method)} | {gains} | {seconds} | |"


if __name__ == "__main__":
    raise SystemExit(table_of_readme(__doc__, BEGIN, END, lines()))
