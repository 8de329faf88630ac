"""The kill matrix: the reference earns every point, the untouched lesson none, each mutant loses
exactly the checks it declares.

One process imports torch and runs the setup cell; every variant is a fork of it, so a mutant costs
milliseconds. Plain Python runs the cells: no kernel, no notebook. POSIX only.
"""

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .compare import compare, finite
from .lesson import Lesson, LessonError, read_lesson, stub

REFERENCE, RESCALED, UNTOUCHED = "reference", "reference at TINYKD_SCALE=default", "untouched"


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
        package = Path(__file__).parents[2]
        paths = [str(package), os.environ.get("PYTHONPATH", "")]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        env = os.environ | threads | {"TINYKD_GRADING": "1", "TINYKD_SEED": "0"}
        env |= {"TINYKD_SCALE": "smoke", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        code = "import sys; from tinykd.classroom.prove import worker; worker(*sys.argv[1:])"
        command = [
            sys.executable,
            "-P",
            "-c",
            code,
            str(lesson.path.absolute()),
            str(out),
            str(limit),
        ]
        done = subprocess.run(
            command, env=env, cwd=lesson.path.parent, capture_output=True, text=True
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


def _loses(check: Any, values: dict[str, Any], reference: dict[str, Any]) -> bool:
    found = values.get(check.name, {"error": "did not run"})
    if "error" in found:
        return True
    return (
        compare(found["value"], reference[check.name]["value"], check.rtol, check.atol) is not None
    )


def matrix(proof: Proof) -> str:
    """The kill matrix as a markdown table; the same text for the same lesson, always."""
    checks = [check.name for check in proof.lesson.checks]
    rows = [["variant", *checks]]
    rows += [
        [variant, *("lost" if check in proof.lost[variant] else "+" for check in checks)]
        for variant in proof.values
        if variant != RESCALED
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    points = sum(check.points for check in proof.lesson.checks)
    mutants = len(proof.lesson.all("mutant"))
    head = (
        f"## {proof.lesson.name}\n\n{points:g} points, {len(checks)} checks, {mutants} mutants\n\n"
    )
    return head + "\n".join(lines) + "\n"


def put_section(text: str, section: str) -> str:
    """The kill-matrix file `text` with one lesson's section replaced or added, in order."""
    sections = {
        part.split("\n")[0]: part.strip() for part in re.split(r"^## ", text, flags=re.M)[1:]
    }
    sections[section.split("\n")[0][3:]] = section[3:].strip()
    title = "# Kill matrix\n\nWritten by `tinykd build`: `+` a check passed, `lost` a check lost.\n"
    return title + "".join(f"\n## {sections[name]}\n" for name in sorted(sections))


def worker(source: str, out: str, limit: str) -> None:
    """The forking process: writes the values of every variant of the lesson `source` to `out`."""
    lesson = read_lesson(Path(source), (0, 99), 0)
    import torch

    torch.set_num_threads(1)  # a fork inherits no threads: none may have been started
    space: dict[str, Any] = {"__name__": "__main__"}
    _run_setup(lesson, space)
    answers = {cell.name: cell.source for cell in lesson.all("answer")}
    variants = {REFERENCE: answers, RESCALED: answers}
    variants[UNTOUCHED] = {name: stub(name, text) for name, text in answers.items()}
    for mutant in lesson.all("mutant"):
        variants[mutant.name] = answers | {mutant.of: mutant.source}
    values = {
        name: _forked(lesson, space, chosen, name == RESCALED, float(limit))
        for name, chosen in variants.items()
    }
    Path(out).write_text(json.dumps(values), encoding="utf-8")


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
    data, deadline = b"", time.monotonic() + 4 * limit  # for what ignores its alarm
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
        return {"answer cells": {"all": f"no result within {4 * limit:g} s"}}


def _too_long(*_: Any) -> None:
    raise TimeoutError("took too long")


def _run(
    lesson: Lesson, space: dict[str, Any], answers: dict[str, str], limit: float
) -> dict[str, Any]:
    result: dict[str, Any] = {"answer cells": {}}
    signal.signal(signal.SIGALRM, _too_long)
    for cell in lesson.all("answer", "check", "hidden"):
        recorded = space["check"].recorded
        recorded.clear()
        signal.setitimer(signal.ITIMER_REAL, limit)
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
    return result
