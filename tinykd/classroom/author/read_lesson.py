"""Reading a lesson's source, cell by cell."""

import re
from pathlib import Path
from typing import Any

from ..literal import in_lines
from ..notebook_format import LESSON_NAME
from .lesson import ROLES, Cell, Lesson, LessonError
from .lesson_rules import cell_problems, exercise_problems, limits


def read_lesson(path: Path) -> Lesson:
    """Parse and validate a lesson; what is asked of one is in `lesson_rules`.

    Raises LessonError with every problem found, one a line.
    """
    import jupytext  # slow to import, and grading does without it

    if not LESSON_NAME.fullmatch(path.stem):
        raise LessonError(f"{path.name}: a lesson's file has letters, digits, _ and - in its name")
    notebook = jupytext.read(path, fmt="py:percent")
    lesson = Lesson(path.stem, path, tuple(_cell(cell, path) for cell in notebook.cells))
    problems = [*cell_problems(lesson), *exercise_problems(lesson, limits(path))]
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
    source = cell.source
    if meta.get("file"):
        source = _with_file(source, path.parent / meta["file"])
    return Cell(source, place=place, **meta)


def _with_file(source: str, path: Path) -> str:
    """`source` with a file's base85 text, in lines, where it ends in `...`. Raises LessonError."""
    if not path.is_file() or not source.endswith(" = ..."):
        raise LessonError(f"{path}: no such file, or its cell does not end in NAME = ...")
    return source.removesuffix("...") + in_lines(path.read_bytes())
