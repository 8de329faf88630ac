"""Grade one notebook: graft, run, count points."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .explain import explain
from .graft import NotGradable, graft, read_reference, read_submission
from .kernels import Kernels
from .lesson import CHECKS, stub
from .reference import Reference
from .runs import verdicts_on

# What the stub raises that stands in for an answer which has ended its kernel.
ENDED = 'RuntimeError("your {} ended the kernel")'


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
    stubs = {
        cell["metadata"]["name"]: stub(cell["metadata"]["name"], cell["source"], ENDED)
        for cell in expected["cells"]
        if cell["metadata"].get("role") == "answer"
    }
    verdicts = verdicts_on(made, stubs, kernels, seed, cell_seconds, seconds)
    for role in CHECKS:
        setup = verdicts.get((role, "setup"))
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
    explain(checks, verdicts)
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
