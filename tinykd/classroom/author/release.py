"""`tinykd release`: what students get of a homework, as a folder or a zip file."""

import ast
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from ..notebook_format import SOLUTION
from .build import metadata_of, proof_digest
from .lesson import Lesson, LessonError
from .notebooks import dump, make_notebook, write_text
from .read_lesson import read_lesson

ALWAYS = ("tinykd", "torch", "numpy")
README = Path(__file__).parent / "template" / "for_students.md"


def release(source: Path, out: Path) -> list[str]:
    """Write the student's notebook, its visible expected values, the folder datasets/ if there is
    one, an environment file and a README into the folder `out`, or into `out` if it is a .zip.

    Returns the names of the files. Raises LessonError where something was not built, where `out` is
    there already, or where a file holds a line of an answer or of a hidden check.
    """
    lesson = read_lesson(source)
    root = source.absolute().parents[1]
    lessons = root / "lessons"
    notebook = dump(make_notebook(lesson, solution=False))
    built, checks = lessons / f"{lesson.name}.ipynb", lessons / "checks" / f"{lesson.name}.json"
    fresh = built.is_file() and checks.is_file() and built.read_text("utf-8") == notebook
    proved = metadata_of(source.with_suffix(".ipynb")).get("proved")
    if not fresh or proved != proof_digest(lesson):
        raise LessonError(f"{lesson.name} has changed since it was built. Run: tinykd build")
    if out.exists():
        raise LessonError(f"{out} is there already: remove it, or give another name")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / lesson.name
        write_text(folder / "checks" / checks.name, checks.read_text("utf-8"))
        write_text(folder / built.name, notebook)
        if (root / "datasets").is_dir():
            shutil.copytree(root / "datasets", folder / "datasets")
        _about(lesson, folder)
        if leaks := [f"{path.name}: {line}" for path, line in _leaks(lesson, folder)]:
            raise LessonError("these lines are not for students:\n  " + "\n  ".join(leaks))
        files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".zip":
            made = shutil.make_archive(str(folder), "zip", temporary, lesson.name)
            shutil.move(made, out)
        else:
            shutil.copytree(folder, out)
    return files


def _about(lesson: Lesson, folder: Path) -> None:
    """environment.yml and README.md, for the versions that this machine has."""
    python, pins = ".".join(map(str, sys.version_info[:2])), _pins(lesson)
    lines = [f"      - {pin}" for pin in pins]
    head = [f"name: {lesson.name}", "channels: [conda-forge, nodefaults]", "dependencies:"]
    head += [f"  - python={python}", "  - pip", "  - pip:"]
    write_text(folder / "environment.yml", "\n".join([*head, *lines]) + "\n")
    visible = sum(cell.points for cell in lesson.all("check"))
    points = visible + (more := sum(cell.points for cell in lesson.all("hidden")))
    hidden = f" The other {more:g} are for checks that you do not see." if more else ""
    about = {"name": lesson.name, "python": python, "pins": " ".join(f"'{pin}'" for pin in pins)}
    numbers = {"visible": f"{visible:g}", "points": f"{points:g}", "hidden": hidden}
    write_text(folder / "README.md", README.read_text("utf-8").format(**about, **numbers))


def _pins(lesson: Lesson) -> list[str]:
    """What pip has to install for the lesson's imports, at the versions that are installed here."""
    imported = set()
    for cell in lesson.all("setup", "answer", "check", "show"):
        for node in _parsed(cell.source):
            if isinstance(node, ast.Import):
                imported |= {one.name.partition(".")[0] for one in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module).partition(".")[0])
    owners = metadata.packages_distributions()
    names = {owner for module in imported for owner in owners.get(module, ())} | set(ALWAYS)
    versions = {name: metadata.version(name).partition("+")[0] for name in sorted(names)}
    extras = {"tinykd": "tinykd[lab,grade]"}
    return [f"{extras.get(name, name)}=={version}" for name, version in versions.items()]


def _parsed(source: str) -> Iterator[ast.AST]:
    try:
        return ast.walk(ast.parse(source))
    except SyntaxError:  # a show cell may hold %magic
        return iter(())


def _leaks(lesson: Lesson, folder: Path) -> Iterator[tuple[Path, str]]:
    """Every line of a solution or of a hidden check that stands in a file of `folder`."""
    shown = {
        line.strip()
        for cell in make_notebook(lesson, solution=False).cells
        for line in cell.source.splitlines()
    }
    blocks = [found[0] for cell in lesson.all("answer") for found in SOLUTION.finditer(cell.source)]
    blocks += [cell.source for cell in lesson.all("hidden")]
    blocks += [cell.source for cell in lesson.all("answer") if cell.literal]
    lines = {line.strip() for block in blocks for line in block.splitlines()} - shown
    secrets = sorted(line for line in lines if len(line) > 15 and not line.startswith("#"))
    for path in (path for path in folder.rglob("*") if path.is_file()):
        text = path.read_bytes().decode("utf-8", errors="ignore")
        for line in secrets:
            if line in text or json.dumps(line)[1:-1] in text:  # as it stands in a notebook
                yield path, line
