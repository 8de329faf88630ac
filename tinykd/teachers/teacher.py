"""What a teacher is: anything that has targets for a batch."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from ..objective import Targets
from .live import LiveTeacher


@runtime_checkable
class Teacher(Protocol):
    """A source of targets. `LiveTeacher` and `CachedTeacher` are two; write your own like them."""

    def to(self, device: torch.device) -> Any:
        """Move what there is to move to the device the student trains on."""

    def targets(self, batch: Mapping[str, Any], layers: list[str]) -> Targets:
        """Its logits for this batch, aligned with the student's, and the named activations.

        No gradient may flow through them. Raises ValueError for layers that it does not have.
        """


def as_teachers(teacher: Any) -> dict[str | None, Teacher]:
    """Teachers by name; a single one has the name None. A module becomes a `LiveTeacher`.

    Raises TypeError for what has no targets.
    """
    if teacher is None:
        return {}
    if isinstance(teacher, Mapping) and not isinstance(teacher, nn.Module):
        return {str(name): _as_teacher(one) for name, one in teacher.items()}
    return {None: _as_teacher(teacher)}


def _as_teacher(teacher: Any) -> Teacher:
    if isinstance(teacher, Teacher) and not isinstance(teacher, nn.Module):
        return teacher
    if isinstance(teacher, nn.Module):
        return LiveTeacher(teacher)
    hint = 'several teachers come by name: teacher={"a": ..., "b": ...}'
    if not isinstance(teacher, (list, tuple)):
        hint = "a teacher is a module, or an object with `to(device)` and `targets(batch, layers)`"
    raise TypeError(f"a {type(teacher).__name__} is no teacher: {hint}")
