"""Grade one notebook: graft, run it under pytest and nbval, count points."""

import ast
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbformat import v4

from .checks import seeds
from .graft import UNWRITTEN, NotGradable, graft, read_reference, read_submission
from .kernels import Kernels
from .lesson import LessonError, environment, read_lesson

CHECKS = ("check", "hidden")
WRONG = "wrong for other inputs"


@dataclass
class Check:
    """One check's outcome; `why` and `hint` are words for the student, empty where it passed."""

    name: str
    hidden: bool
    points: float
    passed: bool
    why: str = ""
    hint: str = ""
    mistake: str = ""  # the known mistake (a mutant's name) that gives the same value
    seconds: float = 0.0

    @property
    def exercise(self) -> str:
        return self.name.split(".")[0]


@dataclass
class Grade:
    lesson: str
    checks: list[Check]
    remarks: list[str] = field(default_factory=list)

    @property
    def points(self) -> float:
        return sum(check.points for check in self.checks if check.passed)

    @property
    def most(self) -> float:
        return sum(check.points for check in self.checks)


@dataclass(frozen=True)
class Reference:
    """What submissions are held against: a lesson's notebook, with the value of every check."""

    lesson: str
    notebook: dict[str, Any]
    seed: int
    sha256: str

    @property
    def most(self) -> float:
        """The lesson's points."""
        return sum(cell["metadata"].get("points", 0) for cell in self.notebook["cells"])

    @property
    def modules(self) -> list[str]:
        """What the lesson's setup cells import: a kernel that has it already starts faster."""
        found = []
        for cell in self.notebook["cells"]:
            if cell["metadata"].get("role") == "setup":
                for node in ast.walk(ast.parse(cell["source"])):
                    if isinstance(node, ast.Import):
                        found += [name.name for name in node.names]
                    elif isinstance(node, ast.ImportFrom) and node.module:
                        found.append(node.module)
        return found


def prepare(source: Path, seed: int) -> Reference:
    """The reference of the lesson `source` (solutions/NN_name.py) under the instructor's seed.

    Runs the solution and every known mistake once. Raises LessonError, in words, where a mistake
    would not lose what it should: take another seed, or mend the lesson.
    """
    from .build import expected_values
    from .notebooks import notebook
    from .prove import prove

    lesson = read_lesson(source, (0, 99), 0)
    proof = prove(lesson, seed=seed)
    if proof.problems:
        raise LessonError("\n".join(f"{source.name}: {problem}" for problem in proof.problems))
    made = notebook(lesson, solution=True)
    made.metadata["tinykd"]["mutants"] = expected_values(proof)[1]
    for cell in made.cells:
        name = cell.metadata.get("name")
        if name in proof.reference:
            mark = {"check": name, "value": json.dumps(proof.reference[name])}
            text = {"text/plain": f"recorded: {name}"}
            cell.execution_count = 1  # nbval compares only cells that were run
            cell.outputs = [v4.new_output("display_data", text, metadata={"tinykd": mark})]
    sha256 = hashlib.sha256(f"{seed}:".encode() + source.read_bytes()).hexdigest()
    return Reference(lesson.name, json.loads(json.dumps(made)), seed, sha256)


def grade(
    submission: Path, reference: Path, cell_seconds: float = 30, seconds: float = 300
) -> Grade:
    """Points of one's own notebook: its code runs without a sandbox, as in JupyterLab.

    A cell may take `cell_seconds`, everything `seconds`. Raises NotGradable, with the reason on one
    line, where no points can be given.
    """
    return _grade(submission, read_reference(reference), None, 0, cell_seconds, seconds)


def grade_one(
    submission: Path,
    reference: Reference,
    kernels: Kernels,
    cell_seconds: float = 30,
    seconds: float = 300,
) -> Grade:
    """Points of somebody else's notebook. Many threads may call this at once.

    Raises NotGradable, with the reason on one line, where no points can be given.
    """
    how = (kernels, reference.seed, cell_seconds, seconds)
    return _grade(submission, reference.notebook, *how)


def _grade(
    submission: Path,
    expected: dict[str, Any],
    kernels: Kernels | None,
    seed: int,
    cell_seconds: float,
    seconds: float,
) -> Grade:
    made, remarks = graft(read_submission(submission), expected)
    with tempfile.TemporaryDirectory(prefix="tinykd-", ignore_cleanup_errors=True) as folder:
        runs = _write(made, Path(folder), seed)
        args = [f"--tinykd-cell-seconds={cell_seconds}", *runs]
        lines = _run(args, Path(folder), kernels, seconds)
    verdicts = {(line["run"], line["cell"]): line for line in lines if "cell" in line}
    for run in ("check", "hidden"):
        setup = verdicts.get((run, "setup"))
        if setup and not setup["passed"]:
            raise NotGradable(f"the lesson's own setup cell fails on this machine: {setup['why']}")
    if ("check", "setup") not in verdicts:
        raise NotGradable("the kernel did not start")
    checks = [
        _judged(
            cell["metadata"], verdicts.get((cell["metadata"]["role"], cell["metadata"]["name"]))
        )
        for cell in made["cells"]
        if cell["metadata"]["role"] in CHECKS
    ]
    for check in checks:
        answer = verdicts.get(("check", check.exercise))
        if not check.hidden and check.why.startswith("NameError") and answer and answer["why"]:
            check.why = f"your cell {check.exercise} does not run: {answer['why']}"
    written = {check.exercise for check in checks if not check.hidden and check.why != UNWRITTEN}
    for check in checks:
        if check.hidden and not check.passed:
            check.why = WRONG if check.exercise in written else UNWRITTEN
    return Grade(made["metadata"]["tinykd"]["lesson"], checks, remarks)


def _judged(meta: dict[str, Any], line: dict[str, Any] | None) -> Check:
    """One check's outcome. Of a hidden one nothing comes out but whether it passed: words, known
    mistakes and seconds could be chosen by code that has seen its inputs.
    """
    line = line or {"passed": False, "why": "the time was up before it ran"}
    check = Check(meta["name"], meta["role"] == "hidden", meta["points"], line["passed"])
    if not check.hidden:
        check.seconds = line.get("seconds", 0.0)
    if not check.passed:
        check.hint = meta["hint"]
        if not check.hidden:
            check.why = line["why"]
            check.mistake, check.hint = line.get("mistake") or ("", meta["hint"])
    return check


def _write(made: dict[str, Any], folder: Path, seed: int) -> list[str]:
    """A notebook for the visible checks and one for the hidden ones: each gets its own kernel."""
    names = []
    for role in CHECKS:
        others = [other for other in CHECKS if other != role]
        cells = [cell for cell in made["cells"] if cell["metadata"]["role"] not in others]
        if any(cell["metadata"]["role"] == role for cell in cells):
            names.append(f"{role}.ipynb")
            ours = [cell["source"] for cell in cells if cell["metadata"]["role"] != "answer"]
            about = made["metadata"]["tinykd"] | {"seeds": seeds("\n".join(ours), seed)}
            metadata = made["metadata"] | {"tinykd": about}
            text = json.dumps(made | {"cells": cells, "metadata": metadata})
            (folder / names[-1]).write_text(text, encoding="utf-8")
    return names


def _run(args: list[str], folder: Path, kernels: Kernels | None, seconds: float) -> list[dict]:
    (folder / "work").mkdir()
    (folder / "home").mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    results = folder / "results.jsonl"
    args = ["-q", "-c", "pytest.ini", "--noconftest", "-p", "no:cacheprovider", *args]
    args += ["-p", "tinykd.classroom.plugin", "-p", "nbval.plugin", "--nbval"]
    args += ["--nbval-current-env", "-p", "no:logging", "-s", f"--tinykd-results={results}"]
    args += [f"--tinykd-folder={folder / 'work'}"]
    if kernels:
        kernels.pytest(args, folder, seconds)
    else:
        _plain(args, folder, seconds)
    lines = _read(results)
    if not lines:
        log = (folder / "pytest.log").read_text("utf-8", "replace").split("\n")
        raise NotGradable(f"pytest did not run: {' '.join(log[-4:])[-300:]}")
    return lines


def _plain(args: list[str], folder: Path, seconds: float) -> None:
    """pytest in a process of its own, the kernels as its children; ended after `seconds`."""
    env = environment()
    for key in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "MPLBACKEND", "PYTHONSTARTUP"):
        env.pop(key, None)
    env |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "IPYTHONDIR": str(folder / "home")}
    with (folder / "pytest.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pytest", *args],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass  # what is in the results by now counts
    finally:
        # Jupyter starts a kernel in a group of its own, so killing pytest's is not enough.
        lines = _read(folder / "results.jsonl")
        for group in {process.pid, *(line["kernel"] for line in lines if "kernel" in line)}:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        process.wait()


def _read(results: Path) -> list[dict]:
    if not results.exists():
        return []
    text = results.read_text("utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def report(result: Grade) -> str:
    """What a student reads: points per exercise, and for each lost check the reason and a hint."""
    exercises = list(dict.fromkeys(check.exercise for check in result.checks))
    width = max(map(len, exercises))
    lines = [f"{result.lesson}\n"]
    for name in exercises:
        mine = [check for check in result.checks if check.exercise == name]
        earned = sum(check.points for check in mine if check.passed)
        lines.append(f"  {name:<{width}}  {earned:g} of {sum(c.points for c in mine):g} points")
    lost = [check for check in result.checks if not check.passed]
    if lost:
        lines.append("\nLost")
    for check in lost:
        kind = " (not in your notebook)" if check.hidden else ""
        lines.append(f"  {check.name}{kind}, -{check.points:g}: {check.why}")
        lines.append(f"    Hint: {check.hint}")
    lines += [f"\nNote: {remark}" for remark in result.remarks]
    return "\n".join(lines) + f"\n\n{result.points:g} of {result.most:g} points"
