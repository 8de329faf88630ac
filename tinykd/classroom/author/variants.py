"""Run a lesson with every answer that its proof needs: reference, untouched, alternatives, mutants.

A child process imports torch and runs the setup cells; every variant is a fork of it, so a mutant
costs milliseconds. Plain Python runs the cells: no kernel, no notebook. POSIX only.
"""

import functools
import json
import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..child_environment import ONE_THREAD, child_environment
from ..compare import compare, finite
from ..notebook_format import CHECK_ROLES, stub
from .lesson import Cell, Lesson, LessonError

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
    variants[UNTOUCHED] = {name: stub(name, text) for name, text in answers.items()}
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
        _run_setup(lesson, namespace)
        run: Values = {}
        for name, chosen in variants.items():
            if runs and name != REFERENCE:
                continue

            def job(name: str = name, chosen: dict[str, str] = chosen) -> dict[str, Any]:
                if name == RESCALED:
                    os.environ["TINYKD_SCALE"] = "default"
                    _run_setup(lesson, namespace)
                namespace["check"].given_away = {} if name == REFERENCE else None
                result = _run_cells(cells_for(lesson, name), namespace, chosen, limit)
                return result | {"given away": namespace["check"].given_away or {}}

            run[name] = _in_fork(job, WALL_SECONDS * limit)
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
    _run_setup(lesson, namespace)
    again = any("check.rng(" in cell.source for cell in lesson.all("setup"))
    right: dict[str, dict[str, Any]] = {}

    def values(chosen: dict[str, str], exercises: set[str], seed: str) -> dict[str, Any]:
        os.environ["TINYKD_SEED"] = namespace["check"]._seed = seed
        own = dict(namespace)
        if again:
            _run_setup(lesson, own)
        cells = [c for c in lesson.all(*RUN) if c.role == "answer" or c.exercise in exercises]
        return _run_cells(cells, own, chosen, limit)

    def lost(
        chosen: dict[str, str], exercises: set[str], some: Sequence[str] = seeds
    ) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for seed in some:
            results = values(chosen, exercises, seed)
            for check in lesson.checks:
                if check.exercise in exercises and loses(check, results, right[seed]):
                    found.setdefault(check.name, []).append(seed)
        return found

    everything = {cell.name for cell in lesson.all("answer")}
    wall = WALL_SECONDS * limit + 2.0 * len(seeds)
    right |= _in_fork(
        lambda: {seed: values(variants[REFERENCE], everything, seed) for seed in seeds}, 3 * wall
    )
    result = {REFERENCE: _in_fork(lambda: lost(variants[REFERENCE], everything), 3 * wall)}
    for cell in lesson.all("alternative", "mutant"):
        exercises = {one.exercise for one in cells_for(lesson, cell.name) if one.role != "answer"}
        some = seeds[:mutant_seeds] if cell.role == "mutant" else seeds
        job = functools.partial(lost, variants[cell.name], exercises, some)
        result[cell.name] = _in_fork(job, wall)
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


def _run_setup(lesson: Lesson, namespace: dict[str, Any]) -> None:
    for cell in lesson.all("setup"):
        exec(compile(cell.source, f"<{cell.name}>", "exec"), namespace)


def _in_fork(job: Callable[[], dict[str, Any]], seconds: float) -> dict[str, Any]:
    """What `job` returns in a fork of this process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            result = json.dumps(job(), default=sorted).encode()
            while result:
                result = result[os.write(writing, result) :]
        finally:
            os._exit(0)  # never the parent's exit handlers
    os.close(writing)
    data = b""
    deadline = time.monotonic() + seconds  # for what sleeps or ignores its alarm
    while select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
        if not (chunk := os.read(reading, 1 << 16)):
            break
        data += chunk
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reading)
    try:
        return json.loads(data)
    except ValueError:  # killed, or died: every check is lost
        return {"answer cells": {"all": f"no result within {seconds:g} s"}}


def _time_is_up(*_: Any) -> None:
    raise TimeoutError("took too long")


def _run_cells(
    cells: list[Cell], namespace: dict[str, Any], answers: dict[str, str], limit: float
) -> dict[str, Any]:
    result: dict[str, Any] = {"answer cells": {}}
    signal.signal(signal.SIGPROF, _time_is_up)
    for cell in cells:
        recorded = namespace["check"].recorded
        recorded.clear()
        signal.setitimer(signal.ITIMER_PROF, limit)  # CPU time: a busy machine is no mistake
        try:
            source = answers.get(cell.name, cell.source)
            exec(compile(source, f"<{cell.name}>", "exec"), namespace)
        except BaseException as error:  # SystemExit in an answer is a wrong answer too
            words = f"{type(error).__name__}: {error}"[:300]
            if cell.role == "answer":
                result["answer cells"][cell.name] = words
            else:
                result[cell.name] = {"error": words}
            continue
        if cell.role != "answer":
            names = [name for name, _ in recorded]
            right = names == [cell.name]
            wrong = {
                "error": f"the cell must call check({cell.name!r}, ...) once; it recorded {names}"
            }
            result[cell.name] = {"value": recorded[0][1]} if right else wrong
    signal.setitimer(signal.ITIMER_PROF, 0)
    return result


if __name__ == "__main__":
    _child(*sys.argv[1:])
