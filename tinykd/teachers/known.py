"""A teacher whose answers are known already: a tensor of logits."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..batch import moved
from ..outputs import Targets


class KnownLogits:
    """The logits z_i of numbered samples, looked up by the batch's "index": asked once, read often.

    Args:
        logits: (N, C), row i for sample i; or (S, N, C) for S students side by side, whose batches
            have an "index" (S, B).

    What `CachedTeacher` is on disk, without its care: nothing is compared with what the teacher was
    asked about. `targets` raises ValueError for a batch without "index", for an index that fits
    neither form, for a sample without logits, and for a term that asks for layers.
    """

    def __init__(self, logits: Tensor) -> None:
        if logits.dim() not in (2, 3) or not logits.is_floating_point():
            raise ValueError(
                f"logits are (N, C) or (S, N, C), not {logits.dtype} {tuple(logits.shape)}"
            )
        self.logits = logits.detach()

    def to(self, device: torch.device) -> None:
        """Move the logits to `device`."""
        self.logits = moved(self.logits, device)

    def targets(self, batch: Mapping[str, Any], layers: list[str]) -> Targets:
        """The rows of this batch, (B, C) or (S, B, C)."""
        if layers:
            raise ValueError(f"terms ask for the layers {layers}, but only logits are known")
        if "index" not in batch:
            raise ValueError('the logits are looked up by the batch\'s "index": Batches has it')
        index, count = moved(batch["index"], self.logits.device), self.logits.shape[-2]
        if len(wrong := index[(index < 0) | (index >= count)]):
            raise ValueError(f"sample {int(wrong[0])} has no logits: there are {count}")
        if self.logits.dim() == 2:
            return Targets(self.logits[index], {})
        if index.dim() != 2 or len(index) != len(self.logits):
            raise ValueError(
                f"logits for {len(self.logits)} students, but an index {tuple(index.shape)}"
            )
        students = torch.arange(len(index), device=index.device)[:, None]
        return Targets(self.logits[students, index], {})
