"""What a proof found, as it is stored: right values of the checks, and those of known mistakes."""

import json
from typing import Any

from ..notebook_format import CHECK_ROLES
from .notebooks import make_notebook
from .prove import Proof


def known_mistakes(proof: Proof) -> list[dict[str, Any]]:
    """Every mutant's name, hint, and the wrong values it gives, by check."""
    found: list[dict[str, Any]] = []
    for mutant in proof.lesson.all("mutant"):
        results = proof.values[mutant.name]
        values = {
            check: _rounded(results[check]["value"])
            for check in mutant.loses
            if "value" in results.get(check, {})
        }
        if values:
            found.append({"name": mutant.name, "hint": mutant.hint, "values": values})
    return found


def mistakes_metadata(proof: Proof) -> str:
    """All known mistakes, as a solution notebook's metadata holds them."""
    return json.dumps(known_mistakes(proof))


def checks_file(proof: Proof) -> dict[str, Any]:
    """What lessons/checks/NN_name.json holds: nothing of the hidden checks but their names."""
    checks = {
        cell.name: {
            "value": _rounded(proof.reference[cell.name]),
            "points": cell.points,
            "hint": cell.hint,
            "rtol": cell.rtol,
            "atol": cell.atol,
        }
        for cell in proof.lesson.all("check")
    }
    mutants = []
    for mistake in known_mistakes(proof):
        visible = {check: value for check, value in mistake["values"].items() if check in checks}
        if visible:
            mutants.append(mistake | {"values": visible})
    hidden = [cell.name for cell in proof.lesson.all("hidden")]
    cells = [  # so that a notebook can be checked where there is no solution
        {"id": cell.id, "source": cell.source, "metadata": dict(cell.metadata)}
        for cell in make_notebook(proof.lesson, solution=False).cells
        if cell.metadata.get("role") in ("setup", "answer", *CHECK_ROLES)
    ]
    found = {"lesson": proof.lesson.name, "checks": checks, "hidden": hidden, "mutants": mutants}
    return found | {"cells": cells}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value
