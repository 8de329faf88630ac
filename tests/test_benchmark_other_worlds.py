"""Lesson 10's full-scale script, on a few digits: every method runs once, and nothing twice."""

import json

import pytest


def results(folder, smoke):
    done = smoke("other_worlds", "--out", folder, "--seeds", 0, 1)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "other_worlds.json").read_text())


@pytest.mark.slow
def test_every_method_runs_once_for_each_seed(tmp_path, smoke):
    first = results(tmp_path, smoke)
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
    assert results(tmp_path, smoke)["runs"] == first["runs"]

    file = tmp_path / "other_worlds.json"
    file.write_text(json.dumps(first | {"settings": first["settings"] | {"T": 3.0}}))
    refused = smoke("other_worlds", "--out", tmp_path, "--seeds", 2)
    assert refused.returncode != 0
    assert "other settings" in refused.stderr
