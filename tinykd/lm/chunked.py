"""Losses over a large vocabulary without ever holding all of its logits.

Logits are the largest tensor of a small language model: B T V floats, 6.4 GB for 32 texts of 1,024
tokens and 49,152 words, and a loss makes several copies of them. But they are cheap to make again
from what they were made of,

    logits (N, V) = hidden (N, D) @ weight (V, D).T         N positions, D much smaller than V

so a model can hand out (hidden, weight) instead, and the loss go through the positions a hundred at
a time: logits and values going forward; logits again, and their gradient, going backward.

    Trainer(Headless(model), Chunked(0.9 * SoftTargets(T=2) + 0.1 * HardLabels()), Headless(big))

Values and gradients are those of the dense path, which is the oracle of the tests. Everything
happens in one autograd function, so that the weight's gradient is added up in place: with
torch.utils.checkpoint around each chunk, every chunk makes a (V, D) gradient of its own, which took
twice the time of this and more memory.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..objective import Objective, Outputs, Term, as_objective
from ..schedules import Schedule
from .topk import TopK


class Head(NamedTuple):
    """Logits that are not there yet: hidden (N, D), and weight (V, D), one vector a word."""

    hidden: Tensor
    weight: Tensor


class Headless(nn.Module):
    """A language model that stops before its head: gives a `Head` of the positions in `keep`.

    model: anything with .hidden(input_ids, attention_mask) -> (B, T, D) and .head_weight (V, D),
    such as a Transformer. It stays the same object: train this, then use that.
    """

    picks_positions = True
    model: Any

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, keep: Tensor | None = None
    ) -> Head:
        """hidden: (len(keep), D), or (B T, D) where nothing is picked."""
        hidden = self.model.hidden(input_ids, attention_mask).flatten(0, 1)
        kind = hidden.device.type
        if torch.is_autocast_enabled(kind):  # the head's own precision, as on the dense path
            hidden = hidden.to(torch.get_autocast_dtype(kind))
        return Head(hidden if keep is None else hidden[keep], self.model.head_weight)


def chunked(f: Callable[..., Tensor], head: Head, *rest: Any, size: int = 128) -> Tensor:
    """f(logits, *rest) at every position, with the logits of at most `size` positions at a time.

    f: takes logits (n, V) and what of `rest` belongs to these positions, and returns (n, ...).
    rest: tensors (N, ...), a teacher's Head (f gets its logits) or TopK, or None; all constants.
    Returns (N, ...). Gradients flow into head.hidden and head.weight, and nowhere else.
    Raises ValueError if size < 1, or if something in `rest` has not N positions.

        chunked(cross_entropy, head, labels)
        chunked(lambda student, teacher: forward_kl(student, teacher, 2.0), head, teacher_head)
    """
    if size < 1:
        raise ValueError(f"size must be at least 1 position, got {size}")
    count = len(head.hidden)
    for x in rest:
        if x is not None and _length(x) != count:
            raise ValueError(f"the head has {count} positions, a {type(x).__name__} {_length(x)}")
    return _Again.apply(f, size, rest, head.hidden, head.weight)


class Chunked(Objective):
    """An objective over per-position terms, evaluated `size` positions at a time.

    objective: terms that look at logits, labels and mask, of a student that gives a `Head`; the
    teacher may give logits, a Head or TopK. The terms share the logits of a chunk, so a second one
    is nearly free; what is added to a Chunked later joins them.

    Raises ValueError if size < 1, for a term that looks at layers, or a student that is no Head.
    """

    def __init__(self, objective: Term | Objective, size: int = 128) -> None:
        super().__init__(as_objective(objective).pairs())
        if size < 1:
            raise ValueError(f"size must be at least 1 position, got {size}")
        if layered := self.layers("student") + self.layers("teacher"):
            raise ValueError(f"terms on layers cannot be cut into positions: {layered}")
        self.size = size

    def __add__(self, other: Term | Objective) -> "Chunked":
        return Chunked(super().__add__(other), self.size)

    def __radd__(self, other: Term | Objective) -> "Chunked":
        return Chunked(Objective([*as_objective(other).pairs(), *self.pairs()]), self.size)

    def __rmul__(self, weight: Schedule) -> "Chunked":
        return Chunked(super().__rmul__(weight), self.size)

    __mul__ = __rmul__

    def sums(self, out: Outputs) -> Tensor:
        """Sum over valid positions of each term, shape (K,), as Objective.sums."""
        head: Any = out.student
        if not isinstance(head, Head):
            raise ValueError("Chunked needs a student without its head: Trainer(Headless(model))")
        names = [name for name in ("labels", "mask") if name in out.batch]
        terms = [term for _, term in self.pairs()]
        valid = torch.stack([term.valid(out.batch) for term in terms], 1)  # (N, K)

        def values(logits: Tensor, teacher: Any, *own: Tensor) -> Tensor:
            batch: Mapping[str, Any] = dict(zip(names, own, strict=True))
            part = replace(out, batch=batch, student=logits, teacher=teacher)
            return torch.stack([term.per_position(part) for term in terms], 1)

        own = [out.batch[name] for name in names]
        each = chunked(values, head, out.teacher, *own, size=self.size)  # (N, K)
        return each.masked_fill(~valid, 0.0).sum(0)


class _Again(torch.autograd.Function):
    """Values chunk by chunk; in the backward pass the same again, this time with gradients."""

    @staticmethod
    def forward(
        ctx: Any, f: Callable[..., Tensor], size: int, rest: tuple, hidden: Tensor, weight: Tensor
    ) -> Tensor:
        ctx.f, ctx.size, ctx.rest = f, size, rest
        ctx.save_for_backward(hidden, weight)
        parts = [f(*_part((Head(hidden, weight), *rest), rows)) for rows in _chunks(hidden, size)]
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple:
        hidden, weight = ctx.saved_tensors
        to_hidden = torch.empty_like(hidden)
        to_weight = torch.zeros_like(weight, dtype=torch.promote_types(weight.dtype, torch.float32))
        for rows in _chunks(hidden, ctx.size):
            logits, *rest = _part((Head(hidden, weight), *ctx.rest), rows)
            with torch.enable_grad():
                values = ctx.f(logits.requires_grad_(), *rest)
            (to_logits,) = torch.autograd.grad(values, logits, slope[rows])  # (n, V)
            to_hidden[rows] = to_logits @ weight.type_as(to_logits)
            if to_logits.dtype == to_weight.dtype:
                to_weight.addmm_(to_logits.T, hidden[rows])
            else:  # half precision: each chunk's share in it, their sum in float32
                to_weight += to_logits.T @ hidden[rows]
        return None, None, None, to_hidden, to_weight.type_as(weight)


def _chunks(hidden: Tensor, size: int) -> list[slice]:
    return [slice(i, i + size) for i in range(0, max(len(hidden), 1), size)]


def _part(values: tuple, rows: slice) -> list:
    """These positions of each: of a Head its logits, of TopK its rows, of None nothing."""
    return [
        F.linear(x.hidden[rows], x.weight.type_as(x.hidden)) if isinstance(x, Head)
        else TopK(x.ids[rows], x.log_p[rows], x.T) if isinstance(x, TopK)
        else x if x is None else x[rows]
        for x in values
    ]  # fmt: skip


def _length(x: Any) -> int:
    return len(x.hidden if isinstance(x, Head) else x.ids if isinstance(x, TopK) else x)
