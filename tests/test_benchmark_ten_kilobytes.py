"""Lesson 18's full-scale script, on a few digits: every method runs once, and nothing twice."""

from pathlib import Path

import pytest

from tinykd.challenge import judging
from tinykd.classroom.literal import in_lines, read_literal

FILES = Path(__file__).resolve().parents[1] / "solutions" / "18_your_own"


@pytest.mark.slow
def test_every_method_runs_once_for_each_seed(runs_once):
    found = runs_once("ten_kilobytes", "--only", "2-3 int8")
    for setting in ("2-3 float32", "2-3 int8"):
        methods = [run["method"] for run in found["runs"] if run["setting"] == setting]
        assert methods == ["labels", "soft targets", "labels, undistorted", "labels, test digits"]
        assert found["bytes"][setting] < 10_000
    assert all(0 <= run["accuracy"] <= 1 for run in found["runs"])


def test_the_lesson_s_own_files_are_what_they_are_called():
    limit, text = 10_000, {}
    for path in FILES.glob("*.onnx"):
        text[path.stem] = "".join(read_literal("x", f"x = {in_lines(path.read_bytes())}"))
    too_large = {name for name in text if judging.size(text[name], limit) != judging.FITS}
    assert too_large == {"in_floats", "of_images"}
    assert {"right", "other_arm", "probabilities", "undistorted", "untrained"} <= text.keys()
