"""What is refused in a lesson, and what an author is warned of: in words, with the cell."""

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..checks import RNG_CALL
from ..literal import NotLiteral, read_literal
from ..notebook_format import CHECK_ROLES, SOLUTION
from .lesson import Cell, Lesson, LessonError


def cell_problems(lesson: Lesson) -> list[str]:
    """What is wrong with single cells, in words, with their place."""
    found = []
    named = [cell for cell in lesson.cells if cell.role]
    for name, count in Counter(cell.id for cell in named).items():
        if count > 1 or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            found.append(f"cell name {name!r}: used {count} times, or not letters, digits, . _ -")
    for cell in named:
        problems = [*_wrong_metadata(cell), *_wrong_source(cell, lesson.literals)]
        found += [f"{cell.place}: {problem}" for problem in problems]
    setups = [cell for cell in lesson.all("setup") if f'Checks("{lesson.name}")' in cell.source]
    if len(setups) != 1:
        found.append(f'a setup cell must hold check = Checks("{lesson.name}") once')
    return found


def _wrong_metadata(cell: Cell) -> Iterator[str]:
    is_check = cell.role in CHECK_ROLES
    if is_check and not cell.points > 0:
        yield "a check needs points=1 or more"
    if (is_check or cell.role == "mutant") and not cell.hint:
        yield 'needs a hint="..."'
    if cell.points and not is_check:
        yield "only check and hidden cells have points"
    if (cell.folded and cell.role != "show") or (cell.library and cell.role != "answer"):
        yield "folded is for show cells, library for answer cells"
    if cell.constant and not is_check:
        yield "constant is for check and hidden cells"
    if cell.literal and cell.role != "answer":
        yield "literal is for answer cells"


def _wrong_source(cell: Cell, literals: set[str]) -> Iterator[str]:
    if cell.role != "show":
        if cell.source.count("check.rng(") > len(RNG_CALL.findall(cell.source)):
            yield 'check.rng needs a plain "text": grading reads the names'
        try:
            ast.parse(cell.source)
        except SyntaxError as error:
            yield f"not plain Python, line {error.lineno}: {error.msg}"
    if (cell.of or (cell.role == "answer" and cell.name)) in literals:
        try:
            read_literal(cell.of or cell.name, cell.source)
        except NotLiteral as error:
            yield str(error)
    elif cell.role == "answer":
        marks = cell.source.count("# BEGIN SOLUTION"), cell.source.count("# END SOLUTION")
        if not marks[0] == marks[1] == len(SOLUTION.findall(cell.source)) > 0:
            yield "needs an indented BEGIN SOLUTION ... END SOLUTION"


def limits(source: Path) -> dict[str, Any]:
    """What the project of `source` asks of a lesson, in [tool.tinykd] of the pyproject.toml above
    its folder: `exercises`, the least and the most, and `mutants`, the least for each exercise.

    Nothing is asked where it says nothing. Raises LessonError for anything else it says.
    """
    path = source.absolute().parents[1] / "pyproject.toml"
    asked = {"exercises": [1, 99], "mutants": 0}
    try:
        table = tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise LessonError(f"{path} is not TOML: {error}") from None
    given = table.get("tool", {}).get("tinykd", {})
    found = asked | given
    two = found["exercises"]
    right = isinstance(two, list) and [type(n) for n in two] == [int, int] and two[0] <= two[1]
    wrong = sorted(set(given) - set(asked)) or ([] if right else ["exercises"])
    if wrong := wrong or ([] if isinstance(found["mutants"], int) else ["mutants"]):
        raise LessonError(
            f"{path}: [tool.tinykd] is like exercises = [3, 6] (least, most) and mutants = 4; "
            f"wrong is {', '.join(wrong)} in {given}"
        )
    return found


def exercise_problems(lesson: Lesson, asked: dict[str, Any]) -> list[str]:
    """What is wrong with its exercises and their checks and mutants. asked: see `limits`."""
    found = [
        f"{cell.place}: it must define {name}, and defines {', '.join(defined) or 'nothing'}"
        for cell in lesson.all("answer", "mutant", "alternative")
        if (name := cell.of or cell.name) not in (defined := _defined(cell.source))
    ]
    least, most = asked["exercises"]
    answers = {cell.name for cell in lesson.all("answer")}
    checks = {cell.name for cell in lesson.checks}
    if not least <= len(answers) <= most:
        found.append(f"{len(answers)} exercises; a lesson has {least} to {most}")
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
        if unknown := sorted(set(cell.loses) - checks):
            said = f"{unknown} are no checks" if any(unknown) else 'loses="..." is missing'
            found.append(f"{cell.place}: {said}; it names those that it loses, of {sorted(checks)}")
    for answer in sorted(answers):
        if not any(cell.exercise == answer for cell in lesson.all("check")):
            found.append(f"exercise {answer!r} has no check cell")
        count = sum(cell.of == answer for cell in lesson.all("mutant"))
        if count < asked["mutants"]:
            found.append(f"exercise {answer!r} has {count} mutants, fewer than {asked['mutants']}")
    return [*found, *_mixed(lesson)]


def _mixed(lesson: Lesson) -> list[str]:
    """A problem for every check in which data and code of a student would meet."""
    found, code = [], {cell.name for cell in lesson.all("answer")} - lesson.literals
    for cell in lesson.checks:
        try:
            nodes = list(ast.walk(ast.parse(cell.source)))
        except SyntaxError:  # said elsewhere
            continue
        literal = cell.exercise in lesson.literals
        other = code if literal else lesson.literals
        found += [
            f"{cell.place}: it uses {name}: exercises whose answer is data are graded apart from "
            "those whose answer is code"
            for name in sorted({n.id for n in nodes if isinstance(n, ast.Name)} & other)
        ]
        measures = [n.func.attr for n in nodes if isinstance(n, ast.Call)
                    and isinstance(n.func, ast.Attribute)]  # fmt: skip
        if "measured" in measures and not literal:
            found.append(f"{cell.place}: check.measured is for literal exercises: code could forge")
    return found


def _defined(source: str) -> list[str]:
    """Names that a cell gives a value, outside of functions."""
    try:
        statements = ast.parse(source).body
    except SyntaxError:  # said elsewhere
        return []
    found = [one.name for one in statements if isinstance(one, ast.FunctionDef | ast.ClassDef)]
    targets = [target for one in statements for target in getattr(one, "targets", [])]
    return [*found, *(node.id for node in targets if isinstance(node, ast.Name))]


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


def untested(lesson: Lesson) -> list[str]:
    """A warning for every exercise of which no wrong answer is known: do its checks see any?"""
    return [
        f"{lesson.path.name}: exercise {answer.name!r} has no mutant: no wrong answer was tried"
        for answer in lesson.all("answer")
        if not any(cell.of == answer.name for cell in lesson.all("mutant"))
    ]


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
