"""Logits that are not there yet, and losses that go through them some positions at a time.

    logits (N, V) = hidden (N, D) @ weight (V, D).T         N positions, D much smaller than V

Two ways to a gradient, in autograd functions of their own so that the weight's is added up in
place: with torch.utils.checkpoint around each chunk, every chunk makes a (V, D) gradient, which
took twice the time and more memory. `chunked` gives a value for each position, and what comes from
above may weigh each one anew: logits are made going forward and again going backward.
`chunked_sums` is told what its sums will be multiplied with, and makes the gradient at once, as
liger-kernel does (arXiv 2410.10989).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..softmax import at_least_float32


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

    def ready(self) -> "LazyLogits":
        """The same, with the weight in the precision of `hidden`: once, and not for each part."""
        return self._replace(weight=self.weight.type_as(self.hidden))

    def parts(self, size: int | None = None) -> list[slice]:
        """The positions, `size` at a time.

        None: 128 on a CPU, whose cache holds about so many rows, elsewhere 1024, so that a GPU is
        kept busy (measured on an H100 by benchmarks/big_vocabulary.py).
        """
        size = size or (128 if self.hidden.device.type == "cpu" else 1024)
        return [slice(i, i + size) for i in range(0, max(len(self.hidden), 1), size)]


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


def chunked_sums(
    f: Callable[..., Tensor], head: LazyLogits, *rest: Any, scale: Tensor, size: int | None = None
) -> Tensor:
    """Sums (K,) over all positions of f's values (n, K), K terms; the rest as for `chunked`.

    scale: (K,), what the loss will multiply the sums with, up to a factor: their gradient is made
    for it, in the same pass. Four products of the size of the logits with a teacher's, as on the
    dense path, where `chunked` takes six. Raises ValueError, going backward on a CPU, if they are
    multiplied with something else.
    """
    return _AtOnce.apply(f, size, rest, scale, head.hidden, head.weight)


class _Gradients:
    """Of a head's `hidden` (N, D) and, if it is trained, `weight` (V, D); added up by parts."""

    def __init__(self, head: LazyLogits, trained: bool) -> None:
        self.head, self.hidden = head, torch.empty_like(head.hidden)
        self.trained = trained
        self.weight: Tensor | None = None

    def add(self, rows: slice, to_logits: Tensor) -> None:
        """The share of these positions; to_logits: (n, V)."""
        self.hidden[rows] = to_logits @ self.head.weight
        if not self.trained:
            return
        if self.weight is None:
            self.weight = to_logits.T @ self.head.hidden[rows]
            return
        self.weight = at_least_float32(self.weight)
        if to_logits.dtype == self.weight.dtype:
            self.weight.addmm_(to_logits.T, self.head.hidden[rows])
        else:  # half precision: each chunk's share in it, their sum in float32
            self.weight += to_logits.T @ self.head.hidden[rows]


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
        ctx.f, ctx.size, ctx.rest = f, size, _ready(*rest)
        ctx.save_for_backward(hidden, weight)
        (head,) = _ready(LazyLogits(hidden, weight))
        return torch.cat([f(*_part((head, *ctx.rest), rows)) for rows in head.parts(size)])

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple:
        hidden, weight = ctx.saved_tensors
        (head,) = _ready(LazyLogits(hidden, weight))
        found = _Gradients(head, ctx.needs_input_grad[-1])
        for rows in head.parts(ctx.size):
            _, to_logits = _with_gradient(ctx.f, (head, *ctx.rest), rows, slope[rows])
            found.add(rows, to_logits)
        return None, None, None, found.hidden, _as(found.weight, weight)


class _AtOnce(torch.autograd.Function):
    """Sums over all positions, and the gradient of scale * sums in the same pass."""

    @staticmethod
    def forward(
        ctx: Any,
        f: Callable[..., Tensor],
        size: int | None,
        rest: tuple,
        scale: Tensor,
        hidden: Tensor,
        weight: Tensor,
    ) -> Tensor:
        head, *rest = _ready(LazyLogits(hidden, weight), *rest)  # type: ignore[assignment]
        found = _Gradients(head, ctx.needs_input_grad[-1])
        sums = []
        for rows in head.parts(size):
            values, to_logits = _with_gradient(f, (head, *rest), rows, scale)
            found.add(rows, to_logits)
            sums.append(values.detach().sum(0))
        ctx.save_for_backward(scale, found.hidden, _as(found.weight, weight))
        return torch.stack(sums).sum(0)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple:
        scale, to_hidden, to_weight = ctx.saved_tensors
        scale = scale.type_as(slope)
        factor = slope @ scale / (scale @ scale).clamp_min(torch.finfo(slope.dtype).tiny)
        if slope.device.type == "cpu" and not torch.allclose(slope, factor * scale):
            raise ValueError(f"the gradient is for sums times {scale}, and they are times {slope}")
        if slope.device.type != "cpu" or factor != 1:
            to_hidden = to_hidden * factor.type_as(to_hidden)
            to_weight = None if to_weight is None else to_weight * factor.type_as(to_weight)
        return None, None, None, None, to_hidden, to_weight


def _with_gradient(
    f: Callable[..., Tensor], values: tuple, rows: slice, slope: Tensor
) -> tuple[Tensor, Tensor]:
    """f at these positions, and the gradient of slope * f with respect to its logits (n, V)."""
    logits, *rest = _part(values, rows)
    with torch.enable_grad():
        found = f(logits.requires_grad_(), *rest)
    slope = slope.type_as(found).expand_as(found)
    return found, torch.autograd.grad(found, logits, slope)[0]


def _part(values: tuple, rows: slice) -> list:
    """These positions of each: of LazyLogits the logits, of TopK its rows, of None nothing."""
    return [x.part(rows) if hasattr(x, "part") else x if x is None else x[rows] for x in values]


def _ready(*values: Any) -> list:
    return [x.ready() if isinstance(x, LazyLogits) else x for x in values]


def _as(x: Tensor | None, like: Tensor) -> Tensor | None:
    return None if x is None else x.type_as(like)
