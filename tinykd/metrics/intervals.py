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
