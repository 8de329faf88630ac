"""Instant checks: the object `check` of every lesson."""

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..progress import wrapped
from .compare import compare, normalise
from .notebook_format import value_metadata

EXPECTED_FOLDERS = ("checks", "lessons/checks", "../lessons/checks")
RNG_CALL = re.compile(r"check\.rng\(\"([\w.]+)\"\)")
F = TypeVar("F", bound=Callable[..., Any])


class CheckFailed(AssertionError):
    """A check's verdict. IPython shows its words alone, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return wrapped(str(self))


class Checks:
    """`check = Checks("01_temperature")`, then `check("softmax.stable", value)`.

    The expected values come from `checks/<lesson>.json`, written by `tinykd build`. With
    TINYKD_GRADING=1 nothing is compared here: values are only recorded, in the metadata of the
    cell's output, and judged outside the kernel.
    """

    def __init__(self, lesson: str):
        self.lesson = lesson
        self.recorded: list[tuple[str, Any]] = []
        self._passed: dict[str, Any] = {}  # check -> the function that passed it
        self._grading = os.environ.get("TINYKD_GRADING") == "1"
        # The expected values that ship with a lesson belong to seed 0, so only grading has another.
        self._seed = os.environ.get("TINYKD_SEED", "0") if self._grading else "0"
        # In a class a kernel never learns the seed, only the generators' seeds of its own checks.
        self._seeds = json.loads(os.environ.get("TINYKD_SEEDS", "null")) if self._grading else None

    def __call__(self, name: str, value: Any) -> None:
        """Compare `value` with what the reference gives for the check `name`.

        Raises CheckFailed, in words, where it differs; KeyError for an unknown check.
        """
        self._passed.pop(name, None)
        try:
            value = normalise(value)
        except (TypeError, ValueError) as error:
            raise CheckFailed(f"{name}: not yet.\n  {error}.") from None
        self.recorded.append((name, value))
        if self._grading:
            return _publish(f"recorded: {name}", name, value)
        expected = self._expected()
        if name in expected["hidden"]:
            return _publish(f"recorded: {name}", name, value)
        if name not in expected["checks"]:
            names = ", ".join(expected["checks"])
            raise KeyError(f"lesson {self.lesson} has no check {name!r}; it has {names}")
        entry = expected["checks"][name]
        if reason := compare(value, entry["value"], entry["rtol"], entry["atol"]):
            known = known_mistake(name, value, expected["mutants"], entry)
            hint = known[1] if known else entry["hint"]
            end = "" if reason.endswith("?") else "."
            raise CheckFailed(f"{name}: not yet. What is wrong: {reason}{end}\n  Hint: {hint}")
        self._passed[name] = sys._getframe(1).f_globals.get(name.partition(".")[0])
        _publish(f"passed: {name}", name, value)

    def rng(self, name: str) -> np.random.Generator:
        """A generator whose numbers depend only on `name` (and, when grading, on TINYKD_SEED)."""
        return np.random.default_rng(
            self._seeds[name] if self._seeds else generator_seed(name, self._seed)
        )

    def ready(self, yours: F, library: F) -> F:
        """`yours` once it has passed all its checks in this kernel, until then `library`.

        A function that was edited and run again is another one: its checks must pass anew.
        """
        name = yours.__name__
        names = [check for check in self._expected()["checks"] if check.startswith(name + ".")]
        if not names:
            raise ValueError(f"lesson {self.lesson} has no check that starts with {name + '.'!r}")
        missing = [check for check in names if self._passed.get(check) is not yours]
        if not missing:
            print(f"(using your {name})")
            return yours
        some = ", ".join(missing[:2]) + (f" and {len(missing) - 2} more" if missing[2:] else "")
        print(f"(using the library's {name}; yours has not passed {some} yet)")
        return library

    def _expected(self) -> dict[str, Any]:
        places = [Path(folder) / f"{self.lesson}.json" for folder in EXPECTED_FOLDERS]
        for place in places:
            if place.is_file():
                return json.loads(place.read_text(encoding="utf-8"))
        looked = "\n  ".join(str(place.absolute()) for place in places)
        raise FileNotFoundError(
            f"the expected values of lesson {self.lesson} were not found. Looked for\n  {looked}\n"
            "Open the notebook from the lessons folder of the course, or run `tinykd build`."
        )


def with_gradient(value: Any, *inputs: Any) -> dict[str, Any]:
    """What a check of a loss looks at: the loss and its gradient in `inputs`, 0 where it has none.

    {"value": value, "gradient": one tensor, or a list where there are several inputs}. Of a value
    with many elements it is the gradient of their sum with the weights 0.5 ... 1.5, which sees
    elements that have changed places. Raises TypeError for what is no tensor: it has no gradient.
    """
    import torch

    if value is None:  # compared with a number, it asks whether something was returned
        return {"value": None, "gradient": None}
    if not torch.is_tensor(value):
        raise TypeError(
            f"a {type(value).__name__} came back where one tensor is expected: .numpy(), .tolist() "
            "and .item() lose the gradient, and `return a, b` is a tuple"
        )
    slopes: Any = [None] * len(inputs)
    if value.requires_grad:
        weights = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).view(value.shape)
        weighted = (weights * value).sum() if value.dim() else value
        slopes = torch.autograd.grad(weighted, inputs, allow_unused=True)
    found = [
        torch.zeros_like(x) if slope is None else slope
        for x, slope in zip(inputs, slopes, strict=True)
    ]
    return {"value": value, "gradient": found[0] if len(found) == 1 else found}


def generator_seed(name: str, seed: str | int) -> int:
    """The seed of the generator `check.rng(name)` under the seed of a class."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big")


def generator_seeds(source: str, seed: int) -> dict[str, int]:
    """The seed of every generator that `source` asks for, by name."""
    return {name: generator_seed(name, seed) for name in RNG_CALL.findall(source)}


def known_mistake(
    name: str, value: Any, mutants: list[dict[str, Any]], entry: dict[str, Any]
) -> tuple[str, str] | None:
    """Name and hint of the first known mistake that gives exactly `value` for the check `name`."""
    for mutant in mutants:
        known = mutant["values"].get(name, False)
        if known is not False and not compare(value, known, entry["rtol"], entry["atol"]):
            return mutant["name"], mutant["hint"]
    return None


def _publish(text: str, name: str, value: Any) -> None:
    # The value goes into metadata, which plain nbval ignores: last-digit noise never fails it.
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        print(text)
        return
    from IPython.display import publish_display_data

    publish_display_data({"text/plain": text}, value_metadata(name, value))
