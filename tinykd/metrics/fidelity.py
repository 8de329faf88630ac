"""How much of its teacher is in a student."""

import torch
from torch import Tensor

from ..losses import forward_kl
from .evaluate import accuracy


def agreement(student: Tensor, teacher: Tensor) -> float:
    """Fidelity: share of positions where student and teacher choose the same class, in [0, 1].

    student, teacher: logits (..., C). Not the same as being right (Stanton et al. 2021,
    arXiv 2106.05945): measure both. Raises ValueError if the shapes differ.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"shapes differ: student {tuple(student.shape)}, teacher {tuple(teacher.shape)}"
        )
    return accuracy(student, teacher.argmax(-1))


def knowledge_moved(
    student: Tensor, labels_only: Tensor, teacher: Tensor, groups: Tensor | None = None
) -> Tensor:
    """How much knowledge moved: 1 - mean KL(p || q) / mean KL(p || q0).

    The share of the label-only student's divergence from the teacher that distillation removed: 1
    where the student says what the teacher says, 0 where it is as far from it as without, negative
    where it is farther. p: teacher, q: distilled student, q0: the same student trained on labels
    alone, all at T = 1 and on inputs that neither was trained on.

    student, labels_only, teacher: logits (N, C). groups: (N,), whole numbers from 0 on, such as
    classes or regions of the inputs. Returns a float64 tensor, () or (G,), NaN for an empty group.
    Raises ValueError if the shapes differ.
    """
    now, before = (forward_kl(x.double(), teacher.double()) for x in (student, labels_only))
    if groups is None:
        return 1 - now.mean() / before.mean()
    if groups.shape != now.shape:
        raise ValueError(f"groups {tuple(groups.shape)} do not fit {tuple(now.shape)} samples")
    count = int(groups.max()) + 1
    left, there = (torch.bincount(groups, x, minlength=count) for x in (now, before))
    return 1 - left / there
