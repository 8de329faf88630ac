"""The kill matrix: the reference earns every point, the untouched lesson none, each mutant loses
exactly the checks it declares.
"""

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .compare import compare, finite
from .lesson import Cell, Lesson, LessonError, environment
from .variants import REFERENCE, RESCALED, UNTOUCHED


@dataclass
class Proof:
    """What every variant did. `values[variant][check]` is {"value": ...} or {"error": "..."}."""

    lesson: Lesson
    values: dict[str, dict[str, Any]]
    lost: dict[str, set[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def reference(self) -> dict[str, Any]:
        found = self.values[REFERENCE]
        return {check.name: found[check.name]["value"] for check in self.lesson.checks}


def prove(lesson: Lesson, limit: float = 5.0) -> Proof:
    """Run every variant of `lesson`, a cell for at most `limit` seconds, and judge them.

    Raises LessonError where the setup or the reference itself does not run.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "values.json"
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        scale = {"TINYKD_GRADING": "1", "TINYKD_SEED": "0", "TINYKD_SCALE": "smoke"}
        command = [sys.executable, "-P", "-m", "tinykd.classroom.variants"]
        done = subprocess.run(
            [*command, str(lesson.path.absolute()), str(out), str(limit)],
            env=environment(**threads, **scale),
            cwd=lesson.path.parent,
            capture_output=True,
            text=True,
        )
        if done.returncode or not out.exists():
            raise LessonError(f"{lesson.path.name}: setup does not run:\n{done.stderr[-3000:]}")
        proof = Proof(lesson, json.loads(out.read_text()))
    _judge(proof)
    return proof


def _judge(proof: Proof) -> None:
    reference, file = proof.values[REFERENCE], proof.lesson.path.name
    for check in proof.lesson.checks:
        found = reference.get(check.name, {"error": "did not run"})
        if "error" in found:
            raise LessonError(
                f"{file}: check {check.name} fails on the reference: {found['error']}"
            )
        if not finite(found["value"]):
            proof.problems.append(f"{check.name}: the reference's value is not finite")
    for variant, values in proof.values.items():
        proof.lost[variant] = {
            check.name for check in proof.lesson.checks if _loses(check, values, reference)
        }
    if lost := proof.lost[RESCALED]:
        proof.problems.append(
            f"{sorted(lost)}: another value at the second run, at default scale: unseeded, or it "
            "depends on tinykd.scale()"
        )
    every = {check.name for check in proof.lesson.checks}
    if kept := every - proof.lost[UNTOUCHED]:
        proof.problems.append(f"the untouched lesson earns {sorted(kept)}")
    for cell, words in proof.values[UNTOUCHED].get("answer cells", {}).items():
        proof.problems.append(f"untouched answer cell {cell} must define, not run: {words}")
    for mutant in proof.lesson.all("mutant"):
        lost, declared = proof.lost[mutant.name], set(mutant.loses)
        if lost != declared:
            proof.problems.append(
                f"mutant {mutant.name} loses {sorted(lost)}, but declares {sorted(declared)}"
            )


def _loses(check: Cell, values: dict[str, Any], reference: dict[str, Any]) -> bool:
    found = values.get(check.name, {"error": "did not run"})
    if "error" in found:
        return True
    return (
        compare(found["value"], reference[check.name]["value"], check.rtol, check.atol) is not None
    )


def matrix(proof: Proof) -> str:
    """The kill matrix in markdown, a table an exercise; the same text for the same lesson."""
    lesson, lost = proof.lesson, proof.lost
    points = sum(check.points for check in lesson.checks)
    counts = f"{points:g} points, {len(lesson.checks)} checks, {len(lesson.all('mutant'))} mutants"
    lines = [f"## {lesson.name}", "", counts]
    for answer in lesson.all("answer"):
        mutants = [cell.name for cell in lesson.all("mutant") if cell.of == answer.name]
        wide = set().union(*(lost[name] for name in mutants))
        checks = [c.name for c in lesson.checks if c.exercise == answer.name or c.name in wide]
        rows = [["variant", *checks]]
        rows += [
            [name, *("lost" if check in lost[name] else "+" for check in checks)]
            for name in (REFERENCE, UNTOUCHED, *mutants)
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
        table.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        lines += ["", *table]
    return "\n".join(lines) + "\n"


def put_section(text: str, section: str) -> str:
    """The kill-matrix file `text` with one lesson's section replaced or added, in order."""
    sections = {
        part.split("\n")[0]: part.strip() for part in re.split(r"^## ", text, flags=re.M)[1:]
    }
    sections[section.split("\n")[0][3:]] = section[3:].strip()
    title = "# Kill matrix\n\nWritten by `tinykd build`: `+` a check passed, `lost` a check lost.\n"
    return title + "".join(f"\n## {sections[name]}\n" for name in sorted(sections))
