"""A teacher's top-k targets on disk: asked once, read back by sample."""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..batch import to_device
from ..files import atomic
from ..models import forward, frozen
from ..progress import bar
from ..teachers.fingerprint import fingerprint
from .topk import TopK, top_k


class TopKTeacher:
    """Top-k targets computed once and read back by sample, for `Trainer(..., teacher=...)`.

    `TopKTeacher.write(path, teacher, batches, k, T)` computes them, `TopKTeacher(path)` reads them.
    The positions of all samples lie one after another, memory-mapped: path.ids.npy (P, k) int32 and
    path.log_p.npy (P, k + 1); path.offsets.npy (S + 1,) says where each sample starts, path.json
    holds k, T and the fingerprints of teacher and data. Rows are looked up by the batch's "index",
    so shuffling and bucketing cannot misalign them. Give `teacher` or `batches` to have their
    fingerprints compared.

    Raises ValueError if they are others than the cache was made with, or for a batch that does not
    fit it; FileNotFoundError if there is no cache at `path`.
    """

    def __init__(
        self, path: str | Path, teacher: nn.Module | None = None, batches: Iterable | None = None
    ) -> None:
        files = self.files(path)
        if not all(file.exists() for file in files.values()):
            raise FileNotFoundError(f"no top-k targets at {path}: TopKTeacher.write makes them")
        self.path, self.stamp = path, json.loads(files["stamp"].read_text())
        self.k, self.T = self.stamp["k"], self.stamp["T"]
        found = {} if teacher is None else {"teacher": fingerprint(teacher)}
        found |= {} if batches is None else {"data": survey(batches)[1]}
        for what, yours in found.items():
            if yours != self.stamp[what]:
                raise ValueError(
                    f"{path} was made with another {what}: its fingerprint is "
                    f"{self.stamp[what][:12]}, yours {yours[:12]}; write it anew"
                )
        self.ids, self.log_p = (np.load(files[name], mmap_mode="r") for name in ("ids", "log_p"))
        self.offsets = np.load(files["offsets"])

    @staticmethod
    def files(path: str | Path) -> dict[str, Path]:
        """The four files of a cache."""
        ends = {name: f"{name}.npy" for name in ("ids", "log_p", "offsets")} | {"stamp": "json"}
        return {name: Path(f"{path}.{end}") for name, end in ends.items()}

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

        dtype: of log_p; in "float16" a probability is off by at most 1% down to e**-32. The files
        appear only when complete: an interrupted write leaves no half cache behind.
        """
        offsets, data = survey(batches)
        stamp = {"k": k, "T": T, "teacher": fingerprint(teacher), "data": data}
        files = cls.files(path)
        files["stamp"].parent.mkdir(parents=True, exist_ok=True)
        # Stopped between the files, an old stamp must not vouch for new targets.
        files["stamp"].unlink(missing_ok=True)
        with contextlib.ExitStack() as stack:
            part = {name: stack.enter_context(atomic(file)) for name, file in files.items()}
            make = np.lib.format.open_memmap
            ids = make(part["ids"], "w+", "int32", (int(offsets[-1]), k))
            log_p = make(part["log_p"], "w+", dtype, (int(offsets[-1]), k + 1))
            advance = stack.enter_context(bar("top-k targets", len(offsets) - 1, visible=progress))
            for batch in batches:
                rows = _rows(batch["index"], offsets)
                targets = top_k(_ask(teacher, batch), k, T)
                ids[rows], log_p[rows] = targets.ids.cpu().numpy(), targets.log_p.cpu().numpy()
                advance(len(batch["index"]))
            ids.flush()
            log_p.flush()
            with part["offsets"].open("wb") as file:
                np.save(file, offsets)
            part["stamp"].write_text(json.dumps(stamp, indent=1) + "\n")
        return cls(path)

    def to(self, device: torch.device) -> None:
        """Nothing to move: rows travel with their batch."""

    def targets(self, batch: Mapping[str, Any], layers: list[str]) -> tuple[TopK, dict]:
        """What the teacher said at the batch's positions, in their order (row by row)."""
        if layers:
            raise ValueError(f"top-k targets are all there is, but terms ask for layers {layers}")
        positions = _positions(batch)
        rows = _rows(batch["index"], self.offsets)
        if len(rows) != len(positions):
            raise ValueError(
                f"{self.path} holds {len(rows)} positions of these {len(batch['index'])} samples, "
                f"the batch has {len(positions)}: it was made from other data"
            )
        ids = torch.from_numpy(np.asarray(self.ids[rows]))
        log_p = torch.from_numpy(np.asarray(self.log_p[rows])).float()
        # Rounded to half precision the buckets no longer add up to 1, and a KL could be negative.
        return TopK(ids, torch.log_softmax(log_p, -1), self.T), {}


def survey(batches: Iterable) -> tuple[np.ndarray, str]:
    """Where each sample's positions start (S + 1,), and a fingerprint of tokens and positions.

    Neither depends on order, bucketing or padding. Raises ValueError for batches that run only
    once, or whose "index" does not number the samples 0 ... S - 1, each once.
    """
    if hasattr(batches, "__next__"):
        raise ValueError("batches runs only once: give a list or a SequenceBatches")
    seen: dict[int, tuple[int, bytes]] = {}
    for batch in batches:
        tokens, positions = batch["input_ids"].cpu(), _positions(batch).cpu()
        mask = batch.get("attention_mask", torch.ones_like(tokens)).cpu().bool()
        place = (mask.cumsum(1) - 1).flatten()[positions]  # counted without padding
        for row, sample in enumerate(batch["index"].tolist()):
            kept = place[positions // tokens.shape[1] == row]
            content = (part.long().numpy().tobytes() for part in (tokens[row][mask[row]], kept))
            if sample in seen:
                raise ValueError(f"sample {sample} comes twice in batches: each needs one index")
            seen[sample] = len(kept), hashlib.sha256(b"|".join(content)).digest()
    missing = sorted(set(range(len(seen))) - seen.keys())
    if missing:
        raise ValueError(f"batches must hold samples 0 to {len(seen) - 1}, but {missing[0]} lacks")
    ordered = [seen[sample] for sample in range(len(seen))]
    offsets = np.cumsum([0, *(count for count, _ in ordered)], dtype=np.int64)
    return offsets, hashlib.sha256(b"".join(digest for _, digest in ordered)).hexdigest()


def _ask(teacher: nn.Module, batch: Mapping[str, Any]) -> Tensor:
    device = next((p.device for p in teacher.parameters()), torch.device("cpu"))
    with frozen(teacher):
        return forward(teacher, to_device(batch, device))


def _positions(batch: Mapping[str, Any]) -> Tensor:
    for name in ("positions", "index"):
        if name not in batch:
            raise ValueError(f'top-k targets need batches with "{name}", such as SequenceBatches')
    return batch["positions"]


def _rows(index: Tensor, offsets: np.ndarray) -> np.ndarray:
    """Rows of the cache that belong to these samples, one sample after another."""
    samples = index.cpu().numpy()
    if len(samples) and not 0 <= samples.min() <= samples.max() < len(offsets) - 1:
        bad = samples.min() if samples.min() < 0 else samples.max()
        raise ValueError(f"sample {bad} is outside the {len(offsets) - 1} of the top-k targets")
    ranges = [np.arange(offsets[i], offsets[i + 1]) for i in samples]
    return np.concatenate([np.empty(0, dtype=np.int64), *ranges])
