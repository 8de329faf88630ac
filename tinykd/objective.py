"""What a student is trained to minimise: a weighted sum of terms.

    objective = 0.9 * SoftTargets(T=20) + 0.1 * HardLabels()
    objective = linear(0.7, 0.4) * SoftTargets(T=linear(8, 1)) + 50 * Hint("blocks.2", "blocks.5")

A weight or a temperature is a number, or a function of progress in [0, 1] (0 = first step, 1 = the
end of training). A term gives one value per position and says which positions count; sums and
counts are kept apart until the very end, so the loss of a batch does not depend on how it was cut
into micro-batches or spread over machines:

    loss = sum_k  w_k(progress) * (sum over valid positions of term_k) / (number of valid positions)

What stands at other positions, be it NaN, is taken out before a term sees it.
"""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from . import batch as batches
from .outputs import Outputs
from .schedules import Schedule, at, refuse_learnable, shown


class Term(nn.Module):
    """One summand of an objective. Subclasses give `per_position` and, if they must, `valid`.

    A term that has parameters (a regressor) is a module like any other: the trainer optimises,
    clips, checkpoints and synchronises them together with the student's. A term may look at
    several layers of either side: their names are tuples.
    """

    needs_teacher = False
    couples_samples = False  # True where the value of one sample depends on its batch mates
    teacher: str | None = None  # which one, where there are several
    student_layers: tuple[str, ...] = ()
    teacher_layers: tuple[str, ...] = ()

    def per_position(self, out: Outputs) -> Tensor:
        """The loss at every position, shape (...)."""
        raise NotImplementedError

    def valid(self, batch: Mapping[str, Any]) -> Tensor:
        """Which positions count: bool, (...). Known from the batch alone, before any forward.

        By default those that are neither masked nor labelled -100.
        """
        return batches.valid(batch)

    def __mul__(self, weight: Schedule) -> "Objective":
        return Objective([(weight, self)])

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> "Objective":
        return Objective([(1 / divisor, self)])

    def __add__(self, other: "Term | Objective") -> "Objective":
        return 1.0 * self + other

    def __radd__(self, other: Any) -> "Objective":
        return other + 1.0 * self if other != 0 else 1.0 * self  # sum([...]) starts at 0

    def __repr__(self) -> str:
        """The constructor's arguments that differ from their defaults."""
        parameters = inspect.signature(type(self).__init__).parameters
        given = {p: getattr(self, p.name) for p in parameters.values() if hasattr(self, p.name)}
        parts = [f"{p.name}={shown(x)}" for p, x in given.items() if shown(x) != shown(p.default)]
        return f"{type(self).__name__}({', '.join(parts)})"


class Objective(nn.Module):
    """A weighted sum of terms; made by `weight * term + ...` or `sum([...])`, never by hand."""

    terms: Any  # nn.ModuleList of Term

    def __init__(self, terms: list[tuple[Schedule, Term]]) -> None:
        super().__init__()
        for weight, _ in terms:
            refuse_learnable(weight, "a weight")
        self.weights = [weight for weight, _ in terms]
        self.terms = nn.ModuleList(term for _, term in terms)
        kinds = [type(term).__name__ for _, term in terms]
        self._names = [
            kind if kinds.count(kind) == 1 else f"{kind}[{kinds[:i].count(kind)}]"
            for i, kind in enumerate(kinds)
        ]

    def __add__(self, other: "Term | Objective") -> "Objective":
        return Objective([*self.pairs(), *as_objective(other).pairs()])

    def __radd__(self, other: Any) -> "Objective":
        return as_objective(other) + self if other != 0 else self  # sum([...]) starts at 0

    def __rmul__(self, weight: Schedule) -> "Objective":
        def scaled(old: Schedule) -> Schedule:
            if not callable(weight) and not callable(old):
                return weight * old
            return lambda progress: at(weight, progress) * at(old, progress)

        return Objective([(scaled(old), term) for old, term in self.pairs()])

    __mul__ = __rmul__

    def __truediv__(self, divisor: float) -> "Objective":
        return (1 / divisor) * self

    def __repr__(self) -> str:
        return " + ".join(f"{shown(weight)} * {term!r}" for weight, term in self.pairs())

    def pairs(self) -> list[tuple[Schedule, Term]]:
        """The (weight, term) pairs."""
        return list(zip(self.weights, self.terms, strict=True))

    def names(self) -> list[str]:
        """A short name for each term: its class, numbered where one occurs twice."""
        return self._names

    def weights_at(self, progress: float) -> list[float]:
        """The weights at this point of the training, one per term."""
        return [at(weight, progress) for weight in self.weights]

    def student_layers(self) -> list[str]:
        """Names of the student's layers that the terms look at."""
        return sorted({name for _, term in self.pairs() for name in term.student_layers})

    def teacher_layers(self) -> dict[str | None, list[str]]:
        """Which teachers the terms ask, and for which layers: {teacher's name: layer names}."""
        asked: dict[str | None, set[str]] = {}
        for _, term in self.pairs():
            if term.needs_teacher or term.teacher_layers:
                asked.setdefault(term.teacher, set()).update(term.teacher_layers)
        return {name: sorted(layers) for name, layers in asked.items()}

    def valid(self, batch: Mapping[str, Any]) -> list[Tensor]:
        """Which positions count for each term."""
        return [term.valid(batch) for term in self.terms]

    def counts(self, batch: Mapping[str, Any]) -> Tensor:
        """Number of valid positions of each term, shape (K,), as floats on the batch's device."""
        found = self.valid(batch)
        sums = {id(where): where.count_nonzero() for where in found}  # most terms share theirs
        return torch.stack([sums[id(where)] for where in found]).float()

    def forward(self, out: Outputs) -> Tensor:
        """The loss of one batch, for a loop of your own: sum_k w_k * (sum / count of term k)."""
        counts = self.counts(out.batch).clamp_min(1)
        scale = torch.tensor(self.weights_at(out.progress), device=counts.device) / counts
        return (scale * self.sums(replace(out, scale=scale))).sum()

    def sums(self, out: Outputs) -> Tensor:
        """Sum over valid positions of each term, shape (K,), unweighted."""
        return torch.stack([values.sum() for values in self.each(out)])

    def each(self, out: Outputs) -> list[Tensor]:
        """The values of each term at every position, 0 where the position does not count.

        Raises ValueError if a term needs a teacher and there is none, or if it gives values at
        other positions than the batch announced.
        """
        found: list[Tensor] = []
        views: dict[Any, Outputs] = {}
        whole: dict[int, bool] = {}
        positions = self.valid(out.batch)
        for name, term, where in zip(self.names(), self.terms, positions, strict=True):
            if id(where) not in whole:  # asking a GPU would wait for it
                known = where.device.type == "cpu" and not torch.compiler.is_compiling()
                whole[id(where)] = known and bool(where.all())
            key = (id(where), term.teacher)
            if key not in views:
                own = _of_teacher(term, name, out)
                views[key] = own if whole[id(where)] else _only(where, own)
            values = term.per_position(views[key])
            _check_shape(name, values, where)
            found.append(values if whole[id(where)] else values.masked_fill(~where, 0.0))
        return found


def as_objective(x: Any) -> Objective:
    """A single term is an objective of weight 1. Raises TypeError for anything else."""
    if isinstance(x, Term):
        return Objective([(1.0, x)])
    if isinstance(x, Objective):
        return x
    hint = "a loss of your own is a Term with `per_position`; HardLabels() is the cross-entropy"
    if isinstance(x, (list, tuple)):
        hint = "add them up: sum([...]), or 0.9 * SoftTargets(T=4) + 0.1 * HardLabels()"
    raise TypeError(
        f"an objective is a term or a weighted sum of terms, got {type(x).__name__}: {hint}"
    )


def _of_teacher(term: Term, name: str, out: Outputs) -> Outputs:
    """What `term` sees: of several teachers its own."""
    asked = out.teachers.get(term.teacher)
    if asked is None and term.teacher is not None:
        raise ValueError(
            f"{name} asks for the teacher {term.teacher!r}, and there is {list(out.teachers)}: "
            'Outputs(..., teachers={"name": Targets(logits, {})})'
        )
    if asked is not None and asked.logits is not out.teacher:
        out = replace(out, teacher=asked.logits, teacher_layers=asked.layers)
    if term.needs_teacher and out.teacher is None and not out.teacher_layers:
        whom = "a teacher" if term.teacher is None else f"the teacher {term.teacher!r}"
        raise ValueError(f"{name} needs {whom}: Trainer(..., teacher=...)")
    return out


def _only(where: Tensor, out: Outputs) -> Outputs:
    """The same outputs with nothing at the positions that do not count."""
    labels = batches.class_labels(out.batch)
    if labels is not None and labels.shape == where.shape:
        out = replace(
            out, batch={**out.batch, "labels": labels.masked_fill(~where, batches.IGNORE)}
        )
    sides: dict[str, Any] = {}
    for side in ("student", "teacher"):
        logits = getattr(out, side)
        if isinstance(logits, Tensor) and logits.shape[:-1] == where.shape:
            sides[side] = batches.blank(logits, where)
    return replace(out, **sides)


def _check_shape(name: str, values: Tensor, where: Tensor) -> None:
    if values.shape == where.shape:
        return
    if values.dim() == 0:
        raise ValueError(
            f"{name} returned a single number: a term gives one value per position, "
            f"{tuple(where.shape)}, and what to average over is decided by `Trainer`"
        )
    raise ValueError(
        f"{name} has values of shape {tuple(values.shape)} for positions of shape "
        f"{tuple(where.shape)}: give the batch labels or a mask of the former"
    )
