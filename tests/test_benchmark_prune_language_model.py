"""Lesson 08's script for the language model, on little: every method runs once, and not twice."""

import pytest


@pytest.mark.slow
def test_every_method_runs_once_for_each_seed(runs_once):
    first = runs_once("prune_language_model", "--seeds", 0)
    methods = {}
    for run in first["runs"]:
        methods.setdefault(run["setting"], []).append(run["method"])
        assert 0 <= run["accuracy"] <= 1
        assert run["nll"] > 0
    assert len(methods) == 4 * len(first["settings"]["cuts"])
    for setting, found in methods.items():
        assert found == ["nothing"] * ("anew" not in setting) + ["labels", "soft targets"]
