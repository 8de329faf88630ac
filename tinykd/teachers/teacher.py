"""What a teacher is: anything that has targets for a batch."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from ..batch import moved
from ..models.call import modes_kept
from ..objective import Objective
from ..outputs import Targets
from .live import LiveTeacher
from .store import Stored


@runtime_checkable
class Teacher(Protocol):
    """A source of targets. `LiveTeacher` and `CachedTeacher` are two; write your own like them."""

    def to(self, device: torch.device) -> Any:
        """Move what there is to move to the device the student trains on."""

    def targets(self, batch: Mapping[str, Any], layers: list[str]) -> Targets:
        """Its logits for this batch, aligned with the student's, and the named activations.

        No gradient may flow through them. Raises ValueError for layers that it does not have.
        """


class Teachers:
    """The teachers of a run, by name; a single one has the name None. They are asked together.

    teacher: a module, a `Teacher`, several of either by name, or None. Raises TypeError for what
    has no targets, ValueError for a term of `objective` whose teacher is not among them.
    """

    def __init__(self, teacher: Any, objective: Objective) -> None:
        several = isinstance(teacher, Mapping) and not isinstance(teacher, nn.Module)
        given = teacher if several else {} if teacher is None else {None: teacher}
        self.by_name = {name: _as_teacher(one) for name, one in given.items()}
        wanted = objective.teacher_layers()
        for name in wanted if self.by_name else ():
            if name not in self.by_name:
                raise ValueError(_missing(name, list(self.by_name)))
        self.wanted = {name: layers for name, layers in wanted.items() if name in self.by_name}
        if None in self.by_name:  # asked in any case: a term of one's own may forget to say so
            self.wanted.setdefault(None, [])

    def to(self, device: torch.device) -> None:
        """Move them all."""
        for teacher in self.by_name.values():
            teacher.to(device)

    def targets(self, batch: Mapping[str, Any], device: torch.device) -> dict[str | None, Targets]:
        """What each teacher that a term asks for says of this batch, on `device`."""
        found = {}
        for name, wanted in self.wanted.items():
            answer = self.by_name[name].targets(batch, wanted)
            logits, layers = answer if isinstance(answer, tuple) else (answer, {})
            found[name] = Targets(moved(logits, device), layers)
        return found

    def check(self, batch: Mapping[str, Any]) -> None:
        """Whether the stored ones were made for these samples: while the batch is on the CPU.

        Raises ValueError with the first sample that is another.
        """
        for name in self.wanted:
            if isinstance(one := self.by_name[name], Stored):
                one.check(batch)

    @contextlib.contextmanager
    def in_eval_mode(self, student: nn.Module) -> Iterator[None]:
        """Live teachers in eval mode for the length of a run; then each module's own comes back.

        One that shares modules with the student is put in eval mode each time it is asked instead.
        Raises ValueError for one that shares trainable parameters, unless it is the student itself.
        """
        modules = set(map(id, student.modules()))
        trained = {id(p) for p in student.parameters() if p.requires_grad}
        with contextlib.ExitStack() as stack:
            for name, teacher in self.by_name.items():
                if not isinstance(teacher, LiveTeacher):
                    continue
                shared = [n for n, p in teacher.model.named_parameters() if id(p) in trained]
                if shared and teacher.model is not student:  # which may well be its own teacher
                    whose = "the teacher" if name is None else f"the teacher {name!r}"
                    raise ValueError(
                        f"{whose} shares trainable parameters with the student, {shared[:3]}, and "
                        "would change while it teaches: give it copy.deepcopy(model)"
                    )
                if not modules & set(map(id, teacher.model.modules())):
                    stack.enter_context(modes_kept(teacher.model))
                    teacher.model.eval()
            yield


def _missing(name: str | None, given: list[str | None]) -> str:
    if name is None:
        return f'which teacher? There are {given}: name it, SoftTargets(teacher="{given[0]}")'
    there = f"one without a name: teacher={{{name!r}: ...}}" if given == [None] else f"only {given}"
    return f"a term asks for the teacher {name!r}, but there is {there}"


def _as_teacher(teacher: Any) -> Teacher:
    if isinstance(teacher, Teacher) and not isinstance(teacher, nn.Module):
        return teacher
    if isinstance(teacher, nn.Module):
        return LiveTeacher(teacher)
    hint = 'several teachers come by name: teacher={"a": ..., "b": ...}'
    if not isinstance(teacher, (list, tuple)):
        hint = "a teacher is a module, or an object with `to(device)` and `targets(batch, layers)`"
    raise TypeError(f"a {type(teacher).__name__} is no teacher: {hint}")
