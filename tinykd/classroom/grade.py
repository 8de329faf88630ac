"""Grade one notebook: graft, run it under pytest and nbval, count points."""

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

from .graft import NotGradable, graft, read_reference, read_submission
from .lesson import environment


@dataclass
class Check:
    """One check's outcome; `why` and `hint` are words for the student, empty where it passed."""

    name: str
    hidden: bool
    points: float
    passed: bool
    why: str = ""
    hint: str = ""
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
    """Points of one submission. A cell may take `cell_seconds`, everything `seconds`.

    Raises NotGradable, with the reason on one line, where no points can be given.
    """
    expected = read_reference(reference)
    made, remarks = graft(read_submission(submission), expected)
    with tempfile.TemporaryDirectory(prefix="tinykd-", ignore_cleanup_errors=True) as folder:
        lines = _run(made, Path(folder), cell_seconds, seconds)
    verdicts = {line["cell"]: line for line in lines if "cell" in line}
    setup = verdicts.get("setup", {"passed": False, "why": "the kernel did not start"})
    if not setup["passed"]:
        raise NotGradable(f"the lesson's own setup cell fails on this machine: {setup['why']}")
    checks = []
    for cell in made["cells"]:
        meta = cell["metadata"]
        if meta["role"] in ("check", "hidden"):
            line = verdicts.get(
                meta["name"], {"passed": False, "why": "the time was up before it ran"}
            )
            check = Check(meta["name"], meta["role"] == "hidden", meta["points"], line["passed"])
            check.seconds = line.get("seconds", 0.0)
            if not check.passed:
                # Words about a hidden check's value would tell what it asks.
                tell = not check.hidden or line["why"] == "not written yet"
                check.why = line["why"] if tell else "wrong for other inputs"
                check.hint = line.get("hint") or meta["hint"]
            checks.append(check)
    return Grade(made["metadata"]["tinykd"]["lesson"], checks, remarks)


def _run(made: dict[str, Any], folder: Path, cell_seconds: float, seconds: float) -> list[dict]:
    empty, results = folder / "work", folder / "results.jsonl"
    empty.mkdir()
    (folder / "home").mkdir()
    (folder / "graded.ipynb").write_text(json.dumps(made), encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-c", "pytest.ini", "--noconftest"]
    command += ["-p", "no:cacheprovider", "-p", "tinykd.classroom.plugin", "-p", "nbval.plugin"]
    command += ["--nbval", "--nbval-current-env", f"--tinykd-cell-seconds={cell_seconds}"]
    command += [f"--tinykd-results={results}", f"--tinykd-folder={empty}", "graded.ipynb"]
    process = launch(command, folder)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass  # what is in the results by now counts
    finally:
        lines = _read(results)
        # Jupyter starts a kernel in a group of its own, so killing pytest's is not enough.
        for group in {process.pid, *(line["kernel"] for line in lines if "kernel" in line)}:
            _kill(group)
        process.wait()
    if not lines:
        log = (folder / "pytest.log").read_text("utf-8", "replace").split("\n")
        raise NotGradable(f"pytest did not run: {' '.join(log[-4:])[-300:]}")
    return lines


def launch(command: list[str], folder: Path) -> subprocess.Popen:
    """Start pytest in `folder`, in a process group of its own. The place for a sandbox."""
    env = environment(TINYKD_GRADING="1", TINYKD_SCALE="smoke", TINYKD_SEED="0")
    for key in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "MPLBACKEND", "PYTHONSTARTUP"):
        env.pop(key, None)
    env |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "IPYTHONDIR": str(folder / "home")}
    with (folder / "pytest.log").open("wb") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _read(results: Path) -> list[dict]:
    if not results.exists():
        return []
    text = results.read_text("utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


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
