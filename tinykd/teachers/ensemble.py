"""Several teachers as one: what averaging them means, and a module that does it.

Of K teachers with p_k = softmax(z_k / T) and weights w_k of sum 1 there are two averages:

    mixture      p_i = sum_k w_k p_ki             minimises  sum_k w_k KL(p_k || p)
    geometric    p_i = prod_k p_ki^w_k / Z        minimises  sum_k w_k KL(p || p_k)

The mixture ("probabilities") keeps whatever one of them believes in, the geometric mean
("log_probabilities") only what none of them rules out. log p_ki is z_ki / T up to a number that is
the same for all classes, so the mean of logits ("logits") is the geometric mean, at any T.

The sources: Heskes 1998, "Selecting weighting factors in logarithmic opinion pools"; Hinton et al.
2015 (arXiv 1503.02531), section 5.3, ask what single distribution q minimises sum_k KL(p_k || q).
"""

import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..schedules import exact
from ..softmax import at_least_float32, entropy, log_softmax

KINDS = ("probabilities", "log_probabilities", "logits")


def ensemble_logits(
    logits: Tensor,
    T: float = 1.0,
    kind: str = "probabilities",
    weights: Tensor | Sequence[float] | None = None,
) -> Tensor:
    """Logits Z of the average of K teachers at T: softmax(Z / T) is that average.

    logits: (K, ..., C). kind: "probabilities" (of which T matters), "log_probabilities" or
    "logits". weights: None for equal ones; (K,); or what broadcasts with the logits: (K, 1, C) for
    one a class, (K, B, 1) for one a sample. They are divided by their sum over the teachers.
    Returns (..., C): T log p, so that a student's SoftTargets(T) meets p.

    Raises ValueError for another kind, for weights that are negative, all 0 or of another shape,
    and as `log_softmax` does for T.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {list(KINDS)}, got {kind!r}")
    w = _normalised(weights, logits)
    log_p = log_softmax(logits, T)
    if kind == "probabilities":
        mean = torch.logsumexp(w.log() + log_p, 0)
    else:
        values = log_p if kind == "log_probabilities" else at_least_float32(logits) / T
        mean = (w * values.masked_fill((w == 0).expand_as(values), 0.0)).sum(0)  # 0 * -inf is 0
    return T * log_softmax(mean)


def confidence(logits: Tensor, sharpness: float = 1.0) -> Tensor:
    """Weights of K teachers, one a sample: w_k = exp(-sharpness H_k) / sum_j exp(-sharpness H_j).

    logits: (K, ..., C). H_k is the entropy of teacher k at T = 1, in nats: the surer it is of this
    sample, the more it counts; sharpness = 0 gives equal weights. Returns (K, ..., 1).
    """
    return torch.softmax(-sharpness * entropy(logits), 0).unsqueeze(-1)


class Ensemble(nn.Module):
    """Several teachers as one module: its logits are those of their average (`ensemble_logits`).

        Trainer(student, SoftTargets(T=4), teacher=Ensemble(a, b, c, T=4))

    A module like any other: live or written to a `CachedTeacher`, on any device, fingerprinted
    with its members' weights and its own settings. Layers of a member are "members.0.blocks.1".
    The mixture of probabilities depends on T: give it the T of the term.

    weights: as for `ensemble_logits`, or a function of the members' logits (K, ..., C) that returns
    them, such as `confidence`.

    Raises ValueError for no members, for weights that are not one a teacher, and as
    `ensemble_logits`; in forward for members that do not agree on the classes.
    """

    weights: Tensor | None
    settings: Tensor

    def __init__(
        self,
        *members: nn.Module,
        T: float = 1.0,
        kind: str = "probabilities",
        weights: Tensor | Sequence[float] | Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        if not members:
            raise ValueError("an ensemble needs at least one teacher")
        self.members = nn.ModuleList(members)
        self.T, self.kind = T, kind
        self.weigh = weights if callable(weights) else None
        given = None if callable(weights) or weights is None else _floats(weights)
        ensemble_logits(torch.zeros(len(members), 1, 1), T, kind)  # refuses what it would refuse
        if given is not None:
            _normalised(given, torch.zeros(len(members), 1, given.shape[-1] if given.dim() else 1))
        self.register_buffer("weights", given)
        how = f"{T!r} {kind} {exact(self.weigh) if self.weigh else ''}"
        # In the state, so that two ways of averaging are two fingerprints.
        self.register_buffer("settings", torch.tensor(zlib.crc32(how.encode())))

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        """Logits (..., C) of the average."""
        stacked = stacked_logits(self.members, inputs, named)
        weights = self.weigh(stacked) if self.weigh else self.weights
        return ensemble_logits(stacked, self.T, self.kind, weights)


def stacked_logits(models: Iterable[nn.Module], inputs: Any, named: Any) -> Tensor:
    """What each of K models says of the same inputs, (K, ..., C), float32 at least.

    Raises ValueError for models that do not agree on the classes.
    """
    answers = [model(*inputs, **named) for model in models]
    logits = [at_least_float32(getattr(answer, "logits", answer)) for answer in answers]
    if len(shapes := {tuple(z.shape) for z in logits}) > 1:
        raise ValueError(f"the teachers' logits have unlike shapes: {sorted(shapes)}")
    return torch.stack(logits)


def _floats(weights: Any) -> Tensor:
    return at_least_float32(torch.as_tensor(weights))


def _normalised(weights: Any, logits: Tensor) -> Tensor:
    """Weights (K, ...) with as many axes as the logits, of sum 1 over the teachers."""
    if weights is None:
        weights = torch.ones(len(logits))
    w = _floats(weights).to(logits.device, at_least_float32(logits).dtype)
    if w.dim() == 1:
        w = w.view(-1, *(1,) * (logits.dim() - 1))
    fits = w.dim() == logits.dim() and len(w) == len(logits)
    if not fits or any(a not in (1, b) for a, b in zip(w.shape, logits.shape, strict=True)):
        raise ValueError(
            f"weights {tuple(torch.as_tensor(weights).shape)} do not fit the logits "
            f"{tuple(logits.shape)} of {len(logits)} teachers: (K,), (K, 1, C) or (K, B, 1)"
        )
    total = w.sum(0, keepdim=True)
    if w.device.type == "cpu" and not bool((w >= 0).all() and (total > 0).all()):
        raise ValueError("weights of teachers are at least 0, and not all of them 0")
    return w / total
