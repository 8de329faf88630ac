"""The board of a class: one measured number a student, the best first, read from its reports."""

import json
import math
from pathlib import Path
from typing import Any

from ..safe_text import safe_name, safe_text
from .report import Report, checks_of
from .write_reports import page, write


class NoBoard(ValueError):
    """There is nothing to make a board of; the text says why."""


def board(folder: Path, measure: str = "") -> dict[str, Any]:
    """What class.html's sister board.html shows: `rows` by rank, and who has no number.

    folder: the REPORT of `tinykd grade`. measure: the name of a measured number, or a part of it;
    left out, the only one. It comes from the reports alone, and so from the grader. Equal numbers
    share a rank, and the next one counts them all. Raises NoBoard, in words.
    """
    paths = sorted((folder / "students").glob("*/report.json"))
    reports = [report for path in paths if (report := _read(path))]
    if not reports:
        raise NoBoard(f"{folder} holds no reports; `tinykd grade SUBMISSIONS --out` makes them")
    names = list(dict.fromkeys(name for report in reports for name in _measured(report)))
    chosen = [name for name in names if measure in name]
    if len(chosen) != 1:
        found = ", ".join(map(repr, names)) or "none: no check of this lesson measures anything"
        raise NoBoard(f"name one number that was measured with --measure; there are {found}")
    [name] = chosen
    with_number = [
        (_measured(report)[name], report) for report in reports if name in _measured(report)
    ]
    with_number.sort(key=lambda pair: (-pair[0], pair[1]["student"].casefold()))
    numbers = [number for number, _ in with_number]
    return {
        "lesson": reports[0]["lesson"],
        "measure": safe_text(name),
        "rows": [
            {
                "rank": 1 + numbers.index(number),
                "student": safe_name(report["student"]),
                "file": safe_name(report["submission"]["file"]),
                "number": number,
            }
            for number, report in with_number
        ],
        "without": sorted(
            safe_name(report["student"]) for report in reports if name not in _measured(report)
        ),
        "seeds": len({report["seed"] for report in reports}),
        "unsafe": any(report["sandbox"].startswith("none") for report in reports),
    }


def board_text(found: dict[str, Any], width: int = 32) -> str:
    """The board for a terminal."""
    rows = found["rows"]
    lines = [f"{found['lesson']}: {found['measure']}", ""]
    lines += [
        f"{row['rank']:>4}  {row['student'][:width]:<{width}}  {row['number']:8.2f}" for row in rows
    ]
    if found["without"]:
        lines += ["", f"without a number: {', '.join(found['without'])}"]
    if found["seeds"] > 1:
        lines += ["", "these were graded under several seeds, on other inputs: grade all again"]
    return "\n".join(lines)


def write_board(found: dict[str, Any], folder: Path) -> Path:
    """Write board.html into `folder`; returns its path."""
    path = folder / "board.html"
    write(path, page("board.html", board=found))
    return path


def _read(path: Path) -> Report | None:
    try:
        report = json.loads(path.read_text("utf-8"))
        return report if report["status"] in ("graded", "not_gradable") else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _measured(report: Report) -> dict[str, float]:
    return {
        name: number
        for check in checks_of(report)
        for name, number in check.get("measured", {}).items()
        if math.isfinite(number)
    }
