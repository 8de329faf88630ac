"""Run a lesson with every answer that its proof needs: reference, untouched, each mutant.

One process imports torch and runs the setup cell; every variant is a fork of it, so a mutant costs
milliseconds. Plain Python runs the cells: no kernel, no notebook. POSIX only.
"""

import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

from .lesson import Lesson, read_lesson, stub

WALL = 12  # wall-clock seconds a variant may take for each CPU second a cell may
REFERENCE, RESCALED, UNTOUCHED = "reference", "reference at TINYKD_SCALE=default", "untouched"


def worker(source: str, out: str, limit: str, *seeds: str) -> None:
    """The forking process: writes to `out`, for each seed, the values of every variant."""
    lesson = read_lesson(Path(source), (0, 99), 0)
    import torch

    torch.set_num_threads(1)  # a fork inherits no threads: none may have been started
    space: dict[str, Any] = {"__name__": "__main__"}
    answers = {cell.name: cell.source for cell in lesson.all("answer")}
    variants = {REFERENCE: answers, RESCALED: answers}
    variants[UNTOUCHED] = {name: stub(name, text) for name, text in answers.items()}
    for mutant in lesson.all("mutant"):
        variants[mutant.name] = answers | {mutant.of: mutant.source}
    runs = []
    for seed in seeds:
        os.environ["TINYKD_SEED"] = seed
        _run_setup(lesson, space)
        runs.append(
            {
                name: _forked(lesson, space, chosen, name == RESCALED, float(limit))
                for name, chosen in variants.items()
            }
        )
    Path(out).write_text(json.dumps(runs), encoding="utf-8")


def _run_setup(lesson: Lesson, space: dict[str, Any]) -> None:
    for cell in lesson.all("setup"):
        exec(compile(cell.source, f"<{cell.name}>", "exec"), space)


def _forked(
    lesson: Lesson, space: dict[str, Any], answers: dict[str, str], rescaled: bool, limit: float
) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if rescaled:
                os.environ["TINYKD_SCALE"] = "default"
                _run_setup(lesson, space)
            result = json.dumps(_run(lesson, space, answers, limit)).encode()
            while result:
                result = result[os.write(writing, result) :]
        finally:
            os._exit(0)  # never the parent's exit handlers
    os.close(writing)
    data, deadline = b"", time.monotonic() + WALL * limit  # for what sleeps or ignores its alarm
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
        return {"answer cells": {"all": f"no result within {WALL * limit:g} s"}}


def _too_long(*_: Any) -> None:
    raise TimeoutError("took too long")


def _run(
    lesson: Lesson, space: dict[str, Any], answers: dict[str, str], limit: float
) -> dict[str, Any]:
    result: dict[str, Any] = {"answer cells": {}}
    signal.signal(signal.SIGPROF, _too_long)
    for cell in lesson.all("answer", "check", "hidden"):
        recorded = space["check"].recorded
        recorded.clear()
        signal.setitimer(signal.ITIMER_PROF, limit)  # CPU time: a busy machine is no mistake
        try:
            source = answers.get(cell.name, cell.source)
            exec(compile(source, f"<{cell.name}>", "exec"), space)
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
    worker(*sys.argv[1:])
