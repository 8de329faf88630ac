"""Which notebook of a student's entry is the one to grade.

Nothing is opened here but folders, and no link is followed: entries may be anything at all.
"""

import os
import stat
from pathlib import Path

from ..safe_text import safe_name


def choose_notebook(path: Path, lesson: str) -> tuple[Path | None, str, list[str]]:
    """The one notebook of an entry, or why there is none; and copies of it that lie beside it."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return None, "it is a symbolic link; hand in the notebook itself", []
    if stat.S_ISDIR(mode) and not is_notebook(path):
        try:
            return _notebook_inside(path, lesson)
        except OSError as error:
            return None, f"its folder cannot be opened: {error.strerror}", []
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        return None, f"{safe_name(path.name)} is {kind}, not a notebook", []
    if not is_notebook(path):
        return None, f"{safe_name(path.name)} is not a notebook (.ipynb)", []
    return path, "", []


def _notebook_inside(folder: Path, lesson: str) -> tuple[Path | None, str, list[str]]:
    entries = entries_of(folder)
    notebooks = [path for path in entries if is_notebook(path)]
    if not notebooks:
        folders = [path for path in entries if stat.S_ISDIR(path.lstat().st_mode)]
        notebooks = [path for one in folders for path in entries_of(one) if is_notebook(path)]
    for candidates in (
        [path for path in notebooks if path.stem == lesson],
        [path for path in notebooks if path.stem.startswith(lesson)],
        notebooks,
    ):
        if len(candidates) == 1:
            copies = [path for path in notebooks if lesson in path.stem and path not in candidates]
            chosen, problem, _ = choose_notebook(candidates[0], lesson)
            return chosen, problem, [str(path.relative_to(folder)) for path in copies]
        if candidates:
            names = listed([str(path.relative_to(folder)) for path in candidates])
            count = f"it holds {len(candidates)} notebooks"
            return None, f"{count}, and which one is meant? {names}", []
    if not entries:
        return None, "its folder is empty", []
    names = listed([path.name for path in entries])
    return None, f"no notebook (.ipynb) in its folder, only {names}", []


def listed(names: list[str]) -> str:
    """The first five of `names`, fit to be shown."""
    more = f" and {len(names) - 5} more" if names[5:] else ""
    return ", ".join(safe_name(name)[:60] for name in names[:5]) + more


def entries_of(folder: Path) -> list[Path]:
    """Its content that counts, by name: nothing hidden."""
    names = sorted(os.listdir(folder))
    return [folder / name for name in names if not name.startswith(".") and name != "__MACOSX"]


def is_notebook(path: Path) -> bool:
    """By its name; it may still be a folder, a link, anything."""
    return path.suffix.lower() == ".ipynb"
