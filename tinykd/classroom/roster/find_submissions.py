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

from ..grading.read_submission import MAX_BYTES
from ..safe_text import safe_name
from .choose_notebook import choose_notebook, entries_of, is_notebook, listed

# Moodle: the folder Ada Lovelace_12345_assignsubmission_file (before 4.1 with a last underscore),
# or a file ..._file_03.ipynb
MOODLE_FOLDER = re.compile(r"(?P<name>.+)_(?P<number>\d+)_assignsubmission_file_?", re.S)
MOODLE = re.compile(r"(?P<name>.+?)_(?P<number>\d+)_assignsubmission_file(_.*)?", re.S)
# Canvas: lovelaceada_12345_67890_03.ipynb, or lovelaceada_LATE_12345_67890_03.ipynb
CANVAS = re.compile(r"(?P<name>[^_]+)_(?:LATE_)?(?P<number>\d{3,})_\d{3,}_.+\.\w+", re.S)
# What was typed into a web page
TYPED_ONLINE = re.compile(r"_assignsubmission_onlinetext|_text\.html$")


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


def find_submissions(folder: Path, lesson: str) -> tuple[list[Submission], list[str]]:
    """The submissions of `lesson` in `folder`, by name, and the names of entries that are none.

    A notebook in `folder` is a student of its name, a folder in it is one too: its one notebook, or
    the one that is named like the lesson, or, if it has none itself, those of its folders.
    Raises OSError where `folder` cannot be listed.
    """
    entries = entries_of(folder)
    notebooks = {_owner(path) for path in entries if is_notebook(path)}
    others = [name for name in os.listdir(folder) if re.fullmatch(r"\.(?!_).*\.ipynb", name)]
    handed_in = []
    for path in entries:
        if _is_handed_in(path, notebooks):
            handed_in.append(path)
        else:
            others.append(path.name)
    owners = [_owner(path) for path in handed_in]
    namesakes, people = Counter(name for name, _ in owners), Counter(owners)
    found, taken = [], set[str]()
    for path, (name, number) in zip(handed_in, owners, strict=True):
        slug = _slug(name, path.name, taken)
        taken.add(slug.casefold())  # a disk may not tell Ada from ada
        student = name
        if namesakes[name] > 1:
            alone = number and people[name, number] == 1
            student = f"{name} ({number if alone else safe_name(path.name)})"
        notebook, problem, copies = choose_notebook(path, lesson)
        remarks = (f"also in the folder, and not graded: {listed(copies)}",) if copies else ()
        file = str((notebook or path).relative_to(folder))
        found.append(Submission(student, slug, path.name, file, notebook, problem, remarks))
    return found, others


def nested_class_folder(folder: Path, found: list[Submission], lesson: str) -> Path | None:
    """A folder in `folder` that holds submissions: somebody gave the one above it."""
    for submission in found:
        inner = folder / submission.entry
        if inner.is_dir() and not inner.is_symlink():
            with suppress(OSError):
                if sum(bool(one.path) for one in find_submissions(inner, lesson)[0]) > 1:
                    return inner
    return None


def submission_digest(path: Path | None) -> str | None:
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


def _owner(path: Path) -> tuple[str, str]:
    """The student's name, and their number where a learning platform has given them one."""
    name = path.name  # in a folder's the last number is Moodle's own: what is before it, a name
    form = MOODLE_FOLDER.fullmatch(name) or MOODLE.fullmatch(name) or CANVAS.fullmatch(name)
    if form:
        return safe_name(form["name"]), form["number"]
    return safe_name(path.stem if is_notebook(path) else name), ""


def _is_handed_in(path: Path, notebooks: set[tuple[str, str]]) -> bool:
    """False for what no student meant as a notebook: a class list, an unpacked archive. A file in a
    platform's form is handed in, whatever it is, if its owner is not among those of `notebooks`.
    """
    if TYPED_ONLINE.search(path.name):
        return False
    if is_notebook(path) or not stat.S_ISREG(path.lstat().st_mode):
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
