"""One task after the other: a model's old self as the teacher of its new one, and what is lost."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .losses import cross_entropy, forward_kl
from .objective import Term
from .outputs import Outputs


def without_forgetting(
    student: Tensor,
    old_self: Tensor,
    labels: Tensor,
    old: Tensor,
    new: Tensor,
    T: float = 2.0,
    weight: float = 1.0,
) -> Tensor:
    """CE among the new classes + weight T**2 KL(old self || student) among the old ones.

    Both read inputs of the new task alone: labels teach the new classes among themselves, and what
    the model said of these inputs before, at T, stays what it says of the old classes (LwF: Li and
    Hoiem, arXiv 1606.09282, equations 1 to 3, which have no factor T**2).
    student, old_self: logits (..., C), the second a constant. labels: (...), among the new classes.
    old, new: bool (C,), which classes were learned before and which are learned now; they may
    overlap. Returns (...), in nats. Raises ValueError for a mask of another length, or none in it.
    """
    for name, mask in (("old", old), ("new", new)):
        if mask.shape != student.shape[-1:] or not mask.any():
            raise ValueError(
                f"{name} says of each of {student.shape[-1]} classes whether it belongs, and to at "
                f"least one: got {tuple(mask.shape)}, {int(mask.sum())} of them true"
            )
    learn = cross_entropy(student.masked_fill(~new, -torch.inf), labels)
    keep = forward_kl(student[..., old], old_self[..., old], T)
    return learn + weight * keep


class WithoutForgetting(Term):
    """See `without_forgetting`; the teacher is a copy of the model from before this task.

    weight 0 is plain fine-tuning: labels of the new task, and nobody is asked about the old ones.
    """

    old: Tensor
    new: Tensor

    def __init__(self, old: Tensor, new: Tensor, T: float = 2.0, weight: float = 1.0) -> None:
        super().__init__()
        self.T, self.weight = T, weight
        self.needs_teacher = weight != 0
        self.register_buffer("old", old, persistent=False)
        self.register_buffer("new", new, persistent=False)

    def per_position(self, out: Outputs) -> Tensor:
        """The loss at every position."""
        old_self = out.student.detach() if self.weight == 0 else out.teacher
        return without_forgetting(
            out.student, old_self, out.batch["labels"], self.old, self.new, self.T, self.weight
        )


def forgetting(matrix: Tensor | Sequence[Sequence[float]]) -> float:
    """Mean over the earlier tasks of (best accuracy so far - accuracy at the end).

    matrix: (tasks, tasks), [t, j] the accuracy on task j after learning task t. The best is over
    all rows but the last; a negative value means that later tasks have helped (Chaudhry et al.
    2018, arXiv 1801.10112). Raises ValueError unless it is square, of two or more.
    """
    a = _square(matrix)
    before = torch.stack([a[j:-1, j].max() for j in range(len(a) - 1)])
    return float((before - a[-1, :-1]).mean())


def learning(matrix: Tensor | Sequence[Sequence[float]]) -> float:
    """Mean over the tasks but the first of the accuracy on a task when it has just been learned.

    matrix as in `forgetting`: the mean of its diagonal without the first entry. Raises likewise.
    """
    return float(_square(matrix).diagonal()[1:].mean())


def _square(matrix: Tensor | Sequence[Sequence[float]]) -> Tensor:
    a = torch.as_tensor(matrix, dtype=torch.float64)
    if a.dim() != 2 or a.shape[0] != a.shape[1] or len(a) < 2:
        raise ValueError(f"accuracies are (tasks, tasks), two or more; got {tuple(a.shape)}")
    return a
