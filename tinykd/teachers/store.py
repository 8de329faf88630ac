"""What cached teachers share: arrays on disk with a stamp, and the refusal of other samples.

A cache is a stamp, path.json, and .npy files beside it. The stamp tells what it is ("kind"), who
was asked ("teacher", a fingerprint), by which inputs the samples are recognised ("rows": {key:
type}, see `tinykd.teachers.rows`), and the shape and type of each array ("arrays").
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..batch import to_device
from .fingerprint import fingerprint
from .rows import differ, signatures
from .samples import as_numbers, count, numbered, outside, refuse_changed

CHECKED = 4  # samples of a batch that are recognised, after the first batch


class Stored:
    """A teacher whose words lie on disk, found by the numbers of the samples.

    recognise: compare the samples of a batch with those that the teacher was asked about: all of
    the first batch, about `CHECKED` of each further one (0.15 ms for rows of 784 numbers), and
    nothing that is on a GPU already, which would be waited for. A cache of an older tinykd has
    nothing to compare with.

    Raises FileNotFoundError where there is no cache, ValueError for a damaged one, and for one that
    another teacher has made.
    """

    kind: str  # what the stamp calls it
    samples: int  # how many it holds

    def __init__(self, path: Path, teacher: nn.Module | None, recognise: bool) -> None:
        self.path, self.recognise = path, recognise
        self.device, self._checks = torch.device("cpu"), 0
        self.stamp = self._read_stamp()
        if teacher is not None and (yours := fingerprint(teacher)) != self.stamp["teacher"]:
            raise ValueError(
                f"{path} was made with another teacher: its fingerprint is "
                f"{self.stamp['teacher'][:12]}, yours {yours[:12]}; write it anew"
            )
        self._signatures = self.open_signatures()

    def signed(self, index: np.ndarray) -> np.ndarray:
        """The signatures that these samples had when the teacher was asked, (n, K)."""
        assert self._signatures is not None
        return self._signatures[index]

    def open_signatures(self) -> np.ndarray | None:
        """By what the samples are recognised, (S, K); None for a cache of an older tinykd."""
        known = "rows" in self.stamp
        return np.asarray(self.array("rows", rows_file(self.path))) if known else None

    def array(self, name: str, file: Path) -> np.ndarray:
        """An array of this cache, memory-mapped. Raises ValueError if it is not as written."""
        try:
            found = np.load(file, mmap_mode="r", allow_pickle=False)
        except OSError:  # no such file, no permission
            raise
        except Exception as error:  # NumPy has many words for a damaged one
            raise ValueError(f"{file} is damaged ({error}): write the cache anew") from error
        here, there = describe(found), self.stamp.get("arrays", {}).get(name)
        if there not in (None, here):
            raise ValueError(f"{file} is {here}, its stamp says {there}: write the cache anew")
        return found

    def to(self, device: torch.device) -> None:
        """Rows will go to the device the student trains on."""
        self.device = torch.device(device)

    def check(self, batch: Mapping[str, Any]) -> np.ndarray:
        """The numbers of a batch's samples, (B,), if they are those the teacher was asked about.

        To have the samples of a run on a GPU recognised, call it before they are sent there.

        Raises ValueError for a batch that is augmented or written by a student, that has no "index"
        or one that is out of range, or whose samples are others than these numbers had.
        """
        refuse_changed(batch)
        if "index" not in batch:
            raise ValueError('a cached teacher needs batches with an "index" (see tinykd.Batches)')
        index = as_numbers(batch["index"])
        if (wrong := outside(index, self.samples)) is not None:
            raise ValueError(
                f"index {wrong} is outside the cache of {self.samples} samples: it was made from "
                "another data set"
            )
        if self.recognise and "rows" in self.stamp:
            step = max(1, len(index) // CHECKED) if self._checks else 1
            self._refuse_others(batch, index, np.arange(self._checks % step, len(index), step))
            self._checks += 1
        return index

    def compare(self, inputs: Any) -> None:
        """Raises ValueError if these are other samples than the cache was made from.

        inputs: a tensor, a mapping or batches, however they are cut. A cache of an older tinykd
        knows the tensor that it was made from, and no batches.
        """
        if "rows" not in self.stamp:
            if not isinstance(inputs, Tensor) or "inputs" not in self.stamp:
                raise ValueError(
                    f"{self.path} is of an older tinykd: it has nothing to know these by"
                )
            if fingerprint(inputs) != self.stamp["inputs"]:
                raise ValueError(f"{self.path} was made from other inputs; write it anew")
            return
        if (total := count(inputs)) != self.samples:
            raise ValueError(
                f"{self.path} was made from other inputs: it holds {self.samples} samples, these "
                f"are {total}; write it anew"
            )
        for index, batch in numbered(inputs, total):
            here = to_device(batch, torch.device("cpu"))
            self._refuse_others(here, index, np.arange(len(index)))

    def _refuse_others(
        self, batch: Mapping[str, Any], index: np.ndarray, chosen: np.ndarray
    ) -> None:
        """Raises ValueError if one of the chosen rows is not the sample that its number had."""
        written = self.stamp["rows"]
        shared = {key: written[key] for key in written if isinstance(batch.get(key), Tensor)}
        if not shared:
            raise ValueError(
                f"{self.path} knows its samples by {list(written)}, and the batch has nothing of "
                f"that; {self._on_purpose()}"
            )
        for key in shared:
            if key != "positions" and len(batch[key]) != len(index):
                raise ValueError(f"{len(index)} numbers for {len(batch[key])} samples ({key!r})")
        if any(batch[key].device.type != "cpu" for key in shared) or not len(index):
            return
        found, slack = signatures(batch, shared, chosen)
        columns = [list(written).index(key) for key in shared]
        others = differ(found, self.signed(index[chosen])[:, columns], slack)
        if others.any():
            row, column = np.argwhere(others)[0]
            key = list(shared)[column]
            type_here = str(batch[key].dtype).removeprefix("torch.")
            types = f" ({written[key]} then, {type_here} now)" if written[key] != type_here else ""
            if key == "positions":
                types = " (what the loss is on)"
            raise ValueError(
                f"sample {index[chosen[row]]} is another than {self.path} was made from: its "
                f"{key!r} differ{types}. Were the data filtered, reordered, scaled or augmented? "
                'Give batches the "index" that samples had when the teacher was asked, or write '
                f"the cache anew; {self._on_purpose()}"
            )

    def _on_purpose(self) -> str:
        return (
            "where the student is shown something else on purpose, "
            f"{type(self).__name__}(path, recognise=False)"
        )

    def _read_stamp(self) -> dict[str, Any]:
        file = stamp_file(self.path)
        try:
            stamp = json.loads(file.read_text())
        except FileNotFoundError:
            raise FileNotFoundError(
                f"no cache at {self.path}: {type(self).__name__}.write makes one"
            ) from None
        except ValueError as error:
            raise ValueError(f"{file} is damaged ({error}): write the cache anew") from error
        if not isinstance(stamp, dict) or not isinstance(stamp.get("teacher"), str):
            raise ValueError(f"{file} is not the stamp of a cache: it names no teacher")
        if (kind := stamp.get("kind", self.kind)) != self.kind:
            raise ValueError(f"{self.path} is a cache of {kind}, not of {self.kind}")
        return stamp


def stamp_file(path: Path) -> Path:
    """The stamp of a cache."""
    return Path(f"{path}.json")


def rows_file(path: Path) -> Path:
    """By what its samples are recognised."""
    return Path(f"{path}@rows.npy")


def describe(array: np.ndarray) -> str:
    """Type and shape, as the stamp has them."""
    return f"{array.dtype} {array.shape}"
