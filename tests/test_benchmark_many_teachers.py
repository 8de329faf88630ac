"""Lesson 07's full-scale script, on a few signals: every method runs once, and nothing twice."""

import json

import pytest


def results(folder, smoke):
    done = smoke("many_teachers", "--out", folder, "--seeds", 0, 1)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "many_teachers.json").read_text())


@pytest.mark.slow
def test_every_method_runs_once_for_each_seed(tmp_path, smoke, methods_of):
    first = results(tmp_path, smoke)
    settings = {run["setting"] for run in first["runs"]}
    assert settings == {"schools", "gap", "generations", "mutual"}
    for setting in settings:
        assert {"labels", "soft targets"} <= set(methods_of(first["runs"], setting))
    assert [run["method"] for run in first["views"]][:4] == [
        "as it starts", "DINO", "no centring", "no sharpening",
    ]  # fmt: skip
    assert results(tmp_path, smoke)["runs"] == first["runs"]
