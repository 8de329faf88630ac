"""How sure to be of a result: runs of several seeds."""

import math
import statistics
from collections.abc import Sequence

import numpy as np
from torch import Tensor

Numbers = Sequence[float] | np.ndarray | Tensor  # (n,), one a seed


def mean_interval(values: Numbers) -> tuple[float, float]:
    """Mean over seeds and half the width of its 95% interval: t s / sqrt(n), Student's t.

    values: a list, an array or a tensor (n,). One value has an unknown spread: its half width is
    infinite. Raises ValueError for none, or for an array of another shape.
    """
    numbers = _floats(values)
    if not numbers:
        raise ValueError("mean_interval needs at least one value")
    if len(numbers) == 1:
        return numbers[0], math.inf
    from scipy.special import stdtrit  # here, so that `import tinykd` stays numpy and torch

    t = float(stdtrit(len(numbers) - 1, 0.975))
    return statistics.fmean(numbers), t * statistics.stdev(numbers) / math.sqrt(len(numbers))


def paired_verdict(ours: Numbers, theirs: Numbers, margin: float = 0.0) -> tuple[float, float, str]:
    """Mean of the differences ours - theirs, half of their 95% interval, and what follows from it.

    ours, theirs: one value a seed, the same seeds in the same order; larger is better. margin: the
    smallest gain that would matter, said beforehand. The interval is `mean_interval`'s:

        "not better"  all of it lies below the margin, whatever the sign
        "better"      all of it lies above 0
        "not shown"   neither: these seeds do not decide

    Raises ValueError for none, for unlike numbers of values, or a margin below 0.
    """
    a, b = _floats(ours), _floats(theirs)
    if len(a) != len(b):
        raise ValueError(f"pairs, one a seed, are compared: {len(a)} values, {len(b)} values")
    if not margin >= 0:
        raise ValueError(f"margin, the smallest gain that matters, is 0 or more, got {margin}")
    mean, half = mean_interval([x - y for x, y in zip(a, b, strict=True)])
    if mean + half < margin:
        return mean, half, "not better"
    return mean, half, "better" if mean - half > 0 else "not shown"


def _floats(values: Numbers) -> list[float]:
    """The values as Python's numbers."""
    if (axes := getattr(values, "ndim", 1)) != 1:
        raise ValueError(f"one number a seed, shape (n,), is expected: this array has {axes} axes")
    return [float(value) for value in values]


def wilson(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95% interval of a proportion, `right` of n independent problems (Wilson 1927).

    Never outside [0, 1], and of a sensible width at 0 and at n, where p ± z sqrt(p (1-p) / n)
    has none. For several samples a problem use an interval over problems: samples of one problem
    are not independent. Raises ValueError unless 0 <= right <= n and n >= 1.
    """
    if not 0 <= right <= n or n < 1:
        raise ValueError(f"{right} right of {n}: need 0 <= right <= n and n >= 1")
    p, weight = right / n, z * z / n
    middle = (p + weight / 2) / (1 + weight)
    half = z * math.sqrt(p * (1 - p) / n + weight / (4 * n)) / (1 + weight)
    return max(0.0, middle - half), min(1.0, middle + half)
