"""The terms that most objectives are made of: hard labels, soft targets, soft labels, hints."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from . import batch as batches
from . import features, losses
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
        """Positions that are labelled and not masked."""
        labels = batches.class_labels(batch)
        if labels is None:
            found = "shares: SoftLabels() is for those" if "labels" in batch else "none"
            raise ValueError(f"HardLabels needs class indices as labels, but the batch has {found}")
        usual = super().valid(batch)
        return (
            usual if self.ignore_index == batches.IGNORE else usual & (labels != self.ignore_index)
        )


class SoftTargets(Term):
    """The teacher's probabilities as targets: T**2 KL(p || q) (see `losses.forward_kl`).

    T: a number or a function of progress. divergence: forward_kl, reverse_kl, jsd, or any
    f(student, teacher, T) that returns one value per position. teacher: the name of one of several.
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
        if not callable(T) and not 0 < T < math.inf:
            raise ValueError(f"temperature must be a finite number above 0, got T={T}")
        self.T, self.divergence, self.teacher = T, divergence, teacher

    def per_position(self, out: Outputs) -> Tensor:
        """The divergence at every position."""
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


class Hint(Term):
    """Match layers of the student to layers of the teacher: mean (r(F_s) - F_t)**2 (FitNets).

    student_layers, teacher_layers: a dotted name, or as many on both sides: their losses are added.
    regressor: a module from student to teacher features, trained with the student; one for each
    pair of layers; None where the shapes already agree. teacher: the name of one of several.

    Raises ValueError for unlike numbers of layers or regressors.
    """

    needs_teacher = True

    def __init__(
        self,
        student_layers: str | Sequence[str],
        teacher_layers: str | Sequence[str],
        regressor: nn.Module | Sequence[nn.Module | None] | None = None,
        teacher: str | None = None,
    ) -> None:
        super().__init__()
        self.student_layers, self.teacher_layers = names(student_layers), names(teacher_layers)
        given = list(regressor) if isinstance(regressor, Sequence) else [regressor]
        if regressor is None:
            given *= len(self.student_layers)
        if not len(self.student_layers) == len(self.teacher_layers) == len(given):
            raise ValueError(
                f"Hint pairs layers: student {self.student_layers}, teacher {self.teacher_layers}, "
                f"{len(given)} regressors"
            )
        self.regressors = nn.ModuleList(nn.Identity() if r is None else r for r in given)
        self.teacher = teacher

    @property
    def regressor(self) -> nn.Module:
        """The first regressor, the only one of a single pair."""
        return self.regressors[0]

    def per_position(self, out: Outputs) -> Tensor:
        """The hint loss of every sample, shape (B,)."""
        pairs = zip(self.regressors, self.student_layers, self.teacher_layers, strict=True)
        where = self.valid(out.batch)
        values = []
        for regressor, ours, theirs in pairs:
            student, teacher = out.student_layers[ours], out.teacher_layers[theirs]
            if not (where.device.type == "cpu" and where.all()):
                student, teacher = batches.blank(student, where), batches.blank(teacher, where)
            values.append(features.hint(regressor(student), teacher))
        return values[0] if len(values) == 1 else torch.stack(values).sum(0)

    def valid(self, batch: Mapping[str, Any]) -> Tensor:
        """Every sample counts that is not masked; masks of positions inside a sample do not matter.

        For tokens, whose padding has to be left out, there is `lm.HiddenStates`.
        """
        every, usual = batches.samples(batch), super().valid(batch)
        return usual if usual.shape == every.shape else every


def names(layers: str | Sequence[str]) -> tuple[str, ...]:
    """One layer name or several, as a tuple."""
    return (layers,) if isinstance(layers, str) else tuple(layers)


def _shares(batch: Mapping[str, Any]) -> Tensor:
    for key in ("soft_labels", "labels"):
        if key in batch and batch[key].is_floating_point():
            return batch[key]
    raise ValueError(
        'SoftLabels needs probabilities (..., C) as batch["soft_labels"], or as labels; the batch '
        f"has {list(batch)}"
    )
