"""Who sets the learning rate: a schedule of ours, a torch scheduler, or the caller."""

import math
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ..schedules import Schedule, at


class LearningRate:
    """rate = the optimizer's own rate * schedule(progress), set before each step.

    schedule: a number, a function of progress in [0, 1], or a torch LRScheduler made for the same
    optimizer, which is stepped after each step and checkpointed. The number 1 leaves the rates
    alone, so that whatever a caller does with them in a callback stands. Raises ValueError for what
    is none of these, or a scheduler of another optimizer.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, schedule: Schedule | LRScheduler) -> None:
        if isinstance(schedule, ReduceLROnPlateau):
            raise ValueError("ReduceLROnPlateau wants a validation value: step it yourself")
        if not isinstance(schedule, LRScheduler):
            try:
                float(at(schedule, 0.0))
            except TypeError as error:
                raise ValueError(
                    "schedule is a number, a function of progress in [0, 1], or a torch scheduler "
                    f"of the optimizer that is given beside it, not {schedule!r} ({error})"
                ) from error
        self.optimizer, self.schedule = optimizer, schedule
        self.base = [float(group.get("lr", 1.0)) for group in optimizer.param_groups]
        self._last: list[float] | None = None  # the rates we have set
        if isinstance(schedule, LRScheduler) and schedule.optimizer is not optimizer:
            raise ValueError(
                "this scheduler belongs to another optimizer: "
                "Trainer(..., optimizer=sgd, schedule=StepLR(sgd, ...))"
            )

    @property
    def is_ours(self) -> bool:
        """True where a schedule of ours sets the rates."""
        return not isinstance(self.schedule, LRScheduler) and self.schedule != 1

    def set(self, progress: float) -> None:
        """The rates of the coming step.

        Raises ValueError where somebody else has changed them since: two cannot decide.
        """
        if not self.is_ours:
            return
        groups = self.optimizer.param_groups
        found = [group["lr"] for group in groups]
        if self._last is not None and found != self._last:
            raise ValueError(
                f"the learning rate was set to {self._last} by schedule=... and has been changed "
                f"to {found} since: give the other scheduler as schedule=, or leave schedule out"
            )
        factor = at(self.schedule, progress)  # type: ignore[arg-type]
        if not 0 <= factor < math.inf:
            raise ValueError(f"the schedule gives {factor} at progress {progress:g}: no rate")
        self._last = [base * factor for base in self.base]
        for group, rate in zip(groups, self._last, strict=True):
            group["lr"] = rate

    def advance(self) -> None:
        """After a step."""
        if isinstance(self.schedule, LRScheduler):
            self.schedule.step()

    def state_dict(self) -> dict[str, Any]:
        """The torch scheduler's, if there is one."""
        return self.schedule.state_dict() if isinstance(self.schedule, LRScheduler) else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        if isinstance(self.schedule, LRScheduler):
            self.schedule.load_state_dict(state)
        self._last = None
