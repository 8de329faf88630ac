"""What a class did, counted: the numbers behind index.html."""

from statistics import mean, median
from typing import Any

from .report import Report, checks_of, exercise_names

MAX_BARS = 13  # more different scores than this are drawn in ten ranges


def class_summary(reports: list[Report], about: dict[str, Any]) -> dict[str, Any]:
    """Everything class.html shows beside the table of students; `reports` are ready to be shown."""
    graded = [report for report in reports if report["status"] == "graded"]
    names = exercise_names(graded)
    scores = {name: [_exercise(report, name) for report in graded] for name in names}
    drawn = [_histogram(name, scores[name]) for name in names]
    total = _histogram("all exercises", graded)
    tallest = max((histogram["tallest"] for histogram in drawn), default=0)
    for histogram in drawn:  # one scale for all: the eye compares heights
        histogram["tallest"] = tallest
    times = sorted(report["graded_at"] for report in reports)
    used = {report["sandbox"] for report in reports} | {about.get("sandbox", "")}
    return {
        "graded": graded,
        "not_gradable": [report for report in reports if report["status"] != "graded"],
        "exercises": names,
        "histograms": [total, *drawn] if graded else [],
        "lost": _lost(graded),
        "checks": len({check["name"] for report in graded for check in checks_of(report)}),
        "mistakes": _mistakes(graded),
        "sandboxes": sorted(used - {""}),
        "unsafe": [report for report in reports if report["sandbox"].startswith("none")],
        "times": [times[0], times[-1]] if times else [],
        "seconds": sum(report["seconds"] for report in reports),
    }


def _exercise(report: Report, name: str) -> dict[str, Any]:
    none = {"points": 0.0, "most": 0.0}
    return next((one for one in report["exercises"] if one["name"] == name), none)


def _histogram(name: str, scores: list[dict[str, Any]]) -> dict[str, Any]:
    """How many earned how much. `scores` have points and most."""
    if not scores:
        return {"bars": [], "tallest": 0}
    points, most = [score["points"] for score in scores], max(score["most"] for score in scores)
    step = 1.0 if all(x == int(x) for x in [*points, most]) else 0.5
    exact = all(x / step == int(x / step) for x in [*points, most]) and most / step < MAX_BARS
    if exact or not most:
        places = [int(x / step) for x in points]
        labels = [f"{i * step:g}" for i in range(int(most / step) + 1)]
    else:
        places = [min(int(10 * x / most), 9) for x in points]
        labels = [f"{i * most / 10:.3g} to {(i + 1) * most / 10:.3g}" for i in range(10)]
    counts = [places.count(i) for i in range(len(labels))]
    return {
        "name": name,
        "exact": exact or not most,
        "most": most,
        "bars": [{"label": x, "count": y} for x, y in zip(labels, counts, strict=True)],
        "tallest": max(counts),
        "mean": mean(points),
        "median": median(points),
        "full": sum(x == most for x in points),
        "none": points.count(0),
    }


def _lost(graded: list[Report]) -> list[dict[str, Any]]:
    """Checks that somebody lost, most often lost first."""
    found: dict[str, dict[str, Any]] = {}
    for check in (check for report in graded for check in checks_of(report)):
        one = found.setdefault(check["name"], {**check, "count": 0})
        one["count"] += not check["passed"]
    return sorted((one for one in found.values() if one["count"]), key=lambda one: -one["count"])


def _mistakes(graded: list[Report]) -> list[dict[str, Any]]:
    """Known mistakes by how many students made them, a student counted once for each."""
    found: dict[tuple[str, str], set[int]] = {}
    for student, report in enumerate(graded):
        for check in checks_of(report):
            if check["mistake"]:
                key = (check["mistake"], check["hint"])
                found.setdefault(key, set()).add(student)
    ranked = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    return [{"mistake": key[0], "hint": key[1], "count": len(who)} for key, who in ranked]
