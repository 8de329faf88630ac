"""Run a grafted notebook under pytest and nbval, its visible and its hidden checks apart."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from .checks import seeds
from .graft import NotGradable
from .kernels import Kernels
from .lesson import CHECKS, environment


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
