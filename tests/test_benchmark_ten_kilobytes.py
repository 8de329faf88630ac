"""Lesson 18's full-scale script, on a few digits: every method runs once, and nothing twice."""

from pathlib import Path

import pytest
import torch

from tinykd.challenge import answers, judging
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
    limit, digits, words = 10_000, torch.rand(20, 1, 28, 28), {}
    for path in FILES.glob("*.onnx"):
        text = "".join(read_literal("x", f"x = {in_lines(path.read_bytes())}"))
        words[path.stem] = judging.size(text, limit, digits)
    fit = {"right", "probabilities", "of_the_cells", "undistorted", "untrained"}
    assert {name for name in words if words[name] == judging.FITS} == fit
    wrong = {
        "in_floats": "bytes are more than",
        "of_images": "bytes are more than",
        "of_batch": "may not depend on the rest of a batch",
        "fixed_batch": "fixed batch",
        "not_finite": "not finite",
        "cut_off": "not an ONNX file",
        "weights_elsewhere": "another file",
    }
    assert words.keys() == fit | wrong.keys()
    for name, reason in wrong.items():
        assert reason in words[name]
    right, shares = ((FILES / f"{name}.onnx").read_bytes() for name in ("right", "probabilities"))
    assert torch.equal(answers(right, digits).argmax(1), answers(shares, digits).argmax(1))
