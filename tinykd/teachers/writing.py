"""How a cache is written: batch by batch, and whole or not at all."""

import contextlib
import errno
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..files import atomic
from .rows import kinds, signatures
from .store import describe, rows_file, stamp_file


class Tables:
    """Arrays on disk that are filled row by row; each is made when its first rows come."""

    def __init__(self, parts: Mapping[str, Path]) -> None:
        self.parts, self.arrays = parts, dict[str, np.ndarray]()
        self.rows: dict[str, str] = {}  # by which inputs the samples are recognised

    def put(self, name: str, rows: np.ndarray, values: np.ndarray, total: int) -> None:
        """Rows of an array of `total` rows.

        Raises ValueError for values that are not one to a row, or of another shape than those
        before, OSError if the disk is too small.
        """
        if name not in self.arrays:
            shape = (total, *values.shape[1:])
            _refuse_full_disk(self.parts[name], math.prod(shape) * values.itemsize)
            self.arrays[name] = np.lib.format.open_memmap(
                self.parts[name], "w+", values.dtype, shape
            )
        table = self.arrays[name]
        if values.shape != (len(rows), *table.shape[1:]):
            raise ValueError(
                f"{name}: {values.shape} for {len(rows)} samples, where a sample has "
                f"{table.shape[1:]}: a cache holds samples of one shape, each in a row of its own"
            )
        table[rows] = values

    def note(self, index: np.ndarray, batch: Mapping[str, Any], total: int, **more: str) -> None:
        """By what the samples of a batch will be recognised. more: further keys and their types.

        Raises ValueError for a batch with other inputs than those before.
        """
        rows = kinds(batch, len(index)) | more
        self.rows = self.rows or rows
        if rows.keys() != self.rows.keys():
            raise ValueError(f"one batch holds {list(self.rows)}, another {list(rows)}")
        found, _ = signatures(batch, self.rows, np.arange(len(index)))
        self.put("rows", index, found, total)

    def close(self) -> dict[str, str]:
        """Bring everything to the disk; returns the arrays in words."""
        described = {name: describe(array) for name, array in self.arrays.items()}
        for array in self.arrays.values():
            array.flush()  # type: ignore[attr-defined]
        self.arrays.clear()
        return described


@contextlib.contextmanager
def writing(path: Path, files: Mapping[str, Path], stamp: Mapping[str, Any]) -> Iterator[Tables]:
    """Tables for these arrays (and "rows"); after the block they are a cache with this stamp.

    Stopped inside the block, nothing has changed, and a cache that was at `path` before is still
    there. Stopped between the files, there is no stamp to vouch for a mixture, hence no cache.
    Raises ValueError for a name with an "@", which parts a name from that of an array.
    """
    if "@" in path.name:
        raise ValueError(f'the name of a cache may not hold an "@", got {path.name!r}')
    path.parent.mkdir(parents=True, exist_ok=True)
    whole, files = stamp_file(path), {**files, "rows": rows_file(path)}
    with contextlib.ExitStack() as stack:
        part = stack.enter_context(atomic(whole))  # entered first, so it appears last
        parts = {name: stack.enter_context(atomic(f)) for name, f in files.items()}
        tables = Tables(parts)
        stack.callback(tables.close)
        yield tables
        stamp = {**stamp, "rows": tables.rows, "arrays": tables.close()}
        part.write_text(json.dumps(stamp, indent=1) + "\n")
        whole.unlink(missing_ok=True)


def _refuse_full_disk(part: Path, size: int) -> None:
    """Raises OSError where a mapped file would not fit: writing to it would end the process."""
    free = shutil.disk_usage(part.parent).free
    if size > free:
        raise OSError(
            errno.ENOSPC, f"{size / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free", str(part)
        )
