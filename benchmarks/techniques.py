"""README's table: what each technique gained here over labels and over plain soft targets.

    python benchmarks/techniques.py           # writes it into README.md
    python benchmarks/techniques.py --check   # exit status 1 if README.md has another one

Nothing is typed in: means of seed-by-seed differences in accuracy, in points, and their 95%
intervals, from datasets/results/*.json.
"""

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from tinykd import mean_interval

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- techniques -->", "<!-- end of techniques -->"
# lesson: (file, its settings that are shown and what they are called)
SHOWN = {
    "04": ("features", {"300 labels": "1-D digits, 300 labelled"}),
    "05": (
        "does_it_help",
        {
            "one rate for both, no L2": "1-D digits, 1,000 labelled, one learning rate for both",
            "each its own rate and L2": "the same, each with its own learning rate and L2",
        },
    ),
    "06": (
        "better_data",
        {
            "a hundred digits": "MNIST, 10 labelled of each class",
            "pool, strong teacher": "… and 25,000 without labels (labels: their true ones)",
            "pool, weak teacher": "… labelled by the student's own last generation",
        },
    ),
    "07": (
        "many_teachers",
        {
            "schools": "1-D digits, four teachers of 200 labels each (labels: all 800)",
            "gap": "a gap in capacity",
            "generations": "generations",
        },
    ),
    "08": (
        "small_and_fast",
        {
            "small": "MNIST, a net for a phone",
            "weights 95%": "95% of the weights pruned, then trained on",
            "units 80%": "80% of the inner units cut out, then trained on",
            "8 bits": "8-bit integers, trained with the rounding",
            "4 bits": "4 bits",
        },
    ),
    "09": (
        "search_as_teacher",
        {
            "one round": "Dots and Boxes, optimal moves (labels: the move that was played)",
            "three rounds": "… three rounds of search and student",
        },
    ),
    "10": (
        "other_worlds",
        {
            "new digits": "digits 0 to 4, then 5 to 9: both at the end (labels: fine-tuning)",
            "rotation": "three angles in turn: all of them at the end (labels: fine-tuning)",
            "shadows": "images described by a student that sees two shadows of them",
            "robust": "right after an attack (labels: trained on attacks)",
        },
    ),
}
CALLED = {"nothing": "no training afterwards", "all digits": "all tasks at once"}
RIVALS = ("labels", "soft targets")


def differences(runs: list[dict], method: str, rival: str) -> list[float]:
    """Points of accuracy of a method above its rival, one for each seed that both have."""
    a, b = ({r["seed"]: r["accuracy"] for r in runs if r["method"] == m} for m in (method, rival))
    return [100 * (a[seed] - b[seed]) for seed in sorted(a.keys() & b.keys())]


def gain(runs: list[dict], method: str, rival: str) -> str:
    """Mean and interval of the differences; bold where the interval leaves out 0."""
    found = differences(runs, method, rival)
    if method == rival or len(found) < 2:
        return ""
    mean, half = mean_interval(found)
    words = f"{mean:+.1f} ± {half:.1f}"
    return f"**{words}**" if abs(mean) > half else words


def lines() -> Iterator[str]:
    """The table, line by line."""
    yield "| technique | over labels | over soft targets | seconds | lesson |"
    yield "|---|---|---|---|---|"
    for lesson, (name, settings) in SHOWN.items():
        found = json.loads((ROOT / f"datasets/results/{name}.json").read_text("utf-8"))["runs"]
        for setting, title in settings.items():
            runs = [
                r
                for r in found
                if r["setting"] == setting
                and "from block" not in r["method"]
                and not re.match("teacher(, |$)|plain teacher|chance|takes a box", r["method"])
            ]
            seeds = {r["seed"] for r in runs}
            yield f"| *{title}, {len(seeds)} seeds* | | | | {lesson} |"
            methods = {r["method"] for r in runs} - {"labels"}
            for method in sorted(
                methods, key=lambda m: (-fmean(differences(runs, m, "labels")), m)
            ):
                gains = " | ".join(gain(runs, method, rival) for rival in RIVALS)
                own = [r["seconds"] for r in runs if r["method"] == method and "seconds" in r]
                seconds = f"{sum(own) / len(own):.1f}" if own else ""
                yield f"| {CALLED.get(method, method)} | {gains} | {seconds} | |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    readme = ROOT / "README.md"
    old = readme.read_text("utf-8")
    before, _, rest = old.partition(BEGIN)
    after = rest.partition(END)[2]
    new = f"{before}{BEGIN}\n" + "\n".join(lines()) + f"\n{END}{after}"
    if check:
        return int(new != old)
    readme.write_text(new, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
