"""Lesson 10's full-scale script, on a few digits: every method runs once, and nothing twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "other_worlds.py"


def run(folder, child_env, *more):
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(folder), *more],
        env={**child_env, "TINYKD_SCALE": "smoke"} | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )


def smoke(folder, child_env):
    done = run(folder, child_env, "--seeds", "0", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "other_worlds.json").read_text())


@pytest.mark.slow
def test_every_method_runs_once_for_each_seed(tmp_path, child_env):
    first = smoke(tmp_path, child_env)
    settings = {run["setting"] for run in first["runs"]}
    assert settings == {"new digits", "rotation", "shadows", "robust", "probes"}
    for setting in settings:
        seeds = {}
        for one in first["runs"]:
            if one["setting"] == setting:
                assert 0 <= one["accuracy"] <= 1
                assert one["what"]
                seeds.setdefault(one["seed"], []).append(one["method"])
        assert seeds[0] == seeds[1]
        assert len(set(seeds[0])) == len(seeds[0])
        assert {"labels", "soft targets"} <= set(seeds[0])
    assert smoke(tmp_path, child_env)["runs"] == first["runs"]

    file = tmp_path / "other_worlds.json"
    file.write_text(json.dumps(first | {"settings": first["settings"] | {"T": 3.0}}))
    refused = run(tmp_path, child_env, "--seeds", "2")
    assert refused.returncode != 0
    assert "other settings" in refused.stderr
