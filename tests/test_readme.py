"""The README's code runs as it is printed; the lessons' points are those that docs/ names."""

import re
from pathlib import Path

import torch

import tinykd
from tinykd.classroom.author.read_lesson import read_lesson

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_first_lines_run_on_a_few_digits(monkeypatch):
    """256 digits and one epoch, or it would take minutes; the code is the README's."""
    images, labels = tinykd.load_mnist("test")
    monkeypatch.setattr(tinykd, "load_mnist", lambda split: (images[:256], labels[:256]))
    assert "epochs=20" in BLOCKS[0]
    exec(BLOCKS[0].replace("epochs=20", "epochs=1").replace("epochs=3", "epochs=1"), {})


def test_code_of_ones_own_runs_as_printed(tmp_path, monkeypatch, capsys):
    """A term of one's own, several layers and teachers, a bare loop, the student out of a file."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict = {}
    for block in BLOCKS[1:]:
        exec(block, names)
    assert capsys.readouterr().out.startswith("(0.7 -> 0.55 -> 0.4) * SoftTargets(T=4, teacher='b")
    assert len(names["trainer"].history) == 3
    assert torch.isfinite(names["loss"])


def test_the_table_of_lessons():
    """A row of docs/GRADING.md per lesson; what is missing there can be copied from the failure."""
    rows = []
    for source in sorted((ROOT / "solutions").glob("[0-9]*.py")):
        lesson = read_lesson(source)
        hidden, points = len(lesson.all("hidden")), sum(one.points for one in lesson.checks)
        counts = f"{len(lesson.checks) - hidden} and {hidden} | {points:g}"
        rows.append(f"| {lesson.name} | {len(lesson.all('answer'))} | {counts} |")
    table = (ROOT / "docs" / "GRADING.md").read_text("utf-8").splitlines()
    missing = "\n".join(row for row in rows if row not in table)
    assert not missing, missing
