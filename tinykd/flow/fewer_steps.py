"""What a student with fewer steps is told: a velocity that takes it, in one step, further.

Every target is a velocity, so that any student is trained by `MatchVelocity`. Each of the two
teachers turns a model of many steps into such targets; without gradients, as any teacher.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..models import frozen
from ..outputs import Targets
from ..teachers import LiveTeacher
from .sampling import Velocity


def two_into_one(model: Velocity, x: Tensor, t: Tensor, h: float, y: Tensor) -> Tensor:
    """The velocity with which one step of size h lands where two steps of h / 2 do: (B, D).

    Progressive distillation (Salimans and Ho 2022, arXiv 2202.00512, their algorithm 2), written
    for straight lines and Euler's steps: it is the mean of the two velocities.
    """
    first = model(x, t, y)
    second = model(x + h / 2 * first, t + h / 2, y)
    return (first + second) / 2


def consistency_target(
    model: Velocity, average: Velocity, x: Tensor, t: Tensor, h: float, y: Tensor
) -> Tensor:
    """The velocity with which one step from (x, t) to the end lands where the next point's does.

    The teacher's model makes one small step, from t to t + h; from there `average` (the student's
    own moving average) goes to the end at once:

        x' = x + h model(x, t),   end = x' + (1 - t - h) average(x', t + h),   (end - x) / (1 - t)

    At the last point, t + h = 1, the end is x' itself. Consistency distillation (Song et al. 2023,
    arXiv 2303.01469, their equation 7). Raises ValueError for a t beyond 1 - h.
    """
    if t.device.type == "cpu" and bool((t + h > 1 + 1e-4).any()):
        raise ValueError(f"a step of {h} from t = {float(t.max()):.3f} would leave [0, 1]")
    left = (1 - t - h).clamp_min(0).unsqueeze(1)
    near = x + h * model(x, t, y)
    end = near + left * average(near, t + h, y)
    return (end - x) / (1 - t).unsqueeze(1)


def halving(
    student: nn.Module,
    teacher: nn.Module,
    steps: int,
    train: Callable[[nn.Module, nn.Module, int], Any],
) -> dict[int, nn.Module]:
    """Students of steps / 2, steps / 4, ... 1 steps, by that number; each teaches the next.

    teacher: of `steps` steps, a power of 2, at least 2. train(new, teacher, n): changes `new` in
    place into one that does in n steps what `teacher` does in 2 n. The first one starts from a copy
    of `student`, each other from a copy of its teacher (arXiv 2202.00512, algorithm 2). Raises
    ValueError for other numbers of steps.
    """
    if steps < 2 or steps & (steps - 1):
        raise ValueError(f"steps are halved down to 1: a power of 2, at least 2, not {steps}")
    found = {}
    while steps > 1:
        steps //= 2
        student = copy.deepcopy(student)
        train(student, teacher, steps)
        found[steps] = teacher = student
    return found


class TwoIntoOne(LiveTeacher):
    """A teacher of 2 n steps for a student of n: its targets are `two_into_one` with h = 1 / n.

    For batches with times 0, h, 2 h, ... 1 - h: those at which a student of n steps is asked.
    """

    def __init__(self, model: nn.Module, steps: int) -> None:
        super().__init__(model)
        self.h = 1 / steps

    def targets(self, batch: Mapping[str, Any], layers: list[str]) -> Targets:
        """The velocities (B, D)."""
        with frozen(self.model):
            return Targets(two_into_one(self.model, batch["x"], batch["t"], self.h, batch["y"]), {})


class Consistency(LiveTeacher):
    """A teacher of n steps whose student is to go to the end from any of its points at once.

        average = MovingAverage(student, 0.95)
        Trainer(student, MatchVelocity(lambda t: (1 - t) ** 2), Consistency(teacher, average.model,
                n), callbacks=[average])

    For batches with times 0, h, 2 h, ... 1 - h, h = 1 / n.
    """

    def __init__(self, model: nn.Module, average: nn.Module, steps: int) -> None:
        super().__init__(model)
        self.average, self.h = average, 1 / steps

    def to(self, device: torch.device) -> None:
        """Move the model and the average."""
        super().to(device)
        self.average.to(device)

    def targets(self, batch: Mapping[str, Any], layers: list[str]) -> Targets:
        """The velocities (B, D)."""
        x, t, y = (batch[key] for key in ("x", "t", "y"))
        with frozen(self.model), frozen(self.average):
            return Targets(consistency_target(self.model, self.average, x, t, self.h, y), {})
