"""Plain values, and words for how two of them differ.

The same `compare` decides an instant check in the notebook, the build's proof and the grade.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .diagnose import diagnose

RTOL, ATOL = 1e-4, 1e-6
MAX_VALUES = 20_000
MAX_QUOTE = 250  # characters: the longest reason of a judge is not cut, nor what there is to do
CHANGED = "changed arguments"  # the only key of the value of a check whose answer changed some
# JSON has no spelling for these three; a reference is always finite, so no real value collides.
NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def normalise(value: Any) -> Any:
    """`value` as plain None, bool, int, float, str, list and dict, ready for JSON.

    Tensors and arrays become nested lists, NaN and infinities the strings "NaN", "Infinity" and
    "-Infinity". Casting first means that no `__eq__` of the learner's is ever asked.

    Raises TypeError for anything else, ValueError for more than 20,000 numbers.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if hasattr(value, "tolist"):
        if math.prod(value.shape) > MAX_VALUES:
            raise ValueError(f"shape {tuple(value.shape)} is far more values than expected")
        value = value.tolist()
    if isinstance(value, np.floating):  # a longdouble has no Python number
        value = float(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        number = float(value)
        if math.isfinite(number):
            return number
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    if isinstance(value, str):
        return "".join(value)
    if isinstance(value, dict):
        return {str(key): normalise(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [normalise(item) for item in value]
    raise TypeError(f"a {type(value).__name__} is not a number, an array, a text, a list or a dict")


def leaves(value: Any) -> Iterator[Any]:
    """Every scalar inside nested lists and dicts."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def finite(value: Any) -> bool:
    """No NaN or infinity anywhere."""
    return not any(isinstance(leaf, str) and leaf in NON_FINITE for leaf in leaves(value))


def compare(got: Any, want: Any, rtol: float = RTOL, atol: float = ATOL) -> str | None:
    """None where `got` is right, else what is wrong in words. Both are normalised values.

    Numbers agree when |got - want| <= atol + rtol |want|; whole and fractional numbers mix, True
    and 1 do not. The words never quote an expected value.
    """
    if isinstance(got, dict) and set(got) == {CHANGED} and got != want:
        words = f"{str(got[CHANGED])[:120]}: whoever uses it next finds something else in it"
        if "requires_grad)" in words:
            return f"{words}. Work on a copy (.detach() makes one), or inside torch.no_grad()"
        return f"{words}. Work on a copy, and leave what you are given as it was"
    if got is None and want is not None:
        return "it is None: is there a return, with a value, on every path through your function?"
    if isinstance(want, dict):
        return _compare_dicts(got, want, rtol, atol)
    wanted, found = _array(want), _array(got)
    if wanted is not None:
        if found is None:
            empty = isinstance(got, list) and None in got
            why = (
                "some of its items are None: is there a return on every path through your function?"
            )
            return why if empty else f"{_describe(got)} where {_describe(want)} is expected"
        return _compare_arrays(found, wanted, rtol, atol)
    if isinstance(want, list):
        if not isinstance(got, list) or len(got) != len(want):
            return f"{_describe(got)} where {_describe(want)} is expected"
        for index, (found_item, wanted_item) in enumerate(zip(got, want, strict=True)):
            if reason := compare(found_item, wanted_item, rtol, atol):
                return f"item {index}: {reason}"
        return None
    if type(got) is type(want) and got == want:
        return None
    if type(got) is type(want):
        said = str(got)
        said = said if len(said) <= MAX_QUOTE else f"{said[:MAX_QUOTE]}..."
        return f"{said!r} is not what is expected"
    return f"{_describe(got)} where {_describe(want)} is expected"


def _compare_dicts(got: Any, want: dict[str, Any], rtol: float, atol: float) -> str | None:
    if not isinstance(got, dict):
        return f"{_describe(got)} where {_describe(want)} is expected"
    if set(got) != set(want):
        return f"the keys are {sorted(got)} where {sorted(want)} are expected"
    wrong: dict[str, list[str]] = {}
    for key in want:
        if reason := compare(got[key], want[key], rtol, atol):
            wrong.setdefault(reason, []).append(key)
    if not wrong:
        return None
    lost = [key for keys in wrong.values() for key in keys]
    gradients = [key for key in want if "grad" in key.lower()]
    prefix = ""
    if len(want) == 2 and len(gradients) == 1 and set(lost) <= set(gradients):
        prefix = "the value is right, only the gradient is wrong; "
    elif len(want) == 2 and gradients and not set(lost) & set(gradients):
        prefix = "the gradient is right, only the value is wrong; "
    parts = [f"{' and '.join(map(repr, keys))}: {reason}" for reason, keys in wrong.items()]
    return prefix + "; ".join(parts[:3])


def _array(value: Any) -> np.ndarray | None:
    """A rectangle of numbers (float or int dtype) or of booleans; None for anything else."""
    if isinstance(value, dict):
        return None
    found = list(leaves(value))
    kinds = {type(NON_FINITE.get(x, x)) if isinstance(x, str) else type(x) for x in found}
    if not (kinds <= {int, float} or kinds == {bool}):
        return None
    try:
        array = np.array(value)
        return array.astype(float) if array.dtype.kind in "UfO" else array
    except (TypeError, ValueError, OverflowError):  # dicts, uneven rows, an integer beyond floats
        return None


def _describe(value: Any) -> str:
    array = _array(value)
    if array is not None:
        what = "True or False" if array.dtype == bool else "a number"
        return what if array.ndim == 0 else f"an array of shape {array.shape}"
    if isinstance(value, dict):
        return f"a dict with the keys {sorted(value)}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return {str: "a text", type(None): "None"}.get(type(value), f"a {type(value).__name__}")


def _compare_arrays(got: np.ndarray, want: np.ndarray, rtol: float, atol: float) -> str | None:
    def close(a: np.ndarray, b: np.ndarray) -> bool:
        return a.shape == b.shape and np.allclose(a, b, rtol, atol, equal_nan=True)

    if (got.dtype == bool) != (want.dtype == bool):
        kinds = ["numbers", "True/False values"]
        return f"{kinds[got.dtype == bool]} where {kinds[want.dtype == bool]} are expected"
    if got.shape != want.shape:
        reason = f"shape {got.shape} where {want.shape} is expected"
        if close(got, want.T):
            return reason + ": it is transposed"
        if got.size == 1 and want.size > 1:
            for word in ("mean", "sum"):
                if close(got.reshape(()), np.asarray(getattr(want.astype(float), word)())):
                    return reason + f": you took the {word} over all of them"
        if close(got.squeeze(), want.squeeze()):
            return reason + ": the values are right, but an axis of length 1 is too many or missing"
        return reason
    if close(got, want):
        return None
    if not np.isfinite(want).all():  # only a known mistake has such a value
        return "it differs"
    bad = ~np.isfinite(got)
    if bad.any():
        which = "NaN" if np.isnan(got).any() else "infinite"
        if got.ndim == 0:
            return f"it is {which}"
        return f"{bad.sum()} of {got.size} values are {which}, the first at {_first_index(bad)}"
    if got.dtype == bool:
        wrong = got != want
        if got.ndim == 0:
            return f"it is {bool(got)}"
        return f"{wrong.sum()} of {got.size} are wrong, the first at {_first_index(wrong)}"
    return diagnose(got, want, rtol, atol)


def _first_index(mask: np.ndarray) -> list[int]:
    return [int(i) for i in np.argwhere(mask)[0]]
