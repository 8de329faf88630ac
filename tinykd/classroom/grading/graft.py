"""Only the source of a submission's answer cells, put into the pristine reference."""

import builtins
import copy
import re
from typing import Any

from ..literal import written
from ..notebook_format import CHECK_ROLES, stub
from .choose_answer import SubmittedCells
from .choose_literal import literal_cell
from .read_code import CodeReader, joined
from .read_submission import NotGradable
from .read_tree import VALUE, Code

NBVAL_MARKER = re.compile(r"^[ \t]*#[# \t]*(NBVAL_\w+|PYTEST_VALIDATE_IGNORE_OUTPUT)[ \t]*$", re.M)
BY_TEXT = {"getattr", "globals", "vars", "eval", "exec", "__import__", "import_module"}
MERGE_MARK = re.compile(r"^(?:<<<<<<<|>>>>>>>) ", re.M)


def graft(
    submission: dict[str, Any], reference: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The notebook to run (setup, the student's answers, checks) and remarks for the report.

    Raises NotGradable where the submission has none of the answer cells.
    """
    notebook, remarks = copy.deepcopy(reference), list[str]()
    wanted = ("setup", "answer", *CHECK_ROLES)
    notebook["cells"] = [c for c in notebook["cells"] if c["metadata"].get("role") in wanted]
    reader = CodeReader()
    submitted = SubmittedCells(submission["cells"], reader)
    lesson = _Lesson(notebook["cells"], reference["metadata"]["tinykd"]["used"])
    answers: dict[str, Code] = {}
    found_any = False
    for cell in (one for one in notebook["cells"] if one["metadata"]["role"] == "answer"):
        name = cell["metadata"]["name"]
        if cell["metadata"].get("literal"):
            cell["source"], odd = literal_cell(cell, submission["cells"])
            remarks += [f"{name}: {one}" for one in odd]
            found_any = found_any or cell["source"] != written(name, None)
            cell |= {"outputs": [], "execution_count": None}
            continue
        own = lesson.answers[name].defined
        answer = submitted.answer(cell, [one for one, kind in own.items() if kind != VALUE])
        remarks += [f"{name}: {words}" for words in answer.remarks]
        if answer.parts:
            cell["source"] = NBVAL_MARKER.sub("#", joined(answer.parts))
            answers[name] = reader.read(cell["source"])
        else:
            cell["source"] = stub(name, cell["source"])
        cell |= {"outputs": [], "execution_count": None}
    for cell in (one for one in notebook["cells"] if one["metadata"]["name"] in answers):
        remarks += _remarks(cell, answers, lesson)
    if not answers and not found_any:
        wanted_lesson = reference["metadata"]["tinykd"]["lesson"]
        said = str(lesson_of(submission))[:60]
        raise NotGradable(f"no answer cell of {wanted_lesson} in it (its lesson: {said!r})")
    notebook["metadata"] = {key: reference["metadata"][key] for key in ("kernelspec", "tinykd")}
    return notebook, remarks


class _Lesson:
    """What the lesson's own cells define, import and use."""

    def __init__(self, cells: list[dict[str, Any]], used: list[str]):
        reader = CodeReader()
        self.imports: dict[str, str] = {}
        self.setup: set[str] = set()
        self.used = set(used)  # names of its setup that its checks use
        self.answers: dict[str, Code] = {}
        for cell in cells:
            code = reader.read(cell["source"])
            if cell["metadata"]["role"] == "setup":
                self.imports |= code.imports
                self.setup |= code.changed
            elif cell["metadata"]["role"] == "answer":
                self.answers[cell["metadata"]["name"]] = code
            else:
                self.used |= code.names & vars(builtins).keys()


def _remarks(cell: dict[str, Any], answers: dict[str, Code], lesson: _Lesson) -> list[str]:
    """What is odd about the answer that was put into `cell`."""
    name, found = cell["metadata"]["name"], []
    code = answers[name]
    if changed := _changed_for_others(name, answers, lesson):
        names = ", ".join(changed)
        found.append(f"your cell changes {names}, which others use; they got it back")
    if stars := sorted(what for what in code.imports.values() if what.endswith(".*")):
        every = " and ".join(star.removesuffix(".*") for star in stars)
        found.append(
            f"imports everything from {every} (import *); names of Python such as max and sum mean "
            "again what they did in the exercises that follow"
        )
    if MERGE_MARK.search(cell["source"]):
        found.append("a merge in git left its marks (<<<<<<<, >>>>>>>) in your cell")
    listed = {one for one in re.split(r"[,\s]+", str(cell["metadata"].get("library", ""))) if one}
    asked = lesson.answers[name].libraries(lesson.imports, listed)  # what the solution uses too
    if used := [one for one in code.libraries(lesson.imports, listed) if one not in asked]:
        names = " and ".join(used)
        found.append(f"uses {names}, a library's version of what was to be written")
    if listed and (by_text := sorted(code.names & BY_TEXT)):
        found.append(f"reaches things by {' and '.join(by_text)}, which only a reader can follow")
    return [f"{name}: {words}" for words in found]


def _changed_for_others(name: str, answers: dict[str, Code], lesson: _Lesson) -> list[str]:
    """Names, not its own, that the answer `name` changes and that checks or other answers use."""
    code = answers[name]
    same = {one for one, what in code.imports.items() if lesson.imports.get(one) == what}
    used = set(lesson.used)
    for other in answers.keys() - {name}:
        used |= lesson.answers[other].defined.keys()
        used |= answers[other].names & (vars(builtins).keys() | lesson.setup)
    return sorted((code.changed - same - lesson.answers[name].defined.keys()) & used)


def lesson_of(submission: dict[str, Any]) -> Any:
    """The lesson that a submission says it is of; it may say anything."""
    metadata = submission.get("metadata", {})
    ours = metadata.get("tinykd") if isinstance(metadata, dict) else None
    return ours.get("lesson") if isinstance(ours, dict) else "unknown"
