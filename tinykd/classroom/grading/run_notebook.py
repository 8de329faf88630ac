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

from ..checks import generator_seeds
from ..child_environment import child_environment
from ..notebook_format import CHECK_ROLES
from ..sandbox.kernels import ForkServers
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

    An answer that ends its kernel costs its own exercise: the others are run again with one of
    `stubs` in its place, as long as there is time. Raises NotGradable where pytest did not run.
    """
    found: CellResults = {}
    replaced: set[str] = set()
    deadline = time.monotonic() + seconds
    while True:
        with tempfile.TemporaryDirectory(prefix="tinykd-", ignore_cleanup_errors=True) as folder:
            names = _write_notebooks(notebook, Path(folder), seed)
            args = [f"--tinykd-cell-seconds={cell_seconds}", *names]
            try:
                lines = _run_pytest(args, Path(folder), servers, deadline - time.monotonic())
            except NotGradable:
                if not found:
                    raise
                return found  # no time was left; what is known counts
        for line in (line for line in lines if "cell" in line):
            key, exercise = (line["run"], line["cell"]), line["cell"].split(".")[0]
            if key not in found or (found[key]["dead"] and exercise not in replaced):
                found[key] = line
        ended = {line["cell"].split(".")[0] for line in found.values() if line["ended"]}
        again = ended & stubs.keys() - replaced
        if not again or deadline - time.monotonic() < MIN_SECONDS:
            return found
        replaced |= again
        for cell in notebook["cells"]:
            if cell["metadata"]["name"] in again:
                cell["source"] = stubs[cell["metadata"]["name"]]


def _write_notebooks(notebook: dict[str, Any], folder: Path, seed: int) -> list[str]:
    """A notebook for the visible checks and one for the hidden ones: each gets its own kernel."""
    names = []
    for role in CHECK_ROLES:
        others = [other for other in CHECK_ROLES if other != role]
        cells = [cell for cell in notebook["cells"] if cell["metadata"]["role"] not in others]
        if any(cell["metadata"]["role"] == role for cell in cells):
            names.append(f"{role}.ipynb")
            ours = [cell["source"] for cell in cells if cell["metadata"]["role"] != "answer"]
            seeds = generator_seeds("\n".join(ours), seed)
            tinykd = notebook["metadata"]["tinykd"] | {"seeds": seeds}
            metadata = notebook["metadata"] | {"tinykd": tinykd}
            text = json.dumps(notebook | {"cells": cells, "metadata": metadata})
            (folder / names[-1]).write_text(text, encoding="utf-8")
    return names


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
