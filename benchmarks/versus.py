"""README's table of tinykd against other libraries, from what results.json says.

    python benchmarks/versus.py [--check]

--check writes nothing and fails where README holds another table.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from marked import table_of_readme

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- versus: made by benchmarks/versus.py -->", "<!-- end of versus -->"


def _time(seconds: float) -> str:
    return f"{1e6 * seconds:,.0f} µs" if seconds < 1e-2 else f"{1e3 * seconds:,.1f} ms"


def _ratio(row: dict) -> str:
    if "times_ours" not in row or row["name"] == "tinykd":
        return ""
    return f"{row['times_ours']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


def steps(cpu: dict) -> Iterator[str]:
    """A row a rival, of a step and of an epoch with a cached teacher."""
    for question in ("step, large", "step, tiny", "cached teacher"):
        for row in cpu.get(question, {}).get("rows", []):
            yield f"| {question} | {row['name']} | {_time(row['seconds'])} a step | {_ratio(row)} |"
    for row in cpu.get("import", {}).get("rows", []):
        spread = f" ({row['low']:.2f} to {row['high']:.2f})" if "low" in row else ""
        yield f"| import | {row['name']} | {row['seconds']:.2f} s{spread} | |"


def vocabulary(cpu: dict) -> Iterator[str]:
    """The same for losses over a head of 49,152 words, with memory."""
    found = cpu.get("big vocabulary", {"rows": [], "settings": {}})
    rows, positions = found["rows"], found["settings"].get("positions", 0)
    ours = {(r["dtype"], r["loss"]): r for r in rows if r["method"] == "tinykd, compiled"}
    for row in rows:
        base = ours.get((row["dtype"], row["loss"]))
        runs = len(row["runs"])
        counted = "one run" if runs == 1 else f"medians of {runs} runs"
        ratio = f"{row['seconds'] / base['seconds']:.2f} ({counted})" if base else ""
        ratio = "" if row is base else ratio
        where = f"{row['loss']}, {row['dtype']}, {positions:,} positions"
        measure = f"{row['seconds']:.2f} s, {row['bytes'] / 1e6:,.0f} MB"
        yield f"| {where} | {row['method']} | {measure} | {ratio} |"


def language(cpu: dict) -> Iterator[str]:
    """Tokens a second; here the ratio says how many times theirs ours are."""
    for row in cpu.get("language model", {}).get("rows", []):
        speed = f"{row['tokens_per_second']:,.0f} tokens/s"
        share = f", {row['share']:.0%} of the matrix rate" if "share" in row else ""
        yield f"| {row['task']} | {row['name']} | {speed}{share} | {_ratio(row)} |"


def grading(cpu: dict) -> Iterator[str]:
    """A row a grader, of a class in seconds of the clock on the wall."""
    found = cpu.get("grading", {"rows": [], "settings": {}})
    question = f"grading {found['settings'].get('students')} submissions"
    for row in found["rows"]:
        measure = f"{row['seconds']:.1f} s, {row['further']:.2f} s each further one"
        yield f"| {question} | {row['name']} | {measure} | {_ratio(row)} |"


def lines() -> Iterator[str]:
    """The table, line by line."""
    cpu = json.loads((ROOT / "benchmarks" / "results.json").read_text("utf-8"))["cpu"]
    about = next(iter(cpu.values()))["machine"]
    used = {k: v for one in cpu.values() for k, v in one["settings"].get("versions", {}).items()}
    measured = str([row for one in cpu.values() for row in one["rows"]]).lower()
    # A package by its first word: "otter-grader" is otter, "llama-cpp-python" llama.cpp.
    used = {k: v for k, v in used.items() if k.split("-")[0] in measured and k != "tinykd"}
    names = ", ".join(f"{name} {version}" for name, version in sorted(used.items()))
    yield f"One thread of {about['processor']}, torch {about['torch']}; {names}."
    yield ""
    yield "| question | who | measured | times ours (quartiles) |"
    yield "|---|---|---|---|"
    for part in (steps, vocabulary, language, grading):
        yield from part(cpu)


if __name__ == "__main__":
    raise SystemExit(table_of_readme(__doc__, BEGIN, END, lines()))
