"""Lesson 05's full-scale script, on a few signals: every method runs once, and nothing twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "does_it_help.py"
STORED = SCRIPT.parents[1] / "datasets" / "results" / "does_it_help.json"


def results(folder):
    pytest.importorskip("mnist1d")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(folder)],
        env=os.environ | {"TINYKD_SCALE": "smoke", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "does_it_help.json").read_text()), done.stdout


@pytest.mark.slow
def test_every_method_runs_once(tmp_path):
    first, said = results(tmp_path)
    assert len(said.splitlines()) > 40
    second, said = results(tmp_path)
    assert second["runs"] == first["runs"]
    assert second["sweep"] == first["sweep"]
    assert said == ""


def test_every_setting_has_labels_and_soft_targets_with_the_same_seeds():
    stored = json.loads(STORED.read_text())
    settings = {run["setting"] for run in stored["runs"]}
    assert len(settings) == 8
    for setting in settings:
        seeds = {}
        for run in stored["runs"]:
            if run["setting"] == setting:
                seeds.setdefault(run["method"], []).append(run["seed"])
                assert 0 < run["accuracy"] < 1
        assert {"labels", "soft targets"} <= seeds.keys()
        assert all(found == list(range(10)) for found in seeds.values())
