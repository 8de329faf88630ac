"""What lessons, kernels and graders agree on: roles of cells, stubs, recorded values."""

import json
import math
import re
from typing import Any

CHECK_ROLES = ("check", "hidden")  # the roles of cells that have points
SOLUTION = re.compile(r"^([ \t]+)# BEGIN SOLUTION[^\n]*\n.*?^\1# END SOLUTION[^\n]*$", re.M | re.S)
LESSON_NAME = re.compile(r"[\w-]{1,64}")  # of its file without the ending
UNWRITTEN = ": write your code here"
STUB_ERROR = f'NotImplementedError("{{}}{UNWRITTEN}")'  # what an unwritten answer raises
NOT_RECORDED = object()  # stands for a missing value, because None is a value


def stub(name: str, source: str, error: str = STUB_ERROR) -> str:
    """`source` with every SOLUTION region replaced by an `error` that names `name`."""
    return SOLUTION.sub(lambda found: f"{found[1]}raise {error.format(name)}", source)


def literal_stub(name: str, source: str) -> str:
    """The comments with which `source` begins, and `name` without a value."""
    comments = []
    for line in source.splitlines():
        if not line.startswith("#"):
            break
        comments.append(line)
    return "\n".join([*comments, f"{name} = None"])


def value_metadata(name: str, value: Any) -> dict[str, Any]:
    """The metadata of an output, which records `value` for the check `name`."""
    return {"tinykd": {"check": name, "value": json.dumps(value)}}


def measured_metadata(name: str, value: float) -> dict[str, Any]:
    """The metadata of an output, which says what a check has measured."""
    return {"tinykd": {"measured": name, "number": float(value)}}


def measured_values(outputs: list[Any]) -> dict[str, float]:
    """All that was measured in a cell, by name: finite numbers alone."""
    records = [output.get("metadata", {}).get("tinykd") for output in outputs]
    return {
        str(one["measured"]): float(one["number"])
        for one in records
        if isinstance(one, dict) and "measured" in one and math.isfinite(one["number"])
    }


def recorded_output(name: str, value: Any) -> dict[str, Any]:
    """The output of a reference's check cell, as a run of the check `name` leaves it."""
    text = {"text/plain": f"recorded: {name}"}
    return {"output_type": "display_data", "data": text, "metadata": value_metadata(name, value)}


def recorded_value(outputs: list[Any], name: str) -> Any:
    """The one value recorded for the check `name` in a cell's outputs, or NOT_RECORDED."""
    records = [output.get("metadata", {}).get("tinykd") for output in outputs]
    values = [
        str(record.get("value"))
        for record in records
        if isinstance(record, dict) and record.get("check") == name
    ]
    try:
        return json.loads(values[0]) if len(values) == 1 else NOT_RECORDED
    except (ValueError, RecursionError):
        return NOT_RECORDED
