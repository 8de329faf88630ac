"""A lesson's source: `solutions/NN_name.py` in jupytext's percent format."""

import ast
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checks import RNG_CALL
from ..compare import ATOL, RTOL
from ..notebook_format import CHECK_ROLES, SOLUTION

ROLES = ("setup", "answer", *CHECK_ROLES, "mutant", "alternative", "show")


class LessonError(ValueError):
    """A lesson's source is not what the course needs; the text names file, cell and fix."""


@dataclass(frozen=True)
class Cell:
    """One cell of the source; what its `# %%` line says is in the fields of the same names."""

    source: str
    role: str = ""  # "" for prose
    name: str = ""
    points: float = 0
    hint: str = ""
    of: str = ""  # of a mutant or an alternative: the answer cell that it replaces
    loses: tuple[str, ...] = ()  # of a mutant: the checks that it must lose
    rtol: float = RTOL
    atol: float = ATOL
    library: str = ""  # of an answer: library functions that are what is to be written
    folded: bool = False  # of a show cell: JupyterLab opens it with its code hidden
    place: str = ""  # where to find it, for error messages

    @property
    def id(self) -> str:
        return self.name.replace(".", "-")  # a notebook's cell id has no dots

    @property
    def exercise(self) -> str:
        return self.name.split(".")[0]


@dataclass(frozen=True)
class Lesson:
    """A parsed source; `name` is NN_name."""

    name: str
    path: Path
    cells: tuple[Cell, ...]

    def all(self, *roles: str) -> list[Cell]:
        """The cells that have one of `roles`, in order."""
        return [cell for cell in self.cells if cell.role in roles]

    @property
    def checks(self) -> list[Cell]:
        """The check cells, visible and hidden."""
        return self.all(*CHECK_ROLES)


def read_lesson(path: Path, exercises: tuple[int, int] = (3, 6), mutants: int = 4) -> Lesson:
    """Parse and validate a lesson. `exercises` bounds their number, `mutants` is the least each.

    Raises LessonError with every problem found, one a line.
    """
    import jupytext  # slow to import, and grading does without it

    notebook = jupytext.read(path, fmt="py:percent")
    lesson = Lesson(path.stem, path, tuple(_cell(cell, path) for cell in notebook.cells))
    problems = [*_cell_problems(lesson), *_exercise_problems(lesson, exercises, mutants)]
    if problems:
        raise LessonError("\n".join(f"{path.name}: {problem}" for problem in problems))
    return lesson


def _cell(cell: Any, path: Path) -> Cell:
    if cell.cell_type != "code":
        return Cell(cell.source)
    own = ("tags", "lines_to_next_cell", "lines_to_end_of_cell_marker")  # jupytext's, not ours
    meta = {key: value for key, value in cell.metadata.items() if key not in own}
    first = next((line for line in cell.source.splitlines() if line.strip()), "(empty)")
    place = f"cell {meta['name']!r}" if meta.get("name") else f"cell that starts {first!r}"
    unknown = set(meta) - set(Cell.__dataclass_fields__) | set(meta) & {"source", "place"}
    if unknown or meta.get("role") not in ROLES or not isinstance(meta.get("name"), str):
        what = f"unknown metadata {sorted(unknown)}" if unknown else "needs a role and a name"
        raise LessonError(
            f'{path.name}: {place}: {what}, as in # %% role="show" name="fig"; roles: {ROLES}; '
            f"found {meta}"
        )
    loses = meta.pop("loses", ())
    meta["loses"] = tuple(re.split(r"[,\s]+", loses.strip()) if isinstance(loses, str) else loses)
    return Cell(cell.source, place=place, **meta)


def _cell_problems(lesson: Lesson) -> list[str]:
    found = []
    named = [cell for cell in lesson.cells if cell.role]
    for name, count in Counter(cell.id for cell in named).items():
        if count > 1 or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            found.append(f"cell name {name!r}: used {count} times, or not letters, digits, . _ -")
    for cell in named:
        if cell.role != "show" and cell.source.count("check.rng(") > len(
            RNG_CALL.findall(cell.source)
        ):
            found.append(f'{cell.place}: check.rng needs a plain "text": grading reads the names')
        if cell.role in CHECK_ROLES and not cell.points > 0:
            found.append(f"{cell.place}: a check needs points=1 or more")
        if cell.role in ("check", "hidden", "mutant") and not cell.hint:
            found.append(f'{cell.place}: needs a hint="..."')
        if cell.role not in CHECK_ROLES and cell.points:
            found.append(f"{cell.place}: only check and hidden cells have points")
        if (cell.folded and cell.role != "show") or (cell.library and cell.role != "answer"):
            found.append(f"{cell.place}: folded is for show cells, library for answer cells")
        if cell.role != "show":
            try:
                ast.parse(cell.source)
            except SyntaxError as error:
                found.append(f"{cell.place}: not plain Python, line {error.lineno}: {error.msg}")
        if cell.role == "answer":
            marks = cell.source.count("# BEGIN SOLUTION"), cell.source.count("# END SOLUTION")
            if not marks[0] == marks[1] == len(SOLUTION.findall(cell.source)) > 0:
                found.append(f"{cell.place}: needs an indented BEGIN SOLUTION ... END SOLUTION")
    setups = [cell for cell in lesson.all("setup") if f'Checks("{lesson.name}")' in cell.source]
    if len(setups) != 1:
        found.append(f'a setup cell must hold check = Checks("{lesson.name}") once')
    return found


def _exercise_problems(lesson: Lesson, exercises: tuple[int, int], mutants: int) -> list[str]:
    found = []
    answers = {cell.name for cell in lesson.all("answer")}
    checks = {cell.name for cell in lesson.checks}
    if not exercises[0] <= len(answers) <= exercises[1]:
        found.append(f"{len(answers)} exercises; a lesson has {exercises[0]} to {exercises[1]}")
    found += [
        f"{cell.place}: a check is named <exercise>.<what>; exercises: {answers}"
        for cell in lesson.checks
        if cell.exercise not in answers or cell.exercise == cell.name
    ]
    for cell in lesson.all("mutant", "alternative"):
        if cell.of not in answers:
            found.append(f"{cell.place}: of={cell.of!r} is no answer cell; there are {answers}")
        if cell.role == "alternative":
            continue
        if not cell.loses or set(cell.loses) - checks:
            found.append(f"{cell.place}: loses={cell.loses} must name checks; there are {checks}")
    for answer in sorted(answers):
        if not any(cell.exercise == answer for cell in lesson.all("check")):
            found.append(f"exercise {answer!r} has no check cell")
        count = sum(cell.of == answer for cell in lesson.all("mutant"))
        if count < mutants:
            found.append(f"exercise {answer!r} has {count} mutants, fewer than {mutants}")
    return found


def direct_calls(lesson: Lesson) -> list[str]:
    """A problem for every check cell that calls an answer other than through `check.call`."""
    found = []
    for cell in lesson.checks:
        called = {
            node.func.id
            for node in ast.walk(ast.parse(cell.source))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        found += [
            f"{cell.place}: it calls {name}(...) itself; check.call({name}, ...) also sees "
            "whether it changes its arguments"
            for name in sorted(called & {answer.name for answer in lesson.all("answer")})
        ]
    return found


def long_gaps(lesson: Lesson, max_cells: int = 5) -> list[str]:
    """A warning for every stretch of more than `max_cells` cells between two exercises."""
    found, last, between = [], "", 0
    for cell in lesson.cells:
        if cell.role in ("answer", "check"):
            if last and between > max_cells:
                found.append(f"{lesson.path.name}: {between} cells between {last} and {cell.name}")
            last, between = cell.name, 0
        elif cell.role in ("", "show", "setup"):
            between += 1
    return found
