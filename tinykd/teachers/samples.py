"""Which sample is which, where a source is gone through once to keep something of each."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import BatchSampler, SequentialSampler

from ..batch import samples
from ..data.source import Source
from ..models.call import pieces


def as_numbers(index: Any) -> np.ndarray:
    """Sample numbers (B,) from a tensor on any device, an array or a list.

    Raises ValueError for what is not whole numbers in one row.
    """
    numbers = index.detach().cpu().numpy() if isinstance(index, Tensor) else np.asarray(index)
    if numbers.ndim != 1 or (numbers.dtype.kind not in "iu" and len(numbers)):
        raise ValueError(
            f'"index" must be the numbers of the samples, whole and of shape (B,), got shape '
            f"{numbers.shape} and type {numbers.dtype}"
        )
    return numbers.astype(np.int64)


def outside(index: np.ndarray, count: int) -> int | None:
    """A number that is none of 0 ... count - 1, or None."""
    wrong = index[(index < 0) | (index >= count)]
    return int(wrong[0]) if len(wrong) else None


def refuse_changed(batch: Mapping[str, Any]) -> None:
    """Raises ValueError for a batch that is not of the data as it is."""
    for key, how in (("augmented", "was augmented"), ("on_policy", "was written by a student")):
        if batch.get(key):
            raise ValueError(
                f"cached targets are those of the data as it is, but this batch {how}: leave that "
                "out, or ask the teacher itself, Trainer(..., teacher=model)"
            )


def count(inputs: Any) -> int:
    """How many samples there are in a tensor, a mapping of tensors, or batches.

    Batches that do not say it are gone through. Raises ValueError for batches that run only once,
    and for those that leave samples out.
    """
    if hasattr(inputs, "__next__"):
        raise ValueError("the batches run only once: give a list or a loader")
    if getattr(inputs, "drop_last", False):
        raise ValueError("the batches leave samples out at the end: drop_last=False keeps all")
    if isinstance(inputs, (Tensor, Mapping)):
        return sum(map(_size, pieces(inputs, 10**9)))
    if isinstance(inputs, Source) and "samples" in inputs.settings():
        return inputs.settings()["samples"]
    if getattr(inputs, "batch_sampler", None) is not None:
        try:
            return len(inputs.sampler)
        except TypeError:  # a stream
            pass
    return sum(map(_size, _pass(inputs, 1)))


def numbered(
    inputs: Any, total: int, batch_size: int = 1000
) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """Batches of `inputs` with the numbers (B,) of their samples: 0 ... total - 1, each once.

    The numbers are the batch's "index". Without one the samples are numbered as they come, if they
    come in the order of the data set. Raises ValueError where nobody knows that, where a number is
    missing, double or too large, and for augmented batches.
    """
    if not total:
        raise ValueError("there are no samples")
    seen, so_far = np.zeros(total, bool), 0
    for batch in _pass(inputs, batch_size):
        refuse_changed(batch)
        if "index" not in batch and not _in_order(inputs):
            raise ValueError(
                f'the batches of a {type(inputs).__name__} without "index" may come in any order: '
                'number their samples, {"inputs": ..., "index": ...}, or do not shuffle them'
            )
        size = _size(batch)
        index = as_numbers(batch.get("index", np.arange(so_far, so_far + size)))
        if (wrong := outside(index, total)) is not None:
            raise ValueError(f"sample {wrong} among {total}: number them 0 to {total - 1}")
        numbers, times = np.unique(index, return_counts=True)
        if (twice := numbers[(times > 1) | seen[numbers]]).size:
            raise ValueError(f"sample {twice[0]} comes twice: each must come once")
        seen[index] = True
        so_far += size
        yield index, batch
    if not seen.all():
        raise ValueError(
            f"sample {seen.argmin()} is lacking, {total - so_far} of {total} are: a cache holds "
            "all samples, numbered from 0, and one process writes it"
        )


def _pass(inputs: Any, batch_size: int) -> Iterator[dict[str, Any]]:
    """All batches once; a source's next epoch is the one that it was before."""
    epoch = inputs.epoch if isinstance(inputs, Source) else 0
    try:
        yield from pieces(inputs, batch_size)
    finally:
        if isinstance(inputs, Source):
            inputs.set_epoch(epoch)


def _size(batch: Mapping[str, Any]) -> int:
    return len(batch["index"]) if "index" in batch else len(samples(batch))


def _in_order(inputs: Any) -> bool:
    """Whether the batches are known to come in the order of the data set."""
    if isinstance(inputs, Source):
        return not getattr(inputs, "shuffle", True)
    if isinstance(getattr(inputs, "sampler", None), SequentialSampler):
        return type(inputs.batch_sampler) in (BatchSampler, type(None))
    return isinstance(inputs, (Tensor, Mapping, list))
