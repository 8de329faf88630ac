"""What to report about a student, and how sure to be of it."""

import math
import statistics
from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .device import to_device
from .losses import cross_entropy
from .models import forward, frozen


def evaluate(model: nn.Module, batches: Iterable, device: torch.device) -> dict[str, float]:
    """Mean cross-entropy ("val_loss") and accuracy ("val_accuracy") over labelled batches."""
    loss = right = count = torch.zeros((), device=device)
    with frozen(model):
        for batch in batches:
            batch = to_device(batch, device)
            logits, labels = forward(model, batch), batch["labels"]
            loss = loss + cross_entropy(logits, labels).sum()
            right = right + (logits.argmax(-1) == labels).sum()
            count = count + (labels != -100).sum()
    totals = torch.stack([loss, right, count])
    if dist.is_initialized():  # each process may hold its own share of the samples
        dist.all_reduce(totals)
    loss, right, count = totals
    if not count:
        raise ValueError("the validation batches hold no labelled position")
    return {"val_loss": (loss / count).item(), "val_accuracy": (right / count).item()}


def accuracy(logits: Tensor, labels: Tensor, ignore_index: int = -100) -> float:
    """Share of positions whose largest logit is the label's, in [0, 1].

    logits: (..., C). labels: (...); positions labelled `ignore_index` do not count.
    Raises ValueError if the shapes do not match or no position counts.
    """
    if logits.shape[:-1] != labels.shape:
        raise ValueError(f"logits {tuple(logits.shape)} do not fit labels {tuple(labels.shape)}")
    valid = labels != ignore_index
    if not valid.any():
        raise ValueError("no labelled position to score")
    return (logits.argmax(-1) == labels)[valid].double().mean().item()


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


# Two-sided 95% quantiles of Student's t with 1, 2, ... 30 degrees of freedom.
_T95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean over seeds and half the width of its 95% interval: t s / sqrt(n), Student's t.

    One value has an unknown spread: its half width is infinite. Raises ValueError for none.
    """
    if not values:
        raise ValueError("mean_interval needs at least one value")
    if len(values) == 1:
        return float(values[0]), math.inf
    t = _T95[min(len(values) - 1, len(_T95)) - 1]
    return statistics.fmean(values), t * statistics.stdev(values) / math.sqrt(len(values))
