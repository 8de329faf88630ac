"""Lesson 08's full-scale script, on a few digits: every method runs once, and nothing twice."""

import json

import pytest


def found(folder):
    return json.loads((folder / "small_and_fast.json").read_text())


@pytest.mark.slow
def test_every_method_runs_once_for_each_seed(tmp_path, smoke):
    done = smoke("small_and_fast", "--out", tmp_path, "--seeds", 0)
    assert done.returncode == 0, done.stdout + done.stderr
    first = found(tmp_path)
    done = smoke("small_and_fast", "--out", tmp_path, "--seeds", 0, 1)
    assert done.returncode == 0, done.stdout + done.stderr
    both = found(tmp_path)
    assert both["runs"][: len(first["runs"])] == first["runs"]
    assert (tmp_path / "small_and_fast_teacher.npz").stat().st_size > 1000
    for setting in ("small", "large MLP", "weights 90%", "units 50%", "8 bits", "4 bits"):
        seeds = [
            [run["method"] for run in both["runs"] if (run["setting"], run["seed"]) == (setting, n)]
            for n in (0, 1)
        ]
        assert seeds[0] == seeds[1]
        assert len(set(seeds[0])) == len(seeds[0])
        assert {"labels", "soft targets"} <= set(seeds[0])
    for row in both["runs"]:
        assert 0 <= row["accuracy"] <= 1
        assert row["nll"] > 0
    # results of other settings are not gone on with
    both["settings"]["T"] = 3
    (tmp_path / "small_and_fast.json").write_text(json.dumps(both))
    done = smoke("small_and_fast", "--out", tmp_path, "--seeds", 0)
    assert done.returncode != 0
    assert "made with other settings" in done.stderr
