"""The scripts that measure speed, on almost nothing: they run, and their files can be read."""

import json
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.slow


def test_big_vocabulary(tmp_path, smoke):
    file = tmp_path / "found.json"
    options = ("--positions", 4, "--dtypes", "float32", "--methods", "dense", "tinykd")
    done = smoke("big_vocabulary", *options, "--device", "cpu", "--out", file)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(file.read_text())["rows"]
    assert [(row["loss"], row["method"]) for row in rows] == [
        (loss, method) for loss in ("soft targets", "labels") for method in ("dense", "tinykd")
    ]
    for row in rows:
        assert row["error"] < 1e-4
        assert row["seconds"] > 0


@pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed")
def test_throughput(tmp_path, smoke):
    file = tmp_path / "found.json"
    done = smoke("throughput", "--without", "compiled", "--device", "cpu", "--out", file)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(file.read_text())["rows"]
    assert {"tinykd", "tinykd, chunked head", "transformers, bare loop"} <= {
        row["method"] for row in found
    }
    assert all(row["tokens_per_second"] > 0 for row in found)
