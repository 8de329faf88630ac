"""The state of everything that a training run draws from."""

import random
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

# Where no generator of a data set is, or far too much else.
OPAQUE = (torch.Tensor, np.ndarray, nn.Module, str, bytes, int, float, type, types.ModuleType)
MOST_PARTS, MOST_ITEMS = 10_000, 100


def rng_state() -> dict[str, Any]:
    """The state of every global random number generator that a training step may draw from."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "python": random.getstate(),
    }


def set_rng_state(state: dict[str, Any]) -> None:
    """Put every global generator back to what `rng_state` saw."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    random.setstate(state["python"])


def source_state(batches: Any) -> dict[str, Any]:
    """Everything the next pass over `batches` will draw from: global generators and its own."""
    return {"rng": rng_state(), "generators": [_get(g) for g in _generators(batches)]}


def set_source_state(batches: Any, state: dict[str, Any]) -> None:
    """Make the next pass over `batches` the one that `source_state` was about to see.

    Raises ValueError for batches with more or fewer generators of their own than were saved.
    """
    generators = list(_generators(batches))
    if len(generators) != len(state["generators"]):
        raise ValueError(
            f"the checkpoint is of batches with {len(state['generators'])} random number "
            f"generators of their own, these have {len(generators)}: resume with the same sampler"
        )
    for generator, own in zip(generators, state["generators"], strict=True):
        _set(generator, own)
    set_rng_state(state["rng"])


def _generators(batches: Any) -> Iterator[Any]:
    """The generators that a loader, its samplers, its data set or their functions hold, each once.

    Looks into attributes, lists, dicts, partial functions and closures, but not into modules.
    """
    parts, seen = [batches], set[int]()
    while parts and len(seen) < MOST_PARTS:
        part = parts.pop(0)
        if id(part) in seen or isinstance(part, OPAQUE):
            continue
        seen.add(id(part))
        if isinstance(part, (torch.Generator, np.random.Generator, random.Random)):
            yield part
        elif isinstance(part, dict):
            parts += part.values()
        elif isinstance(part, (list, tuple)):
            kind: Any = list if isinstance(part, list) else tuple
            parts += kind.__getitem__(part, slice(MOST_ITEMS))  # as it is, whatever it pretends
        else:
            cells = getattr(part, "__closure__", None) or ()
            parts += [cell.cell_contents for cell in cells if cell != types.CellType()]
            parts += [
                getattr(part, name, None) for name in ("__self__", "func", "args", "keywords")
            ]
            parts += getattr(part, "__dict__", {}).values()


def _get(generator: Any) -> Any:
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.getstate()


def _set(generator: Any, state: Any) -> None:
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    else:
        generator.setstate(state)
