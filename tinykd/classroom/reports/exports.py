"""A report for other programs: JUnit XML, Gradescope's results.json, a class in CSV.

All take reports as `write_reports.py` prepares them: cleaned, and without the seed.
"""

import csv
import io
import re
from typing import Any
from xml.etree import ElementTree

from .report import Report, checks_of, exercise_names

# Spreadsheets run a cell that begins with one of these, the full-width forms included. A program
# that splits at semicolons or tabs sees a beginning where a comma-reader sees none.
FORMULA = re.compile(r"""(^|[;|])([\s"']*)(?=[=+\-@＝＋－＠])""")


def junit(report: Report) -> str:
    """JUnit XML: a test suite with a test case a check, or one error where it was not gradable."""
    lesson, checks = report["lesson"], checks_of(report)
    graded = report["status"] == "graded"
    counts = {
        "tests": str(len(checks) if graded else 1),
        "failures": str(sum(not check["passed"] for check in checks)),
        "errors": str(int(not graded)),
        "skipped": "0",
        # The whole submission's seconds would be chosen by code that has seen the hidden checks.
        "time": f"{sum(check['seconds'] for check in checks):.3f}",
    }
    about = {"name": f"{lesson}: {report['student']}", "timestamp": report["graded_at"]}
    root = ElementTree.Element("testsuites", {"name": "tinykd"})
    suite = ElementTree.SubElement(root, "testsuite", about | counts)
    properties = ElementTree.SubElement(suite, "properties")
    values = {"status": report["status"]}
    if graded:
        values |= {"points": f"{report['points']:g}", "most": f"{report['most']:g}"}
    # Points of single checks stand here too: not every reader allows properties in a test case.
    values |= {f"points.{check['name']}": _earned(check) for check in checks}
    for name, value in values.items():
        ElementTree.SubElement(properties, "property", {"name": name, "value": value})
    for exercise in report["exercises"]:
        for check in exercise["checks"]:
            case = {"classname": f"{lesson}.{exercise['name']}", "name": check["name"]}
            element = ElementTree.SubElement(suite, "testcase", case | {"time": _seconds(check)})
            if not check["passed"]:
                words = _why_and_hint(check)
                lost = ElementTree.SubElement(
                    element, "failure", {"type": "lost", "message": words}
                )
                lost.text = words
    if not graded:
        case = {"classname": lesson, "name": "could be graded", "time": "0.000"}
        element = ElementTree.SubElement(suite, "testcase", case)
        about = {"type": "not_gradable", "message": f"could not be graded: {report['reason']}"}
        ElementTree.SubElement(element, "error", about)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, "unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def gradescope(report: Report) -> dict[str, Any]:
    """Gradescope's results.json. It knows no submission without a score, so one that could not be
    graded has 0, with the reason above it and `status` in `extra_data`.
    """
    if report["status"] == "graded":
        output = "\n".join(report["remarks"])
    else:
        output = (
            f"This notebook could not be graded: {report['reason']}\n"
            "The 0 is no score: nothing of it was judged. Mend it and hand it in again, or ask "
            "your instructor."
        )
    tests = [
        {
            "name": check["name"] + (" (not in your notebook)" if check["hidden"] else ""),
            "number": f"{i}.{j}",
            "score": check["points"] if check["passed"] else 0.0,
            "max_score": check["points"],
            "status": "passed" if check["passed"] else "failed",
            "output": "" if check["passed"] else _why_and_hint(check, "\n"),
            "visibility": "visible",
        }
        for i, exercise in enumerate(report["exercises"], 1)
        for j, check in enumerate(exercise["checks"], 1)
    ]
    if report["status"] != "graded":
        tests = [{"name": "could be graded", "status": "failed", "output": report["reason"]}]
    return {
        "score": report["points"],
        "output": output,
        "output_format": "text",  # left out, Gradescope would render HTML
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
        "extra_data": {
            **{key: report[key] for key in ("lesson", "status", "reason", "most", "graded_at")},
            "sha256": report["submission"]["sha256"],
        },
    }


def class_csv(reports: list[Report]) -> str:
    """A row a student, for a spreadsheet or a learning platform's import.

    It begins with a byte order mark: without it Excel garbles every name that is not ASCII, and
    Moodle and pandas skip it. What could not be graded has empty cells, which no import reads as 0.
    """
    exercises = exercise_names(reports)
    file = io.StringIO()
    table = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    head = ["student", "status", "points", "most", "percent", *exercises]
    table.writerow([*map(_cell, head), "reason", "remarks", "file", "report", "graded_at"])
    for report in reports:
        graded, most = report["status"] == "graded", report["most"]
        earned = {exercise["name"]: exercise["points"] for exercise in report["exercises"]}
        points = report["points"] if graded else ""
        percent = 100 * report["points"] / most if graded and most else ""
        numbers = [points, most, percent, *(earned.get(name, "") for name in exercises)]
        about = [report["reason"], " / ".join(report["remarks"]), report["submission"]["file"]]
        page = f"students/{slug}/report.html" if (slug := report.get("slug")) else ""
        row = [report["student"], report["status"], *numbers, *about, page, report["graded_at"]]
        table.writerow(map(_cell, row))
    return "\ufeff" + file.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return FORMULA.sub(r"\1\2'", value)
    return int(value) if value == int(value) else round(value, 2)


def _why_and_hint(check: dict[str, Any], between: str = " ") -> str:
    end = "" if check["why"].endswith((".", "?", "!")) else "."
    hint = f"{between}Hint: {check['hint']}" if check["hint"] else ""
    return f"{check['why'] or 'not passed'}{end}{hint}"


def _earned(check: dict[str, Any]) -> str:
    return f"{check['points'] if check['passed'] else 0:g} of {check['points']:g}"


def _seconds(check: dict[str, Any]) -> str:
    return f"{check['seconds']:.3f}"
