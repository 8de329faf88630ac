"""Lesson 07's full-scale script, on a few signals: every method runs once, and nothing twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "many_teachers.py"


def smoke(folder, child_env):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(folder), "--seeds", "0", "1"],
        env={**child_env, "TINYKD_SCALE": "smoke"} | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "many_teachers.json").read_text())


@pytest.mark.slow
def test_every_method_runs_once_for_each_seed(tmp_path, child_env):
    first = smoke(tmp_path, child_env)
    settings = {run["setting"] for run in first["runs"]}
    assert settings == {"schools", "gap", "generations", "mutual"}
    for setting in settings:
        seeds = {}
        for run in first["runs"]:
            if run["setting"] == setting:
                assert 0 <= run["accuracy"] <= 1
                seeds.setdefault(run["seed"], []).append(run["method"])
        assert seeds[0] == seeds[1]
        assert len(set(seeds[0])) == len(seeds[0])
        assert {"labels", "soft targets"} <= set(seeds[0])
    assert [run["method"] for run in first["views"]][:4] == [
        "as it starts", "DINO", "no centring", "no sharpening",
    ]  # fmt: skip
    assert smoke(tmp_path, child_env)["runs"] == first["runs"]
