"""What nobody can train with, said before anything is trained."""

import math
import warnings
from typing import Any

import torch

from ..device import best_precision
from ..objective import Objective


def check_settings(
    precision: str, accumulate: int, clip: float | None, checkpoint: Any, every: int | None
) -> None:
    """Raises ValueError for what `Trainer` cannot be made with."""
    if precision not in ("float32", "bf16"):
        raise ValueError(f'precision must be "float32" or "bf16", got {precision!r}')
    if not isinstance(accumulate, int) or accumulate < 1:
        raise ValueError(f"accumulate must be a whole number, at least 1, got {accumulate}")
    if clip is not None and not 0 < clip < math.inf:
        raise ValueError(f"clip is the largest length of a gradient, above 0, got {clip}")
    if every is not None and (checkpoint is None or every < 1):
        raise ValueError(
            f"checkpoint_every={every} must be at least 1 and needs a file, "
            f"got checkpoint={checkpoint!r}"
        )


def warn_if_slow(precision: str, device: torch.device) -> None:
    """A UserWarning, of the place that made the trainer, for bf16 on a device that has none."""
    if precision == "bf16" and best_precision(device) != "bf16":
        warnings.warn(
            f'precision="bf16" can take 100 times as long as "float32" where the device, '
            f"{device.type} here, has none in hardware; tinykd.best_precision() chooses",
            stacklevel=3,
        )


def refuse_coupled(objective: Objective, world: int, accumulate: int) -> None:
    """Raises ValueError for a term that couples samples where a batch would be cut."""
    coupled = [type(term).__name__ for term in objective.terms if term.couples_samples]
    if coupled and (world > 1 or accumulate > 1):
        raise ValueError(f"{coupled} couple the samples of a batch, so a batch must stay whole")


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
