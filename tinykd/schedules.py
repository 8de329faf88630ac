"""Numbers that change while training goes on: functions of progress in [0, 1].

Any weight, temperature or learning-rate factor may be such a function; a lambda will do.
"""

import functools
import math
import types
import zlib
from collections.abc import Callable
from typing import Any

Schedule = float | Callable[[float], float]


def at(schedule: Schedule, progress: float) -> float:
    """The value of a number or schedule at progress in [0, 1]; NaN means nobody knows how far.

    Raises ValueError for a schedule where nobody does.
    """
    if not callable(schedule):
        return float(schedule)
    if math.isnan(progress):
        raise ValueError("a schedule must know how long training is, but batches has no len()")
    return float(schedule(progress))  # a NumPy number would not survive a checkpoint


def refuse_learnable(value: object, what: str) -> None:
    """Raises ValueError for a tensor that wants a gradient: a weight or a T gets none."""
    if getattr(value, "requires_grad", False):
        raise ValueError(
            f"{what} is a parameter, and would never be trained: a number or a function of "
            "progress is meant. What is to be learned belongs into a Term"
        )


def linear(start: float, end: float) -> Callable[[float], float]:
    """A straight line from start to end: start + (end - start) * progress."""
    return lambda progress: start + (end - start) * progress


def cosine(start: float, end: float) -> Callable[[float], float]:
    """Half a cosine from start to end: end + (start - end) (1 + cos(pi * progress)) / 2."""
    return lambda progress: end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def warm_up(schedule: Schedule, share: float = 0.05) -> Callable[[float], float]:
    """A straight line from 0 over the first `share` of the training, times the schedule.

    Raises ValueError for a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is a part of the training, in (0, 1], got {share}")
    return lambda progress: min(progress / share, 1.0) * at(schedule, progress)


def steps(*values: float, at: tuple[float, ...]) -> Callable[[float], float]:
    """Piecewise constant: values[i] until progress reaches at[i]; the last value to the end.

    Raises ValueError unless there is one more value than there are rising points in [0, 1].
    """
    if len(values) != len(at) + 1 or list(at) != sorted(at) or not all(0 <= x <= 1 for x in at):
        raise ValueError(
            f"steps needs n + 1 values for n rising points in [0, 1], got values {values}, at={at}"
        )
    return lambda progress: values[sum(progress >= point for point in at)]


def exact(value: object) -> str:
    """A setting to the last bit, as far as its values tell: two runs with the same are the same.

    A schedule by its values at 201 points, another function by its name, its code, its defaults and
    what it has enclosed, a tensor by its numbers.
    """
    if isinstance(value, dict):
        value = sorted(value.items())
    if isinstance(value, (functools.partial, tuple, list)):
        of = [value.func, *value.args, value.keywords] if callable(value) else value
        return f"{[exact(one) for one in of]}"
    if hasattr(value, "tolist"):
        return f"{value.tolist()}"
    if isinstance(value, float):
        return repr(int(value) if value.is_integer() else value)  # 4.0 is the same setting as 4
    if not callable(value) or isinstance(value, type) or hasattr(value, "parameters"):
        return shown(value)
    try:
        points = [float(value(n / 200)) for n in range(201)]
        return f"{shown(value)}, crc {zlib.crc32(repr(points).encode()):08x}"
    except Exception:  # no schedule
        code, inside = getattr(value, "__code__", None), ""
        if code:
            cells = [cell.cell_contents for cell in getattr(value, "__closure__", None) or ()]
            given = getattr(value, "__defaults__", None), getattr(value, "__kwdefaults__", None)
            inside = f"{_code(code)}{exact([*cells, *given])}"
        return f"{shown(value)}, crc {zlib.crc32(inside.encode()):08x}"


def _code(code: Any) -> str:
    """What a function does, without where it stands: its code and names, those inside it too."""
    if isinstance(code, types.CodeType):
        return f"{code.co_code!r} {code.co_names} {[_code(one) for one in code.co_consts]}"
    return f"{sorted(map(repr, code))}" if isinstance(code, frozenset) else repr(code)


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
