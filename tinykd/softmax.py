"""Softmax at a temperature: what a network believes, read at a chosen contrast.

    p_i = exp(z_i / T) / sum_j exp(z_j / T)

T = 1 is the ordinary softmax, T -> infinity the uniform distribution, T -> 0 the argmax.
Hinton, Vinyals, Dean 2015 (arXiv 1503.02531), equation 1.

Everything is computed in float32 (float64 stays float64): in bfloat16 the soft losses would be tens
of percent off. A class whose logit is -inf is masked: it behaves as if it had been deleted.
"""

import torch
from torch import Tensor


def softmax(logits: Tensor, T: float = 1.0, dim: int = -1) -> Tensor:
    """Probabilities at temperature T: exp(z/T) / sum exp(z/T).

    logits: any shape; classes along `dim`. Returns the same shape, summing to 1 along `dim`.
    Raises ValueError if T is not a finite number above 0.

    >>> softmax(torch.tensor([2.0, 0.0]), T=2.0)
    tensor([0.7311, 0.2689])
    """
    return torch.softmax(_over_temperature(logits, T), dim)


def log_softmax(logits: Tensor, T: float = 1.0, dim: int = -1) -> Tensor:
    """Log-probabilities at temperature T: z/T - log sum exp(z/T), in nats, safe for any logits.

    logits: any shape; classes along `dim`. Returns the same shape.
    Raises ValueError if T is not a finite number above 0.
    """
    return torch.log_softmax(_over_temperature(logits, T), dim)


def entropy(logits: Tensor, T: float = 1.0) -> Tensor:
    """Entropy of the softmax at temperature T: H = -sum_i p_i log p_i, in nats.

    logits: (..., C). Returns (...), between 0 (certain) and log C (no idea).
    """
    log_p = log_softmax(logits, T)
    return -expectation(log_p, log_p)


def expectation(log_p: Tensor, values: Tensor) -> Tensor:
    """sum_i p_i v_i over the last dimension, where a class of probability 0 counts for nothing.

    0 * inf is NaN to a computer and 0 to a statistician; the statistician is right, also in the
    gradient. log_p, values: (..., C). Returns (...).
    """
    p = log_p.exp()
    return (p * values.masked_fill(p == 0, 0.0)).sum(-1)


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision and integers become float32; float32 and float64 stay."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def _over_temperature(logits: Tensor, T: float) -> Tensor:
    if not 0 < T < float("inf"):
        raise ValueError(f"temperature must be a finite number above 0, got T={T}")
    z = at_least_float32(logits)
    return z if T == 1 else z / T
