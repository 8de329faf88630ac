"""How sure to be of a result: runs of several seeds."""

import math
import statistics
from collections.abc import Sequence


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean over seeds and half the width of its 95% interval: t s / sqrt(n), Student's t.

    One value has an unknown spread: its half width is infinite. Raises ValueError for none.
    """
    if not values:
        raise ValueError("mean_interval needs at least one value")
    if len(values) == 1:
        return float(values[0]), math.inf
    from scipy.special import stdtrit  # here, so that `import tinykd` stays numpy and torch

    t = float(stdtrit(len(values) - 1, 0.975))
    return statistics.fmean(values), t * statistics.stdev(values) / math.sqrt(len(values))


def paired_verdict(
    ours: Sequence[float], theirs: Sequence[float], margin: float = 0.0
) -> tuple[float, float, str]:
    """Mean of the differences ours - theirs, half of their 95% interval, and what follows from it.

    ours, theirs: one value a seed, the same seeds in the same order; larger is better. margin: the
    smallest gain that would matter, said beforehand. The interval is `mean_interval`'s:

        "not better"  all of it lies below the margin, whatever the sign
        "better"      all of it lies above 0
        "not shown"   neither: these seeds do not decide

    Raises ValueError for none, for unlike numbers of values, or a margin below 0.
    """
    if len(ours) != len(theirs):
        raise ValueError(
            f"pairs, one a seed, are compared: {len(ours)} values, {len(theirs)} values"
        )
    if not margin >= 0:
        raise ValueError(f"margin, the smallest gain that matters, is 0 or more, got {margin}")
    mean, half = mean_interval([a - b for a, b in zip(ours, theirs, strict=True)])
    if mean + half < margin:
        return mean, half, "not better"
    return mean, half, "better" if mean - half > 0 else "not shown"
