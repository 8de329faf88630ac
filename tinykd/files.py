"""Files that are whole or not there, and that are read without running code."""

import contextlib
import glob
import os
import pathlib
import shutil
from collections import Counter, OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.Size, torch.dtype)
NUMBERS = "?bhilqBHILQefdgFD"  # NumPy's types, by their letters
# What `torch.load` must be told to make again although it can do no harm: NumPy's numbers, paths.
HARMLESS: list[Any] = [
    *(np.ndarray, np.dtype, np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0]),
    *{type(np.dtype(kind)) for kind in NUMBERS},
    *(pathlib.PosixPath, pathlib.WindowsPath),
]


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` if the block succeeds and vanishes if it does not.

    Killed, interrupted or on a full disk, `path` holds either the old content or the new.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("r+b") as file:  # Windows refuses to sync a file opened for reading
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def save(path: Path, state: dict[str, Any]) -> None:
    """Write nested dicts of tensors and plain values, and open them again before the old file goes.

    Leaves the old file, and raises ValueError for a value that `load` could not give back, OSError
    where it cannot be written: the disk is full.
    """
    if odd := unreadable(state):
        raise ValueError(f"{path} was not written: {odd}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic(path) as part:
            torch.save(state, part)
            _read(part, mmap=True)
    except (OSError, RuntimeError) as error:  # torch's writer turns the one into the other
        raise not_written(path, f"{error}".splitlines()[0]) from error


def not_written(path: Path, why: str) -> OSError:
    """The error for a file that could not be written."""
    before = "what was saved before is still there" if path.exists() else "nothing was there before"
    free = shutil.disk_usage(path.parent).free / 1e6
    return OSError(f"{path} could not be written ({why}); {before}; {free:.1f} MB are free")


def forget_parts(path: Path) -> None:
    """Delete what processes that were killed while they wrote `path` have left beside it."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        part.unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any]:
    """Read what `save` wrote, executing nothing. Raises ValueError if the file is damaged."""
    try:
        return _read(path)
    except Exception as error:
        raise ValueError(
            f"{path} is not a readable checkpoint ({error}); delete it to start from the beginning"
        ) from error


def unreadable(state: Any, name: str = "state") -> str:
    """Which value inside `state` a file cannot give back, in words; "" if all of them it can.

    An own kind of text, number, tuple or dict (an enum, a named tuple) is one: it is code.
    """
    kind = type(state)
    if kind in PLAIN or isinstance(state, (torch.Tensor, Path)):
        return ""
    if kind is np.ndarray or isinstance(state, np.generic):
        what = "objects" if state.dtype == np.dtype(object) else state.dtype
        return "" if state.dtype.char in NUMBERS else f"{name} is an array of {what}"
    if kind in (dict, OrderedDict, Counter):
        parts = [(f"the key {key!r} of {name}", key) for key in state]
        parts += [(f"{name}[{key!r}]", value) for key, value in state.items()]
    elif kind in (list, tuple, set):
        parts = [(f"{name}[{n}]", value) for n, value in enumerate(state)]
    else:
        return (
            f"{name} is a {kind.__name__}, and what is read back without running code are "
            "tensors, arrays, numbers, texts, paths, and lists, tuples, sets and dicts of them"
        )
    return next((odd for part, value in parts if (odd := unreadable(value, part))), "")


def _read(path: Path, mmap: bool = False) -> dict[str, Any]:
    with torch.serialization.safe_globals(HARMLESS):
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
