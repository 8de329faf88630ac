"""Stop anywhere, go on as if nothing had happened: atomic files and the state of every dice."""

import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` if the block succeeds and vanishes if it does not.

    Killed, interrupted or on a full disk, `path` holds either the old content or the new.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("r+b") as file:  # Windows refuses to sync a file opened for reading
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def save(path: Path, state: dict[str, Any]) -> None:
    """Write nested dicts of tensors and plain values; an old file stays until the new is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as part:
        torch.save(state, part)


def load(path: Path) -> dict[str, Any]:
    """Read what `save` wrote, executing nothing. Raises ValueError if the file is damaged."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{path} is not a readable checkpoint ({error}); delete it to start from the beginning"
        ) from error


# What a run is made of, beside everything that has a state_dict.
COUNTERS = (
    *("step", "epoch", "batch", "batches_per_epoch"),
    *("history", "watched", "epoch_start"),
)


def save_run(path: Path, trainer: Any) -> None:
    """Everything a Trainer needs to go on from this step."""
    kept = {name: getattr(trainer, name) for name in COUNTERS}
    parts = {name: part.state_dict() for name, part in _parts(trainer).items()}
    save(path, {**kept, "parts": parts, "dice": rng_state()})


def load_run(path: Path, trainer: Any) -> dict[str, Any] | None:
    """Put a Trainer where `save_run` saw it; returns the dice to go on with, None if no file.

    Raises ValueError for a damaged file or one from a run of another size.
    """
    if not path.exists():
        return None
    state = load(path)
    if state["batches_per_epoch"] != trainer.batches_per_epoch:
        raise ValueError(
            f"{path} was made with {state['batches_per_epoch']} batches an epoch, this run has "
            f"{trainer.batches_per_epoch}: resume with the same data and batch size"
        )
    parts = _parts(trainer)
    if parts.keys() != state["parts"].keys():
        raise ValueError(
            f"{path} holds the state of {list(state['parts'])}, this run {list(parts)}"
        )
    for name, part in parts.items():
        part.load_state_dict(state["parts"][name])
    for name in COUNTERS:
        setattr(trainer, name, state[name])
    return state["dice"]


def _parts(trainer: Any) -> dict[str, Any]:
    """Student and regressors, optimizer, losses, and the callbacks that have a state."""
    callbacks = {f"callback{i}": callback for i, callback in enumerate(trainer.callbacks)}
    own = {"net": trainer.net, "optimizer": trainer.optimizer, "losses": trainer.losses}
    parts = {**own, **callbacks}
    return {name: part for name, part in parts.items() if hasattr(part, "state_dict")}


def rng_state() -> dict[str, Any]:
    """The state of every random number generator a training step may draw from."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "python": random.getstate(),
    }


def set_rng_state(state: dict[str, Any]) -> None:
    """Put every generator back to what `rng_state` saw."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    random.setstate(state["python"])


def source_state(batches: Any) -> dict[str, Any]:
    """Everything the next pass over `batches` will draw from: all dice, and the loader's own."""
    return {"rng": rng_state(), "generators": [g.get_state() for g in _generators(batches)]}


def set_source_state(batches: Any, state: dict[str, Any]) -> None:
    """Make the next pass over `batches` the one that `source_state` was about to see."""
    for generator, own in zip(_generators(batches), state["generators"], strict=True):
        generator.set_state(own)
    set_rng_state(state["rng"])


def _generators(batches: Any) -> list[torch.Generator]:
    """The generators a loader and its sampler hold."""
    holders = (batches, getattr(batches, "sampler", None))
    generators = (getattr(holder, "generator", None) for holder in holders)
    return [g for g in generators if isinstance(g, torch.Generator)]
