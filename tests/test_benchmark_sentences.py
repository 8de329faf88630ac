"""Lesson 11's full-scale script, on a few sentences: every method runs once, and nothing twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "sentences.py"


def results(work):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--work", str(work), "--seeds", "0"],
        env=os.environ | {"TINYKD_SCALE": "smoke", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((work / "results" / "sentences.json").read_text())


def test_every_method_runs_once(tmp_path):
    first = results(tmp_path)
    assert [run["method"] for run in first["runs"]] == [
        *("votes", "people", "teacher", "halved, people", "halved, teacher", "two stages")
    ]
    for run in first["runs"]:
        assert 0 <= run["accuracy"] <= 1
        assert run["parameters"] < first["teacher"]["parameters"]
    with safe_open(tmp_path / "results" / "sentences_teacher.safetensors", "pt") as file:
        assert json.loads(file.metadata()["config"])["layers"] == 6
    assert results(tmp_path)["runs"] == first["runs"]


def test_the_stored_teacher_is_the_one_of_the_stored_results():
    from tinykd.data import SentenceBatches, load_sentences, three_classes
    from tinykd.lm import load

    folder = SCRIPT.parents[1] / "datasets" / "results"
    stored = json.loads((folder / "sentences.json").read_text())
    assert (folder / "sentences_teacher.safetensors").stat().st_size < 2_200_000
    teacher = load(folder / "sentences_teacher.safetensors").eval()
    assert sum(p.numel() for p in teacher.parameters()) == stored["teacher"]["parameters"]
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        import sentences as script
    finally:
        sys.path.pop(0)
    tokenizer = script.Tokenizer.train(load_sentences("train")[0], 4000)
    texts, ratings, _ = load_sentences("test")
    ids = [tokenizer.encode(text) for text in texts]
    assert len(SentenceBatches(ids, ratings, size=256)) == 10
    found = script.measures(script.ask(teacher, ids), three_classes(ratings))
    for name, value in stored["teacher"]["test"].items():
        assert abs(found[name] - value) < 2e-3, (name, found, value)
