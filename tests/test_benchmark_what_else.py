"""Lesson 17's full-scale script, on a few digits: every method runs once, and nothing twice."""

import pytest

KINDS = {"bias": 3, "backdoor": 6, "subliminal": 1, "memory": 1, "fingerprint": 4}


@pytest.mark.slow
def test_every_method_runs_once_for_each_seed(runs_once, methods_of):
    first = runs_once("what_else", "--seeds", 0, 1)
    settings = {run["setting"] for run in first["runs"]}
    for kind, count in KINDS.items():
        assert sum(setting.partition(",")[0] == kind for setting in settings) == count
    assert all(one["what"] for one in first["runs"])
    for setting in settings:
        methods = methods_of(first["runs"], setting)
        if setting != "subliminal":
            assert "soft targets" in methods
            assert "labels" in methods or setting.endswith("curves")
