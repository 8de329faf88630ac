"""The kill matrix of every lesson, through the class grader: sandbox, kernels, nbval, reports.

`tinykd build` proves the same in plain Python under its own seeds. Here a lesson's solution, the
untouched student's notebook, and notebooks with a known mistake in several exercises are a class,
handed in and graded under a seed that no lesson was written for. A mistake costs the points of its
own exercise alone, so that several in one notebook tell as much as each in its own.
"""

import json
import os
import re
from pathlib import Path

import pytest

from tinykd.classroom.author.notebooks import dump, make_notebook
from tinykd.classroom.author.read_lesson import read_lesson
from tinykd.classroom.roster.run_class import GradingOptions, grade_class

LESSONS = sorted((Path(__file__).resolve().parents[1] / "solutions").glob("[0-9]*.py"))
SEED = 271_828_183
SOLVED, UNTOUCHED = "the-solution", "untouched"

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]


def handed_in(lesson, answers):
    """The student's notebook with these answers, as text."""
    made = make_notebook(lesson, solution=False)
    for cell in made.cells:
        if cell.metadata.get("role") == "answer":
            cell.source = answers.get(cell.metadata.name, cell.source)
    return dump(made)


def related(lesson):
    """Pairs of exercises of which one, or its checks, uses the other's answer."""
    names = [answer.name for answer in lesson.all("answer")]
    text = dict.fromkeys(names, "")
    for cell in lesson.all("answer", "mutant", "check", "hidden"):
        text[cell.of or cell.name.partition(".")[0]] += cell.source
    uses = {(a, b) for a in names for b in names if a != b and re.search(rf"\b{b}\b", text[a])}
    return uses | {(b, a) for a, b in uses}


def mistakes(lesson):
    """File name -> the mutants in that notebook, of exercises that do not use one another."""
    apart, books = related(lesson), []
    for mutant in lesson.all("mutant"):
        for book in books:
            if not any(other.of == mutant.of or (other.of, mutant.of) in apart for other in book):
                book.append(mutant)
                break
        else:
            books.append([mutant])
    return {f"mistakes{number:03}": book for number, book in enumerate(books)}


def class_of(lesson):
    """File name -> notebook: the solution, the untouched lesson, those with mistakes."""
    right = {cell.name: cell.source for cell in lesson.all("answer")}
    books = {SOLVED: handed_in(lesson, right), UNTOUCHED: handed_in(lesson, {})}
    for name, together in mistakes(lesson).items():
        wrong = {mutant.of: mutant.source for mutant in together}
        books[name] = handed_in(lesson, right | wrong)
    return books


@pytest.mark.parametrize("source", LESSONS, ids=lambda path: path.stem)
def test_every_known_mistake_loses_exactly_its_points(source, tmp_path):
    lesson = read_lesson(source)
    (tmp_path / "class").mkdir()
    for name, text in class_of(lesson).items():
        (tmp_path / "class" / f"{name}.ipynb").write_text(text, encoding="utf-8")
    options = GradingOptions(jobs=len(os.sched_getaffinity(0)), cell_seconds=60)
    folders = tmp_path / "class", source, tmp_path / "out"
    grade_class(*folders, options, SEED, log=lambda text: None)
    reports = {}
    for path in (tmp_path / "out" / "students").glob("*/report.json"):
        report = json.loads(path.read_text("utf-8"))
        reports[report["student"]] = report

    points = {check.name: check.points for check in lesson.checks}
    deserved = {SOLVED: set(), UNTOUCHED: set(points)}
    for name, together in mistakes(lesson).items():
        deserved[name] = {check for mutant in together for check in mutant.loses}
    assert set(reports) == set(deserved)
    wrong = {}
    for name, loses in deserved.items():
        report = reports[name]
        assert report["status"] == "graded", report["reason"]
        checks = {c["name"]: c for one in report["exercises"] for c in one["checks"]}
        assert set(checks) == set(points)
        lost = {check for check, one in checks.items() if not one["passed"]}
        earned = sum(points[check] for check in points if check not in loses)
        if lost != loses or report["points"] != earned or not all(map(told, checks.values())):
            wrong[name] = (sorted(lost), sorted(loses), report["points"], earned)
    assert wrong == {}


def told(check):
    """Whether a lost check says what is wrong and gives a hint, and a passed one does not."""
    return bool(check["why"]) == bool(check["hint"]) == (not check["passed"])
