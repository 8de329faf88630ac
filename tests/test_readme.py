"""The README's code runs as it is printed; what it and docs/ name, count and list is there."""

import ast
import io
import re
import tokenize
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


def test_calls_that_are_named_are_there():
    """`keep_served(path, answers, part)` in a sentence or a table: such a function, or method."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    text = "".join(page.read_text("utf-8") for page in pages)
    named = set(
        re.findall(r"`(?:[\w]+\.)*([A-Za-z]\w*)\(", re.sub(r"```.*?```", "", text, flags=re.S))
    )
    code = "".join(path.read_text("utf-8") for path in (ROOT / "tinykd").rglob("*.py"))
    defined = set(re.findall(r"\b(?:def|class) (\w+)", code))
    others = {"GKDConfig", "named_modules"}  # TRL's, torch's
    assert len(named) > 20
    assert named - defined == others


def test_the_table_of_the_engine_has_every_room():
    table = README.partition("| file | idea |")[2].partition("\n\n")[0]
    entries = [path for path in (ROOT / "tinykd").iterdir() if not path.name.startswith("_")]
    names = {f"{path.name}/" if path.is_dir() else path.name for path in entries} - {"py.typed"}
    assert len(names) > 20
    assert not [name for name in names if f"`{name}" not in table]


def test_the_lines_of_code_are_counted():
    """Without docstrings and comments; to the next hundred or so."""
    said = re.search(r"about ([\d,]+) lines of code .*?, and ([\d,]+) more for\s+language", README)
    engine, lm = (int(number.replace(",", "")) for number in said.groups())
    every = (ROOT / "tinykd").rglob("*.py")
    ours = [path for path in every if not {"classroom", "challenge"} & set(path.parts)]
    of_lm = [path for path in ours if path.parent.is_relative_to(ROOT / "tinykd" / "lm")]
    assert abs(sum(map(lines_of_code, of_lm)) - lm) < 150
    assert abs(sum(map(lines_of_code, ours)) - sum(map(lines_of_code, of_lm)) - engine) < 150


def lines_of_code(path):
    source = path.read_text("utf-8")
    words = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            words |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    space = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    found = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in space | {tokenize.ENDMARKER}:
            found |= set(range(token.start[0], token.end[0] + 1))
    return len(found - words)
