"""Lesson 18's script for sentences, on a few of them: every method runs once, and nothing twice."""

import json
from pathlib import Path

import numpy as np
import pytest

from tinykd.challenge import judging
from tinykd.classroom.literal import in_lines, read_literal

ROOT = Path(__file__).resolve().parents[1]
FILES = ROOT / "solutions" / "18_your_own" / "sentences"


@pytest.mark.slow
def test_every_method_runs_once_for_each_seed(runs_once):
    found = runs_once("hundred_kilobytes")
    methods = {
        "50x2": ["labels", "soft targets", "labels + soft targets"],
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
    limit, too_large = 100_000, set()
    for path in FILES.glob("*.onnx"):
        text = "".join(read_literal("x", f"x = {in_lines(path.read_bytes())}"))
        if judging.size(text, limit) != judging.FITS:
            too_large.add(path.stem)
    assert too_large == {"in_floats"}
    assert len(list(FILES.glob("*.onnx"))) == 10
