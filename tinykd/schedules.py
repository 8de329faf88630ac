"""Numbers that change while training goes on: functions of progress in [0, 1].

Any weight, temperature or learning-rate factor may be such a function; a lambda will do.
"""

import math
from collections.abc import Callable

Schedule = float | Callable[[float], float]


def at(schedule: Schedule, progress: float) -> float:
    """The value of a number or schedule at progress in [0, 1]; NaN means nobody knows how far."""
    if not callable(schedule):
        return float(schedule)
    if math.isnan(progress):
        raise ValueError("a schedule must know how long training is, but batches has no len()")
    return float(schedule(progress))  # a NumPy number would not survive a checkpoint


def linear(start: float, end: float) -> Callable[[float], float]:
    """A straight line from start to end: start + (end - start) * progress."""
    return lambda progress: start + (end - start) * progress


def cosine(start: float, end: float) -> Callable[[float], float]:
    """Half a cosine from start to end: end + (start - end) (1 + cos(pi * progress)) / 2."""
    return lambda progress: end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def steps(*values: float, at: tuple[float, ...]) -> Callable[[float], float]:
    """Piecewise constant: values[i] until progress reaches at[i]; the last value to the end.

    Raises ValueError unless there is one more value than there are rising points in [0, 1].
    """
    if len(values) != len(at) + 1 or list(at) != sorted(at) or not all(0 <= x <= 1 for x in at):
        raise ValueError(
            f"steps needs n + 1 values for n rising points in [0, 1], got values {values}, at={at}"
        )
    return lambda progress: values[sum(progress >= point for point in at)]


def shown(value: object) -> str:
    """A setting in words: a schedule by its values at the beginning, half-way and the end."""
    if isinstance(value, float):
        return f"{value:g}"
    if value is None or isinstance(value, (bool, int, str, tuple, list, type)):
        return repr(value)
    if not callable(value) or hasattr(value, "parameters"):  # a scheduler, a module
        return type(value).__name__
    try:
        values = [float(value(progress)) for progress in (0.0, 0.5, 1.0)]
    except Exception:  # a function of something else: a divergence, a model
        return getattr(value, "__name__", type(value).__name__)
    return f"({values[0]:g} -> {values[1]:g} -> {values[2]:g})"
