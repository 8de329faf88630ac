"""The scripts that measure speed, on almost nothing: they run, and their files can be read."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"

pytestmark = pytest.mark.slow


def test_big_vocabulary(tmp_path, smoke):
    file = tmp_path / "found.json"
    options = ("--positions", 4, "--dtypes", "float32", "--methods", "dense", "tinykd")
    done = smoke("big_vocabulary", *options, "--device", "cpu", "--out", file)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(file.read_text())["rows"]
    assert [(row["loss"], row["method"]) for row in rows] == [
        (loss, method) for loss in ("soft targets", "labels") for method in ("dense", "tinykd")
    ]
    for row in rows:
        assert row["error"] < 1e-4
        assert row["seconds"] > 0


@pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed")
def test_throughput(tmp_path, smoke):
    file = tmp_path / "found.json"
    done = smoke("throughput", "--without", "compiled", "--device", "cpu", "--out", file)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(file.read_text())["rows"]
    assert {"tinykd", "tinykd, chunked head", "transformers, bare loop"} <= {
        row["method"] for row in found
    }
    assert all(row["tokens_per_second"] > 0 for row in found)


def test_a_step_and_a_cached_teacher(tmp_path, smoke):
    """The rivals that are here train as the bare loop does; the numbers go into the file."""
    file = tmp_path / "found.json"
    file.write_text('{"throughput": {}}')
    for name in ("step", "cached", "import_time"):
        done = smoke(name, "--out", file)
        assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(file.read_text())
    assert set(found) == {"throughput", "cpu"}
    assert set(found["cpu"]) == {"step, large", "step, tiny", "cached teacher", "import"}
    for question in ("step, large", "step, tiny", "cached teacher"):
        for row in found["cpu"][question]["rows"]:
            assert row["low"] <= row["times_ours"] <= row["high"]


def test_the_table_is_made_from_the_results(child_env):
    command = [sys.executable, str(BENCHMARKS / "versus.py"), "--check"]
    done = subprocess.run(command, env=child_env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr or "run benchmarks/versus.py"
