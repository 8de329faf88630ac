"""Losses on activations, one value per sample.

Like `losses`, each function returns one value per sample and leaves averaging to `objective`.
"""

from torch import Tensor

from .softmax import at_least_float32


def hint(student: Tensor, teacher: Tensor) -> Tensor:
    """Hint loss: mean over features of (F_s - F_t)**2 (FitNets, arXiv 1412.6550, equation 3).

    student: (B, ...), already through the regressor. teacher: the same shape, a constant.
    Returns (B,). Raises ValueError if the shapes differ.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"hint: student features {tuple(student.shape)} and teacher features "
            f"{tuple(teacher.shape)} differ; put a regressor between them"
        )
    gap = at_least_float32(student) - at_least_float32(teacher.detach())
    return gap.square().flatten(1).mean(1)
