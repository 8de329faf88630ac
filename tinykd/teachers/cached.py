"""What a teacher once said, on disk."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..files import atomic
from ..models import predict
from ..objective import Targets
from .fingerprint import fingerprint


class CachedTeacher:
    """Logits computed once and read back by sample, so that a run costs no teacher forward.

    `CachedTeacher.write(path, teacher, inputs)` computes them; `CachedTeacher(path)` reads them.
    They are kept in half precision (relative error at most 2**-11) in a memory-mapped .npy file
    of shape (N, ...), beside a .json stamp with the fingerprints of the teacher and of the inputs.
    Rows are looked up by the batch's "index", so shuffling cannot misalign them.

    Raises ValueError if the cache was made by another `teacher`, from other `inputs`, or if a batch
    has no index or one that is out of range; FileNotFoundError if there is no cache at `path`.
    """

    def __init__(
        self, path: str | Path, teacher: nn.Module | None = None, inputs: Tensor | None = None
    ) -> None:
        self.path = Path(path).with_suffix(".npy")
        if not (self.path.exists() and self.path.with_suffix(".json").exists()):
            raise FileNotFoundError(
                f"no cached logits at {self.path}: CachedTeacher.write makes them"
            )
        self.stamp = json.loads(self.path.with_suffix(".json").read_text())
        for what, given in (("teacher", teacher), ("inputs", inputs)):
            if given is not None and fingerprint(given) != self.stamp[what]:
                raise ValueError(
                    f"{self.path} was made with another {what}: its fingerprint is "
                    f"{self.stamp[what][:12]}, yours {fingerprint(given)[:12]}; write it anew"
                )
        self.logits = np.load(self.path, mmap_mode="r", allow_pickle=False)

    @classmethod
    def write(
        cls, path: str | Path, teacher: nn.Module, inputs: Tensor, batch_size: int = 1000
    ) -> "CachedTeacher":
        """Compute the teacher's logits for `inputs` (N, ...) and keep them at `path`.

        The files appear only when complete: an interrupted write leaves no half cache behind.
        """
        logits = predict(teacher, inputs, batch_size).half().cpu().numpy()
        if not np.isfinite(logits).all():
            raise ValueError(
                "the teacher's logits do not fit half precision (|logit| > 65504 or NaN)"
            )
        path = Path(path).with_suffix(".npy")
        path.parent.mkdir(parents=True, exist_ok=True)
        stamp = {"teacher": fingerprint(teacher), "inputs": fingerprint(inputs)}
        # Stopped between the two files, an old stamp must not vouch for new logits.
        path.with_suffix(".json").unlink(missing_ok=True)
        with atomic(path) as part, part.open("wb") as file:
            np.save(file, logits)
        with atomic(path.with_suffix(".json")) as part:
            part.write_text(json.dumps(stamp, indent=1) + "\n")
        return cls(path)

    def to(self, device: torch.device) -> None:
        """Nothing to move: rows travel with their batch."""

    def targets(self, batch: Mapping[str, Any], layers: list[str]) -> Targets:
        """The rows of this batch, shape (B, ...). Keeps no activations."""
        if layers:
            raise ValueError(f"a cached teacher has logits only, but terms ask for layers {layers}")
        if batch.get("augmented"):
            raise ValueError(
                "the cached logits are for the inputs as they are, but this batch was augmented: "
                "leave `augment` out, or ask the teacher itself, Trainer(..., teacher=model)"
            )
        if "index" not in batch:
            raise ValueError('a cached teacher needs batches with an "index" (see tinykd.Batches)')
        index = batch["index"].cpu().numpy()
        if len(index) and (index.min() < 0 or index.max() >= len(self.logits)):
            raise ValueError(
                f"index {index.max() if index.min() >= 0 else index.min()} is outside the cache of "
                f"{len(self.logits)} samples: it was made from another data set"
            )
        return Targets(torch.from_numpy(np.asarray(self.logits[index])), {})
