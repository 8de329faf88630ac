"""benchmarks/grading.py: the three graders get the same class. Nothing is graded here."""

import importlib.util
import json
from pathlib import Path

import pytest

pytest.importorskip("jupytext")
pytest.importorskip("nbval")

from tinykd.classroom.author.read_lesson import read_lesson
from tinykd.classroom.checks import CheckFailed
from tinykd.classroom.grading.reference import read_reference
from tinykd.classroom.notebook_format import stub

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "grading.py"


@pytest.fixture(scope="module")
def grading():
    spec = importlib.util.spec_from_file_location("benchmark_grading", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPT.parent)  # as where it is run
        spec.loader.exec_module(module)
    return module


def test_ratios_are_within_a_round_and_a_further_submission_is_without_the_start(grading):
    rounds = [
        {"tinykd": (2.0, 11.0), "nbgrader": (3.0, 30.0), "otter": (4.0, 49.0)},
        {"tinykd": (4.0, 22.0), "nbgrader": (6.0, 60.0), "otter": (8.0, 98.0)},
    ]
    ours, nbgrader, otter = grading.rows(rounds, 10)
    assert (ours["seconds"], ours["times_ours"], ours["further"]) == (16.5, 1.0, 1.5)
    assert nbgrader["times_ours"] == pytest.approx(30 / 11)
    assert nbgrader["further_times_ours"] == pytest.approx(3.0)
    assert otter["further"] == pytest.approx(7.5)


@pytest.fixture(scope="module")
def made(grading, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    lesson = read_lesson(grading.SOURCE)
    reference = read_reference(grading.SOURCE.with_suffix(".ipynb"))
    students = grading.answers_of(lesson, 12)
    grading.make_tinykd(folder / "tinykd", lesson, students)
    grading.make_nbgrader(folder / "nbgrader", reference, students)
    grading.make_otter(folder / "otter", reference, students)
    return folder, lesson, students


def test_a_class_is_made_of_solutions_stubs_and_known_mistakes(made):
    _, lesson, students = made
    answers = {cell.name: cell.source for cell in lesson.all("answer")}
    stubs = {name: stub(name, source) for name, source in answers.items()}
    assert students["student00"] == students["student10"] == answers
    assert students["student01"] == students["student11"] == stubs
    mistakes = {cell.source: cell.of for cell in lesson.all("mutant")}
    mixed = [item for mine in students.values() for item in mine.items()]
    wrong = [(name, source) for name, source in mixed if source in mistakes]
    assert len(wrong) >= 5
    for name, source in mixed:
        assert source in (answers[name], stubs[name]) or mistakes[source] == name


def test_the_three_classes_hold_the_same_answers(made):
    folder, lesson, students = made
    ids = {cell.id: cell.name for cell in lesson.all("answer")}
    for student, answers in students.items():
        for path in (
            folder / "tinykd" / "submissions" / f"{student}.ipynb",
            folder / "nbgrader" / "submitted" / student / "ps1" / "lesson.ipynb",
            folder / "otter" / "submissions" / f"{student}.ipynb",
        ):
            cells = json.loads(path.read_text())["cells"]
            found = {c["id"]: "".join(c["source"]) for c in cells if c["id"] in ids}
            assert {ids[one]: source for one, source in found.items()} == answers, path


def test_all_get_every_check_and_no_student_a_hidden_one(made):
    folder, lesson, _ = made
    checks = {cell.id: cell.source for cell in lesson.checks}
    hidden = [cell.source for cell in lesson.all("hidden")]
    source = json.loads((folder / "nbgrader/source/ps1/lesson.ipynb").read_text())["cells"]
    graded = {c["id"]: c for c in source if c["metadata"]["nbgrader"]["grade"]}
    assert list(graded) == list(checks)
    for name, text in checks.items():
        assert text in "".join(graded[name]["source"])
    assert {path.stem for path in (folder / "otter/tests").glob("*.py")} == set(checks)
    for path in folder.glob("*/sub*/**/*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        assert not [c for c in cells if "".join(c["source"]) in hidden], path


def test_the_solution_passes_all_of_the_peers_checks_and_a_stub_none(made, monkeypatch):
    folder, lesson, students = made
    monkeypatch.delenv("TINYKD_GRADING", raising=False)
    monkeypatch.chdir(folder / "otter")
    passed = {}
    for student in ("student00", "student01"):
        space = {}
        for source in [cell.source for cell in lesson.all("setup")] + [*students[student].values()]:
            exec(source, space)
        passed[student] = 0
        for cell in lesson.checks:
            try:
                exec(cell.source, space)
            except CheckFailed:
                continue
            passed[student] += 1
    assert passed == {"student00": len(lesson.checks), "student01": 0}


def test_verdicts_that_differ_are_told(grading):
    same = {"ada": {"a", "b"}, "bo": set()}
    assert "all agree: 2 checks passed by 2" in grading.compare_verdicts({"x": same, "y": same})
    told = grading.compare_verdicts({"x": same, "y": same | {"bo": {"b"}}, "z": {"ada": {"a"}}})
    assert "DIFFER" in told
    assert "bo: x and y differ on b" in told
    assert "ada: x and z differ on b" in told
