"""A teacher's distribution over a whole vocabulary, in k numbers and a tail bucket.

49,152 probabilities a position are too many to store: a million positions would be 100 GB in half
precision. So the k most probable words are kept one by one, and all others together, as one bucket
with the probability that is left:

    p = (p_1 ... p_V)  ->  b = (p_(1), ..., p_(k), 1 - p_(1) - ... - p_(k))

The student is put into the same buckets. What is compared are two true distributions over k + 1
outcomes, so their divergence is 0 where student and teacher agree, never negative, and never more
than the one over all words (merging outcomes loses information, it invents none). Renormalising
the k alone has none of these properties: it teaches that every other word is impossible.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..batch import moved
from ..losses import _kl
from ..softmax import log_softmax


class TopK(NamedTuple):
    """The k largest probabilities at temperature T, and the rest in one bucket.

    ids: (..., k), the words, most probable first. log_p: (..., k + 1), natural logarithms; the last
    entry is the tail, -inf where k words are all there are.
    """

    ids: Tensor
    log_p: Tensor
    T: float

    @property
    def shape(self) -> torch.Size:
        """(..., k + 1), one for each bucket."""
        return self.log_p.shape

    def part(self, rows: slice) -> "TopK":
        """These positions alone."""
        return TopK(self.ids[rows], self.log_p[rows], self.T)


def top_k(logits: Tensor, k: int, T: float = 1.0) -> TopK:
    """The k most probable words of softmax(logits / T), and a bucket for all others.

    logits: (..., V). Raises ValueError if k is not in [1, V], or T is not a finite number above 0.
    """
    if not 1 <= k <= logits.shape[-1]:
        raise ValueError(f"k must lie in [1, {logits.shape[-1]}], the number of words, got {k}")
    log_p = log_softmax(logits.detach(), T)
    ids = log_p.topk(k).indices
    return TopK(ids, _buckets(log_p, ids), T)


def topk_kl(student: Tensor, teacher: TopK, T: float = 1.0) -> Tensor:
    """T**2 KL(b || c) = T**2 sum_i b_i (log b_i - log c_i) over k + 1 buckets.

    b are the teacher's buckets, c the student's: its probabilities of the same k words, and of all
    others together. student: logits (..., V). Returns (...), in nats; forward_kl where k = V.
    Use it as SoftTargets(T, divergence=topk_kl).

    Raises ValueError if the positions differ, or T is not the one the teacher's words were taken
    at: what happened inside the tail at another temperature, nobody knows any more.
    """
    if teacher.ids.shape[:-1] != student.shape[:-1]:
        raise ValueError(
            f"positions differ: student logits {tuple(student.shape)}, the teacher's words "
            f"{tuple(teacher.ids.shape)}"
        )
    if teacher.T != T:
        raise ValueError(f"these top-k targets were taken at T={teacher.T}, the loss is at T={T}")
    ids, log_b = moved(teacher.ids, student.device), moved(teacher.log_p, student.device)
    return T**2 * _kl(log_b.detach(), _buckets(log_softmax(student, T), ids.long()))


def _buckets(log_p: Tensor, ids: Tensor) -> Tensor:
    """Log-probabilities of the words `ids` and of all others together: (..., k + 1).

    The others are added up, not subtracted from 1: a tail of 1e-12 keeps its digits.
    """
    rest = log_p.scatter(-1, ids, -math.inf)
    empty = (rest == -math.inf).all(-1, keepdim=True)  # its logsumexp would have a NaN gradient
    tail = rest.masked_fill(empty, 0.0).logsumexp(-1, keepdim=True).masked_fill(empty, -math.inf)
    return torch.cat([log_p.gather(-1, ids), tail], -1)
