"""Lesson 10's full-scale script, on a few digits: every method runs once, and nothing twice."""

import pytest


@pytest.mark.slow
def test_every_method_runs_once_for_each_seed(runs_once):
    first = runs_once("other_worlds", "--seeds", 0, 1)
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
