"""Cells of a lesson, run in plain Python: in a fork, with a limit. POSIX only."""

import json
import os
import random
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .lesson import Cell, Lesson


def run_setup(lesson: Lesson, namespace: dict[str, Any]) -> None:
    """Run the setup cells in `namespace`."""
    for cell in lesson.all("setup"):
        exec(compile(cell.source, f"<{cell.name}>", "exec"), namespace)


def in_fork(job: Callable[[], dict[str, Any]], seconds: float) -> dict[str, Any]:
    """What `job` returns in a fork of this process; an error under "answer cells" where it dies or
    takes more than `seconds`.
    """
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


def _scramble() -> None:
    """Another state of every global generator. Learners come to a check in any: a value that
    depends on it is not the same twice, and the proof says so.
    """
    seed = int.from_bytes(os.urandom(4))
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def run_cells(
    cells: list[Cell], namespace: dict[str, Any], answers: dict[str, str], limit: float
) -> dict[str, Any]:
    """What each of `cells` gave in `namespace`; `answers` replace the sources of answer cells.

    check -> {"value": ...} or {"error": "..."}; and "answer cells" -> errors of these. A cell may
    take `limit` seconds of CPU time.
    """
    result: dict[str, Any] = {"answer cells": {}}
    signal.signal(signal.SIGPROF, _time_is_up)
    for cell in cells:
        recorded = namespace["check"].recorded
        recorded.clear()
        _scramble()
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
