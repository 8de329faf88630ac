"""Hold the report folder for one run, and know the class's seed."""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


class ClassError(Exception):
    """What was asked for cannot be done; the text says why, and what would help."""


@contextmanager
def locked_folder(path: Path, lesson: str, seed: int | None) -> Iterator[int]:
    """Hold the report folder `path` for one run, making it if need be; yields the class's seed.

    That is `seed`, or the one kept there, or a random one. Raises ClassError where the folder
    belongs to something else, or to a run that goes on.
    """
    with writing_to(path):
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise ClassError(f"another tinykd grade is writing to {path}; let it finish") from None
    try:
        candidates = (seed, _kept_seed(path, lesson), secrets.randbits(128))
        yield next(one for one in candidates if one is not None)
    finally:
        lock.release()


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Whatever the disk refuses becomes a ClassError."""
    try:
        yield
    except OSError as error:
        raise ClassError(f"cannot write {error.filename or path}: {error.strerror}") from error


def _kept_seed(folder: Path, lesson: str) -> int | None:
    path = folder / "class.json"
    if not path.exists():
        if any(not name.startswith(".") for name in os.listdir(folder)):
            raise ClassError(f"{folder} is no report folder: it has files, but no class.json")
        return None
    try:
        about = json.loads(path.read_text("utf-8"))
        found, seed = about["lesson"], int(about["seed"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClassError(f"{path} cannot be read ({error!r}); give another --out") from None
    if found != lesson:
        raise ClassError(
            f"{folder} holds reports of lesson {found}, not {lesson}; give another --out"
        )
    return seed
