"""The likely mistake behind numbers that have the right shape and the wrong values."""

import math

import numpy as np

CONSTANTS = {
    1 / math.log(2): "1/ln 2: is your logarithm to base 2? Natural logarithms are expected",
    math.log(2): "ln 2: did you convert to base 2?",
    1 / math.log(10): "1/ln 10: is your logarithm to base 10? Natural logarithms are expected",
}


def diagnose(got: np.ndarray, want: np.ndarray, rtol: float, atol: float) -> str:
    """Words for two finite arrays of one shape that differ; the expected value is never quoted."""
    if got.size > 1 and got.dtype.kind == "i" and want.dtype.kind == "f":
        return "whole numbers where fractions are expected: an integer array or a // somewhere?"
    got, want = got.astype(float), want.astype(float)
    scale = float(np.abs(want).max())
    if not got.any():
        return "it is 0" if got.ndim == 0 else "every value is 0"
    off = np.abs(got - want) / np.maximum(np.abs(want), atol)
    if off.max() < 2e-3:
        return (
            f"right to {off.max():.1g} of it, and more is asked for: is something computed in "
            "float32, rounded, or stopped too early?"
        )
    if factor := _factor(got, want, scale):
        return ("it is " if got.ndim == 0 else "every value is ") + _factor_words(factor)
    if got.size > 1:
        gap = got - want
        if np.ptp(got) <= max(atol, 1e-7 * np.abs(got).max()):
            return f"every value is the same ({got.flat[0]:.4g}); the expected ones differ"
        if np.ptp(gap) <= 1e-4 * np.abs(gap).max() + atol:
            side = "large" if gap.mean() > 0 else "small"
            return (
                f"every value is {abs(gap.mean()):.4g} too {side}: a constant was added or left out"
            )
        if np.allclose(np.sort(got.ravel()), np.sort(want.ravel()), rtol, atol):
            return "these are the right values in the wrong order"
    wrong = np.abs(got - want) > atol + rtol * np.abs(want)
    place = tuple(np.argwhere(wrong)[0])
    side = "large" if got[place] > want[place] else "small"
    if got.ndim == 0:
        return f"{_number(got[place])} is too {side}"
    return (
        f"{wrong.sum()} of {got.size} values are wrong; the first, at {[int(i) for i in place]}, "
        f"is {_number(got[place])}: too {side}"
    )


def _number(x: float) -> str:
    return f"{x:,.0f}" if float(x).is_integer() and abs(x) < 1e15 else f"{x:.6g}"


def _factor(got: np.ndarray, want: np.ndarray, scale: float) -> float | None:
    """k with got = k want. A single number is k times any other, so there k must be telling."""
    big = np.abs(want) > 1e-3 * scale
    if scale == 0 or not big.any():
        return None
    k = float(np.median(got[big] / want[big]))
    if k == 0 or not np.allclose(got, k * want, rtol=1e-3, atol=1e-5 * abs(k) * scale):
        return None
    size = max(abs(k), 1 / abs(k))
    telling = abs(size - round(size)) < 2e-5 * size and size < 1e4
    telling = telling or any(abs(abs(k) / c - 1) < 1e-4 for c in CONSTANTS)
    return k if telling or want.size > 1 else None


def _factor_words(k: float) -> str:
    if math.isclose(k, -1, rel_tol=1e-3):
        return "the negative of what is expected: the sign is wrong"
    for constant, words in CONSTANTS.items():
        if math.isclose(k, constant, rel_tol=1e-4):
            return f"off by a factor of {words}"
    sign = "of the wrong sign and " if k < 0 else ""
    k = abs(k)
    if abs(k - 1) < 0.01:
        return f"{sign}{abs(k - 1):.2g} of it too {'large' if k > 1 else 'small'}"
    times = f"{k:.4g} times too large" if k > 1 else f"{1 / k:.4g} times too small"
    return sign + times
