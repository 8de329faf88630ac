"""Run a lesson with every answer that its proof needs: reference, untouched, alternatives, mutants.

A child process imports torch and runs the setup cells; every variant is a fork of it, so a mutant
costs milliseconds. Plain Python runs the cells: no kernel, no notebook. POSIX only.
"""

import functools
import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..child_environment import ONE_THREAD, child_environment
from ..compare import compare, finite
from ..notebook_format import CHECK_ROLES
from .lesson import Cell, Lesson, LessonError
from .run_cells import in_fork, run_cells, run_setup

WALL_SECONDS = 12  # that a variant may take for each CPU second a cell may
RUN = ("answer", *CHECK_ROLES)
REFERENCE, RESCALED, UNTOUCHED = "reference", "reference at TINYKD_SCALE=default", "untouched"
# variant -> check -> {"value": ...} or {"error": "..."}; and "answer cells" -> errors of these,
# of the reference "given away" -> answer -> variables that hold its result before it is called
Values = dict[str, dict[str, Any]]
Variants = dict[str, dict[str, str]]  # variant -> answer cell -> its source


def run_variants(lesson: Lesson, limit: float, seeds: Sequence[int]) -> list[Values]:
    """The values of every variant of `lesson` under the first of `seeds` as TINYKD_SEED, and of the
    reference alone under the others: `run_many_seeds` is for the rest, and quicker.

    A cell may take `limit` seconds of CPU time. Raises LessonError where the setup does not run.
    """
    return _in_child("values", lesson, limit, seeds)


def run_many_seeds(
    lesson: Lesson, limit: float, seeds: Sequence[int], mutant_seeds: int
) -> dict[str, Any]:
    """Which checks the reference, each alternative and each mutant lose: variant -> check -> seeds.

    Cheaper than `run_variants`: a mutant runs the exercises that it is to lose points of, and no
    more, under the first `mutant_seeds` of `seeds`. The reference is held against its first run: it
    loses what is not finite, or not the same twice.
    """
    return _in_child(str(mutant_seeds), lesson, limit, seeds)


def _in_child(what: str, lesson: Lesson, limit: float, seeds: Sequence[int]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "values.json"
        command = [sys.executable, "-P", "-m", "tinykd.classroom.author.variants"]
        done = subprocess.run(
            [*command, what, str(out), str(limit), *map(str, seeds)],
            env=child_environment(**ONE_THREAD, TINYKD_GRADING="1", TINYKD_SCALE="smoke"),
            cwd=lesson.path.parent,
            input=pickle.dumps(lesson),  # parsed: jupytext takes most of a second to import
            capture_output=True,
        )
        if done.returncode or not out.exists():
            error = done.stderr.decode(errors="replace")[-3000:]
            raise LessonError(f"{lesson.path.name}: setup does not run:\n{error}")
        return json.loads(out.read_text(encoding="utf-8"))


def _child(what: str, out: str, limit: str, *seeds: str) -> None:
    """The child process: reads a lesson from stdin, writes what is asked for to `out`."""
    lesson: Lesson = pickle.load(sys.stdin.buffer)
    import torch

    torch.set_num_threads(1)  # a fork inherits no threads: none may have been started
    namespace: dict[str, Any] = {"__name__": "__main__"}
    answers = {cell.name: cell.source for cell in lesson.all("answer")}
    variants: Variants = {REFERENCE: answers, RESCALED: answers}
    variants[UNTOUCHED] = {cell.name: cell.unwritten for cell in lesson.all("answer")}
    for cell in lesson.all("alternative", "mutant"):
        variants[cell.name] = answers | {cell.of: cell.source}
    result: Any
    if what == "values":
        result = _values(lesson, namespace, variants, float(limit), seeds)
    else:
        result = _many_seeds(lesson, namespace, variants, float(limit), seeds, int(what))
    Path(out).write_text(json.dumps(result), encoding="utf-8")


def _values(
    lesson: Lesson,
    namespace: dict[str, Any],
    variants: Variants,
    limit: float,
    seeds: Sequence[str],
) -> list[Values]:
    runs: list[Values] = []
    for seed in seeds:
        os.environ["TINYKD_SEED"] = seed
        run_setup(lesson, namespace)
        run: Values = {}
        for name, chosen in variants.items():
            if runs and name != REFERENCE:
                continue

            def job(name: str = name, chosen: dict[str, str] = chosen) -> dict[str, Any]:
                """What the checks say of this variant, and what its answers could have read."""
                if name == RESCALED:
                    os.environ["TINYKD_SCALE"] = "default"
                    run_setup(lesson, namespace)
                namespace["check"].given_away = {} if name == REFERENCE else None
                result = run_cells(cells_for(lesson, name), namespace, chosen, limit)
                return result | {"given away": namespace["check"].given_away or {}}

            run[name] = in_fork(job, WALL_SECONDS * limit)
        runs.append(run)
    return runs


def _many_seeds(
    lesson: Lesson,
    namespace: dict[str, Any],
    variants: Variants,
    limit: float,
    seeds: Sequence[str],
    mutant_seeds: int,
) -> dict[str, Any]:
    run_setup(lesson, namespace)
    again = any("check.rng(" in cell.source for cell in lesson.all("setup"))

    def values(name: str, seed: str) -> dict[str, Any]:
        """What the checks say of a variant under one seed."""
        os.environ["TINYKD_SEED"] = namespace["check"]._seed = seed
        own = dict(namespace)
        if again:
            run_setup(lesson, own)
        return run_cells(cells_for(lesson, name), own, variants[name], limit)

    def lost(name: str, some: Sequence[str]) -> dict[str, list[str]]:
        """The seeds, of `some`, under which a variant loses each check."""
        found: dict[str, list[str]] = {}
        for seed in some:
            results = values(name, seed)
            for check in cells_for(lesson, name):
                if check.role != "answer" and loses(check, results, right[seed]):
                    found.setdefault(check.name, []).append(seed)
        return found

    wall = WALL_SECONDS * limit + 2.0 * len(seeds)
    right = in_fork(lambda: {seed: values(REFERENCE, seed) for seed in seeds}, 3 * wall)
    result = {REFERENCE: in_fork(lambda: lost(REFERENCE, seeds), 3 * wall)}
    for cell in lesson.all("alternative", "mutant"):
        some = seeds[:mutant_seeds] if cell.role == "mutant" else seeds
        result[cell.name] = in_fork(functools.partial(lost, cell.name, some), wall)
    return result


def cells_for(lesson: Lesson, variant: str) -> list[Cell]:
    """All answers, and the checks that `variant` runs: a mutant or an alternative those of the
    exercises that it is about, everything else all of them.
    """
    about = [one for one in lesson.all("alternative", "mutant") if one.name == variant]
    exercises = {check.partition(".")[0] for one in about for check in (one.of, *one.loses)}
    return [
        cell
        for cell in lesson.all(*RUN)
        if not about or cell.role == "answer" or cell.exercise in exercises
    ]


def loses(check: Cell, values: dict[str, Any], reference: dict[str, Any]) -> bool:
    """Whether `check` has no value in `values`, or another one than in `reference`."""
    found, right = values.get(check.name, {}), reference.get(check.name, {})
    if "value" not in found or "value" not in right or not finite(right["value"]):
        return True
    return compare(found["value"], right["value"], check.rtol, check.atol) is not None


if __name__ == "__main__":
    _child(*sys.argv[1:])
