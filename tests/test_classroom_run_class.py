"""`tinykd grade`: what is kept, what is refused, and how it stops.

Kernels are faked here; the last test grades docs/sample_class for real.
"""

import csv
import errno
import hashlib
import importlib.metadata
import json
import math
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import textwrap
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from tinykd.classroom.author.lesson import LessonError
from tinykd.classroom.cli import app
from tinykd.classroom.grading.read_submission import NotGradable
from tinykd.classroom.grading.result import CheckResult, Grade
from tinykd.classroom.reports import write_reports
from tinykd.classroom.roster import report_folder, run_class
from tinykd.classroom.roster.folder_lock import ClassError, locked_folder
from tinykd.classroom.roster.run_class import GradingOptions, grade_class
from tinykd.classroom.roster.terminal import closing_message, results_table
from tinykd.classroom.sandbox import bubblewrap
from tinykd.progress import Interruptible

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
LESSON = "01_fake"
MISSING = bubblewrap.why_unavailable()
SCHEMA = json.loads((Path(write_reports.__file__).parent / "report.schema.json").read_text("utf-8"))


class FakeServers:
    """What run_class.py sees of ForkServers; entered only where something is to be graded."""

    entered = 0

    def __init__(self, sandboxed=True, gpu=False, kernel_modules=(), pytest_modules=()):
        self.description = "bubblewrap 0.0" if sandboxed else "none: --unsafe"

    def __enter__(self):
        FakeServers.entered += 1

    def __exit__(self, *_):
        pass


class Lesson:
    """A fake reference and grader: a submission is the number of checks it passes."""

    def __init__(self):
        self.text, self.graded, self.seconds = "reference", [], 0.0

    def make_reference(self, source, seed):
        sha256 = hashlib.sha256(f"{seed}:{self.text}".encode()).hexdigest()
        return SimpleNamespace(lesson=LESSON, seed=seed, sha256=sha256, max_points=4.0, modules=[])

    def grade_submission(self, submission, reference, kernels, cell_seconds, seconds):
        self.graded.append(submission)
        time.sleep(self.seconds)
        text = submission.read_text()
        if not text.isdigit():
            if text == "boom":
                raise ZeroDivisionError(f"in {text}")
            if text == "bang":
                raise KeyError(text)
            raise NotGradable(f"{submission} is not a notebook: {text}")
        checks = [
            CheckResult(f"{name}.{i}", i > 0, 1.0, 2 * n + i < int(text))
            for n, name in enumerate(("softmax", "entropy"))
            for i in range(2)
        ]
        for check in checks:
            if not check.passed:
                check.why, check.hint, check.mistake = "wrong", "Think.", "softmax.total"
        return Grade(LESSON, checks, ["a remark"])


@pytest.fixture
def lesson(monkeypatch):
    fake = Lesson()
    monkeypatch.setattr(run_class, "ForkServers", FakeServers)
    monkeypatch.setattr(FakeServers, "entered", 0)
    monkeypatch.setattr(run_class, "make_reference", fake.make_reference)
    monkeypatch.setattr(run_class, "grade_submission", fake.grade_submission)
    monkeypatch.setattr(bubblewrap, "why_unavailable", lambda: None)
    return fake


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A clone with one lesson; a class of three and a half is in subs/."""
    for name in ("01_fake.py", "02_other.py", "03_a.py", "03_b.py"):
        (tmp_path / "solutions").mkdir(exist_ok=True)
        (tmp_path / "solutions" / name).write_text("")
    write(tmp_path / "subs", {"ada.ipynb": "4", "bob/01_fake.ipynb": "1", "cleo.ipynb": "0"})
    write(tmp_path / "subs", {"dan.ipynb": "{"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def run(*more, lesson="01", subs="subs", out="report"):
    arguments = ["grade", subs, "--lesson", lesson, "--out", out, *map(str, more)]
    return CliRunner().invoke(app, arguments)


def rows(folder="report"):
    text = Path(folder, "class.csv").read_text("utf-8-sig")
    return {row["student"]: row for row in csv.DictReader(text.splitlines())}


def reports(folder="report"):
    paths = Path(folder, "students").glob("*/report.json")
    return {path.parent.name: json.loads(path.read_text("utf-8")) for path in paths}


# ---------------------------------------------------------------- one class


def test_a_class(course, lesson):
    write(course / "subs", {"eli.ipynb": "boom", "notes.txt": "", "fay/fay.txt": ""})
    done = run("--jobs", 2)
    assert done.exit_code == 1, done.output
    found = reports()
    for report in found.values():
        jsonschema.validate(report, SCHEMA)
    assert {name: report["points"] for name, report in found.items() if report["exercises"]} == {
        "ada": 4.0,
        "bob": 1.0,
        "cleo": 0.0,
    }
    assert found["bob"]["submission"]["file"] == "bob/01_fake.ipynb"
    assert found["bob"]["exercises"][1]["checks"][0]["mistake"] == "softmax.total"
    assert found["dan"]["reason"] == "dan.ipynb is not a notebook: {", "no path of the instructor's"
    assert found["eli"]["reason"] == "internal error: ZeroDivisionError: in boom"
    assert "Traceback" in Path("report/errors.log").read_text()
    assert rows()["dan"]["points"] == "" != rows()["cleo"]["points"]
    assert rows().keys() == {"ada", "bob", "cleo", "dan", "eli", "fay"}
    assert "not looked at: notes.txt" in done.output
    assert "\nbob       1 of 4  softmax -1, entropy -2\n" in done.output
    assert "\ndan       - of 4  could not be graded: dan.ipynb is not a notebook: {" in done.output
    assert "mean 1.67, median 1 of 4 points" in done.output
    assert "3 of 6 could not be graded" in done.output
    assert "[6/6] " in done.output
    assert re.search(r'students/bob/report.html"', Path("report/index.html").read_text())


def test_a_class_without_a_point_is_graded_all_the_same(course, lesson):
    (course / "subs" / "dan.ipynb").unlink()
    for name in ("ada.ipynb", "bob/01_fake.ipynb"):
        (course / "subs" / name).write_text("0")
    done = run()
    assert done.exit_code == 0
    assert "mean 0, median 0 of 4 points" in done.output
    assert "no sandbox:" not in done.output


def test_what_students_are_sent_does_not_name_the_seed(course, lesson):
    run("--seed", 987654321)
    files = [path for path in Path("report/students").glob("*/*") if path.name != "report.json"]
    assert len(files) == 4 * 3
    for path in files:
        assert "987654321" not in path.read_text()


def test_as_many_at_a_time_as_there_are_jobs(course, lesson, monkeypatch):
    meeting = threading.Barrier(4)

    def grade_submission(*arguments):
        meeting.wait(20)  # breaks, unless four are here at once
        return lesson.grade_submission(*arguments)

    monkeypatch.setattr(run_class, "grade_submission", grade_submission)
    assert "internal error" not in run("--jobs", 4).output
    assert len(lesson.graded) == 4


def test_limits_and_sandbox_reach_the_grader_and_the_reports(course, lesson, monkeypatch):
    seen = []
    monkeypatch.setattr(
        run_class, "grade_submission", lambda *a: seen.append(a[3:]) or lesson.grade_submission(*a)
    )
    done = run("--seconds", 77, "--cell-seconds", 7, "--unsafe")
    assert seen == [(7, 77)] * 4
    assert "can read, change and delete your\nfiles" in done.output
    assert "no sandbox:    --unsafe; the reports say so" in done.output
    assert {report["sandbox"] for report in reports().values()} == {"none: --unsafe"}
    assert json.loads(Path("report/class.json").read_text())["limits"]["seconds"] == 77


# ---------------------------------------------------------------- going on


def again(lesson, *more):
    lesson.graded.clear()
    done = run(*more)
    assert done.exit_code in (0, 1), done.output
    return sorted(path.name for path in lesson.graded)


def test_only_what_changed_is_graded_again(course, lesson):
    everything = sorted(["ada.ipynb", "01_fake.ipynb", "cleo.ipynb", "dan.ipynb"])
    assert again(lesson) == everything
    before = rows()
    assert again(lesson) == []
    assert FakeServers.entered == 1, "nothing to grade: no kernels"
    assert rows() == before
    (course / "subs" / "cleo.ipynb").write_text("3")
    assert again(lesson) == ["cleo.ipynb"]
    assert float(rows()["cleo"]["points"]) == 3
    lesson.text = "another reference"
    assert again(lesson) == everything
    assert again(lesson, "--cell-seconds", 31) == everything
    assert again(lesson, "--cell-seconds", 31, "--jobs", 3) == []
    assert again(lesson, "--cell-seconds", 31, "--unsafe") == everything


def test_only_one_is_asked_for_and_another_has_handed_in_anew(course, lesson):
    """Of the other neither the old points nor new ones: it was not asked for."""
    again(lesson)
    (course / "subs" / "bob" / "01_fake.ipynb").write_text("4")
    assert again(lesson, "--only", "ada", "--only", "ada.ipynb") == ["ada.ipynb"]
    assert rows().keys() == {"ada", "cleo", "dan"}
    assert again(lesson) == ["01_fake.ipynb"]
    assert float(rows()["bob"]["points"]) == 4


def test_what_is_wrong_with_an_entry_is_said_anew(course, lesson):
    (course / "subs" / "fay").mkdir()
    again(lesson)
    assert rows()["fay"]["reason"] == "its folder is empty"
    write(course / "subs", {"fay/fay.txt": ""})
    again(lesson)
    assert rows()["fay"]["reason"] == "no notebook (.ipynb) in its folder, only fay.txt"


def test_a_namesake_who_comes_later_gives_both_names_of_their_own(course, lesson):
    again(lesson)
    write(course / "subs", {"ada/01_fake.ipynb": "2"})
    again(lesson)
    points = {name: float(row["points"]) for name, row in rows().items() if "ada" in name}
    assert points == {"ada (ada)": 2, "ada (ada.ipynb)": 4}
    write(course / "subs", {"cleo/01_fake.ipynb": "0"})  # the very same notebook
    again(lesson)
    assert {name for name in rows() if "cleo" in name} == {"cleo (cleo)", "cleo (cleo.ipynb)"}


def test_a_damaged_report_and_an_internal_error_are_graded_again(course, lesson, monkeypatch):
    write(course / "subs", {"eli.ipynb": "boom"})
    again(lesson)
    Path("report/students/ada/report.json").write_text('{"schema": 1, "key": ')
    Path("report/students/cleo/report.json").write_text("[]")
    assert again(lesson) == ["ada.ipynb", "cleo.ipynb", "eli.ipynb"]


def test_versions_are_part_of_the_key(course, lesson, monkeypatch):
    again(lesson)
    version = importlib.metadata.version
    for name in ("torch", "numpy", "nbval", "ipykernel"):
        monkeypatch.setattr(
            importlib.metadata,
            "version",
            lambda one, name=name: "0.0" if one == name else version(one),
        )
        assert len(again(lesson)) == 4, name


def test_copies_are_remarked_upon_and_every_traceback_is_kept(course, lesson):
    write(course / "subs", {"bob/01_fake (1).ipynb": "4", "eli.ipynb": "boom", "fin.ipynb": "bang"})
    run()
    remark = "also in the folder, and not graded: 01_fake (1).ipynb"
    assert reports()["bob"]["remarks"] == [remark, "a remark"]
    log = Path("report/errors.log").read_text()
    assert "\nZeroDivisionError: in boom\n" in log
    assert "\nKeyError: 'bang'\n" in log
    assert "by the clock" in Path("report/index.html").read_text()
    (course / "subs" / "cleo.ipynb").write_text("3")
    run()
    assert "by the clock" not in Path("report/index.html").read_text(), "of cleo alone"


def test_tinykd_itself_is_part_of_the_key(course, lesson, monkeypatch, tmp_path):
    again(lesson)
    write(tmp_path / "elsewhere", {"classroom/roster/report_folder.py": "", "x.py": "1"})
    elsewhere = str(tmp_path / "elsewhere/classroom/roster/report_folder.py")
    monkeypatch.setattr(report_folder, "__file__", elsewhere)
    assert len(again(lesson)) == 4
    write(tmp_path / "elsewhere", {"page.html": "of a student"})
    assert len(again(lesson)) == 4


def test_the_seed_is_random_kept_and_part_of_the_key(course, lesson):
    run()
    run(out="other")
    seeds = [json.loads(Path(out, "class.json").read_text())["seed"] for out in ("report", "other")]
    assert seeds[0] != seeds[1]
    assert again(lesson, "--seed", seeds[0]) == []
    assert len(again(lesson, "--seed", 5)) == 4
    assert again(lesson) == [], "5 is the kept one now"
    assert {report["seed"] for report in reports().values()} == {5}
    assert len(again(lesson, "--seed", 0)) == 4
    assert {report["seed"] for report in reports().values()} == {0}


def test_a_random_seed_is_one_under_which_every_mistake_is_caught(course, lesson, monkeypatch):
    """A seed of the instructor's own is taken or refused, never another one in its place."""
    tried = []

    def make_reference(source, seed):
        tried.append(seed)
        if len(tried) < 3:
            raise LessonError("a mutant keeps its points")
        return lesson.make_reference(source, seed)

    monkeypatch.setattr(run_class, "make_reference", make_reference)
    assert "a mutant keeps its points" in run("--seed", 5).output
    assert tried == [5]
    assert not lesson.graded
    tried.clear()
    assert run().exit_code == 1
    assert tried == [tried[0], tried[0] + 1, tried[0] + 2]
    assert {report["seed"] for report in reports().values()} == {tried[2]}


def test_a_seed_under_which_the_lesson_does_not_hold_is_not_kept(course, lesson, monkeypatch):
    def refuse(source, seed):
        raise ClassError("a mutant keeps its points")

    monkeypatch.setattr(run_class, "make_reference", refuse)
    assert run().exit_code == 2
    assert not Path("report/class.json").exists()
    monkeypatch.setattr(run_class, "make_reference", lesson.make_reference)
    assert run().exit_code == 1


def test_only_grades_one_again_and_keeps_the_others(course, lesson):
    again(lesson)
    assert again(lesson, "--only", "ADA") == ["ada.ipynb"]
    assert again(lesson, "--only", "bob/", "--only", "cleo.ipynb") == [
        "01_fake.ipynb",
        "cleo.ipynb",
    ]
    assert rows().keys() == {"ada", "bob", "cleo", "dan"}
    (course / "subs" / "empty").mkdir()
    (course / "subs" / "e\u0301ric_41_assignsubmission_file").mkdir()  # as macOS spells it
    run()
    assert again(lesson, "--only", "\xc9RIC") == again(lesson, "--only", "41") == []
    assert again(lesson, "--only", "ada") == ["ada.ipynb"]
    assert "have no report" not in run("--only", "ada").output
    assert rows().keys() == {"ada", "bob", "cleo", "dan", "empty", "e\u0301ric"}, "nobody lacks"
    for name in ("empty", "e\u0301ric_41_assignsubmission_file"):
        (course / "subs" / name).rmdir()
    lesson.text = "another reference"
    assert "3 others of the class were graded before" in run("--only", "ada").output
    assert again(lesson, "--only", "ada", "--cell-seconds", 31) == ["ada.ipynb"]
    assert rows().keys() == {"ada", "bob", "cleo", "dan"}, "nobody asked for the others"
    words = "3 others of the class were graded before the lesson, tinykd or an option changed"
    assert words in run("--only", "ada", "--cell-seconds", 31).output
    assert "3 students graded earlier, before the lesson" in Path("report/index.html").read_text()
    assert len(again(lesson, "--cell-seconds", 31)) == 3
    assert "graded earlier" not in Path("report/index.html").read_text()
    words = "3 others of the class have no report under this seed"
    assert words in run("--only", "ada", "--seed", 7).output
    assert rows().keys() == {"ada"}


def test_a_part_of_the_class_under_the_seed_of_all(course, lesson):
    """Parts into one folder, one after another: all of the class in its table, nobody twice."""
    done = run("--part", "1/2")
    assert (done.exit_code, lesson.graded) == (2, [])
    assert "--part 1/2 needs --seed" in done.output
    assert "write n/N" in run("--part", "3/2", "--seed", 5).output
    first = again(lesson, "--part", "1/2", "--seed", 5)
    assert 0 < len(rows()) == len(first) < 4
    done = run("--part", "1/2")
    assert f"{4 - len(first)} others of the class have no report" in " ".join(done.output.split())
    everything = ["01_fake.ipynb", "ada.ipynb", "cleo.ipynb", "dan.ipynb"]
    assert sorted(first + again(lesson, "--part", "2/2")) == everything
    assert rows().keys() == {"ada", "bob", "cleo", "dan"}
    assert again(lesson) == []


def test_only_takes_both_entries_of_one_name(course, lesson):
    write(course / "subs", {"ada/01_fake.ipynb": "2"})
    again(lesson)
    assert again(lesson, "--only", "Ada") == ["01_fake.ipynb", "ada.ipynb"]
    assert again(lesson, "--only", "ada (ada.ipynb)") == ["ada.ipynb"]


def test_the_folder_above_the_submissions(course, lesson):
    write(course / "term", {"week 1/ada/x.ipynb": "4", "week 1/bob/x.ipynb": "1", "a.txt": ""})
    words = "nothing to grade in term, but in term/week 1: is that the folder to give?"
    assert words in " ".join(run(subs="term").output.split())
    assert "is that the folder" not in run().output
    write(course / "one", {"ada/ada/ada/x.ipynb": "4"})  # a student alone, in folders in folders
    assert "is that the folder" not in run(subs="one", out="two").output
    (course / "linked").mkdir()
    (course / "linked" / "others").symlink_to(course / "subs")
    assert "is that the folder" not in run(subs="linked", out="three").output


def test_who_has_gone_is_named_and_left_out(course, lesson):
    run()
    (course / "subs" / "cleo.ipynb").unlink()
    done = run()
    assert "no longer among the submissions, so left out of the tables: cleo" in done.output
    assert "cleo" not in rows()
    assert "cleo" in reports()


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"subs": "nowhere"}, "nowhere is not a folder"),
        ({"subs": "subs/ada.ipynb"}, "is not a folder"),
        ({"subs": "empty"}, "nothing to grade in empty: looked for notebooks"),
        ({"out": "subs/report"}, "--out subs/report lies in subs"),
        ({"out": "subs"}, "lies in subs"),
        ({"out": "solutions"}, "solutions is no report folder"),
        ({"out": "subs.zip"}, "cannot write"),
        ({"lesson": "77"}, "no lesson '77'"),
        ({"lesson": "03"}, "fits 03_a, 03_b; name one: --lesson 03_a"),
    ],
)
def test_bad_usage_says_what_is_wrong(course, lesson, arguments, words):
    (course / "empty").mkdir()
    (course / "subs.zip").write_text("")
    done = run(**arguments)
    assert done.exit_code == 2
    assert words in " ".join(done.output.split())
    assert not lesson.graded


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--only", "adda"), "--only 'adda': no such student; nearest: ada"),
        (("--jobs", 0), "Invalid value for '--jobs'"),
        (("--seed", -1), "Invalid value for '--seed'"),
        (("--seconds", 0), "Invalid value for '--seconds'"),
    ],
)
def test_bad_options_say_what_is_wrong(course, lesson, option, words):
    done = run(*option)
    assert done.exit_code == 2
    assert words in " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.output).split())


def test_a_report_folder_belongs_to_one_lesson_and_one_run(course, lesson):
    run()
    assert "report holds reports of lesson 01_fake, not 02_other" in run(lesson="02").output
    with locked_folder(Path("report"), LESSON, None):
        done = run()
    assert done.exit_code == 2
    assert "another tinykd grade is writing to report" in done.output
    Path("report/class.json").write_text("{")
    assert "class.json cannot be read" in run().output


def test_without_a_sandbox_nothing_runs(course, lesson, monkeypatch):
    monkeypatch.setattr(bubblewrap, "why_unavailable", lambda: "Install it: apt install bubblewrap")
    done = run()
    assert done.exit_code == 2
    assert "apt install bubblewrap" in done.output
    assert "--unsafe" in done.output
    assert not Path("report").exists()
    assert run("--unsafe").exit_code == 1


@pytest.mark.parametrize("place", ["subs", "subs/..", "report", "solutions", "temporary"])
def test_nothing_lies_in_a_folder_that_submissions_can_read(course, lesson, monkeypatch, place):
    monkeypatch.setattr(tempfile, "tempdir", str(course / "temporary" / "own"))
    (course / "temporary" / "own").mkdir(parents=True)
    (course / "report").mkdir()
    monkeypatch.setenv("TINYKD_DATA", str((course / place).resolve()))
    done = run()
    assert done.exit_code == 2
    assert "no sandbox: " in done.output
    assert "would be in it, and" in done.output
    assert not lesson.graded
    monkeypatch.setenv("TINYKD_DATA", str(course / "elsewhere"))
    assert run().exit_code == 1


# ---------------------------------------------------------------- stopped


def test_a_full_disk_ends_the_run_and_nothing_is_half_written(course, lesson, monkeypatch):
    whole, written = report_folder.write_student, []

    def full(report, folder):
        written.append(folder)
        if len(written) > 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(folder / "report.html"))
        whole(report, folder)

    monkeypatch.setattr(report_folder, "write_student", full)
    done = run("--jobs", 1)
    assert done.exit_code == 2
    assert "No space left on device\n2 of 4 graded; the same command goes on" in done.output
    assert len(reports()) == 2
    monkeypatch.setattr(report_folder, "write_student", whole)
    assert len(again(lesson)) == 2
    assert len(rows()) == 4


def test_a_report_that_cannot_be_made_costs_only_itself(course, lesson, monkeypatch):
    whole = report_folder.write_student

    def picky(report, folder):
        if report["student"] == "bob" and report["exercises"]:
            raise UnicodeError("no page can hold this")
        whole(report, folder)

    monkeypatch.setattr(report_folder, "write_student", picky)
    assert run().exit_code == 1
    assert reports()["bob"]["reason"] == "internal error: UnicodeError: no page can hold this"
    assert rows().keys() == {"ada", "bob", "cleo", "dan"}


def test_a_killed_write_leaves_the_old_report(course, lesson, monkeypatch):
    run()
    before = Path("report/students/ada/report.json").read_bytes()
    (course / "subs" / "ada.ipynb").write_text("2")
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(5, "I/O error")))
    assert run().exit_code == 2
    assert Path("report/students/ada/report.json").read_bytes() == before
    monkeypatch.undo()
    assert not list(Path("report").rglob("*.part"))


def test_interrupted_before_anything_began(course, lesson, monkeypatch):
    monkeypatch.setattr(
        run_class, "make_reference", lambda *_: os.kill(os.getpid(), signal.SIGTERM)
    )
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    done = run()
    assert done.exit_code == 130
    assert "the same command goes on" in done.output
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_signals_only_set_a_flag_while_something_is_written():
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    with Interruptible(numbers, defers=0) as signals:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        signals.defers = math.inf
        for number in (*numbers, signal.SIGINT):
            os.kill(os.getpid(), number)
        assert signals.asked
    assert [signal.getsignal(number) for number in numbers] == before


SLOW = """
import sys, time
from pathlib import Path
from tinykd.classroom import cli  # first: without it jsonschema takes seconds to import
from tinykd.classroom.roster import run_class
from tinykd.classroom.sandbox import bubblewrap
sys.path.insert(0, {tests!r})
import test_classroom_run_class as fakes
lesson = fakes.Lesson()
run_class.ForkServers, run_class.make_reference = fakes.FakeServers, lesson.make_reference
bubblewrap.why_unavailable = lambda: None
def slow(submission, *more):
    if submission.name > "c" and not Path("quick").exists():
        Path("begun").touch()
        time.sleep(60)  # a kernel that does not answer
    return lesson.grade_submission(submission, *more)
run_class.grade_submission = slow
cli.app()
"""


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_at_once_and_the_same_command_goes_on(course, child_env, number):
    (course / "subs" / "bob" / "01_fake.ipynb").rename(course / "subs" / "bob" / "b.ipynb")
    code = textwrap.dedent(SLOW).format(tests=str(Path(__file__).parent))
    command = [sys.executable, "-c", code, "grade", "subs", "--lesson", "01", "--out", "report"]
    command += ["--jobs", "1"]
    process = subprocess.Popen(command, env=child_env, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not Path("begun").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    start = time.monotonic()
    for _ in range(3):  # somebody in a hurry
        process.send_signal(number)
        time.sleep(0.05)
    output, _ = process.communicate(timeout=30)
    assert time.monotonic() - start < 10
    assert process.returncode == 130, output
    assert "interrupted: ending the kernels" in output
    assert "interrupted:   2 of 4 graded; the same command goes on" in output
    assert rows().keys() == reports().keys() == {"ada", "bob"}
    Path("quick").touch()
    done = subprocess.run(command, env=child_env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert "2 of these were graded before" in done.stdout
    assert rows().keys() == {"ada", "bob", "cleo", "dan"}


# ---------------------------------------------------------------- for people


def test_the_table_holds_in_a_terminal_whatever_a_student_wrote(course, lesson):
    for name in ("\x1b[31mred", "x\ny", "<b>", "\u202eevil", "w" * 200):
        (course / "subs" / f"{name}.ipynb").write_text("\x1b]0;owned\x07 and\nmore")
    done = run()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", done.output)
    assert max(map(len, done.output.splitlines())) < 220
    assert results_table([]) == "nobody has been graded"


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals as POSIX has them")
def test_a_terminal_gets_a_bar_with_names_and_time_left(course, child_env):
    write(course, {"quick": ""})
    code = textwrap.dedent(SLOW).format(tests=str(Path(__file__).parent))
    code = code.replace("lesson = fakes.Lesson()", "lesson = fakes.Lesson(); lesson.seconds = 0.5")
    mine, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    command = [sys.executable, "-c", code, "grade", "subs", "--lesson", "01", "--out", "report"]
    done = subprocess.Popen([*command, "--jobs", "2"], env=child_env, stdout=theirs)
    os.close(theirs)
    seen = b""
    while True:
        try:
            chunk = os.read(mine, 4096)
        except OSError:  # how Linux says that the other end is closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(mine)
    assert done.wait(60) == 1
    text = seen.decode()
    assert re.search(r"graded:  50%.*2/4 \[00:\d\d<00:\d\d, .*cleo, dan\]", text), text
    assert "[1/4]" not in text


def test_the_functions_below_the_command_raise_in_words(course, lesson):
    with pytest.raises(ClassError, match="--only 'zoe'"):
        grade_class(
            course / "subs", Path("01_fake.py"), course / "r", GradingOptions(), only=["zoe"]
        )
    outcome = grade_class(
        course / "subs", Path("01_fake.py"), course / "r", GradingOptions(), log=lambda _: 0
    )
    assert closing_message(outcome)[1] == 1


# ---------------------------------------------------------------- what docs/ promises


def snippets():
    text = (ROOT / "docs" / "GRADING.md").read_text("utf-8")
    return [textwrap.dedent(code) for code in re.findall(r"```python\n(.*?)```", text, re.S)]


def test_the_snippet_for_moodle(course, lesson):
    names = ["Ada A_10_assignsubmission_file_/x.ipynb", "Bob_B_11_assignsubmission_file/x.ipynb"]
    names += ["Cy_10_assignsubmission_file_12_assignsubmission_file_/x.ipynb"]  # not Ada's number
    write(course / "moodle", {name: str(i) for i, name in enumerate(names)})
    write(course / "moodle", {"Dan D_13_assignsubmission_file_/x.ipynb": "{"})
    run(subs="moodle")
    head = "\ufeffIdentifier,Full name,Status,Grade,Maximum Grade\n"
    sheet = [f"Participant 1{i},{name},Submitted,,4.00\n" for i, name in enumerate("abcde")]
    Path("worksheet.csv").write_text(head + "".join(sheet), encoding="utf-8")
    exec(snippets()[0], {})
    with Path("upload.csv").open(newline="", encoding="utf-8") as file:
        grades = {row["Identifier"]: row["Grade"] for row in csv.DictReader(file)}
    assert grades == {f"Participant 1{i}": grade for i, grade in enumerate(["0", "1", "2", "", ""])}
    with zipfile.ZipFile("feedback.zip") as feedback:
        assert len(feedback.namelist()) == 4
        for name in feedback.namelist():  # as Moodle reads it, before and after 4.1
            _, number, kind, plugin, rest = name.split("/")[0].split("_")
            assert (kind, plugin, rest) == ("assignsubmission", "file", "")
            who = {
                "10": "Ada A",
                "11": "Bob_B",
                "12": "Cy_10_assignsubmission_file",
                "13": "Dan D",
            }
            assert f"<bdi>{who[number]}</bdi>" in feedback.read(name).decode()


def test_the_snippet_for_canvas(course, lesson):
    names = [
        "lovelaceada_101_9001_x.ipynb",
        "noethere_LATE_102_9002_x.ipynb",
        "gauss_103_9003_x.ipynb",
    ]
    write(course / "canvas", dict(zip(names, ["3", "1", "{"], strict=True)))
    run(subs="canvas")
    head = "Student,ID,SIS Login ID,Section,Lesson 01 (777),Final Score\n"
    rest = [
        "    Points Possible,,,,4.00,(read only)\n",
        "A,101,a,S,,1\n",
        "E,102,e,S,,2\n",
        "G,103,g,S,2,3\n",
    ]
    Path("gradebook.csv").write_text(head + "".join(rest), encoding="utf-8")
    exec(snippets()[1], {})
    with Path("upload.csv").open(newline="", encoding="utf-8") as file:
        grades = [row["Lesson 01 (777)"] for row in csv.DictReader(file)]
    assert grades == ["4.00", "3", "1", "2"]


@pytest.mark.skipif(os.name != "posix", reason="a script for bash")
@pytest.mark.parametrize("code", [0, 1, 2])
def test_the_workflow_s_step_fails_as_tinykd_check_does(tmp_path, code):
    workflow = yaml.safe_load((ROOT / "docs" / "github_classroom.yml").read_text("utf-8"))
    steps = workflow["jobs"]["check"]["steps"]
    assert all(re.search(r"@v\d+$", step["uses"]) for step in steps if "uses" in step)
    write(tmp_path, {"submission/mine/01_temperature.ipynb": "", "submission/.git/x": ""})
    fake = f'#!/bin/sh\necho "$@"\nexit {code}\n'
    write(tmp_path, {"bin/tinykd": fake})
    (tmp_path / "bin" / "tinykd").chmod(0o755)
    env = {**os.environ, **workflow["env"], "GITHUB_STEP_SUMMARY": "summary.md"}
    env["PATH"] = f"{tmp_path / 'bin'}:{env['PATH']}"
    bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps[-1]["run"]]
    done = subprocess.run(bash, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    told = "check submission/mine/01_temperature.ipynb --reference "
    told += "course/solutions/01_temperature.ipynb"
    assert (tmp_path / "summary.md").read_text() == f"```\n{told}\n```\n"
    shutil.rmtree(tmp_path / "submission" / "mine")
    assert subprocess.run(bash, cwd=tmp_path, env=env, capture_output=True).returncode == 2


def test_the_sample_class_is_what_students_get_with_answers_of_their_own():
    """Nobody's outputs, and the lesson's own cells; prose may have moved on."""
    lesson = json.loads((ROOT / "lessons" / "01_temperature.ipynb").read_text("utf-8"))
    names = {cell["metadata"].get("name") for cell in lesson["cells"]}
    for path in (ROOT / "docs" / "sample_class").rglob("*.ipynb"):
        if path.parent.name == "tom_baker":
            continue  # a merge conflict, no longer JSON
        cells = json.loads(path.read_text("utf-8"))["cells"]
        assert {cell["metadata"].get("name") for cell in cells} <= names, path
        assert not any(cell.get("outputs") for cell in cells), path


@pytest.mark.slow
@pytest.mark.skipif(MISSING is not None, reason=f"no sandbox: {MISSING}")
def test_the_sample_class(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    done = run("--seed", 0, "--jobs", 2, subs="docs/sample_class", out=str(tmp_path / "report"))
    assert done.exit_code == 1, done.output
    start = done.output.index("\namara_okafor ")
    shown = done.output[start : done.output.index("\n\nthe class:")].strip()
    assert shown in (ROOT / "docs" / "GRADING.md").read_text("utf-8")
    found = reports(tmp_path / "report")
    for report in found.values():
        jsonschema.validate(report, SCHEMA)
        assert report["sandbox"].startswith("bubblewrap")
    checks = [check for one in found["mei_lin_chen"]["exercises"] for check in one["checks"]]
    mistakes = {check["mistake"] for check in checks}
    assert {"softmax.global_max", "log_softmax.epsilon", "entropy.mean"} < mistakes
    assert len(found["sofia_rossi"]["remarks"]) == 2
