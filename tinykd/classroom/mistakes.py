"""Which known mistakes give a value, and when one may be named as a fact."""

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


def hint_for(name: str, given: dict[str, Any], expected: dict[str, Any]) -> str:
    """A known mistake is named as a fact only if it explains all that this function has given, and
    more than one number: any number may come about in several ways.
    """
    checks, mutants = expected["checks"], expected["mutants"]
    fitting = fitting_mistakes(name, given[name], mutants, checks[name])
    if not fitting:
        return f"Hint: {checks[name]['hint']}"

    def explains(mistake: str, check: str, value: Any) -> bool:
        entry = checks[check]
        if compare(value, entry["value"], entry["rtol"], entry["atol"]) is None:
            return all(one["name"] != mistake or check not in one["values"] for one in mutants)
        return mistake in {one for one, _ in fitting_mistakes(check, value, mutants, entry)}

    for mistake, hint in fitting:
        if all(explains(mistake, check, value) for check, value in given.items()):
            numbers = sum(1 for value in given.values() for _ in leaves(value))
            return f"Hint: {hint}" if numbers > 1 else f"Perhaps: {hint}"
    return f"Perhaps: {fitting[0][1]}"
