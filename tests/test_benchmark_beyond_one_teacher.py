"""Lesson 15's full-scale script, on a few problems: every method runs once, and nothing twice."""

import pytest


@pytest.mark.slow
def test_every_method_runs_once(runs_once):
    first = runs_once("beyond_one_teacher", "--seeds", 0)
    settings = {run["setting"] for run in first["runs"]}
    assert settings == {"few texts", "many texts", "style", "solution"}
    for setting in settings:
        methods = [run["method"] for run in first["runs"] if run["setting"] == setting]
        assert len(set(methods)) == len(methods)
        assert {"start", "labels", "soft targets", "on-policy"} <= set(methods)
    for one in first["runs"]:
        assert 0 <= one["accuracy"] <= 1
        assert one["what"]
        assert ("steps" in one) == (one["method"] != "start")
