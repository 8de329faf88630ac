"""Lesson 08's script for the language model, on little: every method runs once, and not twice."""

import json

import pytest


@pytest.mark.slow
def test_every_method_runs_once_for_each_seed(tmp_path, smoke):
    file = tmp_path / "prune_language_model.json"
    done = smoke("prune_language_model", "--out", tmp_path, "--seeds", 0)
    assert done.returncode == 0, done.stdout + done.stderr
    first = json.loads(file.read_text())
    methods = {}
    for run in first["runs"]:
        methods.setdefault(run["setting"], []).append(run["method"])
        assert 0 <= run["accuracy"] <= 1
        assert run["nll"] > 0
    assert len(methods) == 4 * len(first["settings"]["cuts"])
    for setting, found in methods.items():
        assert found == ["nothing"] * ("anew" not in setting) + ["labels", "soft targets"]
    # What is there is not run again, and results of other settings are not gone on with.
    done = smoke("prune_language_model", "--out", tmp_path, "--seeds", 0)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(file.read_text()) == first
    file.write_text(json.dumps(first | {"settings": first["settings"] | {"T": 3}}))
    done = smoke("prune_language_model", "--out", tmp_path, "--seeds", 0)
    assert done.returncode != 0
    assert "made with other settings" in done.stderr
