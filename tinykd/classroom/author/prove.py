"""The proof of a lesson's checks: the reference earns every point, the untouched lesson none, each
mutant loses exactly the checks it declares, and no check has the same value under two seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from ..compare import compare, finite
from .lesson import Cell, Lesson, LessonError
from .variants import REFERENCE, RESCALED, UNTOUCHED, Values, run_variants


@dataclass
class Proof:
    """What every variant did: its values, the checks it lost, and what is wrong with the lesson."""

    lesson: Lesson
    values: Values
    lost: dict[str, set[str]] = field(default_factory=dict)  # variant -> names of checks
    problems: list[str] = field(default_factory=list)

    @property
    def reference(self) -> dict[str, Any]:
        """The right value of every check, by name."""
        found = self.values[REFERENCE]
        return {check.name: found[check.name]["value"] for check in self.lesson.checks}


def prove(
    lesson: Lesson, limit: float = 5.0, seed: int = 0, other_seeds: Sequence[int] = ()
) -> Proof:
    """Run every variant of `lesson` under TINYKD_SEED=`seed`, and judge them.

    A cell may take `limit` seconds of CPU time. Under each of `other_seeds` everything runs again:
    all but the values must be the same; what is not becomes a problem of the proof.

    Raises LessonError where the setup or the reference itself does not run.
    """
    seeds = (seed, *other_seeds)
    proofs = [Proof(lesson, values) for values in run_variants(lesson, limit, seeds)]
    for one, its_seed in zip(proofs, seeds, strict=True):
        _judge(one, its_seed)
    proof, *others = proofs
    for other, its_seed in zip(others, other_seeds, strict=True):
        new = [problem for problem in other.problems if problem not in proof.problems]
        proof.problems += [f"under seed {its_seed}: {problem}" for problem in new]
    proof.problems += _same_values(proofs)
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
    all_checks = {check.name for check in proof.lesson.checks}
    if earned := all_checks - proof.lost[UNTOUCHED]:
        proof.problems.append(f"the untouched lesson earns {sorted(earned)}")
    for cell, error in proof.values[UNTOUCHED].get("answer cells", {}).items():
        proof.problems.append(f"untouched answer cell {cell} must define, not run: {error}")
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
