"""Run a lesson with every answer that its proof needs: reference, untouched, each mutant.

A child process imports torch and runs the setup cells; every variant is a fork of it, so a mutant
costs milliseconds. Plain Python runs the cells: no kernel, no notebook. POSIX only.
"""

import json
import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..child_environment import ONE_THREAD, child_environment
from ..notebook_format import stub
from .lesson import Lesson, LessonError

WALL_SECONDS = 12  # that a variant may take for each CPU second a cell may
REFERENCE, RESCALED, UNTOUCHED = "reference", "reference at TINYKD_SCALE=default", "untouched"
# variant -> check -> {"value": ...} or {"error": "..."}; and "answer cells" -> errors of these
Values = dict[str, dict[str, Any]]


def run_variants(lesson: Lesson, limit: float, seeds: Sequence[int]) -> list[Values]:
    """The values of every variant of `lesson`, once for each of `seeds` as TINYKD_SEED.

    A cell may take `limit` seconds of CPU time. Raises LessonError where the setup does not run.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "values.json"
        command = [sys.executable, "-P", "-m", "tinykd.classroom.author.variants"]
        done = subprocess.run(
            [*command, str(out), str(limit), *map(str, seeds)],
            env=child_environment(**ONE_THREAD, TINYKD_GRADING="1", TINYKD_SCALE="smoke"),
            cwd=lesson.path.parent,
            input=pickle.dumps(lesson),  # parsed: jupytext takes most of a second to import
            capture_output=True,
        )
        if done.returncode or not out.exists():
            error = done.stderr.decode(errors="replace")[-3000:]
            raise LessonError(f"{lesson.path.name}: setup does not run:\n{error}")
        return json.loads(out.read_text(encoding="utf-8"))


def _child(out: str, limit: str, *seeds: str) -> None:
    """The child process: reads a lesson from stdin, writes what `run_variants` returns to `out`."""
    lesson: Lesson = pickle.load(sys.stdin.buffer)
    import torch

    torch.set_num_threads(1)  # a fork inherits no threads: none may have been started
    namespace: dict[str, Any] = {"__name__": "__main__"}
    answers = {cell.name: cell.source for cell in lesson.all("answer")}
    variants = {REFERENCE: answers, RESCALED: answers}
    variants[UNTOUCHED] = {name: stub(name, text) for name, text in answers.items()}
    for mutant in lesson.all("mutant"):
        variants[mutant.name] = answers | {mutant.of: mutant.source}
    runs = []
    for seed in seeds:
        os.environ["TINYKD_SEED"] = seed
        _run_setup(lesson, namespace)
        runs.append(
            {
                name: _run_in_fork(lesson, namespace, chosen, name == RESCALED, float(limit))
                for name, chosen in variants.items()
            }
        )
    Path(out).write_text(json.dumps(runs), encoding="utf-8")


def _run_setup(lesson: Lesson, namespace: dict[str, Any]) -> None:
    for cell in lesson.all("setup"):
        exec(compile(cell.source, f"<{cell.name}>", "exec"), namespace)


def _run_in_fork(
    lesson: Lesson, namespace: dict[str, Any], answers: dict[str, str], rescaled: bool, limit: float
) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if rescaled:
                os.environ["TINYKD_SCALE"] = "default"
                _run_setup(lesson, namespace)
            result = json.dumps(_run_cells(lesson, namespace, answers, limit)).encode()
            while result:
                result = result[os.write(writing, result) :]
        finally:
            os._exit(0)  # never the parent's exit handlers
    os.close(writing)
    data = b""
    deadline = time.monotonic() + WALL_SECONDS * limit  # for what sleeps or ignores its alarm
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
        return {"answer cells": {"all": f"no result within {WALL_SECONDS * limit:g} s"}}


def _time_is_up(*_: Any) -> None:
    raise TimeoutError("took too long")


def _run_cells(
    lesson: Lesson, namespace: dict[str, Any], answers: dict[str, str], limit: float
) -> dict[str, Any]:
    result: dict[str, Any] = {"answer cells": {}}
    signal.signal(signal.SIGPROF, _time_is_up)
    for cell in lesson.all("answer", "check", "hidden"):
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
