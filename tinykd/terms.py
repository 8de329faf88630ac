"""The terms that most objectives are made of: hard labels, soft targets, soft labels."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from . import batch as batches
from . import losses
from .objective import Term
from .outputs import Outputs
from .schedules import Schedule, at, refuse_learnable


class HardLabels(Term):
    """Cross-entropy with the labels: -log q_label (see `losses.cross_entropy`).

    Positions whose label is `ignore_index` count neither in the sum nor in the number. A label of
    -100 takes its position out of every term, another `ignore_index` out of this term alone:
    HardLabels(ignore_index=-1) + SoftTargets() learns from labelled and unlabelled samples.
    """

    def __init__(self, label_smoothing: float = 0.0, ignore_index: int = batches.IGNORE) -> None:
        super().__init__()
        self.label_smoothing, self.ignore_index = label_smoothing, ignore_index

    def per_position(self, out: Outputs) -> Tensor:
        """Cross-entropy at every position, 0 where ignored."""
        labels = out.batch["labels"]
        if self.ignore_index != batches.IGNORE:
            labels = labels.masked_fill(labels == self.ignore_index, batches.IGNORE)
        return losses.cross_entropy(out.student, labels, self.label_smoothing)

    def valid(self, batch: Mapping[str, Any]) -> Tensor:
        """Positions that are labelled and not masked. Raises ValueError without class indices."""
        labels = batches.class_labels(batch)
        if labels is None:
            raise ValueError(
                f"HardLabels needs class indices as labels, but the batch has {_labels(batch)}"
            )
        usual = super().valid(batch)
        return (
            usual if self.ignore_index == batches.IGNORE else usual & (labels != self.ignore_index)
        )


class SoftTargets(Term):
    """The teacher's probabilities as targets: T**2 KL(p || q) (see `losses.forward_kl`).

    T: a number or a function of progress. divergence: forward_kl, reverse_kl, jsd, or any
    f(student, teacher, T) that returns one value per position. teacher: the name of one of several.
    Raises ValueError for a temperature that is not above 0 and finite.
    """

    needs_teacher = True

    def __init__(
        self,
        T: Schedule = 1.0,
        divergence: Callable[..., Tensor] = losses.forward_kl,
        teacher: str | None = None,
    ) -> None:
        super().__init__()
        refuse_learnable(T, "T")
        number = not callable(T)
        if number and not (isinstance(T, (int, float, Tensor)) and 0 < T < math.inf):
            raise ValueError(f"temperature must be a finite number above 0, got T={T!r}")
        self.T, self.divergence, self.teacher = T, divergence, teacher

    def per_position(self, out: Outputs) -> Tensor:
        """The divergence at every position. Raises ValueError for a teacher without logits."""
        if out.teacher is None:
            raise ValueError("SoftTargets needs logits, and this teacher has activations only")
        return self.divergence(out.student, out.teacher, at(self.T, out.progress))


class SoftLabels(Term):
    """Probabilities that come with the data as targets: KL(y || q) (see `losses.soft_labels_kl`).

    A row of zeros is no label: its position counts neither in the sum nor in the number.

    y: batch["soft_labels"] (..., C), or batch["labels"] where those are shares: the votes of
    annotators, pseudo-labels, mixed labels. Zero where the student says what the data says.
    """

    def per_position(self, out: Outputs) -> Tensor:
        """The divergence at every position."""
        return losses.soft_labels_kl(out.student, _shares(out.batch))

    def valid(self, batch: Mapping[str, Any]) -> Tensor:
        """Positions that are neither masked nor labelled -100, and have a label."""
        return super().valid(batch) & (_shares(batch) != 0).any(-1)


def _labels(batch: Mapping[str, Any]) -> str:
    """What stands in place of class indices, and what to do about it."""
    if "labels" not in batch:
        return f"none: its keys are {[key for key in batch if key[0] != '_']}"
    found = f"{str(batch['labels'].dtype).removeprefix('torch.')} {tuple(batch['labels'].shape)}"
    if batch["labels"].dim() == 1:
        return f"{found}: batch['labels'].long(), if those are whole numbers"
    return f"shares, {found}: SoftLabels() is for those"


def _shares(batch: Mapping[str, Any]) -> Tensor:
    for key in ("soft_labels", "labels"):
        if key in batch and batch[key].is_floating_point():
            return batch[key]
    raise ValueError(
        'SoftLabels needs probabilities (..., C) as batch["soft_labels"], or as labels; the batch '
        f"has {list(batch)}"
    )
