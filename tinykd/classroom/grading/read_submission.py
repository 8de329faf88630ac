"""A submission's file, read defensively: it may be anything at all."""

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

MAX_BYTES, MAX_OBJECTS, MAX_VALUES = 20_000_000, 100_000, 1_000_000
# A text of JSON, also one that nothing ends: each byte is looked at once.
JSON_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.S)
# How files begin that are no text, and what they are
OTHER_FILES = {
    b"\x1f\x8b": "compressed (gzip); unpack it and hand in what is inside",
    b"PK\x03\x04": "a zip archive; unpack it and hand in what is inside",
    b"\xff\xfe": "text in UTF-16; save it in UTF-8",
    b"\xfe\xff": "text in UTF-16; save it in UTF-8",
    b"%PDF": "a PDF; hand in the notebook it was printed from",
    b"<": "a web page; hand in the notebook itself (.ipynb)",
}


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
    for begins, what in OTHER_FILES.items():
        if data.startswith(begins):
            raise NotGradable(f"{path} is not a notebook: it is {what}")
    bare = JSON_TEXT.sub(b"", data)  # before JSON is read: a byte of it may take forty in memory
    if bare.count(b"{") > MAX_OBJECTS:
        raise NotGradable(f"{path} has more than {MAX_OBJECTS:,} JSON objects; clear its outputs")
    if bare.count(b",") + bare.count(b"[") > MAX_VALUES:
        raise NotGradable(f"{path} has more than {MAX_VALUES:,} JSON values; clear its outputs")
    try:
        found = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        words = f"{_why_broken(data, error)}; hand in a copy that JupyterLab opens"
        raise NotGradable(f"{path} is not a notebook: {words}") from None
    return _checked_structure(found, path)


def _why_broken(data: bytes, error: Exception) -> str:
    """Why `data` could not be read as JSON, and where, in words for a student."""
    if isinstance(error, UnicodeDecodeError):
        return "its text is not in UTF-8"
    if not isinstance(error, json.JSONDecodeError):
        return "it is nested too deep, or holds a number too long"
    if merge := re.search(rb"^<<<<<<< ", data, re.M):
        line = data.count(b"\n", 0, merge.start()) + 1
        return f"a merge in git left its marks in it, the first in line {line}"
    return f"it is damaged in line {error.lineno} (JSON: {error.msg})"


def _checked_structure(found: Any, path: Path) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise NotGradable(f"{path} is not a notebook: no JSON object")
    if found.get("nbformat") != 4:
        version = str(found.get("nbformat"))[:20]
        if version == "4":
            words = 'says "nbformat": "4", which is a text; it has to be the number 4'
            raise NotGradable(f"{path} {words}: save it with JupyterLab")
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
