"""One class of 30, graded by `tinykd grade`, by nbgrader and by otter-grader, in turns on one core.

    make .venv-peers                                    nbgrader and otter-grader, among others
    .venv-peers/bin/python benchmarks/grading.py [--students 30] [--out benchmarks/results.json]

The class: lesson 01 (six exercises, 21 checks, torch), every student a draw of the solution, its
known mistakes and unwritten stubs; all of it ends by itself. The three get the same answers, the
same checks on the same inputs and the same expected values, held against them by the same code
(`tinykd.classroom.Checks`), one thread each, and must give the same verdict on every check. Only
setup, answers and checks run: the training runs of the lesson are left out for all three.

- `tinykd grade`: a fresh bubblewrap sandbox and two fresh kernels a submission, visible and hidden
  checks apart; JSON, JUnit, Gradescope and HTML reports of every student and of the class. Its time
  has the proof of all checks under the class's seed in it.
- `nbgrader autograde`: the notebook with one graded cell a check, run in one kernel; points go into
  its database. No sandbox, one submission at a time, feedback (another command) is left out.
- otter-grader: `otter.api.grade_submission`, its documented way without containers, called for one
  submission after the other in one process: faster than `otter run`, which starts anew for each.
  One test file a check, one kernel a submission. No sandbox, and no time limit either.

Making the class, nbgrader's `generate_assignment` and `otter generate` are not timed. A first round
warms the file cache and compares the verdicts. Then each round times a class of one and the whole
class with every grader in turn; what is printed are medians, and ratios within a round, which
survive a machine that is not quiet. Linux, like the sandbox. Half an hour.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import in_turns
from nbformat import v4

from tinykd.classroom.author.lesson import Lesson
from tinykd.classroom.author.notebooks import KERNELSPEC, dump, make_notebook
from tinykd.classroom.author.read_lesson import read_lesson
from tinykd.classroom.child_environment import ONE_THREAD
from tinykd.classroom.grading.reference import make_reference
from tinykd.classroom.notebook_format import CHECK_ROLES, recorded_value, stub

SOURCE = Path(__file__).resolve().parents[1] / "solutions" / "01_temperature.py"
SEED = 0  # of the checks' inputs: what `Checks` has outside of `tinykd grade`
CELL_SECONDS = 30
NAMES = ("tinykd", "nbgrader", "otter")

ABOUT = """\
import platform, torch
print(f"Python {platform.python_version()} and torch {torch.__version__.partition('+')[0]}")
"""
NBGRADER_CONFIG = f"c = get_config()\nc.Execute.timeout = {CELL_SECONDS}\n"
# Runs with the peers' Python, in nbgrader's course folder: the checks every student passed.
NBGRADER_SCORES = """\
import json
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db") as book:
    print(json.dumps({
        one.student.id: [g.name for g in one.notebooks[0].grades if g.auto_score == g.max_score]
        for one in book.assignment_submissions("ps1")
    }))
"""
# The same for otter, which grades by it: in the folder with autograder.zip.
OTTER = """\
import json, sys
from pathlib import Path
from otter.api import grade_submission
passed = {}
for path in sorted(Path("submissions").glob(sys.argv[1] + ".ipynb")):
    found = grade_submission(str(path), "autograder.zip", quiet=True).results
    passed[path.stem] = [name for name, test in found.items() if test.passed_all]
Path("passed.json").write_text(json.dumps(passed))
"""
OTTER_TEST = """\
OK_FORMAT = False
from otter.test_files import test_case
name, points = {name!r}, {points!r}

@test_case(hidden={hidden!r})
def test(env):
    exec(SOURCE, env)

SOURCE = {source!r}
"""

Answers = dict[str, str]  # exercise -> source of its answer cell
Verdicts = dict[str, set[str]]  # student -> ids of the check cells that are passed


def answers_of(lesson: Lesson, count: int) -> dict[str, Answers]:
    """What `count` students hand in: in ten a solution, an untouched lesson, eight mixes."""
    rng = random.Random(0)
    students: dict[str, Answers] = {}
    for number in range(count):
        mine = students[f"student{number:02}"] = {}
        for cell in lesson.all("answer"):
            mistakes = [mutant.source for mutant in lesson.all("mutant") if mutant.of == cell.name]
            choices = [cell.source, stub(cell.name, cell.source), rng.choice(mistakes)]
            if number % 10 < 2:
                mine[cell.name] = choices[number % 10]
            else:
                mine[cell.name] = rng.choices(choices, (0.7, 0.05, 0.25))[0]
    return students


def make_tinykd(folder: Path, lesson: Lesson, students: dict[str, Answers]) -> None:
    """The lesson's notebooks as students hand them in, prose and training cells included."""
    for student, answers in students.items():
        made = make_notebook(lesson, solution=False)
        for cell in made.cells:
            if cell.metadata.get("role") == "answer":
                cell.source = answers[cell.metadata.name]
        _write(folder / "submissions" / f"{student}.ipynb", dump(made))


def make_nbgrader(folder: Path, reference: Any, students: dict[str, Answers]) -> None:
    """A course folder: one graded cell a check, the hidden ones marked as nbgrader wants it."""
    _write(folder / "nbgrader_config.py", NBGRADER_CONFIG)
    _write(folder / "source/ps1/lesson.ipynb", _notebook(_nbgrader_cells(reference, {})))
    _write(folder / f"source/ps1/checks/{SOURCE.stem}.json", expected(reference))
    for student, answers in students.items():
        text = _notebook(_nbgrader_cells(reference, answers))
        _write(folder / "submitted" / student / "ps1/lesson.ipynb", text)


def _nbgrader_cells(reference: Any, answers: Answers) -> list[Any]:
    """The teacher's, or, where there are `answers`, a student's."""
    made = []
    for cell in _cells(reference, "setup", "answer", *CHECK_ROLES):
        meta, answer = cell["metadata"], cell["metadata"]["role"] == "answer"
        source = answers.get(meta["name"], cell["source"])
        if meta["role"] == "hidden":
            source = f"### BEGIN HIDDEN TESTS\n{source}\n### END HIDDEN TESTS"
            source = "" if answers else source
        about = {"schema_version": 3, "grade_id": cell["id"], "task": False, "solution": answer}
        about |= {"locked": not answer, "grade": meta["role"] in CHECK_ROLES}
        about |= {"points": meta["points"]} if meta["role"] in CHECK_ROLES else {}
        made.append(v4.new_code_cell(source, id=cell["id"], metadata={"nbgrader": about}))
    return made


def make_otter(folder: Path, reference: Any, students: dict[str, Answers]) -> None:
    """Notebooks of setup and answers, a test file a check, the expected values beside them."""
    _write(folder / "checks" / f"{SOURCE.stem}.json", expected(reference))
    for cell in _cells(reference, *CHECK_ROLES):
        meta = cell["metadata"]
        about = {"name": cell["id"], "points": meta["points"], "source": cell["source"]}
        text = OTTER_TEST.format(**about, hidden=meta["role"] == "hidden")
        _write(folder / "tests" / f"{cell['id']}.py", text)
    for student, answers in students.items():
        cells = [
            v4.new_code_cell(answers.get(cell["metadata"]["name"], cell["source"]), id=cell["id"])
            for cell in _cells(reference, "setup", "answer")
        ]
        _write(folder / "submissions" / f"{student}.ipynb", _notebook(cells))


def expected(reference: Any) -> str:
    """The lesson's checks file, with the hidden checks as well: the peers compare in the kernel."""
    checks = {}
    for cell in _cells(reference, *CHECK_ROLES):
        meta = cell["metadata"]
        kept = {key: meta[key] for key in ("points", "hint", "rtol", "atol")}
        checks[meta["name"]] = kept | {"value": recorded_value(cell["outputs"], meta["name"])}
    mutants = json.loads(reference["metadata"]["tinykd"]["mutants"])
    return json.dumps({"checks": checks, "hidden": [], "mutants": mutants})


def _cells(reference: Any, *roles: str) -> list[dict[str, Any]]:
    return [cell for cell in reference["cells"] if cell["metadata"].get("role") in roles]


def _notebook(cells: list[Any]) -> str:
    return dump(v4.new_notebook(cells=cells, metadata={"kernelspec": KERNELSPEC}))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


class Graders:
    """The class of `count` students in `folder`, made for all three; `peers` is their Python."""

    def __init__(self, folder: Path, peers: str, count: int):
        lesson, reference = read_lesson(SOURCE), make_reference(SOURCE, SEED).notebook
        self.students, self.folder, self.peers = answers_of(lesson, count), folder, peers
        make_tinykd(folder / "tinykd", lesson, self.students)
        make_nbgrader(folder / "nbgrader", reference, self.students)
        make_otter(folder / "otter", reference, self.students)
        (folder / "home").mkdir()
        self._peer("nbgrader", "-m", "nbgrader", "generate_assignment", "ps1")
        options = ("-t", "tests", "-o", "autograder.zip", "--no-requirements", "--no-environment")
        self._peer("otter", "-m", "otter", "generate", *options, "checks")

    def grade(self, name: str, only: str = "", jobs: int = 1) -> float:
        """Grade the class, or one student of it, with `name`; the wall-clock seconds it took."""
        out = Path(tempfile.mkdtemp(dir=self.folder)) / "report"  # tinykd would go on in an old one
        start = time.perf_counter()
        if name == "otter":
            self._peer(name, "-c", OTTER, only or "*")
        elif name == "nbgrader":
            options = [f"--student={only}"] if only else []
            self._peer(name, "-m", "nbgrader", "autograde", "ps1", "--force", *options)
        else:
            options = ["--lesson", SOURCE.stem, "--out", str(out), "--seed", str(SEED)]
            options += ["--jobs", str(jobs), "--cell-seconds", str(CELL_SECONDS)]
            options += ["--only", only] if only else []
            command = [sys.executable, "-m", "tinykd.classroom.cli", "grade"]
            _run([*command, str(self.folder / name / "submissions"), *options], SOURCE.parent)
            self.report = out
        return time.perf_counter() - start

    def verdicts(self, name: str) -> Verdicts:
        """What the last run of `name` found."""
        if name == "nbgrader":
            found = json.loads(self._peer(name, "-c", NBGRADER_SCORES))
        elif name == "otter":
            found = json.loads((self.folder / "otter" / "passed.json").read_text())
        else:
            found = {}
            for path in self.report.glob("students/*/report.json"):
                report = json.loads(path.read_text())
                checks = [check for one in report["exercises"] for check in one["checks"]]
                passed = [check["name"].replace(".", "-") for check in checks if check["passed"]]
                found[report["student"]] = passed
        return {student: set(passed) for student, passed in found.items()}

    def _peer(self, name: str, *command: str) -> str:
        env = {key: value for key, value in os.environ.items() if not key.startswith("JUPYTER")}
        path = f"{Path(self.peers).parent}:{env['PATH']}"  # nbgrader calls alembic
        env |= {"HOME": str(self.folder / "home"), "PATH": path}  # nobody's own settings
        return _run([self.peers, *command], self.folder / name, env)


def _run(command: list[str], folder: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    if done.returncode:
        said = f"{done.stdout[-2000:]}{done.stderr[-3000:]}"
        raise RuntimeError(f"{' '.join(command)[:300]} ended with {done.returncode}:\n{said}")
    return done.stdout


def compare_verdicts(found: dict[str, Verdicts]) -> str:
    """Whether all graders said the same, student by student; otherwise who said what."""
    ours, *others = found
    lines = [
        f"  {student}: {ours} and {other} differ on {', '.join(sorted(odd))}"
        for student, passed in sorted(found[ours].items())
        for other in others
        if (odd := passed ^ found[other].get(student, set()))
    ]
    students, passes = len(found[ours]), sum(map(len, found[ours].values()))
    told = f"{passes} checks passed by {students} students"
    return "\n".join(["the verdicts DIFFER:", *lines] if lines else [f"all agree: {told}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--peers",
        default=sys.executable,
        type=os.path.abspath,
        help="Python that has nbgrader and otter-grader, if not this one",
    )
    parser.add_argument("--students", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=1, help="tinykd once more, on so many cores")
    parser.add_argument("--out", type=Path, help="results.json to put the numbers into")
    options = parser.parse_args()
    os.environ |= ONE_THREAD | {"TINYKD_SCALE": "smoke"}
    about = [
        _run([python, "-c", ABOUT], SOURCE.parent) for python in (sys.executable, options.peers)
    ]
    if about[0] != about[1]:
        raise SystemExit(f"not the same conditions: here {about[0]}, there {about[1]}")
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])  # and all that comes from this process
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        graders = Graders(Path(folder), options.peers, options.students)
        print(f"{options.students} submissions of {SOURCE.stem}, {about[0].strip()}, one core")
        for name in NAMES:
            graders.grade(name)
        print(compare_verdicts({name: graders.verdicts(name) for name in NAMES}), flush=True)
        rounds = [_round(graders) for _ in range(options.rounds)]
        found = rows(rounds, options.students)
        show(found)
        used = in_turns.versions("nbgrader", "otter-grader")
        in_turns.keep("grading", found, options.out, students=options.students, versions=used)
        if options.jobs > 1:
            os.sched_setaffinity(0, cores[: options.jobs])
            seconds = graders.grade("tinykd", jobs=options.jobs)
            each = 60 * options.students / seconds
            print(f"tinykd, --jobs {options.jobs}: {seconds:.0f} s, {each:.1f} a minute")


Times = dict[str, tuple[float, float]]  # grader -> seconds for a class of one, and for all


def _round(graders: Graders) -> Times:
    first = next(iter(graders.students))
    times = {name: (graders.grade(name, first), graders.grade(name)) for name in NAMES}
    told = ", ".join(f"{name} {one:.1f} s, {every:.1f} s" for name, (one, every) in times.items())
    print(f"load {os.getloadavg()[0]:.1f}; a class of one, and all: {told}", flush=True)
    return times


def rows(rounds: list[Times], count: int) -> list[dict[str, Any]]:
    """A row a grader: median seconds, and ratios within a round, of the class and of a further
    submission: the class's seconds less those of a class of one.
    """
    found = []
    for name in NAMES:
        one, every = (statistics.median(r[name][i] for r in rounds) for i in (0, 1))
        extra = [{n: (b - a) / (count - 1) for n, (a, b) in r.items()} for r in rounds]
        low, ratio, high = in_turns.quartiles([r[name][1] / r["tinykd"][1] for r in rounds])
        row = {"name": name, "seconds": every, "class_of_one": one, "rounds": len(rounds)}
        row |= {"times_ours": ratio, "low": low, "high": high}
        row |= {"further": statistics.median(r[name] for r in extra)}
        row |= {"further_times_ours": statistics.median(r[name] / r["tinykd"] for r in extra)}
        found.append(row)
    return found


def show(found: list[dict[str, Any]]) -> None:
    """A line a grader."""
    print("\n          a class of one  the class   ratio  a further one   ratio")
    for row in found:
        print(
            f"{row['name']:<9} {row['class_of_one']:>12.1f} s {row['seconds']:>8.1f} s "
            f"{row['times_ours']:>6.2f}x {row['further']:>12.2f} s "
            f"{row['further_times_ours']:>6.2f}x"
        )


if __name__ == "__main__":
    main()
