"""A teacher's top-k targets on disk: asked once, read back by sample."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...batch import moved, to_device
from ...models.call import device_of
from ...outputs import Targets
from ...progress import bar
from ...teachers import LiveTeacher, fingerprint
from ...teachers.rows import places
from ...teachers.samples import count, numbered
from ...teachers.store import Stored
from ...teachers.writing import writing
from ..topk import TopK, top_k

PLACES = {"positions": "places"}  # samples are recognised by what the loss is on, too


class KeptTopK(Stored):
    """Top-k targets by sample, wherever `said` finds them."""

    T: float

    def said(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """ids (P, k) and log_p (P, k + 1) of these samples' positions, one sample after another."""
        raise NotImplementedError

    def targets(self, batch: Mapping[str, Any], layers: list[str]) -> Targets:
        """What the teacher said at the batch's positions, in their order (row by row): a `TopK`.

        Raises ValueError for layers, of which none are kept, and for a batch that does not fit.
        """
        if layers:
            raise ValueError(f"top-k targets are all there is, but terms ask for layers {layers}")
        positions = _positions(batch)
        index = self.check(batch)
        words, kept = self.said(index)
        if len(words) != len(positions):
            raise ValueError(
                f"{self.path} holds {len(words)} positions of these {len(index)} samples, "
                f"the batch has {len(positions)}: it was made from other data"
            )
        ids = torch.from_numpy(words.astype(np.int32))
        log_p = torch.from_numpy(kept).float()
        # Rounded to half precision the buckets no longer add up to 1, and a KL could be negative.
        found = TopK(ids, torch.log_softmax(log_p, -1), self.T)
        return Targets(moved(found, self.device), {})


class TopKTeacher(KeptTopK):
    """Top-k targets computed once and read back by sample, for `Trainer(..., teacher=...)`.

    `TopKTeacher.write(path, teacher, batches, k, T)` computes them, `TopKTeacher(path)` reads them.
    The positions of all samples lie one after another, memory-mapped: path.ids.npy (P, k), uint16
    or, for more than 65,536 words, int32, and path.log_p.npy (P, k + 1); path.offsets.npy (S + 1,)
    says where each sample starts, path.json is the stamp, with k and T. Many of them as one, from
    many writers: `TopKShards`. Rows are looked up by the batch's "index", so shuffling and
    bucketing cannot misalign them, and the tokens and positions of a batch are compared with those
    that the teacher was asked about (see `Stored`; recognise=False leaves that out). Give `teacher`
    or `batches` to have them compared as a whole.

    Raises ValueError if they are others than the cache was made with, for a damaged file, or for a
    batch that does not fit; FileNotFoundError if there is no cache at `path`.
    """

    kind = "top-k targets"

    def __init__(
        self,
        path: str | Path,
        teacher: nn.Module | None = None,
        batches: Iterable | None = None,
        recognise: bool = True,
    ) -> None:
        super().__init__(Path(path), teacher, recognise)
        self.k, self.T = self.stamp["k"], self.stamp["T"]
        files = self.files(path)
        self.ids, self.log_p = self.array("ids", files["ids"]), self.array("log_p", files["log_p"])
        self.offsets = np.array(self.array("offsets", files["offsets"]))
        self.samples = len(self.offsets) - 1
        if batches is not None:
            self.compare(batches)

    @staticmethod
    def files(path: str | Path) -> dict[str, Path]:
        """The arrays of a cache."""
        return {name: Path(f"{path}.{name}.npy") for name in ("ids", "log_p", "offsets")}

    @classmethod
    def write(
        cls,
        path: str | Path,
        teacher: nn.Module,
        batches: Iterable,
        k: int = 64,
        T: float = 1.0,
        dtype: str = "float16",
        progress: bool = True,
    ) -> "TopKTeacher":
        """Ask the teacher once about every batch of `batches` (gone through twice) and keep it.

        batches: samples 0 ... S - 1, each once, with "input_ids", "positions" and "index". dtype:
        of log_p; in "float16" a probability is off by at most 1% down to e**-32, "float32" is the
        other one. The files appear when they are complete: a write that is stopped changes nothing.
        Raises ValueError for samples that are lacking or double, and for a teacher that says NaN.
        """
        if dtype not in ("float16", "float32"):
            raise ValueError(f'dtype must be "float16" or "float32", got {dtype!r}')
        total = count(batches)
        offsets = survey(batches, total)
        stamp = {"kind": cls.kind, "k": k, "T": T, "teacher": fingerprint(teacher)}
        stamp["samples"] = total
        live, device = LiveTeacher(teacher), device_of(teacher)
        with (
            writing(Path(path), cls.files(path), stamp) as tables,
            bar("top-k targets", total, visible=progress) as advance,
        ):
            tables.put("offsets", np.arange(total + 1), offsets, total + 1)
            for index, batch in numbered(batches, total):
                rows = _rows(index, offsets)
                logits = live.targets(to_device(batch, device), []).logits
                found = top_k(logits, k, T)
                if found.log_p.isnan().any():
                    raise ValueError(f"the teacher says NaN of samples {index[:8].tolist()} ...")
                words, log_p = found.ids.cpu().numpy(), found.log_p.cpu().numpy()
                words = words.astype(word_type(logits.shape[-1]))
                tables.put("ids", rows, words, int(offsets[-1]))
                tables.put("log_p", rows, log_p.astype(dtype), int(offsets[-1]))
                tables.note(index, batch, total, **PLACES)
                advance(len(index))
        return cls(path)

    def said(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """ids (P, k) and log_p (P, k + 1) of these samples' positions, one sample after another."""
        rows = _rows(index, self.offsets)
        return np.asarray(self.ids[rows]), np.asarray(self.log_p[rows])


def word_type(words: int) -> type[np.generic]:
    """What holds the ids of so many words: two bytes where they do, else four."""
    return np.uint16 if words <= 2**16 else np.int32


def survey(batches: Iterable, total: int) -> np.ndarray:
    """Where the positions of each of `total` samples start, (S + 1,), whatever the batches' order.

    Raises ValueError for samples that are lacking or double, or batches without positions.
    """
    counts = np.zeros(total, np.int64)
    for index, batch in numbered(batches, total):
        _positions(batch)
        row, _ = places(batch)
        counts[index] = np.bincount(row.numpy(), minlength=len(index))
    return np.concatenate([[0], counts.cumsum()])


def _positions(batch: Mapping[str, Any]) -> Tensor:
    for name in ("input_ids", "positions", "index"):
        if name not in batch:
            raise ValueError(f'top-k targets need batches with "{name}", such as SequenceBatches')
    return batch["positions"]


def _rows(index: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Rows of the cache that belong to these samples, one sample after another."""
    ranges = [np.arange(offsets[i], offsets[i + 1]) for i in index]
    return np.concatenate([np.empty(0, dtype=np.int64), *ranges])
