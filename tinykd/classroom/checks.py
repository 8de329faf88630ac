"""Instant checks: the object `check` of every lesson."""

import functools
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..progress import InWords, wrapped
from .arguments import Watch, giveaways, readable
from .compare import CHANGED, compare, normalise
from .in_jupyter import in_kernel, publish, publish_measured, unreadable_cell
from .mistakes import hint_for
from .notebook_format import UNWRITTEN

EXPECTED_FOLDERS = ("checks", "lessons/checks", "../lessons/checks")
RNG_CALL = re.compile(r"check\.rng\(\"([\w.]+)\"\)")
F = TypeVar("F", bound=Callable[..., Any])


class CheckFailed(InWords, AssertionError):
    """A check's verdict, in words."""


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
        self._given: dict[str, tuple[Any, Any]] = {}  # check -> the function, the value it gave
        self._changed: list[str] = []  # what answers have changed since the last check
        self.given_away: dict[str, set[str]] | None = None  # for the proof: see `call`
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
        changed, self._changed = self._changed, []
        try:
            value = {CHANGED: "; ".join(dict.fromkeys(changed))} if changed else normalise(value)
        except (TypeError, ValueError) as error:
            raise CheckFailed(f"{name}: not yet.\n  {error}.") from None
        self.recorded.append((name, value))
        if self._grading:
            return publish(f"recorded: {name}", name, value)
        expected = self._expected()
        if name in expected["hidden"]:
            return publish(f"recorded: {name}", name, value)
        if name not in expected["checks"]:
            names = ", ".join(expected["checks"])
            raise KeyError(f"lesson {self.lesson} has no check {name!r}; it has {names}")
        entry, exercise = expected["checks"][name], name.partition(".")[0]
        answer = sys._getframe(1).f_globals.get(exercise)
        self._given[name] = answer, value
        old = unreadable_cell(exercise)
        if reason := compare(value, entry["value"], entry["rtol"], entry["atol"]):
            given = {
                check: its_value
                for check, (function, its_value) in self._given.items()
                if function is answer and check in expected["checks"]
            }
            hint = hint_for(name, given, expected)
            end = "" if reason.endswith("?") else "."
            words = f"{name}: not yet. What is wrong: {reason}{end}\n  {hint}"
            raise CheckFailed(f"{words}\n  {old}" if old else words)
        self._passed[name] = answer
        publish(f"passed: {name}{f' ({old})' if old else ''}", name, value)

    def call(
        self, answer: Callable[..., Any], *args: Any, may_change: Any = (), **kwargs: Any
    ) -> Any:
        """answer(*args, **kwargs), and a look whether it changed its arguments.

        One that did loses the check that comes next. `may_change` lists the arguments that are
        there to be changed, such as a student to be trained. Raises CheckFailed, in words, for an
        answer that is not written yet, and whatever else the answer raises.
        """
        __tracebackhide__ = True  # IPython then shows a learner's own lines alone
        seen = {} if self.given_away is None else readable(sys._getframe(1))
        watch = Watch(answer, args, kwargs, may_change)
        try:
            result = answer(*args, **kwargs)
        except NotImplementedError as error:
            if self._grading or not str(error).endswith(UNWRITTEN):
                raise
            raise CheckFailed(f"{error}, run its cell, and then this one again.") from None
        if self.given_away is not None:  # could an answer have read its result instead?
            self.given_away.setdefault(answer.__name__, set()).update(giveaways(seen, result))
        self._changed += [
            f"{answer.__name__} changes its argument {one}" for one in watch.changed()
        ]
        return result

    def given(self, name: str, value: Any) -> Any:
        """The `value` of the literal answer `name`. Raises CheckFailed for who has written none."""
        if value is not None:
            return value
        if self._grading:
            raise NotImplementedError(f"{name}{UNWRITTEN}")
        raise CheckFailed(f"{name} is still None: fill its cell, run it, and then this one again.")

    def measured(self, name: str, measure: Callable[[], float]) -> None:
        """Keep the number that `measure` finds, for the report of a class and `tinykd board`.

        For checks of literal exercises: where a student's code runs it could say anything, and the
        build refuses it. Not asked for in the proof, which needs no board.
        """
        if in_kernel():
            publish_measured(name, float(measure()))

    def watched(self, answer: F, may_change: Any = ()) -> F:
        """`answer` as a function whose calls are all looked at by `call`."""

        @functools.wraps(answer)
        def looked_at(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            return self.call(answer, *args, may_change=may_change, **kwargs)

        return looked_at  # type: ignore[return-value]

    def rng(self, name: str) -> np.random.Generator:
        """A generator whose numbers depend only on `name` (and, when grading, on TINYKD_SEED)."""
        self._changed.clear()
        # A check that a student merged into an answer is not one of its kernel's.
        given = self._seeds.get(name) if self._seeds else None
        return np.random.default_rng(given or generator_seed(name, self._seed))

    def ready(self, yours: F, library: F | None) -> F | None:
        """`yours` once it has passed all its checks in this kernel, until then `library`.

        None for `library` says that there is no such function in it. A function that was edited and
        run again is another one: its checks must pass anew. Raises ValueError for a function that
        the lesson has no check of.
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
        whose = f"your {name}" if library is None else f"using the library's {name}; yours"
        print("\n".join(wrapped(f"({whose} has not passed {some} yet)")))
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
