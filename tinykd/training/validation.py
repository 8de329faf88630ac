"""What is measured after each epoch."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from ..device import rank_and_ranks
from ..metrics import evaluate
from ..models import frozen


def check_validation(validate: Any, epochs: int, patience: int | None, monitor: Any) -> None:
    """Raises ValueError for a validation that cannot do what is asked of it."""
    if not isinstance(epochs, int) or epochs < 0:
        raise ValueError(f"epochs is a whole number, at least 0, got {epochs!r}")
    if validate is None and patience is not None:
        raise ValueError(f"patience={patience} needs something to watch: fit(..., validate=...)")
    if monitor is not None and patience is None:
        raise ValueError("monitor and mode choose when to stop early: give patience as well")
    if validate is not None and not callable(validate):
        if not hasattr(validate, "__iter__"):
            raise ValueError(f"validate is batches or a function, got {type(validate).__name__}")
        if epochs > 1 and hasattr(validate, "__next__"):
            raise ValueError("validate runs only once, but epochs > 1: give a list or a loader")


def validated(
    model: nn.Module, validate: Any, device: torch.device, autocast: Callable
) -> dict[str, float]:
    """Validation values by name; the same in every process, so that all decide alike."""
    if validate is None:
        return {}
    with autocast():
        if not callable(validate):
            found = evaluate(model, validate, device)
            return {f"val_{name}": value for name, value in found.items()}
        with frozen(model):
            result = validate(model)
    values = [named(result)]
    if rank_and_ranks()[1] > 1:
        dist.broadcast_object_list(values)
    return values[0]


def named(result: Any) -> dict[str, float]:
    """What a validation function returned, by name. Raises ValueError for anything but numbers."""
    pairs = dict(result) if isinstance(result, Mapping) else {"validate": result}
    try:
        return {str(name): float(value) for name, value in pairs.items()}
    except (TypeError, ValueError) as error:
        raise ValueError(
            "a validation function returns a number, or a dict of numbers by name, got "
            f"{result!r:.200}"
        ) from error
