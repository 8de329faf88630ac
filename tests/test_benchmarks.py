"""The paper-scale script, on a few digits: every experiment runs, and nothing runs twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "hinton2015.py"


def hinton(work):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--work", str(work), "--seeds", "0", "1"],
        env=os.environ | {"TINYKD_SCALE": "smoke", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, json.loads((work / "results" / "hinton2015.json").read_text())


def test_every_experiment_of_section_3_runs_once(tmp_path):
    said, first = hinton(tmp_path)
    names = {run["experiment"] for run in first["runs"]}
    assert names == {"teacher", "baseline", "distilled", "no_three", "sevens_eights", "sweep"}
    assert len(first["runs"]) == 38
    for run in first["runs"]:
        assert sum(run["errors_by_class"]) == run["errors"] <= run["of"] == 10_000
        assert ("with_bias" in run) == (run["experiment"] in ("no_three", "sevens_eights"))
    assert "| distilled | 74 |" in said
    assert (tmp_path / "hinton2015.png").stat().st_size > 1000
    said, second = hinton(tmp_path)
    assert second["runs"] == first["runs"]
    assert "seed 1: all 19 runs are in" in said
