"""What a grade looks like: one submission in four files, a class in a table and a page.

Everything here is a function of report dicts (`report.schema.json`) and gives the same bytes for
the same dicts.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ...files import atomic
from ..grading.result import NOT_WRITTEN
from ..safe_text import safe_name, safe_text
from .class_summary import class_summary
from .exports import class_csv, gradescope, junit
from .report import Report, checks_of

TEMPLATES = Path(__file__).parent / "templates"


def write_student(report: Report, folder: Path) -> None:
    """Write report.html, junit.xml, results.json (Gradescope's) and report.json into `folder`.

    report.json comes last: where it is, the others are. It names the seed, so it stays with the
    instructor; the other three are for the student.
    """
    report = _cleaned(report)
    shown = _for_display(report)
    lost = {exercise["name"]: _lost_by_hint(exercise) for exercise in shown["exercises"]}
    remarks = _remarks(shown, [name for name in lost if lost[name]])
    values = {"report": shown, "lost": lost, "remarks": remarks, "checks": checks_of(shown)}
    write(folder / "report.html", page("student.html", **values))
    write(folder / "junit.xml", junit(shown))
    write(folder / "results.json", _json(gradescope(shown)))
    write(folder / "report.json", _json(report))


def write_class(
    reports: list[Report], about: dict[str, Any], folder: Path, slugs: Sequence[str] = ()
) -> None:
    """Write class.csv and index.html, students sorted by name, into `folder`.

    about: class.json: lesson and seed, and where known sandbox, seconds (wall clock) and jobs.
    slugs: for each report, the name of its folder in `folder`/students, which the page links to.
    Raises ValueError where there are slugs, but not one a report.
    """
    if slugs and len(slugs) != len(reports):
        raise ValueError(f"{len(slugs)} slugs for {len(reports)} reports: give one a report")
    names = list(slugs) or [""] * len(reports)
    pairs = zip(reports, names, strict=True)
    shown = [_for_display(_cleaned(report)) | {"slug": slug} for report, slug in pairs]
    shown.sort(key=lambda report: (report["student"].casefold(), report["student"], report["slug"]))
    write(folder / "class.csv", class_csv(shown))
    about = {
        key: safe_text(value) if isinstance(value, str) else value for key, value in about.items()
    }
    summary = class_summary(shown, about)
    write(folder / "index.html", page("class.html", reports=shown, about=about, **summary))


def _cleaned(value: Any, key: str = "") -> Any:
    """A report as it is stored. The student's name stays as it is: it identifies the student."""
    if isinstance(value, dict):
        return {name: _cleaned(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if not isinstance(value, str) or key == "student":
        return value
    return safe_name(value) if key == "file" else safe_text(value)


def _for_display(report: Report) -> Report:
    """Without the seed, and with a name that is safe to show."""
    public = {key: value for key, value in report.items() if key != "seed"}
    return public | {"student": safe_name(report["student"])}


def _lost_by_hint(exercise: dict[str, Any]) -> dict[str, list[tuple[str, list[dict[str, Any]]]]]:
    """Lost checks by hint, and in a row by reason: one mistake often loses several, and needs
    saying once. What is not written yet needs no hints.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for check in exercise["checks"]:
        if not check["passed"]:
            hint = "" if check["why"] == NOT_WRITTEN else check["hint"]
            found.setdefault(hint, []).append(check)
    return {
        hint: [(why, list(some)) for why, some in groupby(checks, lambda check: check["why"])]
        for hint, checks in found.items()
    }


def _remarks(report: Report, exercises: list[str]) -> dict[str, list[str]]:
    """Remarks by the one of `exercises` that they begin with; those of no such one under ""."""
    found: dict[str, list[str]] = {name: [] for name in ("", *exercises)}
    for remark in report["remarks"]:
        name, _, words = remark.partition(": ")
        known = bool(words) and name in exercises
        found[name if known else ""].append(words if known else remark)
    return found


def _number(value: float) -> str:
    return f"{round(value, 2):g}"


def _when(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


@cache
def _pages() -> Environment:
    pages = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"number": _number, "when": _when}
    return pages


def page(template: str, **values: Any) -> str:
    """A page of `templates`, as text."""
    return _pages().get_template(template).render(values) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def write(path: Path, text: str) -> None:
    """Replace a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as part:
        part.write_bytes(text.encode())
