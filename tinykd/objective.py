"""What a student is trained to minimise: a weighted sum of terms.

    objective = 0.9 * SoftTargets(T=20) + 0.1 * HardLabels()
    objective = linear(0.7, 0.4) * SoftTargets(T=linear(8, 1)) + 50 * Hint("blocks.2", "blocks.5")

A weight or a temperature is a number, or a function of progress in [0, 1] (0 = first step, 1 = the
end of training). A term gives one value per position and says which positions count; sums and
counts are kept apart until the very end, so the loss of a batch does not depend on how it was cut
into micro-batches or spread over machines:

    loss = sum_k  w_k(progress) * (sum over valid positions of term_k) / (number of valid positions)
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from . import features, losses
from .schedules import Schedule, at


@dataclass
class Outputs:
    """What a forward pass leaves behind for the terms. Logits: (..., C)."""

    batch: Mapping[str, Any]
    student: Tensor
    teacher: Tensor | None = None
    student_layers: dict[str, Tensor] = field(default_factory=dict)
    teacher_layers: dict[str, Tensor] = field(default_factory=dict)
    progress: float = 0.0


class Term(nn.Module):
    """One summand of an objective. Subclasses give `per_position` and, if they must, `valid`.

    A term that has parameters (a regressor) is a module like any other: the trainer optimises,
    clips, checkpoints and synchronises them together with the student's.
    """

    needs_teacher = False
    couples_samples = False  # True where the value of one sample depends on its batch mates
    student_layer: str | None = None
    teacher_layer: str | None = None

    def per_position(self, out: Outputs) -> Tensor:
        """The loss at every position, shape (...)."""
        raise NotImplementedError

    def valid(self, batch: Mapping[str, Any]) -> Tensor:
        """Which positions count: bool, (...). Known from the batch alone, before any forward."""
        if "mask" in batch:
            return batch["mask"].bool()
        if "labels" in batch:
            return torch.ones_like(batch["labels"], dtype=torch.bool)
        return samples(batch)

    def __mul__(self, weight: Schedule) -> "Objective":
        return Objective([(weight, self)])

    __rmul__ = __mul__

    def __add__(self, other: "Term | Objective") -> "Objective":
        return 1.0 * self + other


class HardLabels(Term):
    """Cross-entropy with the labels: -log q_label (see `losses.cross_entropy`).

    Positions whose label is `ignore_index` count neither in the sum nor in the number.
    """

    def __init__(self, label_smoothing: float = 0.0, ignore_index: int = -100) -> None:
        super().__init__()
        self.label_smoothing, self.ignore_index = label_smoothing, ignore_index

    def per_position(self, out: Outputs) -> Tensor:
        """Cross-entropy at every position, 0 where ignored."""
        labels = out.batch["labels"]
        return losses.cross_entropy(out.student, labels, self.label_smoothing, self.ignore_index)

    def valid(self, batch: Mapping[str, Any]) -> Tensor:
        """Positions that are labelled and not masked."""
        if "labels" not in batch:
            raise ValueError("HardLabels needs labels, but the batch has none")
        return super().valid(batch) & (batch["labels"] != self.ignore_index)


class SoftTargets(Term):
    """The teacher's probabilities as targets: T**2 KL(p || q) (see `losses.forward_kl`).

    T: a number or a function of progress. divergence: forward_kl, reverse_kl, jsd, or any
    f(student, teacher, T) that returns one value per position.
    """

    needs_teacher = True

    def __init__(
        self, T: Schedule = 1.0, divergence: Callable[..., Tensor] = losses.forward_kl
    ) -> None:
        super().__init__()
        if not callable(T) and not 0 < T < math.inf:
            raise ValueError(f"temperature must be a finite number above 0, got T={T}")
        self.T, self.divergence = T, divergence

    def per_position(self, out: Outputs) -> Tensor:
        """The divergence at every position."""
        assert out.teacher is not None
        return self.divergence(out.student, out.teacher, at(self.T, out.progress))


class Hint(Term):
    """Match a layer of the student to one of the teacher: mean (r(F_s) - F_t)**2 (FitNets).

    student, teacher: dotted layer names. regressor: a module from student to teacher features,
    trained with the student; None if the shapes already agree.
    """

    needs_teacher = True

    def __init__(self, student: str, teacher: str, regressor: nn.Module | None = None) -> None:
        super().__init__()
        self.student_layer, self.teacher_layer = student, teacher
        self.regressor = nn.Identity() if regressor is None else regressor

    def per_position(self, out: Outputs) -> Tensor:
        """The hint loss of every sample, shape (B,)."""
        student = self.regressor(out.student_layers[str(self.student_layer)])
        return features.hint(student, out.teacher_layers[str(self.teacher_layer)])

    def valid(self, batch: Mapping[str, Any]) -> Tensor:
        """Every sample counts."""
        return samples(batch)


class Objective(nn.Module):
    """A weighted sum of terms; made by `weight * term + ...`, never by hand."""

    def __init__(self, terms: list[tuple[Schedule, Term]]) -> None:
        super().__init__()
        self.weights = [weight for weight, _ in terms]
        self.terms = nn.ModuleList(term for _, term in terms)

    def __add__(self, other: "Term | Objective") -> "Objective":
        return Objective([*self.pairs(), *as_objective(other).pairs()])

    def __rmul__(self, weight: Schedule) -> "Objective":
        def scaled(old: Schedule) -> Schedule:
            return lambda progress: at(weight, progress) * at(old, progress)

        return Objective([(scaled(old), term) for old, term in self.pairs()])

    __mul__ = __rmul__

    def pairs(self) -> list[tuple[Schedule, Term]]:
        """The (weight, term) pairs."""
        return list(zip(self.weights, self.terms, strict=True))  # type: ignore[arg-type]

    def names(self) -> list[str]:
        """A short name for each term: its class, numbered where one occurs twice."""
        kinds = [type(term).__name__ for term in self.terms]
        return [
            kind if kinds.count(kind) == 1 else f"{kind}[{kinds[:i].count(kind)}]"
            for i, kind in enumerate(kinds)
        ]

    def counts(self, batch: Mapping[str, Any]) -> Tensor:
        """Number of valid positions of each term, shape (K,), as floats on the batch's device."""
        return torch.stack([term.valid(batch).sum() for _, term in self.pairs()]).float()

    def sums(self, out: Outputs) -> Tensor:
        """Sum over valid positions of each term, shape (K,), unweighted.

        Raises ValueError if a term needs a teacher and there is none, or if it gives values at
        other positions than the batch announced.
        """
        sums = []
        for name, (_, term) in zip(self.names(), self.pairs(), strict=True):
            if term.needs_teacher and out.teacher is None:
                raise ValueError(f"{name} needs a teacher: Trainer(..., teacher=...)")
            values, valid = term.per_position(out), term.valid(out.batch)
            if values.shape != valid.shape:
                raise ValueError(
                    f"{name} has values of shape {tuple(values.shape)} for positions of shape "
                    f"{tuple(valid.shape)}: give the batch labels or a mask of the former"
                )
            sums.append(values.masked_fill(~valid, 0.0).sum())
        return torch.stack(sums)

    def weights_at(self, progress: float) -> list[float]:
        """The weights at this point of the training, one per term."""
        return [at(weight, progress) for weight in self.weights]

    def layers(self, side: str) -> list[str]:
        """Layer names the terms look at; side is "student" or "teacher"."""
        names = [getattr(term, f"{side}_layer") for term in self.terms]
        return sorted({name for name in names if name is not None})


def samples(batch: Mapping[str, Any]) -> Tensor:
    """True for each sample of a batch, shape (B,)."""
    first = next(value for value in batch.values() if isinstance(value, Tensor))
    return torch.ones(first.shape[0], dtype=torch.bool, device=first.device)


def as_objective(x: "Term | Objective") -> Objective:
    """A single term is an objective of weight 1."""
    return x if isinstance(x, Objective) else Objective([(1.0, x)])
