"""The template of lesson 18, as somebody would start it: on a folder of pictures, on a CSV."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

TEMPLATE = Path(__file__).resolve().parents[1] / "lessons" / "18_your_own" / "template.py"


def pictures(root):
    """Bright ones and dark ones, colours and sizes as they come."""
    rng = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 180)):
        (root / name).mkdir(parents=True)
        for n in range(40):
            pixels = rng.normal(level, 40, (30 + n % 3, 40, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{n}.png")
    return root


def sentences(path):
    rng, words = np.random.default_rng(0), ("film", "actors", "the", "story", "music")
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "text", "label"])
        for n in range(300):
            verdict = ("good", "bad", "dull")[n % 3]
            text = [*rng.permutation(words)[:3], f"is {verdict}, so"]
            table.writerow([n, " ".join(text), verdict])
    return path


def started(folder, data, *more):
    command = [sys.executable, str(TEMPLATE), str(data), "--out", str(folder / "out"), *more]
    return command, folder / "out"


@pytest.mark.parametrize("make", [pictures, sentences], ids=["pictures", "sentences"])
def test_it_runs_as_it_is(make, tmp_path, child_env):
    command, out = started(tmp_path, make(tmp_path / "mine"), "--epochs", "12")
    done = subprocess.run(command, env=child_env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads((out / "numbers.json").read_text())
    assert [len(found["test"][arm]) for arm in ("labels", "soft targets")] == [5, 5]
    low, high = found["gain"]
    assert low <= np.mean(found["test"]["soft targets"]) - np.mean(found["test"]["labels"]) <= high
    assert found["verdict"] in ("better", "not better", "not shown")
    assert np.mean(found["test"]["labels"]) > 1.2 / len(found["classes"])  # it learns something
    assert len(onnx.load(out / "student.onnx").graph.output) == 1
    assert found["verdict"] in (out / "report.md").read_text(encoding="utf-8")


def test_too_little_data_is_said(tmp_path, child_env):
    (tmp_path / "mine.csv").write_text("text,label\ngood,yes\nbad,no\n", encoding="utf-8")
    command, _ = started(tmp_path, tmp_path / "mine.csv")
    done = subprocess.run(command, env=child_env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "2 samples of 2 classes" in done.stderr
