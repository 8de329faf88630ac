"""A homework from nothing to a graded class, as an instructor has it who owns only the package."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner

from tinykd.classroom.author.build import build_lesson
from tinykd.classroom.author.lesson import LessonError
from tinykd.classroom.author.new_lesson import new_lesson
from tinykd.classroom.author.read_lesson import read_lesson
from tinykd.classroom.author.release import release
from tinykd.classroom.cli import app
from tinykd.classroom.notebook_format import SOLUTION

pytestmark = pytest.mark.slow
DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture(scope="module")
def homework(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mine")
    new_lesson("week-3", folder)
    build_lesson(folder / "solutions" / "week-3.py", log=lambda text: None)
    return folder


@pytest.fixture
def released(homework, tmp_path):
    release(homework / "solutions" / "week-3.py", tmp_path / "out" / "week-3")
    return tmp_path / "out" / "week-3"


def solve(released, homework):
    """Write every answer of the solution into the student's notebook."""
    path = released / "week-3.ipynb"
    notebook = nbformat.read(path, 4)
    solution = nbformat.read(homework / "solutions" / "week-3.ipynb", 4)
    answers = {cell.id: cell.source for cell in solution.cells if cell.metadata.get("role")}
    for cell in notebook.cells:
        if cell.metadata.get("role") == "answer":
            cell.source = answers[cell.id]
    nbformat.write(notebook, path)
    return path


def nbval(path, child_env):
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-q", "-p", "no:cacheprovider", path]
    return subprocess.run(command, env=child_env, cwd=path.parent, capture_output=True, text=True)


def test_a_name_that_is_taken_or_none(homework):
    for name, said in (("week-3", "is there already"), ("../x", "letters, digits")):
        with pytest.raises(LessonError, match=said):
            new_lesson(name, homework)
    (homework / "README.md").write_text("mine")
    assert new_lesson("week4", homework) == [homework / "solutions" / "week4.py"]
    assert (homework / "README.md").read_text() == "mine"
    (homework / "solutions" / "week4.py").unlink()


def test_what_is_released_holds_no_secret(homework, released):
    """Every line of an answer and of a hidden check, searched for in every released file."""
    lesson = read_lesson(homework / "solutions" / "week-3.py")
    shown = "\n".join(cell.source for cell in lesson.all("setup", "check", "show", ""))
    blocks = [m[0] for cell in lesson.all("answer") for m in SOLUTION.finditer(cell.source)]
    blocks += [cell.source for cell in lesson.all("hidden", "mutant", "alternative")]
    lines = {line.strip() for block in blocks for line in block.splitlines()}
    secret = {line for line in lines if len(line) > 15 and not line.startswith(("#", "def "))}
    files = {path for path in released.rglob("*") if path.is_file()}
    assert {path.name for path in files} == {
        *("README.md", "environment.yml", "week-3.ipynb", "week-3.json")
    }
    for text in (path.read_text() for path in files):
        for line in secret - {line for line in secret if line in shown}:
            assert line not in text
            assert json.dumps(line)[1:-1] not in text
    assert re.search(r"- tinykd\[lab,grade\]==\d", (released / "environment.yml").read_text())
    assert "5 of 8" in (released / "README.md").read_text()


def test_a_leak_and_a_stale_build_are_refused(homework, tmp_path):
    source = homework / "solutions" / "week-3.py"
    (homework / "datasets").mkdir()
    notes = homework / "datasets" / "notes.txt"
    notes.write_text(re.search(r"    log_p = .*\n", source.read_text())[0])
    with pytest.raises(LessonError, match=r"notes.txt: log_p = torch"):
        release(source, tmp_path / "week-3.zip")
    assert not (tmp_path / "week-3.zip").exists()
    notes.write_text("1,2\n")
    release(source, tmp_path / "week-3.zip")
    with zipfile.ZipFile(tmp_path / "week-3.zip") as packed:
        assert "week-3/datasets/notes.txt" in packed.namelist()
    with pytest.raises(LessonError, match="there already"):
        release(source, tmp_path / "week-3.zip")
    whole = source.read_text()
    source.write_text(whole.replace("points=2", "points=3"))
    with pytest.raises(LessonError, match="has changed since it was built"):
        release(source, tmp_path / "other")
    source.write_text(whole)
    notes.unlink()
    notes.parent.rmdir()


def test_plain_nbval_sees_an_unsolved_and_a_solved_notebook(homework, released, child_env):
    untouched = nbval(released / "week-3.ipynb", child_env)
    assert untouched.returncode == 1
    assert "agreement: write your code here" in untouched.stdout
    solved = nbval(solve(released, homework), child_env)
    assert solved.returncode == 0, solved.stdout


def test_students_count_their_points_and_the_class_is_graded(
    homework, released, tmp_path, monkeypatch
):
    run = CliRunner().invoke
    monkeypatch.chdir(released)
    assert run(app, ["check", "week-3.ipynb"]).exit_code == 1
    path = solve(released, homework)
    mine = run(app, ["check", "week-3.ipynb"])
    assert mine.exit_code == 0, mine.output
    assert "5 of 5" in mine.output
    assert "2 hidden checks were not run" in mine.output
    handed_in = tmp_path / "handed_in"
    handed_in.mkdir()
    (handed_in / "ada.ipynb").write_text(path.read_text())
    (handed_in / "bob.ipynb").write_text(path.read_text().replace("return T**2 *", "return T *"))
    monkeypatch.chdir(homework)
    monkeypatch.delenv("TINYKD_DATA", raising=False)
    graded = run(app, ["grade", str(handed_in), "--out", str(tmp_path / "report"), "--unsafe"])
    assert graded.exit_code == 0, graded.output
    assert re.search(r"ada +8 of 8", graded.output)
    assert re.search(r"bob +3 of 8", graded.output)


def test_the_example_of_the_docs_is_a_homework(tmp_path, monkeypatch):
    """docs/WRITING.md, its Python blocks one after another, with the data that it speaks of."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "WRITING.md").read_text(), re.S)
    source = tmp_path / "solutions" / "homework.py"
    source.parent.mkdir()
    source.write_text("\n".join(blocks))
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "votes.csv").write_text("10,0,0\n4,3,3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TINYKD_DATA", raising=False)
    built = CliRunner().invoke(app, ["build"])
    assert built.exit_code == 0, built.output
    assert "2 digits, 10 votes each" in (tmp_path / "solutions" / "homework.ipynb").read_text()
    files = release(source, tmp_path / "out")
    assert "datasets/votes.csv" in files
    table = re.search(r"```toml\n(.*?)```", (DOCS / "WRITING.md").read_text(), re.S)[1]
    (tmp_path / "pyproject.toml").write_text(table)
    with pytest.raises(LessonError, match="has 1 mutants, fewer than 4"):
        read_lesson(source)
