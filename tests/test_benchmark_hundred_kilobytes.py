"""Lesson 18's script for sentences, on a few of them: every method runs once, and nothing twice."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tinykd.challenge import answers, judging
from tinykd.classroom.literal import in_lines, read_literal
from tinykd.metrics import rank_correlation

ROOT = Path(__file__).resolve().parents[1]
FILES = ROOT / "solutions" / "18_your_own" / "sentences"


@pytest.mark.slow
def test_every_method_runs_once_for_each_seed(runs_once):
    found = runs_once("hundred_kilobytes")
    methods = {
        "50x2": [
            "labels",
            "soft targets",
            "labels + soft targets",
            "labels + soft targets, drawn anew",
            "labels + soft targets, drawn anew + balance",
        ],
        "50x2, few rated": ["labels", "labels, stopped early", "soft targets"],
        "50x2, test sentences": ["labels"],
    }
    for name, expected in methods.items():
        for kind in ("float32", "int8"):
            setting = f"{name} {kind}"
            assert [r["method"] for r in found["runs"] if r["setting"] == setting] == expected
            assert found["bytes"][setting] < 10_000
    assert all(-1 <= run["correlation"] <= 1 for run in found["runs"])


def test_the_stored_results_and_teacher_belong_together():
    folder = ROOT / "datasets" / "results"
    stored = json.loads((folder / "hundred_kilobytes.json").read_text())
    logits = np.load(folder / "hundred_kilobytes_teacher.npy")
    assert logits.shape == (2, stored["settings"]["sentences"], 3)
    assert np.isfinite(logits).all()
    for setting, size in stored["bytes"].items():
        words, width = map(int, setting.split()[0].rstrip(",").split("x"))
        numbers = words * width * (4 if setting.endswith("float32") else 1)
        assert numbers < size < numbers + 8000


def test_the_lesson_s_own_files_are_what_they_are_called():
    limit, numbers, words = 100_000, torch.randint(0, 2000, (20, 40)), {}
    for path in FILES.glob("*.onnx"):
        text = "".join(read_literal("x", f"x = {in_lines(path.read_bytes())}"))
        words[path.stem] = judging.size(text, limit, numbers, 1)
    wrong = {
        "in_floats": "bytes are more than",
        "of_batch": "may not depend on the rest of a batch",
        "three_classes": "is asked for",
        "of_floats": "type int64",
    }
    assert {name for name in words if words[name] != judging.FITS} == wrong.keys()
    assert len(words) == 11
    for name, reason in wrong.items():
        assert reason in words[name]
    right, other = ((FILES / f"{name}.onnx").read_bytes() for name in ("right", "by_expectation"))
    scores = (answers(data, numbers, 1)[:, 0] for data in (right, other))
    assert rank_correlation(*scores) > 0.9999
