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

from .checks import seeds
from .graft import NotGradable
from .kernels import Kernels
from .lesson import CHECKS, environment

LEAST = 2.0  # seconds that must be left to run a notebook again
Verdicts = dict[tuple[str, str], dict[str, Any]]  # role and name of a cell -> the plugin's line


def verdicts_on(
    made: dict[str, Any],
    stubs: dict[str, str],
    kernels: Kernels | None,
    seed: int,
    cell_seconds: float,
    seconds: float,
) -> Verdicts:
    """The plugin's line on every cell of `made`, by role and name.

    An answer that ends its kernel costs its own exercise: the others are run again with one of
    `stubs` in its place, as long as there is time. Raises NotGradable where pytest did not run.
    """
    found: Verdicts = {}
    replaced: set[str] = set()
    deadline = time.monotonic() + seconds
    while True:
        with tempfile.TemporaryDirectory(prefix="tinykd-", ignore_cleanup_errors=True) as folder:
            args = [f"--tinykd-cell-seconds={cell_seconds}", *write(made, Path(folder), seed)]
            try:
                lines = run(args, Path(folder), kernels, deadline - time.monotonic())
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
        if not again or deadline - time.monotonic() < LEAST:
            return found
        replaced |= again
        for cell in made["cells"]:
            if cell["metadata"]["name"] in again:
                cell["source"] = stubs[cell["metadata"]["name"]]


def write(made: dict[str, Any], folder: Path, seed: int) -> list[str]:
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


def run(args: list[str], folder: Path, kernels: Kernels | None, seconds: float) -> list[dict]:
    """What the plugin wrote, a dict a cell, of pytest over the notebooks in `args`.

    Raises NotGradable where pytest itself did not run.
    """
    (folder / "work").mkdir()
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
    (folder / "home").mkdir()
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
