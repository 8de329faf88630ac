"""A report: the dict that report.schema.json describes, of one submission."""

from typing import Any

Report = dict[str, Any]
SCHEMA_VERSION = 1


def exercise_names(reports: list[Report]) -> list[str]:
    """Every exercise of the reports, in the lesson's order."""
    return list(dict.fromkeys(one["name"] for report in reports for one in report["exercises"]))


def checks_of(report: Report) -> list[dict[str, Any]]:
    """Every check of one report, in the lesson's order."""
    return [check for exercise in report["exercises"] for check in exercise["checks"]]
