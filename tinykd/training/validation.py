"""What is measured after each epoch."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from ..device import rank_and_ranks
from ..metrics import evaluate
from ..models import frozen


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
