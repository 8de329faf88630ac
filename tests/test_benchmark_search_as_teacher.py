"""Lesson 09's full-scale script, on a few games: every method runs once, and nothing twice."""

import json

import pytest


@pytest.mark.slow
def test_every_method_runs_once_for_each_seed(tmp_path, smoke, methods_of):
    done = smoke("search_as_teacher", "--out", tmp_path, "--seeds", 0, 1)
    assert done.returncode == 0, done.stdout + done.stderr
    file = tmp_path / "search_as_teacher.json"
    first = json.loads(file.read_text())
    assert {row["setting"] for row in first["runs"]} == {"one round", "three rounds"}
    for setting in ("one round", "three rounds"):
        assert {"labels", "soft targets"} <= set(methods_of(first["runs"], setting))
    assert len(first["rounds"]) == 2 * 2 * 3
    assert [row["simulations"] for row in first["curve"]] == [4, 8, 4, 8]
    assert [row["seed"] for row in first["compute"]] == [0, 1]

    again = smoke("search_as_teacher", "--out", tmp_path, "--seeds", 0, 1)
    assert again.returncode == 0, again.stderr
    assert json.loads(file.read_text()) == first

    other = first | {"settings": first["settings"] | {"games": 9}}
    file.write_text(json.dumps(other))
    refused = smoke("search_as_teacher", "--out", tmp_path, "--seeds", 0, 1)
    assert refused.returncode != 0
    assert "other settings" in refused.stderr
