"""Which submissions a folder holds, and what their students are called.

Nothing is opened here but folders, and no link is followed: entries may be anything at all.
"""

import hashlib
import itertools
import os
import re
import stat
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .graft import MAX_BYTES
from .plain import plain_name

# Moodle: the folder Ada Lovelace_12345_assignsubmission_file (before 4.1 with a last underscore),
# or a file ..._file_03.ipynb
MOODLE = re.compile(r"(?P<name>.+?)_(?P<number>\d+)_assignsubmission_file(_.*)?", re.S)
# Canvas: lovelaceada_12345_67890_03.ipynb, or lovelaceada_LATE_12345_67890_03.ipynb
CANVAS = re.compile(r"(?P<name>[^_]+)_(?:LATE_)?(?P<number>\d{3,})_\d{3,}_.+\.\w+", re.S)
TYPED = re.compile(r"_assignsubmission_onlinetext|_text\.html$")  # what was typed into a web page


@dataclass(frozen=True)
class Submission:
    """One student's entry: a notebook, or, where `path` is None, the `problem` in words."""

    student: str  # fit to be shown
    slug: str  # a folder's name of letters, digits, . _ - and at most 60 characters; unique
    entry: str  # as it is called in the folder of submissions
    file: str  # where it lies there, or the entry again
    path: Path | None
    problem: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """All that an instructor may call it by."""
        return [self.student, self.slug, self.entry, *filter(None, _owner(Path(self.entry)))]


def find(folder: Path, lesson: str) -> tuple[list[Submission], list[str]]:
    """The submissions of `lesson` in `folder`, by name, and the names of entries that are none.

    A notebook in `folder` is a student of its name, a folder in it is one too: its one notebook, or
    the one that is named like the lesson, or, if it has none itself, those of its folders.
    Raises OSError where `folder` cannot be listed.
    """
    entries = _entries(folder)
    notebooks = {_owner(path) for path in entries if _is_book(path)}
    others = [name for name in os.listdir(folder) if re.fullmatch(r"\.(?!_).*\.ipynb", name)]
    kept = []
    for path in entries:
        if _is_entry(path, notebooks):
            kept.append(path)
        else:
            others.append(path.name)
    owners = [_owner(path) for path in kept]
    namesakes, people = Counter(name for name, _ in owners), Counter(owners)
    found, taken = [], set[str]()
    for path, (name, number) in zip(kept, owners, strict=True):
        slug = _slug(name, path.name, taken)
        taken.add(slug.casefold())  # a disk may not tell Ada from ada
        student = name
        if namesakes[name] > 1:
            alone = number and people[name, number] == 1
            student = f"{name} ({number if alone else plain_name(path.name)})"
        notebook, problem, also = _notebook(path, lesson)
        remarks = (f"also in the folder, and not graded: {_some(also)}",) if also else ()
        file = str((notebook or path).relative_to(folder))
        found.append(Submission(student, slug, path.name, file, notebook, problem, remarks))
    return found, others


def folder_below(folder: Path, found: list[Submission], lesson: str) -> Path | None:
    """A folder in `folder` that holds submissions: somebody gave the one above it."""
    for one in found:
        place = folder / one.entry
        if place.is_dir() and not place.is_symlink():
            with suppress(OSError):
                if sum(bool(inner.path) for inner in find(place, lesson)[0]) > 1:
                    return place
    return None


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


def _owner(path: Path) -> tuple[str, str]:
    """The student's name, and their number where a learning platform has given them one."""
    form = MOODLE.fullmatch(path.name) or CANVAS.fullmatch(path.name)
    if form:
        return plain_name(form["name"]), form["number"]
    return plain_name(path.stem if _is_book(path) else path.name), ""


def _is_entry(path: Path, notebooks: set[tuple[str, str]]) -> bool:
    """False for what no student meant as a notebook: a class list, an unpacked archive. A file in a
    platform's form is handed in, whatever it is, if its owner is not among those of `notebooks`.
    """
    if TYPED.search(path.name):
        return False
    if _is_book(path) or not stat.S_ISREG(path.lstat().st_mode):
        return True
    name, number = _owner(path)
    return bool(number) and (name, number) not in notebooks


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


def _notebook(path: Path, lesson: str) -> tuple[Path | None, str, list[str]]:
    """The one notebook of an entry, or why there is none; and copies of it that lie beside it."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return None, "it is a symbolic link; hand in the notebook itself", []
    if stat.S_ISDIR(mode) and not _is_book(path):
        try:
            return _inside(path, lesson)
        except OSError as error:
            return None, f"its folder cannot be opened: {error.strerror}", []
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        return None, f"{plain_name(path.name)} is {kind}, not a notebook", []
    if not _is_book(path):
        return None, f"{plain_name(path.name)} is not a notebook (.ipynb)", []
    return path, "", []


def _inside(folder: Path, lesson: str) -> tuple[Path | None, str, list[str]]:
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
            copies = [path for path in books if lesson in path.stem and path not in some]
            chosen, problem, _ = _notebook(some[0], lesson)
            return chosen, problem, [str(path.relative_to(folder)) for path in copies]
        if some:
            names = _some([str(path.relative_to(folder)) for path in some])
            return None, f"it holds {len(some)} notebooks, and which one is meant? {names}", []
    if not entries:
        return None, "its folder is empty", []
    names = _some([path.name for path in entries])
    return None, f"no notebook (.ipynb) in its folder, only {names}", []


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if names[5:] else ""
    return ", ".join(plain_name(name)[:60] for name in names[:5]) + more
