"""Lesson 10's full-scale script, on a few digits: every method runs once, and nothing twice."""

import pytest


@pytest.mark.slow
def test_every_method_runs_once_for_each_seed(runs_once, methods_of):
    first = runs_once("other_worlds", "--seeds", 0, 1)
    settings = {run["setting"] for run in first["runs"]}
    assert settings == {"new digits", "rotation", "shadows", "robust", "probes"}
    assert all(one["what"] for one in first["runs"])
    for setting in settings:
        methods = methods_of(first["runs"], setting)
        assert {"labels", "soft targets"} <= set(methods)
