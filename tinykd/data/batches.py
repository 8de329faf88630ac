"""Batches of a data set that is held in memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .source import Source, as_index, cut


class Batches(Source):
    """Batches of a data set held in memory; iterate again for the next epoch (see `Source`).

    Yields {"inputs": (b, ...), "labels": (b, ...), "index": (b,)}; `index` numbers the samples in
    the data set, and "augmented": True is added where `augment` may have changed the inputs.

    Args:
        inputs: tensor (or array) of N samples.
        labels: of equal length: class indices (N, ...) or shares (N, C); None for unlabelled data.
        size: samples in a batch; the last one is smaller, or dropped with `drop_last`.
        augment: function of a batch of inputs, such as `jitter`.

    Raises:
        ValueError: lengths that differ (both are quoted), no samples, size below 1.
    """

    def __init__(
        self,
        inputs: Any,
        labels: Any = None,
        size: int = 128,
        shuffle: bool = True,
        augment: Callable[[Tensor], Tensor] | None = None,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        super().__init__(seed)
        self.inputs = torch.as_tensor(inputs)
        self.labels = None if labels is None else torch.as_tensor(labels)
        shape = tuple(self.inputs.shape)
        theirs = shape if self.labels is None else tuple(self.labels.shape)
        if not shape or not theirs or shape[0] != theirs[0]:
            raise ValueError(f"inputs {shape} and labels {theirs} differ in length")
        if shape[0] == 0:
            raise ValueError(f"no samples: inputs have shape {shape}")
        if size < 1:
            raise ValueError(f"size is {size}: a batch holds at least 1 sample")
        self.size, self.shuffle, self.augment, self.drop_last = size, shuffle, augment, drop_last
        if not len(self):
            raise ValueError(f"drop_last leaves nothing: {shape[0]} samples, size {size}")

    def __len__(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(len(self.inputs), self.size)
        return whole + bool(rest and not self.drop_last)

    def settings(self) -> dict[str, Any]:
        """Seed, sizes and order."""
        own = {"samples": len(self.inputs), "size": self.size, "shuffle": self.shuffle}
        return super().settings() | own | {"augmented": self.augment is not None}

    def groups(self, rng: np.random.Generator) -> list[np.ndarray]:
        """A permutation cut into batches."""
        count = len(self.inputs)
        order = rng.permutation(count) if self.shuffle else np.arange(count)
        return cut(order, self.size)[: len(self)]

    def batch(self, index: np.ndarray) -> dict[str, Any]:
        """The samples with these numbers, augmented."""
        rows = as_index(index)
        batch: dict[str, Any] = {"inputs": self.inputs[rows]}
        if self.labels is not None:
            batch["labels"] = self.labels[rows]
        batch["index"] = rows
        if self.augment is not None:
            batch |= {"inputs": self.augment(batch["inputs"]), "augmented": True}
        return batch
