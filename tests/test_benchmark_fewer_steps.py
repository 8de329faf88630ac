"""Lesson 16's full-scale script, on a few digits: every method runs once, and nothing twice."""

import pytest


@pytest.mark.slow
def test_every_method_runs_once_for_each_seed(runs_once):
    first = runs_once("fewer_steps", "--seeds", 0)
    found = {}
    for one in first["runs"]:
        assert one["frechet"] > 0
        assert one["seed"] == 0
        if one["method"] != "real":
            assert 0 <= one["accuracy"] <= 1
            assert one["sampling"] > 0
        found.setdefault(one["setting"], []).append(one["method"])
    assert found["1 step"] == [
        "teacher", "soft targets", "regression", "consistency", "labels", "labels, unguided",
    ]  # fmt: skip
    for setting in ("1 step", "2 steps", "4 steps"):
        assert {"teacher", "labels", "soft targets"} <= set(found[setting])
        assert len(set(found[setting])) == len(found[setting])
