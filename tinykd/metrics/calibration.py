"""Does a net know how often it is right? Calibration error, likelihood, temperature scaling.

Confidence is the largest probability, max_i p_i with p = softmax(z / T). A net is calibrated if of
the samples at confidence c a share c is right. Guo et al. 2017 (arXiv 1706.04599).

Everything is computed in float64: bins are counted at their edges, and a minimum is looked for.
Positions labelled -100 do not count. Logits are constants here: no gradient.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..batch import IGNORE
from ..losses import cross_entropy
from ..softmax import log_softmax, softmax

GOLDEN = (math.sqrt(5) - 1) / 2


class Reliability(NamedTuple):
    """Bin by bin, (bins,) each: how many positions, their mean confidence, their share right.

    An empty bin has number 0, and 0 for both means.
    """

    number: Tensor
    confidence: Tensor
    accuracy: Tensor


def reliability(logits: Tensor, labels: Tensor, bins: int = 15, T: float = 1.0) -> Reliability:
    """Positions sorted by confidence into bins of equal width, (m - 1) / bins < c <= m / bins.

    logits: (..., C). labels: (...), integers in [0, C) or -100. Raises ValueError for shapes that
    do not match, no labelled position, bins below 1, or T that is not a finite number above 0.
    """
    if bins < 1:
        raise ValueError(f"bins is {bins}: there is at least 1")
    z, y = _labelled(logits, labels)
    confidence, answer = softmax(z, T).max(-1)
    edges = torch.arange(1, bins, dtype=torch.float64) / bins
    where = torch.bucketize(confidence, edges)  # the upper edge belongs to the bin
    count = torch.bincount(where, minlength=bins).double()
    sums = [
        torch.zeros(bins, dtype=torch.float64).index_add(0, where, x)
        for x in (confidence, (answer == y).double())
    ]
    return Reliability(count, *(x / count.clamp_min(1) for x in sums))


def calibration_error(logits: Tensor, labels: Tensor, bins: int = 15, T: float = 1.0) -> float:
    """Expected calibration error: ECE = sum_m n_m / N |accuracy_m - confidence_m|, in [0, 1].

    Over bins m of equal width (Guo et al. 2017, equation 3); of a finite sample it is above 0 even
    for a calibrated net, and depends on `bins`. Arguments and errors as for `reliability`.
    """
    found = reliability(logits, labels, bins, T)
    gaps = (found.accuracy - found.confidence).abs()
    return float((found.number * gaps).sum() / found.number.sum())


def negative_log_likelihood(logits: Tensor, labels: Tensor, T: float = 1.0) -> float:
    """Mean of -log p_label at temperature T, in nats: it sees accuracy and calibration both.

    logits: (..., C). labels: (...). Raises ValueError as `reliability` does.
    """
    z, y = _labelled(logits, labels)
    if not 0 < T < math.inf:
        raise ValueError(f"temperature must be a finite number above 0, got T={T}")
    return float(cross_entropy(z / T, y).mean())


def fit_temperature(
    logits: Tensor, labels: Tensor, low: float = 0.01, high: float = 100.0, tolerance: float = 1e-6
) -> float:
    """Temperature scaling: the T in [low, high] with the smallest negative log-likelihood.

    Of held-out logits (N, C) and labels (N,): on its training data a net is surer than it should
    be. NLL is convex in 1 / T, so it has one valley over log T, which a golden-section search
    narrows down until log T is known to `tolerance`. T changes no answer, so accuracy stays. Where
    every answer is right the best T is 0: then `low` comes back; where the logits say nothing, an
    end too. Raises ValueError as `reliability` does, or unless 0 < low < high.
    """
    if not 0 < low < high < math.inf:
        raise ValueError(f"T is looked for between two numbers above 0, got {low} and {high}")
    z, y = _labelled(logits, labels)

    def nll(log_t: float) -> float:
        return float(-log_softmax(z, math.exp(log_t)).gather(-1, y.unsqueeze(-1)).mean())

    a, b = math.log(low), math.log(high)
    left, right = b - GOLDEN * (b - a), a + GOLDEN * (b - a)
    at_left, at_right = nll(left), nll(right)
    while b - a > tolerance:
        if at_left <= at_right:  # of a floor at 0, where every answer is right, the lower end
            b, right, at_right = right, left, at_left
            left = b - GOLDEN * (b - a)
            at_left = nll(left)
        else:
            a, left, at_left = left, right, at_right
            right = a + GOLDEN * (b - a)
            at_right = nll(right)
    return math.exp((a + b) / 2)


def _labelled(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (N, C) in float64 and labels (N,) of the positions that count, on the CPU."""
    if logits.shape[:-1] != labels.shape:
        raise ValueError(f"logits {tuple(logits.shape)} do not fit labels {tuple(labels.shape)}")
    y = labels.detach().cpu().long()  # as bytes, class 156 would be -100
    where = y != IGNORE
    if not where.any():
        raise ValueError("no labelled position to score")
    return logits.detach().cpu().double()[where], y[where]
