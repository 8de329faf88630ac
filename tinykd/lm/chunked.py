"""Losses over a large vocabulary without ever holding all of its logits.

Logits are the largest tensor of a small language model: B T V floats, 6.4 GB for 32 texts of 1,024
tokens and 49,152 words, and a loss makes several copies of them. But they are cheap to make again
from what they were made of,

    logits (N, V) = hidden (N, D) @ weight (V, D).T         N positions, D much smaller than V

so a model can hand out (hidden, weight) instead, and the loss go through the positions some at a
time: logits and values going forward; logits again, and their gradient, going backward.

    Trainer(Headless(model), Chunked(0.9 * SoftTargets(T=2) + 0.1 * HardLabels()), Headless(big))

Values and gradients are those of the dense path, which is the oracle of the tests. Everything
happens in one autograd function, so that the weight's gradient is added up in place: with
torch.utils.checkpoint around each chunk, every chunk makes a (V, D) gradient of its own, which took
twice the time of this and more memory.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..batch import blank
from ..objective import Objective, Term, as_objective
from ..outputs import Outputs, Targets
from ..schedules import Schedule


class LazyLogits(NamedTuple):
    """Logits that are not there yet: hidden (N, D), and weight (V, D), one vector a word."""

    hidden: Tensor
    weight: Tensor

    @property
    def shape(self) -> torch.Size:
        """(N, V), as if they were there."""
        return torch.Size([len(self.hidden), len(self.weight)])

    def part(self, rows: slice) -> Tensor:
        """The logits (n, V) of these positions."""
        return F.linear(self.hidden[rows], self.weight.type_as(self.hidden))

    def parts(self, size: int | None = None) -> list[slice]:
        """The positions, `size` at a time.

        None: 128 on a CPU, whose cache holds about so many rows, elsewhere 1024, so that a GPU is
        kept busy (measured on an H100 by benchmarks/big_vocabulary.py).
        """
        size = size or (128 if self.hidden.device.type == "cpu" else 1024)
        return [slice(i, i + size) for i in range(0, max(len(self.hidden), 1), size)]


Head = LazyLogits  # its name in tinykd 0.1


class Headless(nn.Module):
    """A language model that stops before its head: gives `LazyLogits` of the wanted positions.

    model: anything with .hidden(input_ids, attention_mask) -> (B, T, D) and .head_weight (V, D),
    such as a Transformer. It stays the same object: train this, then use that.
    """

    picks_positions = True
    model: Any

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> LazyLogits:
        """hidden: (len(positions), D), or (B T, D) where nothing is picked."""
        hidden = self.model.hidden(input_ids, attention_mask).flatten(0, 1)
        kind = hidden.device.type
        if torch.is_autocast_enabled(kind):  # the head's own precision, as on the dense path
            hidden = hidden.to(torch.get_autocast_dtype(kind))
        return LazyLogits(
            hidden if positions is None else hidden[positions], self.model.head_weight
        )


def chunked(
    f: Callable[..., Tensor], head: LazyLogits, *rest: Any, size: int | None = None
) -> Tensor:
    """f(logits, *rest) at every position, with the logits of at most `size` positions at a time.

    size: None is 128 on a CPU, 1024 elsewhere.
    f: takes logits (n, V) and what of `rest` belongs to these positions, and returns (n, ...).
    rest: tensors (N, ...), a teacher's LazyLogits (f gets its logits) or TopK, or None: constants.
    Returns (N, ...). Gradients flow into head.hidden and head.weight, and nowhere else.
    Raises ValueError if size < 1, or if something in `rest` has not N positions.

        chunked(cross_entropy, head, labels)
        chunked(lambda student, teacher: forward_kl(student, teacher, 2.0), head, teacher_head)
    """
    if size is not None and size < 1:
        raise ValueError(f"size must be at least 1 position, got {size}")
    count = len(head.hidden)
    for x in rest:
        if x is not None and x.shape[0] != count:
            raise ValueError(f"the head has {count} positions, a {type(x).__name__} {x.shape[0]}")
    return _Again.apply(f, size, rest, head.hidden, head.weight)


class Chunked(Objective):
    """An objective over per-position terms, evaluated `size` positions at a time.

    size: None is 128 on a CPU, 1024 elsewhere.
    objective: terms that look at logits, labels and mask, of a student that gives `LazyLogits`;
    the teacher may give logits, LazyLogits or TopK. The terms share the logits of a chunk, so a
    second one is nearly free; what is added to a Chunked later joins them.

    Raises ValueError if size < 1, for a term that looks at layers, or a student that has
    computed its logits already.
    """

    def __init__(self, objective: Term | Objective, size: int | None = None) -> None:
        super().__init__(as_objective(objective).pairs())
        if size is not None and size < 1:
            raise ValueError(f"size must be at least 1 position, got {size}")
        if own := [name for name, _ in self.named_parameters()]:
            raise ValueError(f"parameters of terms get no gradient through chunks: {own}")
        layers = (self.student_layers(), *self.teacher_layers().values())
        if layered := [name for names in layers for name in names]:
            raise ValueError(f"terms on layers cannot be cut into positions: {layered}")
        self.size = size

    def __add__(self, other: Term | Objective) -> "Chunked":
        return Chunked(super().__add__(other), self.size)

    def __radd__(self, other: Any) -> "Chunked":
        before = [] if other == 0 else as_objective(other).pairs()
        return Chunked(Objective([*before, *self.pairs()]), self.size)

    def __rmul__(self, weight: Schedule) -> "Chunked":
        return Chunked(super().__rmul__(weight), self.size)

    __mul__ = __rmul__

    def sums(self, out: Outputs) -> Tensor:
        """Sum over valid positions of each term, shape (K,), as Objective.sums."""
        head: Any = out.student
        if not isinstance(head, LazyLogits):
            raise ValueError("Chunked needs a student without its head: Trainer(Headless(model))")
        counts = torch.stack(self.valid(out.batch)).any(0)  # (N,)
        head = head._replace(hidden=blank(head.hidden, counts))
        teachers = out.teachers or {None: Targets(out.teacher, {})}
        said = [one.logits for one in teachers.values()]
        batch = {k: x for k, x in out.batch.items() if not isinstance(x, Tensor)}
        own = {k: out.batch[k] for k in ("labels", "soft_labels") if k in out.batch}
        own["mask"] = out.batch.get("mask", counts)

        def values(logits: Tensor, *rest: Any) -> Tensor:
            asked = {k: Targets(x, {}) for k, x in zip(teachers, rest, strict=False)}
            part = {**batch, **dict(zip(own, rest[len(asked) :], strict=True))}
            return torch.stack(
                self.each(replace(out, batch=part, student=logits, teachers=asked)), 1
            )

        return chunked(values, head, *said, *own.values(), size=self.size).sum(0)  # (N, K)


class _Again(torch.autograd.Function):
    """Values chunk by chunk; in the backward pass the same again, this time with gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        f: Callable[..., Tensor],
        size: int | None,
        rest: tuple,
        hidden: Tensor,
        weight: Tensor,
    ) -> Tensor:
        ctx.f, ctx.size, ctx.rest = f, size, rest
        ctx.save_for_backward(hidden, weight)
        head = LazyLogits(hidden, weight)
        return torch.cat([f(*_part((head, *rest), rows)) for rows in head.parts(size)])

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple:
        hidden, weight = ctx.saved_tensors
        to_hidden = torch.empty_like(hidden)
        to_weight = torch.zeros_like(weight, dtype=torch.promote_types(weight.dtype, torch.float32))
        head = LazyLogits(hidden, weight)
        for rows in head.parts(ctx.size):
            logits, *rest = _part((head, *ctx.rest), rows)
            with torch.enable_grad():
                values = ctx.f(logits.requires_grad_(), *rest)
            (to_logits,) = torch.autograd.grad(values, logits, slope[rows])  # (n, V)
            to_hidden[rows] = to_logits @ weight.type_as(to_logits)
            if to_logits.dtype == to_weight.dtype:
                to_weight.addmm_(to_logits.T, hidden[rows])
            else:  # half precision: each chunk's share in it, their sum in float32
                to_weight += to_logits.T @ hidden[rows]
        return None, None, None, to_hidden, to_weight.type_as(weight)


def _part(values: tuple, rows: slice) -> list:
    """These positions of each: of LazyLogits the logits, of TopK its rows, of None nothing."""
    return [x.part(rows) if hasattr(x, "part") else x if x is None else x[rows] for x in values]
