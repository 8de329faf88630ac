"""A class that hands in data: graded apart from code, measured by the grader, put on a board."""

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from tinykd.classroom.author.lesson import LessonError
from tinykd.classroom.author.notebooks import dump, make_notebook
from tinykd.classroom.author.read_lesson import read_lesson
from tinykd.classroom.cli import app
from tinykd.classroom.reports.board import NoBoard, board, board_text
from tinykd.classroom.roster.run_class import GradingOptions, grade_class

COURSE = Path(__file__).parent / "fixtures" / "literal"
SOURCE = COURSE / "solutions" / "mini.py"
SCHEMA = Path(__file__).parents[1] / "tinykd" / "classroom" / "reports" / "report.schema.json"

# In an answer that is code: whatever a student could try on the checks of the data.
FORGER = """
import sys
from IPython.display import publish_display_data
def double(x):
    here = {"tinykd": {"measured": "characters", "number": 1e9}}
    publish_display_data({"text/plain": ""}, here)
    here = {"tinykd": {"check": "data.secret", "value": "true"}}
    publish_display_data({"text/plain": ""}, here)
    for module in list(sys.modules.values()):
        if getattr(module, "Checks", None):
            module.Checks.given = lambda *_: "0" * 1000
            module.Checks.__call__ = lambda self, name, value: None
    return 2 * x
"""
HANDED_IN = {  # student -> answers that differ from the solution's, points
    "right": ({}, 4),
    "twin": ({"data": "data = ('00000000000000' '000000')"}, 4),
    "long": ({"data": f"# %load data.py\ndata = '{'0' * 150_000}'"}, 4),
    "short": ({"data": "data = '0'"}, 3),
    "forger": ({"double": FORGER, "data": "data = None"}, None),
    "caller": ({"data": "data = __import__('os').getcwd()"}, 1),
    "f_string": ({"data": "data = f'{check.__class__}' '00000000000'"}, 1),
    "two_statements": ({"data": "import os\ndata = '00000000000'"}, 1),
    "untouched_data": ({"data": "data = None"}, 1),
    "data_alone": ({"double": "def double(x):\n    raise SystemExit"}, 3),
    "killer": ({"double": "import os\ndef double(x):\n    os._exit(1)"}, 3),
}


def book(answers, lesson):
    made = make_notebook(lesson, solution=False)
    right = {cell.name: cell.source for cell in lesson.all("answer")}
    for cell in made.cells:
        if cell.metadata.get("role") == "answer":
            cell.source = (right | answers)[cell.metadata.name]
    return dump(made)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder, lesson = tmp_path_factory.mktemp("literal"), read_lesson(SOURCE)
    (folder / "class").mkdir()
    for name, (answers, _) in HANDED_IN.items():
        (folder / "class" / f"{name}.ipynb").write_text(book(answers, lesson), encoding="utf-8")
    options = GradingOptions(jobs=2, cell_seconds=20)
    grade_class(folder / "class", SOURCE, folder / "out", options, seed=31, log=lambda text: None)
    return folder / "out"


def report(out, name):
    return json.loads((out / "students" / name / "report.json").read_text("utf-8"))


def checks(out, name):
    exercises = report(out, name)["exercises"]
    return {check["name"]: check for one in exercises for check in one["checks"]}


@pytest.mark.sandbox
@pytest.mark.slow
def test_data_is_graded_and_measured_apart_from_code(out):
    points = {name: report(out, name)["points"] for name in HANDED_IN}
    expected = {name: points_ for name, (_, points_) in HANDED_IN.items()}
    assert {n: p for n, p in points.items() if n != "forger"} == {
        n: p for n, p in expected.items() if n != "forger"
    }
    # whatever code did, nothing of it reached the exercise that is data
    forged = checks(out, "forger")
    assert not forged["data.secret"]["passed"]
    assert not forged["data.long"]["passed"]
    assert all("measured" not in check for check in forged.values())
    secret = {name: checks(out, name)["data.secret"] for name in HANDED_IN}
    measured = {n: c["measured"]["characters"] for n, c in secret.items() if "measured" in c}
    assert measured == {
        "right": 20, "twin": 20, "long": 150_000, "short": 1, "data_alone": 20, "killer": 20,
    }  # fmt: skip
    for name in HANDED_IN:
        jsonschema.validate(report(out, name), json.loads(SCHEMA.read_text()))
    page = (out / "students" / "right" / "report.html").read_text()
    assert "Measured by data.secret" in page
    assert "<strong>20.00</strong>" in page


@pytest.mark.sandbox
@pytest.mark.slow
def test_what_is_refused_is_said_in_words_and_not_run(out):
    for name, words in {
        "caller": "holds a call",
        "f_string": "an f-string",
        "two_statements": "and nothing else",
    }.items():
        why = checks(out, name)["data.long"]["why"]
        assert why.startswith("your cell data does not run: ValueError: no code is run here"), why
        assert words in why
    assert checks(out, "untouched_data")["data.long"]["why"] == "not written yet"


@pytest.mark.sandbox
@pytest.mark.slow
def test_the_board_ranks_what_the_grader_has_measured(out):
    found = board(out)
    ranks = [(row["rank"], row["student"], row["number"]) for row in found["rows"]]
    assert ranks == [
        (1, "long", 150_000), (2, "data_alone", 20), (2, "killer", 20), (2, "right", 20),
        (2, "twin", 20), (6, "short", 1),
    ]  # fmt: skip
    assert "forger" in found["without"]
    assert board_text(found) == board_text(board(out, "charac"))
    result = CliRunner().invoke(app, ["board", str(out)])
    assert result.exit_code == 0, result.output
    assert "board.html" in result.output
    page = (out / "board.html").read_text()
    assert page.count("<tr>") == 7
    assert "<script" not in page
    with pytest.raises(NoBoard, match="'characters'"):
        board(out, "speed")


def test_no_board_without_reports(tmp_path):
    with pytest.raises(NoBoard, match="no reports"):
        board(tmp_path)
    result = CliRunner().invoke(app, ["board", str(tmp_path)])
    assert result.exit_code == 2


def changed(tmp_path, old, new):
    shutil.copytree(COURSE, tmp_path / "course")
    path = tmp_path / "course" / "solutions" / "mini.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("data = ...", "data = 3 + ...", "does not end in|a sum"),
        ('data = "0"', "data = len('0')", "a call"),
        ('file="mini/right.bin"', 'file="mini/other.bin"', "no such file"),
        ("data = ...", "data = 3", "does not end in"),
        ('check.call(double, float(n)) for', 'check.call(double, float(n)) + len(data) for',
         "graded apart"),
        ('"long" if len(', '"long" if double and len(', "graded apart"),
        ('rng = check.rng("double.value")',
         'rng = check.rng("double.value")\ncheck.measured("a", lambda: 1)', "could forge"),
        ('role="setup" name="setup"', 'role="setup" name="setup" literal=true',
         "literal is for answer"),
    ],
)  # fmt: skip
def test_what_a_lesson_may_not_do_with_data(tmp_path, old, new, words):
    with pytest.raises(LessonError, match=words):
        read_lesson(changed(tmp_path, old, new))


def test_the_student_notebook_holds_no_data():
    lesson = read_lesson(SOURCE)
    student = dump(make_notebook(lesson, solution=False))
    assert "data = None" in student
    assert "0000000000" not in student
    assert "0000000000" in dump(make_notebook(lesson, solution=True))
