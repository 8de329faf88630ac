"""Whether a function has changed what it was given, and what it could have read instead."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import is_dataclass
from types import FrameType
from typing import Any

from .compare import compare, leaves, normalise

MAX_READ = 2_000  # numbers in a variable that is compared with an answer's result


class Watch:
    """A look at the arguments of one call of `answer`, before it and after."""

    def __init__(
        self,
        answer: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        may_change: Iterable[Any] = (),
    ):
        names = _names(answer, len(args))
        allowed = {id(one) for one in may_change}
        given = [*zip(names, args, strict=True), *kwargs.items()]
        self.given = [(name, value) for name, value in given if id(value) not in allowed]
        self.before = [_state(value) for _, value in self.given]

    def changed(self) -> list[str]:
        """What is another now than before the call: "logits", "student (training mode)"."""
        found = []
        for (name, value), before in zip(self.given, self.before, strict=True):
            after = _state(value)
            if after == before:
                continue
            parts = (
                [key for key in before if after[key] != before[key]] if type(before) is dict else []
            )
            found.append(name if parts in ([], ["numbers"]) else f"{name} ({', '.join(parts)})")
        return found


def _names(answer: Callable[..., Any], count: int) -> list[str]:
    """Names of the first `count` positional arguments, "argument 3" where there is none."""
    try:
        kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
        found = [p.name for p in inspect.signature(answer).parameters.values() if p.kind in kinds]
    except (TypeError, ValueError):
        found = []
    return [*found[:count], *(f"argument {n + 1}" for n in range(len(found), count))]


def _state(value: Any) -> Any:
    """Something plain that is equal for equal values. What nobody can compare is left out."""
    if hasattr(value, "named_modules"):
        modules = list(value.named_modules())
        return {
            "weights": [(key, _state(item)) for key, item in value.state_dict().items()],
            "requires_grad": [p.requires_grad for p in value.parameters()],
            "training mode": [module.training for _, module in modules],
            "modules": [name for name, _ in modules],
            "hooks": [
                len(module._forward_hooks) + len(module._forward_pre_hooks) for _, module in modules
            ],
        }
    if hasattr(value, "requires_grad"):
        plain = value.detach().cpu()
        if str(plain.dtype) == "torch.bfloat16":  # has no NumPy type; float32 holds it exactly
            plain = plain.float()
        raw = plain.numpy().tobytes()
        numbers = str(value.dtype), tuple(value.shape), raw
        return {"numbers": numbers, "requires_grad": value.requires_grad}
    if hasattr(value, "tobytes") and hasattr(value, "dtype"):
        plain = value.tolist() if value.dtype.hasobject else value.tobytes()
        return "array", str(value.dtype), tuple(value.shape), plain
    if isinstance(value, dict):
        return "dict", [(key, _state(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value).__name__, [_state(item) for item in value]
    if isinstance(value, set | frozenset | bytearray):
        return type(value).__name__, sorted(map(repr, value))
    if is_dataclass(value) and not isinstance(value, type):
        return type(value).__name__, [(key, _state(item)) for key, item in vars(value).items()]
    return value if isinstance(value, int | float | str | bytes | None) else None


def readable(frame: FrameType | None) -> dict[str, Any]:
    """Plain values of all variables that code called from `frame` finds above it, by name.

    What a check's own cell, or a function in it, already holds; items of a collection as well.
    """
    found: dict[str, Any] = {}
    while frame is not None and frame.f_code.co_filename.startswith("<"):
        for name, value in frame.f_locals.items():
            for key, item in _with_items(name, value):
                try:
                    plain = normalise(item)
                except Exception:
                    continue
                if sum(1 for _ in leaves(plain)) <= MAX_READ:
                    found[key] = plain
        frame = frame.f_back
    return found


def _with_items(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if name.startswith("_") or callable(value) or inspect.ismodule(value):
        return
    yield name, value
    if isinstance(value, dict):
        yield from ((f"{name}[{key!r}]", item) for key, item in list(value.items())[:50])
    elif isinstance(value, list | tuple):
        yield from ((f"{name}[{index}]", item) for index, item in enumerate(value[:50]))


def giveaways(variables: dict[str, Any], result: Any) -> set[str]:
    """Names of the variables that hold `result`, or its negative where it is one number."""
    try:
        wanted = [normalise(result)]
    except Exception:
        return set()
    if isinstance(wanted[0], float | int) and not isinstance(wanted[0], bool) and wanted[0]:
        wanted.append(-wanted[0])
    if wanted[0] in (None, [], {}, "", True, False):
        return set()
    return {
        name
        for name, value in variables.items()
        if any(compare(value, one, 1e-6, 1e-9) is None for one in wanted)
    }
