"""Samples recognised by one number for each of their inputs, in whatever batch they come.

    s = sum_j w_j x_j

x are a sample's numbers without its padding (where "attention_mask" (B, T) is 0), w random weights
that are always the same. Whole numbers are added up modulo 2**64 with odd w, and s must be equal:
any other token gives another one. For other numbers w lies in [-1, 1], and s may be off by 1e-5 |x|
or by what rounding x to half precision does to it: a transform that ends in another last bit on
another machine still gives the same sample. The numbers matter, their type does not.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..batch import arguments

CLOSE = 1e-5  # of a row's length |x|: what may be another last bit
AT_ONCE = 2**20  # numbers taken up in double precision at one time

Pair = tuple[np.ndarray, np.ndarray]


def kinds(batch: Mapping[str, Any], count: int) -> dict[str, str]:
    """The inputs that tell the `count` samples of a batch apart, with their types: {key: dtype}.

    They are what a model is called with, one row a sample. Raises ValueError if there are none.
    """
    args, named = arguments(batch)
    named = {"inputs": args[0]} if args else named
    rows = {k: x for k, x in named.items() if isinstance(x, Tensor) and x.dim() and len(x) == count}
    found = {k: str(x.dtype).removeprefix("torch.") for k, x in rows.items()}
    found = {k: dtype for k, dtype in found.items() if k not in ("attention_mask", "positions")}
    if not found:
        shapes = {key: tuple(getattr(x, "shape", ())) for key, x in named.items()}
        raise ValueError(f"the batch has {count} samples, its inputs have the shapes {shapes}")
    return found


def signatures(batch: Mapping[str, Any], written: Mapping[str, str], chosen: np.ndarray) -> Pair:
    """s of the chosen rows of a batch, and by how much it may be off: float64, (n, K) each.

    written: the K keys, and the type of each when the cache was written; the type "places" is that
    of "positions", of which the places in each row count. chosen: row numbers, (n,).
    """
    sizes = [batch[key][0].numel() for key, dtype in written.items() if dtype != "places"]
    at_once = max(1, AT_ONCE // max(1, *sizes, 1))
    sums, slack = (np.zeros((len(chosen), len(written))) for _ in range(2))
    for first in range(0, len(chosen), at_once):
        part = slice(first, first + at_once)
        for column, (key, dtype) in enumerate(written.items()):
            one = _of_places if dtype == "places" else _of_numbers
            sums[part, column], slack[part, column] = one(batch, key, dtype, chosen[part])
    return sums, slack


def differ(ours: np.ndarray, theirs: np.ndarray, slack: np.ndarray) -> np.ndarray:
    """Where two signatures are not those of the same sample. bool, (n, K)."""
    with np.errstate(invalid="ignore"):  # inf - inf
        others = ~(np.abs(ours - theirs) <= slack)
    if others.any():
        others &= (ours != theirs) & ~(np.isnan(ours) & np.isnan(theirs))
    return others


def places(batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Of each of a batch's "positions" the row, and the place in that row, padding not counted.

    Raises ValueError for positions that do not ascend: what is kept of them lies row by row.
    """
    ids, positions = batch["input_ids"], batch["positions"].cpu()
    if not bool((positions[1:] > positions[:-1]).all()):
        raise ValueError("the batch's positions must ascend, row after row, each once")
    mask = batch.get("attention_mask", torch.ones_like(ids)).cpu().bool()
    return positions // ids.shape[1], (mask.cumsum(1) - 1).flatten()[positions]


def _of_places(batch: Mapping[str, Any], key: str, dtype: str, chosen: np.ndarray) -> Pair:
    row, place = (x.numpy() for x in places(batch))
    sums = np.zeros(len(batch["input_ids"]), np.uint64)
    np.add.at(sums, row, _weights(batch["input_ids"].shape[1], whole=True)[place])
    return _as_float(sums[chosen]), np.zeros(len(chosen))


def _of_numbers(batch: Mapping[str, Any], key: str, dtype: str, chosen: np.ndarray) -> Pair:
    rows, mask = torch.from_numpy(chosen), batch.get("attention_mask")
    padded = isinstance(mask, Tensor) and batch[key].shape[:2] == mask.shape
    x = batch[key][rows].detach().cpu()
    x = torch.view_as_real(x) if x.is_complex() else x
    whole = "float" not in dtype and "complex" not in dtype
    values = (x.long() if whole else x.double()).numpy().reshape(len(rows), -1)
    weights = _weights(values.shape[1], whole)
    if padded:
        real = mask[rows].cpu().bool().numpy()  # type: ignore[index]
        each = values.shape[1] // real.shape[1]  # numbers at a place
        place = (real.cumsum(1) - 1)[..., None] * each + np.arange(each)
        real = real.repeat(each, 1)
        weights = np.where(real, weights[place.reshape(values.shape)], 0)
        values = np.where(real, values, 0)
    if not whole:
        off = max(CLOSE, 2 * _rounding(dtype), 2 * _rounding(str(x.dtype).removeprefix("torch.")))
        return (values * weights).sum(1), off * np.sqrt((values**2).sum(1))
    sums = _as_float(((values.view(np.uint64) + np.uint64(1)) * weights).sum(1))  # a 0 counts too
    if x.is_floating_point():
        sums[(x != x.trunc()).reshape(len(rows), -1).any(1).numpy()] = np.nan
    return sums, np.zeros(len(rows))


def _as_float(sums: np.ndarray) -> np.ndarray:
    """The 53 leading bits, as many as a float64 holds."""
    return (sums >> np.uint64(11)).astype(np.float64)


def _rounding(dtype: str) -> float:
    kind = getattr(torch, dtype)
    return torch.finfo(kind).eps if kind.is_floating_point or kind.is_complex else 0.0


def _weights(count: int, whole: bool) -> np.ndarray:
    """The first `count` weights, or some more."""
    found = _drawn(1 << max(0, count - 1).bit_length(), whole)
    return found[:count]


@lru_cache(maxsize=8)
def _drawn(count: int, whole: bool) -> np.ndarray:
    dice = np.random.RandomState(0)  # RandomState, unlike Generator, never changes its numbers
    if whole:
        return dice.randint(0, 2**64, count, np.uint64) | np.uint64(1)
    return dice.uniform(-1, 1, count)
