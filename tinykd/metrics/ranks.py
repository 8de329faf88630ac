"""Whether two orders agree."""

import numpy as np
from torch import Tensor

from .intervals import Numbers


def rank_correlation(a: Numbers, b: Numbers) -> float:
    """Spearman's rank correlation: Pearson's correlation of the ranks of a and of b, in [-1, 1].

    Equal values share the mean of their ranks. a, b: (n,). Where all values of a or of b are the
    same there is no order, and it is 0. Raises ValueError for unlike lengths, fewer than two
    values, or values that are not finite.
    """
    x, y = (np.asarray(v.detach().cpu() if isinstance(v, Tensor) else v, float) for v in (a, b))
    if x.shape != y.shape or x.ndim != 1 or len(x) < 2:
        raise ValueError(f"two or more pairs are compared, shape (n,): got {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("some of the values are not finite (NaN or infinity): they have no rank")
    x, y = (rank - rank.mean() for rank in (_ranks(x), _ranks(y)))
    size = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / size) if size else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which]
