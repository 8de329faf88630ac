"""What sources of batches share: an order that can be drawn again, and a share for each rank."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ..device import rank_and_ranks


class Source:
    """Batches whose order depends on (seed, epoch) alone, so that a killed run can go on in it.

    Iterate again for the next epoch; `set_epoch(e)` makes the next pass the one of epoch e. Under
    torch.distributed a batch is that of all ranks together, and each rank gets its share of its
    samples: equal shares where they divide by the number of ranks.

    A subclass gives `groups(rng)` and `batch(index)`, and may name more of its `settings`.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed, self.epoch = seed, 0

    def groups(self, rng: np.random.Generator) -> list[np.ndarray]:
        """The numbers of the samples of each batch of an epoch, drawn from `rng` alone."""
        raise NotImplementedError

    def batch(self, index: np.ndarray) -> dict[str, Any]:
        """One batch of the samples with these numbers (see `tinykd.batch`)."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """What decides the order, in plain values: a resumed run must have the same."""
        return {"kind": type(self).__name__, "seed": self.seed, "batches": len(self)}

    def __len__(self) -> int:
        """Batches in the next epoch."""
        return len(self.groups(self.rng(self.epoch)))

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass the one of `epoch`, counted from 0."""
        self.epoch = epoch

    def rng(self, *more: int) -> np.random.Generator:
        """A generator of its own for these numbers: (seed, epoch) pairs never collide in it."""
        return np.random.default_rng((self.seed % 2**64, *more))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        groups = self.groups(self.rng(self.epoch))
        self.epoch += 1
        return map(self.batch, shares(groups))


def shares(groups: list[np.ndarray]) -> list[np.ndarray]:
    """What this rank gets of every batch. Raises ValueError for a batch too small for all."""
    rank, ranks = rank_and_ranks()
    if ranks == 1:
        return groups
    smallest = min(map(len, groups))
    if smallest < ranks:  # a rank without samples would hang the others
        raise ValueError(
            f"a batch has {smallest} samples for {ranks} ranks, and each needs one: make batches "
            "larger, or leave the last one out (drop_last=True)"
        )
    return [np.array_split(group, ranks)[rank] for group in groups]


def in_order_of_length(rng: np.random.Generator, lengths: np.ndarray, bucket: int) -> np.ndarray:
    """A random order in which `bucket` samples at a time are sorted by length: little padding."""
    order = rng.permutation(len(lengths))
    parts = [order[i : i + bucket] for i in range(0, len(order), bucket)]
    return np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in parts])


def cut(order: np.ndarray, size: int) -> list[np.ndarray]:
    """`size` samples a batch; the last one may be smaller."""
    return [order[i : i + size] for i in range(0, len(order), size)]


def as_index(index: Any) -> torch.Tensor:
    """Sample numbers as the tensor that a batch carries."""
    return torch.as_tensor(np.asarray(index))
