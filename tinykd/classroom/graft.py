"""Only the source of a submission's answer cells, put into the pristine reference."""

import copy
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from .lesson import CHECKS, stub

UNWRITTEN = "not written yet"  # why a check of a stub is lost
MISSING = object()  # no value was recorded; None is one
MAX_BYTES, MAX_OBJECTS = 20_000_000, 100_000
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
        raise NotGradable(f"{path} is not a notebook: {str(error)[:100]}") from None
    return _structure(found, path)


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
    for cell in made["cells"]:
        if cell["metadata"]["role"] != "answer":
            continue
        name = cell["metadata"]["name"]
        theirs = [c for c in submission["cells"] if _is_answer(c, cell["id"], name)]
        if theirs:
            found += 1
            cell["source"] = MARKER.sub("#", theirs[-1]["source"])
            if len(theirs) > 1:
                remarks.append(f"{name}: {len(theirs)} answer cells; the last one was graded")
            elif theirs[-1].get("id") != cell["id"]:
                remarks.append(f"{name}: the answer cell was known by its name, its id has changed")
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


def _is_answer(cell: dict[str, Any], identity: str, name: str) -> bool:
    meta = cell.get("metadata", {})
    by_id = cell.get("id") == identity and meta.get("role") in (None, "answer")
    by_name = meta.get("role") == "answer" and meta.get("name") == name
    return cell.get("cell_type") == "code" and (by_id or by_name)
