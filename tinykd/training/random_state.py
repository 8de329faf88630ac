"""The state of everything that a training run draws from."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch


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
    """The generators that a loader, its samplers and its data set hold, each once."""
    seen: set[int] = set()
    parts = [batches]
    while parts:
        part = parts.pop(0)
        for value in list(getattr(part, "__dict__", {}).values()):
            kinds = (torch.Generator, np.random.Generator, random.Random)
            if isinstance(value, kinds) and id(value) not in seen:
                seen.add(id(value))
                yield value
        for name in ("sampler", "batch_sampler", "dataset", "data", "transform", "augment"):
            inner = getattr(part, "__dict__", {}).get(name)
            if inner is not None and id(inner) not in seen:
                seen.add(id(inner))
                parts.append(inner)


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
