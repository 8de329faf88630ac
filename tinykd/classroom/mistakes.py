"""Which known mistakes give a value, and when one may be named as a fact."""

import re
from collections.abc import Callable
from typing import Any

from .compare import CHANGED, compare, leaves


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

    It is a fact only if it alone `explains_all` that is known of the exercise, and if that holds
    two `telling` numbers or more: any single one may come about in several ways. Else the hint is a
    question, and where none explains all, nothing is named.
    """
    explaining = [(name, hint) for name, hint in fitting if explains_all(name)]
    if not explaining:
        return "", f"Perhaps: {fitting[0][1]}"
    name, hint = explaining[0]
    fact = numbers > 1 and len({hint for _, hint in explaining}) == 1
    return name, hint if fact else f"Perhaps: {hint}"


def telling(value: Any) -> int:
    """How many different numbers of more than three digits a value holds.

    Small whole numbers, round ones, True and False agree by chance. That an answer changed its
    arguments is seen, and counts as two.
    """
    if isinstance(value, dict) and CHANGED in value:
        return 2
    digits = {re.sub(r"e.*|\D", "", str(leaf)).strip("0") for leaf in leaves(value)}
    return sum(len(number) > 3 for number in digits)


def hint_for(name: str, given: dict[str, Any], expected: dict[str, Any]) -> str:
    """The hint to the check `name`, lost by a function that has `given` these values by check."""
    checks, mutants = expected["checks"], expected["mutants"]
    fitting = fitting_mistakes(name, given[name], mutants, checks[name])
    if not fitting:
        return f"Hint: {checks[name]['hint']}"

    def explains(mistake: str, check: str, value: Any) -> bool:
        """Whether a mistake gives this value for a check, or passes it where the value is right."""
        entry = checks[check]
        if compare(value, entry["value"], entry["rtol"], entry["atol"]) is None:
            return all(one["name"] != mistake or check not in one["values"] for one in mutants)
        return mistake in dict(fitting_mistakes(check, value, mutants, entry))

    _, hint = most_likely(
        fitting,
        lambda mistake: all(explains(mistake, check, value) for check, value in given.items()),
        sum(telling(value) for value in given.values()),
    )
    return hint if hint.startswith("Perhaps: ") else f"Hint: {hint}"
