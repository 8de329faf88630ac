"""Run a grafted notebook under pytest and nbval, its visible and its hidden checks apart."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..child_environment import child_environment
from ..notebook_format import CHECK_ROLES
from ..sandbox.kernels import ForkServers
from .exercises import Exercises
from .read_submission import NotGradable
from .result import CellResults

PLUGIN = "tinykd.classroom.grading.nbval_plugin"
PYTEST_MODULES = ("nbval.plugin", PLUGIN, "zmq")  # what every run of pytest imports
MIN_SECONDS = 2.0  # that must be left to run a notebook again


def run_cells(
    notebook: dict[str, Any],
    stubs: dict[str, str],
    servers: ForkServers | None,
    seed: int,
    cell_seconds: float,
    seconds: float,
) -> CellResults:
    """The plugin's result of every cell of `notebook`, by role and name.

    Where a kernel ends, nobody can tell which answer was it: a thread or the memory of an earlier
    one may have. So the exercises that lack a result are run again, each in a kernel of its own,
    with the answers that it uses. `stubs` replace those that end every kernel. Raises NotGradable
    where pytest did not run.

    Exercises whose answer is data run in kernels of their own, in which there is no code of the
    student: what a check measures there, nobody could forge.
    """
    deadline, found = time.monotonic() + seconds, CellResults()
    for part in _parts(notebook):
        run = _Run(part, stubs, servers, seed, cell_seconds, deadline)
        for key, result in run.all().items():
            if key not in found or not result["passed"]:  # the setup runs in both parts
                found[key] = result
    return found


def _parts(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The notebook with the exercises that are code, and with those that are data, if any."""
    found = []
    for literal in (False, True):
        cells = [
            cell
            for cell in notebook["cells"]
            if cell["metadata"]["role"] == "setup"
            or bool(cell["metadata"].get("literal")) == literal
        ]
        if any(cell["metadata"]["role"] in CHECK_ROLES for cell in cells):
            found.append(notebook | {"cells": cells})
    return found


class _Run:
    """One notebook in as many runs as it takes; `found` grows."""

    def __init__(
        self,
        notebook: dict[str, Any],
        stubs: dict[str, str],
        servers: ForkServers | None,
        seed: int,
        cell_seconds: float,
        deadline: float,
    ):
        self.exercises = Exercises(notebook, stubs, seed)
        self.servers, self.deadline = servers, deadline
        self.limit = f"--tinykd-cell-seconds={cell_seconds}"
        self.found: CellResults = {}

    def all(self) -> CellResults:
        """Run it to its end; returns what was found."""
        roles = [role for role in CHECK_ROLES if self.exercises.lacking(role, {})]
        while roles:
            # No visible check runs after a hidden one: the clock could tell it something.
            ended = self.once(roles)
            if ended and ended["cell"] == "setup":
                break
            last = roles.index(ended["run"]) if ended else len(roles)
            done = roles[: last + 1]
            for role in done:
                self.one_by_one(role, ended if ended and ended["run"] == role else None)
            roles = roles[len(done) :]
        return self.found

    def once(self, roles: list[str], exercise: str | None = None) -> dict[str, Any] | None:
        """Run the checks of `roles` (of one exercise), each role in its own kernel; returns what
        is known of the cell in which a kernel ended.
        """
        left = self.deadline - time.monotonic()
        if left < MIN_SECONDS and self.found:
            return None  # what is known counts
        inside = self.servers.folder if self.servers else None
        with tempfile.TemporaryDirectory(
            prefix="tinykd-", dir=inside, ignore_cleanup_errors=True
        ) as folder:
            names = [f"{role}.ipynb" for role in roles]
            for role, name in zip(roles, names, strict=True):
                text = json.dumps(self.exercises.notebook(role, exercise))
                Path(folder, name).write_text(text, encoding="utf-8")
            try:
                lines = _run_pytest([self.limit, *names], Path(folder), self.servers, left)
            except NotGradable:
                if not self.found:
                    raise
                return None
        ended = None
        for line in (line for line in lines if "cell" in line):
            ended = line if line["ended"] else ended
            if not line["ended"] or line["cell"] == "setup":
                self.found.setdefault((line["run"], line["cell"]), line)
        return ended

    def one_by_one(self, role: str, ended: dict[str, Any] | None) -> None:
        """Every exercise with checks that lack a result, in a kernel of its own; the one in which
        a kernel has `ended` comes last.
        """
        lacking = self.exercises.lacking(role, self.found)
        guilty = self.exercises.of(ended["cell"]) if ended else ""
        for exercise in sorted(lacking, key=lambda one: one == guilty):
            if exercise == guilty and exercise == self.exercises.names[0]:
                last: dict[str, Any] | None = ended  # nobody else had run
            else:
                last = self.once([role], exercise)
                if last and last["cell"] != exercise and self.exercises.leave_out(last["cell"]):
                    last = self.once([role], exercise)
            if last:
                self._blame(role, exercise, last)

    def _blame(self, role: str, exercise: str, ended: dict[str, Any]) -> None:
        """Its checks that lack a result are lost by the cell that has `ended` its kernel."""
        self.found.setdefault((role, ended["cell"]), ended)
        words = f"{ended['why']} (in the cell {ended['cell']})"
        for check in self.exercises.checks(role, exercise):
            self.found.setdefault((role, check), ended | {"cell": check, "why": words})


def _run_pytest(
    args: list[str], folder: Path, servers: ForkServers | None, seconds: float
) -> list[dict]:
    """What the plugin wrote, a dict a cell, of pytest over the notebooks in `args`.

    Raises NotGradable where pytest itself did not run.
    """
    (folder / "work").mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    results = folder / "results.jsonl"
    args = ["-q", "-c", "pytest.ini", "--noconftest", "-p", "no:cacheprovider", *args]
    args += ["-p", PLUGIN, "-p", "nbval.plugin", "--nbval"]
    args += ["--nbval-current-env", "-p", "no:logging", "-s", f"--tinykd-results={results}"]
    args += [f"--tinykd-folder={folder / 'work'}"]
    if servers:
        with servers.core() as core:
            args += [f"--tinykd-server={servers.kernel_socket}", f"--tinykd-core={core}"]
            args += [f"--tinykd-bwrap={json.dumps(servers.bwrap_command)}"]
            servers.pytest(args, folder, seconds)
    else:
        _run_without_servers(args, folder, seconds)
    lines = _read_lines(results)
    if not lines:
        log = (folder / "pytest.log").read_text("utf-8", "replace").split("\n")
        raise NotGradable(f"pytest did not run: {' '.join(log[-4:])[-300:]}")
    return lines


def _run_without_servers(args: list[str], folder: Path, seconds: float) -> None:
    """pytest in a process of its own, the kernels as its children; ended after `seconds`."""
    (folder / "home").mkdir()
    env = child_environment()
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
        lines = _read_lines(folder / "results.jsonl")
        for group in {process.pid, *(line["kernel"] for line in lines if "kernel" in line)}:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        process.wait()


def _read_lines(results: Path) -> list[dict]:
    if not results.exists():
        return []
    text = results.read_text("utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
