"""Lesson 15's full-scale script, on a few problems: every method runs once, and nothing twice."""

import json

import pytest


def results(folder, smoke):
    done = smoke("beyond_one_teacher", "--out", folder, "--seeds", 0)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "beyond_one_teacher.json").read_text())


@pytest.mark.slow
def test_every_method_runs_once(tmp_path, smoke):
    first = results(tmp_path, smoke)
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
    assert results(tmp_path, smoke)["runs"] == first["runs"]

    file = tmp_path / "beyond_one_teacher.json"
    file.write_text(json.dumps(first | {"settings": first["settings"] | {"hot": 3.0}}))
    refused = smoke("beyond_one_teacher", "--out", tmp_path, "--seeds", 1)
    assert refused.returncode != 0
    assert "other settings" in refused.stderr
