"""Whom to grade: everybody of the class, those of `--only`, or those of `--part`."""

import difflib
import os
import re
import unicodedata
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from ..safe_text import safe_name
from .find_submissions import Submission, find_submissions, nested_class_folder
from .folder_lock import ClassError


def whole_class(
    folder: Path, lesson: str, out: Path, log: Callable[[str], None]
) -> list[Submission]:
    """The submissions in `folder`; raises ClassError where there can be none."""
    if not folder.is_dir():
        raise ClassError(f"{folder} is not a folder; give the one that holds the submissions")
    if folder.resolve() in (out.resolve(), *out.resolve().parents):
        raise ClassError(f"--out {out} lies in {folder}: its reports would be submissions")
    try:
        found, others = find_submissions(folder, lesson)
    except OSError as error:
        raise ClassError(f"{folder} cannot be read: {error.strerror}") from None
    if others:
        names = ", ".join(map(safe_name, others[:5])) + (", ..." if others[5:] else "")
        log(f"not looked at: {names} (neither a notebook nor a folder)")
    if not found:
        raise ClassError(
            f"nothing to grade in {folder}: looked for notebooks (NAME.ipynb) and for folders "
            f"with a notebook (NAME/{lesson}.ipynb)"
        )
    if not any(one.path for one in found) and (inner := nested_class_folder(folder, found, lesson)):
        log(f"nothing to grade in {folder}, but in {inner}: is that the folder to give?")
    return found


def chosen_by_name(found: list[Submission], only: Sequence[str]) -> list[Submission]:
    """The submissions that `only` names, or all. Raises ClassError for a name that is nobody's."""
    chosen: list[Submission] = []
    for name in only:
        wanted = _comparable(name.rstrip("/"))
        fits = [one for one in found if wanted in map(_comparable, one.names)]
        if not fits:
            names = [one.student for one in found]
            near = difflib.get_close_matches(name, names, n=5, cutoff=0.3) or names[:5]
            raise ClassError(f"--only {name!r}: no such student; nearest: {', '.join(near)}")
        chosen += [one for one in fits if one not in chosen]
    return chosen or found


def of_part(chosen: list[Submission], part: str) -> list[Submission]:
    """Those in part n of N of a class; part: "n/N". Raises ClassError for anything else.

    An entry's name alone decides, so that who hands in later moves nobody to another part. Parts
    are about equally large, and in a small class some may be empty.
    """
    form = re.fullmatch(r"(\d{1,6})/(\d{1,6})", part, re.ASCII)
    n, parts = map(int, form.groups()) if form else (0, 0)
    if not 1 <= n <= parts:
        raise ClassError(f"--part {part!r}: write n/N, from 1/N to N/N, such as 3/40")
    return [one for one in chosen if zlib.crc32(os.fsencode(one.entry)) % parts == n - 1]


def _comparable(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()  # macOS takes letters and accents apart
