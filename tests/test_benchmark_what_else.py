"""Lesson 17's full-scale script, on a few digits: every method runs once, and nothing twice."""

import json

import pytest

KINDS = {"bias": 3, "backdoor": 6, "subliminal": 1, "memory": 1, "fingerprint": 4}


def results(folder, smoke):
    done = smoke("what_else", "--out", folder, "--seeds", 0, 1)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "what_else.json").read_text())


@pytest.mark.slow
def test_every_method_runs_once_for_each_seed(tmp_path, smoke):
    first = results(tmp_path, smoke)
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
    assert results(tmp_path, smoke)["runs"] == first["runs"]

    file = tmp_path / "what_else.json"
    file.write_text(json.dumps(first | {"settings": first["settings"] | {"T": 3.0}}))
    refused = smoke("what_else", "--out", tmp_path, "--seeds", 2)
    assert refused.returncode != 0
    assert "other settings" in refused.stderr
