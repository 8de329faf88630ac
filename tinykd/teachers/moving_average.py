"""A teacher that is the student's own past: the moving average of its weights.

    average <- m average + (1 - m) student,   after every step

It remembers about 1 / (1 - m) steps. With labels: Tarvainen and Valpola 2017, "Mean teachers are
better role models" (arXiv 1703.01780). Without any: DINO (Caron et al. 2021, arXiv 2104.14294).
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..outputs import Targets
from ..schedules import Schedule, at, refuse_learnable
from .live import LiveTeacher


@torch.no_grad()
def ema_update(average: nn.Module, model: nn.Module, momentum: float) -> None:
    """average <- momentum average + (1 - momentum) model, in place, without gradients.

    Parameters, and buffers such as the running mean of a batch norm. What is not a floating-point
    number (its count of batches) is copied. Raises ValueError for a momentum outside [0, 1] and for
    models of other names or shapes.
    """
    if not 0 <= momentum <= 1:
        raise ValueError(f"momentum must lie in [0, 1], got {momentum}")
    ours, theirs = _named(average), _named(model)
    if ours.keys() != theirs.keys():
        odd = sorted(ours.keys() ^ theirs.keys())
        raise ValueError(f"average and model are not of the same make: {odd[:3]} is in one alone")
    for name, own in ours.items():
        if own.shape != theirs[name].shape:
            raise ValueError(f"{name}: {tuple(own.shape)} here, {tuple(theirs[name].shape)} there")
    for name, own in ours.items():
        new = theirs[name].to(own.device)
        if own.is_floating_point():
            own.lerp_(new.to(own.dtype), 1 - momentum)
        else:
            own.copy_(new)


def _named(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name; one that is used in two places (tied weights) once."""
    return dict(model.named_parameters()) | dict(model.named_buffers())


class MovingAverage:
    """A moving average of the student, as its teacher; it is a `Teacher` and a `Callback`.

        average = MovingAverage(student, momentum=0.99)
        Trainer(student, objective, teacher=average, callbacks=[average])

    It starts as a copy of the student (`average.model`), in eval mode, and follows it after each
    step; momentum: a number or a function of progress. Its state goes into the checkpoint, so that
    a resumed run is the same. Raises ValueError for a momentum that is to be learned.
    """

    def __init__(self, student: nn.Module, momentum: Schedule = 0.99) -> None:
        refuse_learnable(momentum, "momentum")
        self.model = copy.deepcopy(student).eval().requires_grad_(False)
        self.model.zero_grad(set_to_none=True)
        self.momentum = momentum
        self._live = LiveTeacher(self.model)

    def __call__(self, trainer: Any) -> None:
        """Follow the student by one step."""
        ema_update(self.model, trainer.model, at(self.momentum, trainer.progress()))

    def to(self, device: torch.device) -> None:
        """Move the average to the device the student trains on."""
        self._live.to(device)

    def targets(self, batch: Mapping[str, Any], layers: list[str]) -> Targets:
        """Logits (..., C) of the average, and the activations of its named layers."""
        return self._live.targets(batch, layers)

    def state_dict(self) -> dict[str, Any]:
        """The average's weights and buffers."""
        return self.model.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from this average."""
        self.model.load_state_dict(state)
