"""A class in parts: every submission in one of them, killed workers, reports merged without loss.

All of it for real: the lesson of tests/fixtures, tinykd as a command, the two recipes of docs/.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tinykd.classroom.author.notebooks import dump, make_notebook
from tinykd.classroom.author.read_lesson import read_lesson
from tinykd.classroom.roster.choose_students import of_part
from tinykd.classroom.roster.find_submissions import find_submissions
from tinykd.classroom.roster.folder_lock import ClassError

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "tests" / "fixtures" / "course" / "solutions" / "01_fixture.py"
SEED = 20_261_126


def hand_in(folder, count):
    """`count` students, of whom every third has everything right and every fourth hands in junk."""
    lesson = read_lesson(SOURCE)
    folder.mkdir(parents=True)
    for n in range(count):
        made = make_notebook(lesson, solution=n % 3 == 0)
        text = "no notebook" if n % 4 == 3 else dump(made)
        (folder / f"student{n:05}.ipynb").write_text(text)


@pytest.fixture
def clone(tmp_path, child_env):
    """A clone with one lesson, nine submissions beside it, and a tinykd on the PATH."""
    (tmp_path / "course" / "solutions").mkdir(parents=True)
    shutil.copy(SOURCE, tmp_path / "course" / "solutions")
    hand_in(tmp_path / "class" / "submissions", 9)
    command = tmp_path / "bin" / "tinykd"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m tinykd "$@"\n')
    command.chmod(0o755)
    child_env["PATH"] = f"{command.parent}:{child_env['PATH']}"
    return tmp_path


def reports(folder):
    """What was graded: {student: (status, points, sha256 of the submission)}."""
    paths = Path(folder, "students").glob("*/report.json")
    found = [json.loads(path.read_text("utf-8")) for path in paths]
    return {r["student"]: (r["status"], r["points"], r["key"]["submission"]) for r in found}


def run(clone, env, *command, code=0):
    done = subprocess.run(command, cwd=clone / "course", env=env, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def grade(clone, env, out, *more):
    fixed = ("tinykd", "grade", "../class/submissions", "--seed", str(SEED), "--out", str(out))
    return run(clone, env, *fixed, *map(str, more), code=1)


def test_each_submission_is_in_one_part_and_stays_there(tmp_path):
    for n in range(60):
        (tmp_path / f"student{n}.ipynb").write_text("")
    before, _ = find_submissions(tmp_path, "01")
    parts = [of_part(before, f"{n}/7") for n in range(1, 8)]
    assert sorted(one.student for part in parts for one in part) == sorted(
        one.student for one in before
    )
    assert all(2 <= len(part) <= 18 for part in parts)
    (tmp_path / "aaron.ipynb").write_text("")
    after, _ = find_submissions(tmp_path, "01")
    for n, part in enumerate(parts, 1):
        assert {one.student for one in part} == {
            one.student for one in of_part(after, f"{n}/7")
        } - {"aaron"}
    assert of_part(before, "1/1") == before
    for wrong in ("0/4", "5/4", "1", "1/0", "a/4", "-1/4", "1/4/2", ""):
        with pytest.raises(ClassError, match="3/40"):
            of_part(before, wrong)


@pytest.mark.slow
@pytest.mark.sandbox
def test_the_script_merges_what_one_run_finds_and_goes_on_after_a_kill(clone, child_env):
    """SIGKILL to a worker in the middle of its part: it loses what it was on, others nothing."""
    grade(clone, child_env, "../whole", "--jobs", 2)
    whole = reports(clone / "whole")
    assert len(whole) == 9
    assert {status for status, *_ in whole.values()} == {"graded", "not_gradable"}
    assert {points for _, points, _ in whole.values()} == {0.0, 6.0}

    options = ("--part", "1/2", "--out", "../report.parts/1", "--jobs", "1")
    command = ["tinykd", "grade", "../class/submissions", "--seed", str(SEED), *options]
    worker = subprocess.Popen(
        command,
        cwd=clone / "course",
        env=child_env,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not (kept := reports(clone / "report.parts" / "1")):
        assert worker.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    kept = reports(clone / "report.parts" / "1")
    stamps = {
        path: path.stat().st_mtime_ns
        for path in (clone / "report.parts" / "1" / "students").glob("*/report.json")
    }
    assert 0 < len(kept) < sum(1 for _ in whole)

    script = ROOT / "docs" / "grade_class.sh"
    arguments = ("../class/submissions", "01_fixture", str(SEED), "../report", "2", "2")
    said = run(clone, child_env, "bash", str(script), *arguments, code=1)
    assert reports(clone / "report") == whole
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert "9 of these were graded before and have not changed" in said
    table = (clone / "report" / "class.csv").read_text("utf-8-sig").splitlines()
    assert len(table) == 1 + 9
    log = (clone / "report.parts" / "1.log").read_text()
    assert f"{len(kept)} of these were graded before" in log


@pytest.mark.slow
@pytest.mark.sandbox
def test_the_workflow_merges_and_grades_what_a_lost_part_lacks(clone, child_env):
    """Its own shell lines, part 2 of 3 lost with its machine."""
    workflow = yaml.safe_load((ROOT / "docs" / "grade_class.yml").read_text("utf-8"))
    part, merge = workflow["jobs"]["part"], workflow["jobs"]["merge"]
    assert part["strategy"]["matrix"]["part"] == list(range(1, workflow["env"]["PARTS"] + 1))
    assert part["strategy"]["fail-fast"] is False
    assert (merge["needs"], merge["if"]) == ("part", "always()")
    for step in part["steps"] + merge["steps"]:
        assert re.search(r"@v\d+$", step["uses"]) if "uses" in step else "run" in step
    child_env |= {"LESSON": "01_fixture", "SEED": str(SEED), "PARTS": "3"}
    bash = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")
    [step] = [step for step in part["steps"] if step.get("name") == "grade this part"]
    for n in (1, 3):
        run(clone, child_env | {"PART": str(n)}, *bash, step["run"])
        (clone / "parts").mkdir(exist_ok=True)
        (clone / "report").rename(clone / "parts" / f"part-{n}")
    known = reports(clone / "parts" / "part-1") | reports(clone / "parts" / "part-3")
    assert 0 < len(known) < 9
    [step] = [step for step in merge["steps"] if step.get("name") == "all reports in one folder"]
    said = run(clone, child_env, *bash, step["run"])
    found = reports(clone / "report")
    assert len(found) == 9
    assert known.items() <= found.items()
    assert f"{len(known)} of these were graded before" in said
