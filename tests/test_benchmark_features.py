"""The script behind lesson 04's table: its smoke run, and that it goes on where it stopped."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "features.py"


@pytest.mark.slow
def test_the_script_runs_small_and_goes_on_where_it_stopped(tmp_path, child_env):
    command = [sys.executable, str(SCRIPT), "--out", str(tmp_path)]
    env = child_env | {"TINYKD_SCALE": "smoke"}
    subprocess.run(command, env=env, check=True, capture_output=True)
    file = tmp_path / "features.json"
    found = json.loads(file.read_text())
    runs = found["runs"]
    keys = [(run["method"], run["setting"], run["seed"]) for run in runs]
    assert len(keys) == len(set(keys))
    for setting in {setting for _, setting, _ in keys}:
        seeds = {m: {s for n, t, s in keys if (n, t) == (m, setting)} for m, _, _ in keys}
        assert seeds["labels"] == seeds["soft targets"] == {0, 1}
    assert all(0 <= run["accuracy"] <= 1 for run in runs)
    assert all(run["moved"] == 0 for run in runs if run["method"] == "labels" and "moved" in run)
    gone = runs.pop(3)
    file.write_text(json.dumps(found))
    said = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    again = json.loads(file.read_text())["runs"]
    assert len(again) == len(keys)
    assert again[-1]["accuracy"] == gone["accuracy"]
    assert gone["method"] in said
