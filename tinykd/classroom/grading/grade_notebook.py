"""Grade one notebook: graft, run, count points."""

from pathlib import Path
from typing import Any

from ..literal import written
from ..notebook_format import CHECK_ROLES, stub
from ..sandbox.kernels import ForkServers
from .explain import explain
from .graft import graft
from .own_reference import find_reference
from .read_submission import NotGradable, read_submission
from .reference import Reference, read_reference
from .result import CheckResult, Grade
from .run_notebook import run_cells

# What the stub raises that replaces an answer which has ended its kernel.
KERNEL_ENDED = 'RuntimeError("your {} ended the kernel")'


def grade_own_notebook(
    submission: Path, reference: Path | None = None, cell_seconds: float = 30, seconds: float = 300
) -> Grade:
    """Points of one's own notebook: its code runs without a sandbox, as in JupyterLab.

    `reference` is the executed solution; left out, it is looked for, and without a solution the
    visible checks alone are run. A cell may take `cell_seconds`, everything `seconds`. Raises
    NotGradable, with the reason on one line, where no points can be given.
    """
    found = read_reference(reference) if reference else find_reference(submission)
    grade = _grade(submission, found, None, 0, cell_seconds, seconds)
    if hidden := found["metadata"]["tinykd"].get("hidden"):
        grade.remarks.append(
            f"the solution is not on this machine: {hidden} hidden "
            f"check{'s were' if hidden > 1 else ' was'} not run"
        )
    return grade


def grade_submission(
    submission: Path,
    reference: Reference,
    servers: ForkServers,
    cell_seconds: float = 30,
    seconds: float = 300,
) -> Grade:
    """Points of somebody else's notebook. Many threads may call this at once.

    A cell may take `cell_seconds`, everything `seconds`. Raises NotGradable, with the reason on one
    line, where no points can be given.
    """
    limits = (cell_seconds, seconds)
    return _grade(submission, reference.notebook, servers, reference.seed, *limits)


def _grade(
    submission: Path,
    reference: dict[str, Any],
    servers: ForkServers | None,
    seed: int,
    cell_seconds: float,
    seconds: float,
) -> Grade:
    notebook, remarks = graft(read_submission(submission), reference)
    stubs = {
        cell["metadata"]["name"]: written(cell["metadata"]["name"], None)
        if cell["metadata"].get("literal")
        else stub(cell["metadata"]["name"], cell["source"], KERNEL_ENDED)
        for cell in reference["cells"]
        if cell["metadata"].get("role") == "answer"
    }
    results = run_cells(notebook, stubs, servers, seed, cell_seconds, seconds)
    for role in CHECK_ROLES:
        setup = results.get((role, "setup"))
        if setup and not setup["passed"]:
            raise NotGradable(f"the lesson's own setup cell fails on this machine: {setup['why']}")
    if ("check", "setup") not in results:
        raise NotGradable("the kernel did not start")
    checks = [
        _check_result(
            cell["metadata"], results.get((cell["metadata"]["role"], cell["metadata"]["name"]))
        )
        for cell in notebook["cells"]
        if cell["metadata"]["role"] in CHECK_ROLES
    ]
    explain(checks, results)
    return Grade(notebook["metadata"]["tinykd"]["lesson"], checks, remarks)


def _check_result(meta: dict[str, Any], found: dict[str, Any] | None) -> CheckResult:
    """One check's outcome. Of a hidden one nothing comes out but whether it passed: words, known
    mistakes and seconds could be chosen by code that has seen its inputs.
    """
    found = found or {"passed": False, "why": "the time was up before it ran"}
    check = CheckResult(meta["name"], meta["role"] == "hidden", meta["points"], found["passed"])
    check.measured = dict(found.get("measured", {}))
    check.hint = "" if check.passed else meta["hint"]
    if check.hidden:
        return check
    check.seconds = found.get("seconds", 0.0)
    if check.passed:
        check.refuted = list(found.get("refuted", []))
    else:
        check.why = found["why"]
        check.mistakes = [(name, hint) for name, hint in found.get("mistakes", [])]
        check.numbers = found.get("numbers", 0)
    return check
