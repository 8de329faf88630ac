"""The kill matrix: the reference earns every point, the untouched lesson none, each mutant loses
exactly the checks it declares, and no check has the same value under two seeds.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from .compare import compare, finite
from .lesson import ONE_THREAD, Cell, Lesson, LessonError, environment
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


def prove(lesson: Lesson, limit: float = 5.0, seed: int = 0, others: Sequence[int] = ()) -> Proof:
    """Run every variant of `lesson` under TINYKD_SEED=`seed`, and judge them.

    A cell may take `limit` seconds of CPU time. `others` are seeds under which everything runs
    again: all but the values must be the same; what is not becomes a problem of the proof.

    Raises LessonError where the setup or the reference itself does not run.
    """
    seeds = (seed, *others)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "values.json"
        scale = {"TINYKD_GRADING": "1", "TINYKD_SCALE": "smoke"}
        command = [sys.executable, "-P", "-m", "tinykd.classroom.variants"]
        done = subprocess.run(
            [*command, str(lesson.path.absolute()), str(out), str(limit), *map(str, seeds)],
            env=environment(**ONE_THREAD, **scale),
            cwd=lesson.path.parent,
            capture_output=True,
            text=True,
        )
        if done.returncode or not out.exists():
            raise LessonError(f"{lesson.path.name}: setup does not run:\n{done.stderr[-3000:]}")
        proof, *again = [Proof(lesson, values) for values in json.loads(out.read_text())]
    for one, its_seed in zip((proof, *again), seeds, strict=True):
        _judge(one, its_seed)
    for other, its_seed in zip(again, others, strict=True):
        new = [problem for problem in other.problems if problem not in proof.problems]
        proof.problems += [f"under seed {its_seed}: {problem}" for problem in new]
    proof.problems += _same_values([proof, *again])
    return proof


def _same_values(proofs: list[Proof]) -> list[str]:
    return [
        f"check {check.name}: the same value under another seed: anyone can look it up; draw its "
        f'inputs from check.rng("{check.name}")'
        for check in proofs[0].lesson.checks
        if any(
            not _loses(check, a.values[REFERENCE], b.values[REFERENCE])
            for a, b in combinations(proofs, 2)
        )
    ]


def _judge(proof: Proof, seed: int) -> None:
    reference, file = proof.values[REFERENCE], proof.lesson.path.name
    for check in proof.lesson.checks:
        found = reference.get(check.name, {"error": "did not run"})
        if "error" in found:
            raise LessonError(
                f"{file}: check {check.name} fails on the reference under seed {seed}: "
                f"{found['error']}"
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
