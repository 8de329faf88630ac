"""Which submissions a folder holds, and what their students are called.

Nothing is opened here but folders, and no link is followed: entries may be anything at all.
"""

import hashlib
import itertools
import os
import re
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .graft import MAX_BYTES
from .plain import plain_name

# Moodle: the folder Ada Lovelace_12345_assignsubmission_file_, or a file ..._file_03.ipynb
MOODLE = re.compile(r"(?P<name>.+?)_\d+_assignsubmission_(?P<kind>file|onlinetext)_.*", re.S)
# Canvas: lovelaceada_12345_67890_03.ipynb, or lovelaceada_LATE_12345_67890_03.ipynb
CANVAS = re.compile(r"(?P<name>[^_]+)_(?:LATE_)?\d{3,}_\d{3,}_.+\.ipynb", re.S | re.I)


@dataclass(frozen=True)
class Submission:
    """One student's entry: a notebook, or, where `path` is None, the `problem` in words."""

    student: str  # fit to be shown
    slug: str  # a folder's name of letters, digits, . _ - and at most 60 characters; unique
    entry: str  # as it is called in the folder of submissions
    file: str  # where it lies there, or the entry again
    path: Path | None
    problem: str = ""


def find(folder: Path, lesson: str) -> tuple[list[Submission], list[str]]:
    """The submissions of `lesson` in `folder`, by name, and the names of entries that are none.

    A notebook in `folder` is a student of its name, a folder in it is one too: its one notebook, or
    the one that is named like the lesson, or, if it has none itself, those of its folders.
    Raises OSError where `folder` cannot be listed.
    """
    entries = _entries(folder)
    found, others = (
        [],
        [name for name in os.listdir(folder) if re.fullmatch(r"\.(?!_).*\.ipynb", name)],
    )
    names = Counter(_name(path) for path in entries if _is_entry(path))
    taken: set[str] = set()
    for path in entries:
        if not _is_entry(path):
            others.append(path.name)
            continue
        name = _name(path)
        slug = _slug(name, path.name, taken)
        taken.add(slug.casefold())  # a disk may not tell Ada from ada
        student = name if names[name] == 1 else f"{name} ({plain_name(path.name)})"
        notebook, problem = _notebook(path, lesson)
        file = str((notebook or path).relative_to(folder))
        found.append(Submission(student, slug, path.name, file, notebook, problem))
    return found, others


def fingerprint(path: Path | None) -> str | None:
    """SHA-256 of a regular file, as far as a grader would read it; None for anything else."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    if path is None:
        return None
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            return hashlib.sha256(file.read(MAX_BYTES + 1)).hexdigest() if regular else None
    except OSError:
        return None


def _entries(folder: Path) -> list[Path]:
    names = sorted(os.listdir(folder))
    return [folder / name for name in names if not name.startswith(".") and name != "__MACOSX"]


def _is_book(path: Path) -> bool:
    return path.suffix.lower() == ".ipynb"


def _is_entry(path: Path) -> bool:
    """False for what no student meant as a notebook: a class list, an unpacked archive."""
    form = MOODLE.fullmatch(path.name)
    if form and form["kind"] == "onlinetext":  # Moodle's, beside the folder with the files
        return False
    return _is_book(path) or not stat.S_ISREG(path.lstat().st_mode)


def _name(path: Path) -> str:
    form = MOODLE.fullmatch(path.name) or CANVAS.fullmatch(path.name)
    return plain_name(form["name"] if form else path.stem if _is_book(path) else path.name)


def _slug(name: str, entry: str, taken: set[str]) -> str:
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-")
    if safe == name and len(safe) <= 60 and safe.casefold() not in taken:
        return safe
    for count in itertools.count():
        digest = hashlib.sha256(os.fsencode(entry) + b"/" * count).hexdigest()[:8]
        slug = f"{safe[:51] or 'student'}-{digest}"
        if slug.casefold() not in taken:
            break
    return slug


def _notebook(path: Path, lesson: str) -> tuple[Path | None, str]:
    """The one notebook of an entry, or why there is none."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return None, "it is a symbolic link; hand in the notebook itself"
    if stat.S_ISDIR(mode) and not _is_book(path):
        try:
            return _inside(path, lesson)
        except OSError as error:
            return None, f"its folder cannot be opened: {error.strerror}"
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        return None, f"{plain_name(path.name)} is {kind}, not a notebook"
    return path, ""


def _inside(folder: Path, lesson: str) -> tuple[Path | None, str]:
    entries = _entries(folder)
    books = [path for path in entries if _is_book(path)]
    if not books:
        folders = [path for path in entries if stat.S_ISDIR(path.lstat().st_mode)]
        books = [path for one in folders for path in _entries(one) if _is_book(path)]
    for some in (
        [path for path in books if path.stem == lesson],
        [path for path in books if path.stem.startswith(lesson)],
        books,
    ):
        if len(some) == 1:
            return _notebook(some[0], lesson)
        if some:
            names = _some([str(path.relative_to(folder)) for path in some])
            return None, f"it holds {len(some)} notebooks, and which one is meant? {names}"
    if not entries:
        return None, "its folder is empty"
    return None, f"no notebook (.ipynb) in its folder, only {_some([p.name for p in entries])}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if names[5:] else ""
    return ", ".join(plain_name(name)[:60] for name in names[:5]) + more
