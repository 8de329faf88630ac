"""Which known mistakes give a value, and when one may be named as a fact."""

from collections.abc import Callable
from typing import Any

from .compare import compare, leaves


def fitting_mistakes(
    name: str, value: Any, mutants: list[dict[str, Any]], entry: dict[str, Any]
) -> list[tuple[str, str]]:
    """Name and hint of the known mistakes that give exactly `value` for the check `name`."""
    return [
        (mutant["name"], mutant["hint"])
        for mutant in mutants
        if (known := mutant["values"].get(name, False)) is not False
        and not compare(value, known, entry["rtol"], entry["atol"])
    ]


def most_likely(
    fitting: list[tuple[str, str]], explains_all: Callable[[str], bool], numbers: int
) -> tuple[str, str]:
    """Of the `fitting` mistakes (there is one at least) the one to speak of: its name and hint.

    It is a fact only if it `explains_all` that is known of the exercise, which is `numbers` values,
    and these are more than one: any number may come about in several ways. Else the hint is a
    question, and where none explains all, nothing is named.
    """
    for name, hint in fitting:
        if explains_all(name):
            return name, hint if numbers > 1 else f"Perhaps: {hint}"
    return "", f"Perhaps: {fitting[0][1]}"


def hint_for(name: str, given: dict[str, Any], expected: dict[str, Any]) -> str:
    """The hint to the check `name`, lost by a function that has `given` these values by check."""
    checks, mutants = expected["checks"], expected["mutants"]
    fitting = fitting_mistakes(name, given[name], mutants, checks[name])
    if not fitting:
        return f"Hint: {checks[name]['hint']}"

    def explains(mistake: str, check: str, value: Any) -> bool:
        entry = checks[check]
        if compare(value, entry["value"], entry["rtol"], entry["atol"]) is None:
            return all(one["name"] != mistake or check not in one["values"] for one in mutants)
        return mistake in dict(fitting_mistakes(check, value, mutants, entry))

    _, hint = most_likely(
        fitting,
        lambda mistake: all(explains(mistake, check, value) for check, value in given.items()),
        sum(1 for value in given.values() for _ in leaves(value)),
    )
    return hint if hint.startswith("Perhaps: ") else f"Hint: {hint}"
