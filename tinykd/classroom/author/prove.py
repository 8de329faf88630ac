"""The proof of a lesson's checks: the reference and every alternative to it earn all points, the
untouched lesson none, each mutant loses exactly the checks it declares, no check has the same value
under two seeds, and none leaves the truth where an answer could read it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from ..compare import CHANGED, finite
from .lesson import Cell, Lesson, LessonError
from .variants import (
    REFERENCE,
    RESCALED,
    UNTOUCHED,
    Values,
    cells_for,
    loses,
    run_many_seeds,
    run_variants,
)


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
    """Run every variant of `lesson` under TINYKD_SEED=`seed`, and judge them: a mutant by the
    exercises that it is to lose points of.

    A cell may take `limit` seconds of CPU time. Under each of `other_seeds` the reference runs
    again: its values must be others.

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
    proof.problems += [*_same_values(proofs), *_given_away(proofs)]
    return proof


def prove_many_seeds(
    lesson: Lesson, seeds: Sequence[int], mutant_seeds: int = 20, limit: float = 5.0
) -> list[str]:
    """What goes wrong under some of `seeds`: a right answer that loses points; under the first
    `mutant_seeds` of them, as there are many mistakes, one that earns some.

    Only the exercises that a mistake is to lose points of are looked at.
    """
    found, problems = run_many_seeds(lesson, limit, seeds, mutant_seeds), []
    for name in (REFERENCE, *(cell.name for cell in lesson.all("alternative", "mutant"))):
        mutant = next((cell for cell in lesson.all("mutant") if cell.name == name), None)
        if "answer cells" in found[name]:
            problems.append(f"{name}: {found[name]['answer cells']}")
            continue
        for check in lesson.checks:
            lost = found[name].get(check.name, [])
            if mutant and check.name in mutant.loses:
                some = [str(seed) for seed in seeds[:mutant_seeds]]
                if kept := len(some) - len(lost):
                    passed = next(seed for seed in some if seed not in lost)
                    problems.append(
                        f"{name} earns {check.name} under {kept} of {len(some)} seeds ({passed}, "
                        "...): give the check more or larger inputs, so that luck cannot pass it"
                    )
            elif lost:
                problems.append(
                    f"{name} loses {check.name} under {len(lost)} of {len(seeds)} seeds "
                    f"({lost[0]}, ...)"
                )
    return problems


def _given_away(proofs: list[Proof]) -> list[str]:
    """What an answer could read under each seed: the same variable once may be chance."""
    runs = [proof.values[REFERENCE].get("given away", {}) for proof in proofs]
    return [
        f"{answer}: when it is called, {', '.join(names)} already holds what it must "
        "return; make it inside a function, which has returned by then"
        for answer in runs[0]
        if (names := sorted(set.intersection(*(set(run.get(answer, ())) for run in runs))))
    ]


def _same_values(proofs: list[Proof]) -> list[str]:
    return [
        f"check {check.name}: the same value under another seed: anyone can look it up; draw its "
        f'inputs from check.rng("{check.name}")'
        for check in proofs[0].lesson.checks
        if not check.constant
        and any(
            not loses(check, a.values[REFERENCE], b.values[REFERENCE])
            for a, b in combinations(proofs, 2)
        )
    ]


def _judge(proof: Proof, seed: int) -> None:
    """Note which checks every variant lost, and what of that is wrong."""
    _judge_reference(proof, seed)
    for variant, values in proof.values.items():
        proof.lost[variant] = {
            check.name
            for check in cells_for(proof.lesson, variant)
            if check.role != "answer" and loses(check, values, proof.values[REFERENCE])
        }
    if UNTOUCHED not in proof.values:  # under another seed
        return
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
    for one in proof.lesson.all("alternative"):
        if lost := proof.lost[one.name]:
            proof.problems.append(f"alternative {one.name} is right, but loses {sorted(lost)}")
    for mutant in proof.lesson.all("mutant"):
        if problem := _problem_of(mutant, proof):
            proof.problems.append(f"mutant {mutant.name} {problem}")


def _judge_reference(proof: Proof, seed: int) -> None:
    """Note where a right value is no value to compare with.

    Raises LessonError for a check that fails on the reference.
    """
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
        if isinstance(found["value"], dict) and CHANGED in found["value"]:
            proof.problems.append(f"{check.name}: of the reference: {found['value'][CHANGED]}")


def _problem_of(mutant: Cell, proof: Proof) -> str:
    """What is wrong with a mutant, by the checks that it has lost; "" if nothing is."""
    lost, declared = proof.lost[mutant.name], set(mutant.loses)
    said = [str(proof.values[mutant.name].get(one, {}).get("error", "")) for one in declared]
    if all(words.startswith("NameError") for words in said):
        return f"does not run, so it proves nothing: {said[0]}"
    if not lost:
        return (
            "loses nothing: either it is right after all, or a check is missing that sees it; "
            f"it declares {sorted(declared)}"
        )
    return f"loses {sorted(lost)}, but declares {sorted(declared)}" if lost != declared else ""
