"""Losses over a large vocabulary without ever holding all of its logits.

Logits are the largest tensor of a small language model: B T V floats, 6.4 GB for 32 texts of 1,024
tokens and 49,152 words, and a loss makes several copies of them. But they are cheap to make again
from what they were made of,

    logits (N, V) = hidden (N, D) @ weight (V, D).T         N positions, D much smaller than V

so a model can hand out (hidden, weight) instead, and the loss go through the positions some at a
time.

    Trainer(Headless(model), Chunked(0.9 * SoftTargets(T=2) + 0.1 * HardLabels()), Headless(big))

Values and gradients are those of the dense path, which is the oracle of the tests; how the gradient
is made is in `lazy_logits`.
"""

import functools
from typing import Any

import torch
from torch import Tensor, nn

from ..batch import as_bools, blank
from ..objective import Objective, Term, as_objective
from ..outputs import Outputs, Targets
from ..schedules import Schedule
from .layers import converted
from .lazy_logits import LazyLogits, chunked, chunked_sums

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

    @property
    def sees_no_padding(self) -> bool:
        """As the model's."""
        return getattr(self.model, "sees_no_padding", False)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> LazyLogits:
        """hidden: (len(positions), D), or (B T, D) where nothing is picked."""
        hidden = self.model.hidden(input_ids, attention_mask).flatten(0, 1)
        hidden = converted(hidden)  # as the head does it on the dense path
        return LazyLogits(
            hidden if positions is None else hidden[positions], self.model.head_weight
        )


class Chunked(Objective):
    """An objective over per-position terms, evaluated `size` positions at a time.

    size: None is 128 on a CPU, 1024 elsewhere.
    objective: terms that look at logits, labels and mask, of a student that gives `LazyLogits`;
    the teacher may give logits, LazyLogits or TopK. The terms share the logits of a chunk, so a
    second one is nearly free; what is added to a Chunked later joins them.
    compile: put what happens to the logits of a chunk through torch.compile, all terms in one. The
    first steps compile (a minute on a CPU), the others use it.

    Raises ValueError if size < 1, for a term that looks at layers, or a student that has
    computed its logits already.
    """

    def __init__(
        self, objective: Term | Objective, size: int | None = None, compile: bool = False
    ) -> None:
        super().__init__(as_objective(objective).pairs())
        if size is not None and size < 1:
            raise ValueError(f"size must be at least 1 position, got {size}")
        if own := [name for name, _ in self.named_parameters()]:
            raise ValueError(f"parameters of terms get no gradient through chunks: {own}")
        layers = (self.student_layers(), *self.teacher_layers().values())
        if layered := [name for names in layers for name in names]:
            raise ValueError(f"terms on layers cannot be cut into positions: {layered}")
        self.size, self.compiled = size, compile
        self._values = torch.compile(self._of_part) if compile else self._of_part

    def __add__(self, other: Term | Objective) -> "Chunked":
        return Chunked(super().__add__(other), self.size, self.compiled)

    def __radd__(self, other: Any) -> "Chunked":
        before = [] if other == 0 else as_objective(other).pairs()
        return Chunked(Objective([*before, *self.pairs()]), self.size, self.compiled)

    def __rmul__(self, weight: Schedule) -> "Chunked":
        return Chunked(super().__rmul__(weight), self.size, self.compiled)

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
        own["mask"] = as_bools(out.batch.get("mask", counts), "mask")
        f = functools.partial(self._values, batch, tuple(teachers), tuple(own), out.progress)
        rest = (*said, *own.values())
        if out.scale is None or not torch.is_grad_enabled():
            return chunked(f, head, *rest, size=self.size).sum(0)  # (N, K)
        return chunked_sums(f, head, *rest, scale=out.scale, size=self.size)

    def _of_part(
        self, batch: dict, teachers: tuple, keys: tuple, progress: float, logits: Tensor, *rest: Any
    ) -> Tensor:
        """Values (n, K) of some positions. rest: what each teacher says, and the batch's tensors.

        A function of its arguments alone, so that torch.compile can keep what it has made of it.
        """
        asked = {k: Targets(x, {}) for k, x in zip(teachers, rest, strict=False)}
        part = {**batch, **dict(zip(keys, rest[len(asked) :], strict=True))}
        only = asked[teachers[0]].logits if teachers == (None,) else None
        out = Outputs(part, logits, only, progress=progress, teachers=asked)
        return torch.stack(self.each(out), 1)
