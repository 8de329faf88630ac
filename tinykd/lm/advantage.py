"""On-policy distillation from sampled tokens: the teacher scores what the student wrote, no more.

The student q samples y, the teacher p says how likely each sampled token is to it, and

    A_t = log p(y_t | y_<t) - log q(y_t | y_<t)

is the token's advantage in a policy gradient: what the teacher likes better than the student does
becomes more likely. One number a token crosses from the teacher to the student, not a row of the
vocabulary; in return the gradient is noisy. So distil Qwen3's smaller models (arXiv 2505.09388,
section 4.5, with logits) and Thinking Machines' "On-Policy Distillation" (Lu 2025, as here).

    Trainer(student, 1.0 * SampledReverseKL(), teacher).fit(OnPolicy(student, prompts, eos=...))
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..losses import cross_entropy
from ..objective import Term
from ..outputs import Outputs
from ..softmax import at_least_float32
from .onpolicy import own_samples


def k1(log_q: Tensor, log_p: Tensor) -> Tensor:
    """log q(y) - log p(y): estimates KL(q || p) from y sampled from q, without bias.

    log_q, log_p: (...), log-probabilities of the sampled tokens, in nats. Returns (...), of either
    sign. Backpropagated it teaches nothing: the gradient of log q(y) is 0 in the mean, and the
    teacher is not in it (Schulman, "Approximating KL Divergence", 2020).
    """
    q, p = _pair(log_q, log_p)
    return q - p


def k2(log_q: Tensor, log_p: Tensor) -> Tensor:
    """(log q(y) - log p(y))**2 / 2: never negative, biased as a value, right as a gradient.

    Its gradient, (log q - log p) grad log q, is that of KL(q || p) in the mean over y from q.
    Arguments as for `k1`. Returns (...).
    """
    return k1(log_q, log_p) ** 2 / 2


def k3(log_q: Tensor, log_p: Tensor) -> Tensor:
    """p(y) / q(y) - 1 - log(p(y) / q(y)): never negative, without bias, less noisy near q = p.

    Its gradient, (1 - p / q) grad log q, is in the mean over y from q that of the other direction,
    KL(p || q). Arguments as for `k1`. Returns (...).
    """
    gap = -k1(log_q, log_p)
    return torch.expm1(gap) - gap


def advantages(
    log_q: Tensor,
    log_p: Tensor,
    group: Tensor | None = None,
    clip: float | None = None,
    scale: bool = False,
) -> Tensor:
    """A = log p(y) - log q(y) of sampled tokens, as constants: no gradient flows through them.

    log_q, log_p: (N,). clip: first cut to [-clip, clip], in nats. group: (N,), whole numbers; the
    mean of a token's group is then subtracted, and with `scale` what is left is divided by the
    group's standard deviation (with n in the denominator; a group without spread gives 0).
    Subtracting a constant leaves the gradient's mean as it is; this one holds the token itself,
    which makes the gradient (n - 1) / n times as large. Returns (N,).

    Raises ValueError for a clip that is not above 0, or a scale without groups.
    """
    if clip is not None and not clip > 0:
        raise ValueError(f"clip is the largest advantage, in nats, above 0: got {clip}")
    if scale and group is None:
        raise ValueError("scale=True divides by the spread of a group: say which, group=...")
    found = -k1(log_q, log_p).detach()
    if clip is not None:
        found = found.clamp(-clip, clip)
    if group is None:
        return found
    numbers, where = group.unique(return_inverse=True)
    found = found - _mean(found, where, len(numbers))
    if not scale:
        return found
    spread = _mean(found**2, where, len(numbers)).sqrt()
    return torch.where(spread > 1e-8, found / spread.clamp_min(1e-8), 0.0)


class SampledReverseKL(Term):
    """Policy gradient of KL(q || p) at each token that the student sampled: -A_t log q(y_t).

    A is a constant (see `advantages`), so in the mean over y_t from q the gradient is that of
    reverse_kl at this position, as with SoftTargets(divergence=reverse_kl), which sums over the
    vocabulary. What y_t leads to is left out, as there: `MiniLLM` has it. The values are no
    divergence; only the gradient is meant. It is the mean for tokens drawn at temperature 1 and
    top_p 1: from others it is the gradient of something else.

    clip: the largest |A|, in nats. centre: None; "batch" subtracts the mean A of all scored tokens
    of the batch, "prompt" that of the tokens of all samples of the same prompt
    (`OnPolicy(..., samples=8)`). scale: divides by the standard deviation of the same tokens.

    Batches as for `MiniLLM`; "prompt" (B,) too, where centre="prompt". A term that is centred
    couples the samples of a batch, so it takes no accumulation.

    Raises ValueError for another `centre`, a clip that is not above 0, or a scale without centre.
    """

    needs_teacher = True

    def __init__(
        self, clip: float | None = None, centre: str | None = None, scale: bool = False
    ) -> None:
        super().__init__()
        if centre not in (None, "batch", "prompt"):
            raise ValueError(f'centre must be None, "batch" or "prompt", got {centre!r}')
        if clip is not None and not 0 < clip < math.inf:
            raise ValueError(f"clip is the largest advantage, in nats, above 0: got {clip}")
        if scale and centre is None:
            raise ValueError('scale=True needs a centre: "batch" or "prompt"')
        self.clip, self.centre, self.scale = clip, centre, scale
        self.couples_samples = centre is not None

    def per_position(self, out: Outputs) -> Tensor:
        """The surrogate at every position, shape of the labels, 0 where none is scored."""
        if out.teacher is None:
            raise ValueError("SampledReverseKL needs a teacher's logits")
        labels = out.batch["labels"]
        scored = labels != -100
        y = labels[scored].long()
        log_q, log_p = (-cross_entropy(z[scored], y) for z in (out.student, out.teacher))
        group = None if self.centre is None else self._groups(out.batch)[scored]
        A = advantages(log_q, log_p, group, self.clip, self.scale)
        values = log_q.new_zeros(labels.shape)
        return values.masked_scatter(scored, -A * log_q)

    def valid(self, batch: Mapping[str, Any]) -> Tensor:
        """Scored positions of the student's own samples."""
        return own_samples(batch)

    def _groups(self, batch: Mapping[str, Any]) -> Tensor:
        """Which group each position belongs to, shape of the labels."""
        labels, ids = batch["labels"], batch["input_ids"]
        if self.centre == "batch":
            return torch.zeros_like(labels)
        if "prompt" not in batch:
            raise ValueError(
                'centre="prompt" needs batch["prompt"] (B,), the numbers of the prompts: '
                "OnPolicy(..., samples=8) has them"
            )
        if "positions" in batch:
            return batch["prompt"][batch["positions"] // ids.shape[1]]
        return batch["prompt"].unsqueeze(1).expand_as(labels)


def _pair(log_q: Tensor, log_p: Tensor) -> tuple[Tensor, Tensor]:
    """Both at least float32, the teacher's a constant."""
    if log_q.shape != log_p.shape:
        raise ValueError(
            f"log-probabilities of the same tokens: {tuple(log_q.shape)}, {tuple(log_p.shape)}"
        )
    return at_least_float32(log_q), at_least_float32(log_p).detach()


def _mean(values: Tensor, where: Tensor, groups: int) -> Tensor:
    """Of each value the mean of its group, (N,); where: (N,), in [0, groups)."""
    total = values.new_zeros(groups).index_add(0, where, values)
    return (total / torch.bincount(where, minlength=groups))[where]
