"""Lesson 17's full-scale script, on a few digits: every method runs once, and nothing twice."""

import pytest

KINDS = {"bias": 3, "backdoor": 6, "subliminal": 1, "memory": 1, "fingerprint": 4}


@pytest.mark.slow
def test_every_method_runs_once_for_each_seed(runs_once):
    first = runs_once("what_else", "--seeds", 0, 1)
    settings = {run["setting"] for run in first["runs"]}
    for kind, count in KINDS.items():
        assert sum(setting.partition(",")[0] == kind for setting in settings) == count
    for setting in settings:
        seeds = {}
        for one in first["runs"]:
            if one["setting"] == setting:
                assert 0 <= one["accuracy"] <= 1
                assert one["what"]
                seeds.setdefault(one["seed"], []).append(one["method"])
        assert seeds[0] == seeds[1]
        assert len(set(seeds[0])) == len(seeds[0])
        if setting != "subliminal":
            assert "soft targets" in seeds[0]
            assert "labels" in seeds[0] or setting.endswith("curves")
