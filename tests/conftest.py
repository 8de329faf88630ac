"""Shared by all tests: fixed dice, a deterministic hypothesis, child processes with this tinykd."""

import functools
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import settings

import tinykd
from tinykd.classroom.sandbox import bubblewrap

settings.register_profile("same", deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile("same")

SCRIPTS = Path(__file__).parent / "scripts"
BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
no_sandbox = functools.cache(bubblewrap.why_unavailable)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    if item.get_closest_marker("sandbox") and os.environ.get("CI") != "true" and no_sandbox():
        pytest.skip(f"no sandbox here: {no_sandbox()}")


@pytest.fixture(autouse=True)
def _fixed_dice() -> None:
    torch.manual_seed(0)


@pytest.fixture
def child_env() -> dict[str, str]:
    """Environment in which a child process imports the tinykd that is being tested."""
    engine = str(Path(tinykd.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [engine, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture
def script(child_env: dict[str, str]) -> Callable[..., list[str]]:
    """Run a file of tests/scripts to its end; returns the finished process."""

    def run(
        name: str, *args: object, launcher: tuple[str, ...] = (), timeout: float = 300
    ) -> subprocess.CompletedProcess:
        command = [sys.executable, *launcher, str(SCRIPTS / name), *map(str, args)]
        done = subprocess.run(
            command, env=child_env, capture_output=True, text=True, timeout=timeout
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def smoke(child_env: dict[str, str]) -> Callable[..., subprocess.CompletedProcess]:
    """Run a script of benchmarks/ in seconds, on little; returns the finished process."""

    def run(name: str, *args: object) -> subprocess.CompletedProcess:
        command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *map(str, args)]
        environment = child_env | {"TINYKD_SCALE": "smoke"}
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    return run


@pytest.fixture
def runs_once(smoke: Callable, tmp_path: Path) -> Callable[..., dict]:
    """Run a script of benchmarks/ that keeps `Records`, and return what its file holds.

    A second run finds all of it done, and one with other settings is refused.
    """

    def run(name: str, *args: object) -> dict:
        file = tmp_path / f"{name}.json"

        def results() -> dict:
            done = smoke(name, "--out", tmp_path, *args)
            assert done.returncode == 0, done.stdout + done.stderr
            return json.loads(file.read_text())

        first = results()
        assert results() == first
        settings = first["settings"] | {next(iter(first["settings"])): "another"}
        file.write_text(json.dumps(first | {"settings": settings}))
        refused = smoke(name, "--out", tmp_path, *args)
        assert refused.returncode != 0
        assert "made with other settings" in refused.stderr
        return first

    return run


@pytest.fixture
def methods_of() -> Callable[[list[dict], str], list[str]]:
    """The methods of one setting of a script's runs: each once, the same under seeds 0 and 1."""

    def look(runs: list[dict], setting: str) -> list[str]:
        seeds: dict[int, list[str]] = {}
        for run in runs:
            if run["setting"] == setting:
                assert 0 <= run["accuracy"] <= 1
                seeds.setdefault(run["seed"], []).append(run["method"])
        assert seeds[0] == seeds[1]
        assert len(set(seeds[0])) == len(seeds[0])
        return seeds[0]

    return look


@pytest.fixture
def disk_full_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """disk_full_at(n): from now on the n-th rename, counted from 0, finds no space left."""
    replace = os.replace

    def fill(n: int) -> None:
        moves = itertools.count()

        def moved(source: str, target: str) -> None:
            if next(moves) == n:
                raise OSError(28, "No space left on device")
            replace(source, target)

        monkeypatch.setattr(os, "replace", moved)

    return fill


@pytest.fixture
def run_seen_to_fail(child_env: dict[str, str]) -> Callable[[str], None]:
    """Put in every third bug of one list, the others at the next commits; `make soak` puts in all.

    Fails with what the script said if one is not seen.
    """
    if not hasattr(os, "fork"):
        pytest.skip("forks a child per bug")

    def run(bugs: str) -> None:
        count = ["git", "rev-list", "--count", "HEAD"]
        commits = subprocess.run(count, capture_output=True, text=True, cwd=SCRIPTS).stdout.strip()
        share = f"{commits}/3" if commits else "1/1"  # the same for one commit, however often
        script = SCRIPTS.parent / "seen_to_fail.py"
        command = [sys.executable, str(script), bugs, "--share", share]
        done = subprocess.run(command, env=child_env, capture_output=True, text=True)
        unseen = [line for line in done.stdout.splitlines() if not line.startswith("seen ")]
        assert done.returncode == 0, "\n".join([*unseen, done.stderr])

    return run
