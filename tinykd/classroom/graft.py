"""Only the source of a submission's answer cells, put into the pristine reference."""

import ast
import copy
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from .lesson import CHECKS, TODO, stub

UNWRITTEN = "not written yet"  # why a check of a stub is lost
MISSING = object()  # no value was recorded; None is one
MAX_BYTES, MAX_OBJECTS = 20_000_000, 100_000
DEFINED = re.compile(r"^(?:def|class)[ \t]+(\w+)", re.M)
BOUND = re.compile(r"^(?:def|class)[ \t]+(\w+)|^(\w+)[ \t]*=(?!=)", re.M)
MARKER = re.compile(r"^[ \t]*#[# \t]*(NBVAL_\w+|PYTEST_VALIDATE_IGNORE_OUTPUT)[ \t]*$", re.M)


class NotGradable(Exception):
    """The submission cannot be graded; the text says why, on one line."""


def read_submission(path: Path) -> dict[str, Any]:
    """A notebook of format 4 as plain dicts: a regular file, no symlink, at most 20 MB of JSON.

    Raises NotGradable for anything else, without opening what could block or following links.
    """
    try:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        if path.is_symlink():
            raise NotGradable(f"{path} is a symbolic link; hand in the notebook itself")
        handle = os.open(path, flags)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise NotGradable(f"{path} is not a regular file")
    except OSError as error:
        raise NotGradable(f"{path} cannot be opened: {error.strerror}") from None
    with os.fdopen(handle, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise NotGradable(f"{path} is larger than {MAX_BYTES // 1_000_000} MB; clear its outputs")
    if data.count(b"{") > MAX_OBJECTS:
        raise NotGradable(f"{path} has more than {MAX_OBJECTS:,} JSON objects; clear its outputs")
    try:
        found = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        words = f"{_broken(data, error)}; hand in a copy that JupyterLab opens"
        raise NotGradable(f"{path} is not a notebook: {words}") from None
    return _structure(found, path)


def _broken(data: bytes, error: Exception) -> str:
    """Why `data` could not be read as JSON, and where, in words for a student."""
    if isinstance(error, UnicodeDecodeError):
        return "its text is not in UTF-8"
    if not isinstance(error, json.JSONDecodeError):
        return "it is nested too deep, or holds a number too long"
    if merge := re.search(rb"^<<<<<<< ", data, re.M):
        line = data.count(b"\n", 0, merge.start()) + 1
        return f"a merge in git left its marks in it, the first in line {line}"
    return f"it is damaged in line {error.lineno} (JSON: {error.msg})"


def _structure(found: Any, path: Path) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise NotGradable(f"{path} is not a notebook: no JSON object")
    if found.get("nbformat") != 4:
        version = str(found.get("nbformat"))[:20]
        raise NotGradable(f"{path} has notebook format {version}, not 4; save it with JupyterLab")
    cells = found.get("cells")
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise NotGradable(f"{path} is not a notebook: it has no list of cells")
    for number, cell in enumerate(cells):
        lines = cell.get("source", "")
        if isinstance(lines, list) and all(isinstance(line, str) for line in lines):
            lines = "".join(lines)
        cell["source"] = lines
        if not isinstance(lines, str):
            raise NotGradable(f"{path}: the source of cell {number} is not text")
        if not isinstance(cell.get("metadata", {}), dict):
            raise NotGradable(f"{path}: the metadata of cell {number} is not an object")
    return found


def read_reference(path: Path) -> dict[str, Any]:
    """An executed solution notebook, with a recorded value for every check cell.

    Raises NotGradable where a check cell has none: nbval would let any answer pass there.
    """
    reference = read_submission(path)
    for cell in reference["cells"]:
        meta = cell.get("metadata", {})
        checks = meta.get("role") in CHECKS
        if checks and recorded(cell.get("outputs", []), meta["name"]) is MISSING:
            raise NotGradable(f"reference {path}: {meta['name']} has no value; build it again")
    if not any(cell["metadata"].get("role") == "answer" for cell in reference["cells"]):
        raise NotGradable(f"reference {path} has no answer cells: it is no lesson of this course")
    reference["metadata"]["tinykd"]["used"] = names_used(reference["cells"])
    return reference


def recorded(outputs: list[Any], name: str) -> Any:
    """The one value recorded for the check `name` in a cell's outputs, or MISSING."""
    marks = [output.get("metadata", {}).get("tinykd") for output in outputs]
    values = [str(m.get("value")) for m in marks if isinstance(m, dict) and m.get("check") == name]
    try:
        return json.loads(values[0]) if len(values) == 1 else MISSING
    except (ValueError, RecursionError):
        return MISSING


def graft(
    submission: dict[str, Any], reference: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The notebook to run (setup, the student's answers, checks) and remarks for the report.

    Raises NotGradable where the submission has none of the answer cells.
    """
    made, remarks, found = copy.deepcopy(reference), [], 0
    wanted = ("setup", "answer", *CHECKS)
    made["cells"] = [cell for cell in made["cells"] if cell["metadata"].get("role") in wanted]
    used = set(reference["metadata"]["tinykd"]["used"])
    for cell in made["cells"]:
        if cell["metadata"]["role"] != "answer":
            continue
        name = cell["metadata"]["name"]
        theirs = _answers(submission["cells"], cell)
        if theirs:
            found += 1
            parts = _parts([one["source"] for one in theirs], cell["source"])
            if len(theirs) > len(parts):
                remarks.append(f"{name}: {len(theirs)} answer cells; the last one was graded")
            elif len(theirs) > 1:
                remarks.append(f"{name}: {len(theirs)} answer cells, graded as one")
            cell["source"] = MARKER.sub("#", "\n\n".join(parts))
            if shadowed := used & {one for pair in BOUND.findall(cell["source"]) for one in pair}:
                names = ", ".join(sorted(shadowed))
                remarks.append(f"{name}: your cell changes {names}, which later checks use")
        else:
            cell["source"] = stub(name, cell["source"])
            remarks.append(f"{name}: the answer cell is missing; graded as not written")
        cell |= {"outputs": [], "execution_count": None}
    if not found:
        theirs = submission.get("metadata", {})
        about = theirs.get("tinykd") if isinstance(theirs, dict) else None
        lesson = about.get("lesson") if isinstance(about, dict) else "unknown"
        mine = reference["metadata"]["tinykd"]["lesson"]
        raise NotGradable(f"no answer cell of {mine} in it (its lesson: {str(lesson)[:60]!r})")
    made["metadata"] = {key: reference["metadata"][key] for key in ("kernelspec", "tinykd")}
    return made, remarks


def _answers(cells: list[dict[str, Any]], answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The student's cells for `answer`. Where no mark has survived, or where the marked cell is as
    it was, the last cell that defines its function.
    """
    name = answer["metadata"]["name"]
    marked = [one for one in cells if _is_answer(one, answer["id"], name)]
    names = set(DEFINED.findall(answer["source"]))
    if not names or any(TODO.format(name) not in one["source"] for one in marked):
        return marked
    others = [one for one in cells if one.get("cell_type") == "code" and one not in marked]
    return [one for one in others if names <= set(DEFINED.findall(one["source"]))][-1:] or marked


def _parts(sources: list[str], reference: str) -> list[str]:
    """What counts of several answer cells: JupyterLab marks both halves of a split one. Those that
    define what `reference` does are attempts, of which the last counts; others are parts of it.
    """
    names = set(DEFINED.findall(reference))
    attempts = [source for source in sources if names & set(DEFINED.findall(source))]
    if not attempts:
        return sources[-1:]
    last = len(sources) - 1 - sources[::-1].index(attempts[-1])
    return [source for i, source in enumerate(sources) if i == last or source not in attempts]


def names_used(cells: list[dict[str, Any]]) -> list[str]:
    """Names that a lesson's setup cells make and its check cells use.

    Not for threads: parsing in two at once fails now and then in Python 3.11.
    """
    made: set[str] = set()
    used: set[str] = set()
    for cell in cells:
        role = cell["metadata"].get("role")
        if role == "setup":
            for node in ast.parse(cell["source"]).body:
                made |= {one.asname or one.name for one in getattr(node, "names", [])}
                made |= {node.name} if isinstance(node, ast.FunctionDef | ast.ClassDef) else set()
                made |= {
                    one.id for one in getattr(node, "targets", []) if isinstance(one, ast.Name)
                }
        elif role in CHECKS:
            nodes = ast.walk(ast.parse(cell["source"]))
            used |= {node.id for node in nodes if isinstance(node, ast.Name)}
    return sorted(made & used)


def _is_answer(cell: dict[str, Any], identity: str, name: str) -> bool:
    meta = cell.get("metadata", {})
    by_id = cell.get("id") == identity and meta.get("role") in (None, "answer")
    by_name = meta.get("role") == "answer" and meta.get("name") == name
    return cell.get("cell_type") == "code" and (by_id or by_name)
