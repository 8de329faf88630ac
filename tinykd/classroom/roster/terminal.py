"""What an instructor sees while a class is graded, and at the end."""

import sys
from collections.abc import Sequence
from statistics import mean, median

from tqdm import tqdm

from ..reports.report import Report
from ..safe_text import shorten
from .outcome import Outcome

MAX_NAME, MAX_REASON = 32, 140  # characters of a line
UNSAFE_WARNING = """\
--unsafe: every submission runs as you, without a sandbox. Its code can read, change and delete your
files, read the solutions, and use the network. The reports say that there was no sandbox."""


class Progress:
    """On a terminal a bar with the names at work; elsewhere a line a submission, as it is done."""

    def __init__(self, total: int, done: int = 0):
        self.total, self.count = total, done

    def __enter__(self) -> "Progress":
        quiet = not sys.stdout.isatty()
        bar = {"total": self.total, "initial": self.count, "desc": "graded", "leave": False}
        self.bar = tqdm(**bar, file=sys.stdout, disable=quiet, dynamic_ncols=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def report_done(self, report: Report) -> None:
        """One more is known."""
        self.count += 1
        self.bar.update()
        if self.bar.disable:
            width = len(str(self.total))
            line = f"{report['student'][:MAX_NAME]}: {_verdict(report)}"
            self.print_line(f"[{self.count:>{width}}/{self.total}] {line}")

    def print_line(self, text: str) -> None:
        """A line that stays."""
        tqdm.write(text, sys.stdout)
        sys.stdout.flush()

    def show_running(self, names: Sequence[str]) -> None:
        """Who is at work now, and how the time goes."""
        more = f" and {len(names) - 3} more" if names[3:] else ""
        self.bar.set_postfix_str(", ".join(name[:20] for name in names[:3]) + more)


def _verdict(report: Report) -> str:
    if report["status"] != "graded":
        return f"could not be graded: {shorten(report['reason'], MAX_REASON)}"
    return f"{report['points']:g} of {report['most']:g} points, {report['seconds']:.1f} s"


def results_table(reports: list[Report]) -> str:
    """A line a student, with points and what was lost in which exercise; mean and median below."""
    if not reports:
        return "nobody has been graded"
    reports = sorted(reports, key=lambda report: report["student"].casefold())
    width = min(MAX_NAME, max(len(report["student"]) for report in reports))
    most, lines = f"{reports[0]['most']:g}", []
    for report in reports:
        points, details = "-", f"could not be graded: {shorten(report['reason'], MAX_REASON)}"
        if report["status"] == "graded":
            points = f"{report['points']:g}"
            lost = {one["name"]: one["most"] - one["points"] for one in report["exercises"]}
            details = ", ".join(f"{name} -{amount:g}" for name, amount in lost.items() if amount)
        line = f"{report['student'][:MAX_NAME]:<{width}}  {points:>5} of {most}  {details}"
        lines.append(line.rstrip())
    marks = [report["points"] for report in reports if report["status"] == "graded"]
    if marks:
        middle = f"mean {round(mean(marks), 2):g}, median {round(median(marks), 2):g}"
        lines += ["", f"{middle} of {most} points"]
    return "\n".join(lines)


def closing_message(outcome: Outcome) -> tuple[str, int]:
    """What is printed at the end of a run, and its exit status."""
    folder, reports = outcome.folder, outcome.chosen_reports
    progress = f"{len(reports)} of {len(outcome.chosen)}"
    lines = ["", results_table(reports), ""]
    if outcome.reused:
        lines.append(f"{outcome.reused} of these were graded before and have not changed")
    if remarked := [one for one in outcome.chosen if one.remarks]:
        lines += [
            f"{one.student[:MAX_NAME]}: {shorten(one.remarks[0], MAX_REASON)}" for one in remarked
        ]
    if gone := folder.not_among(outcome.found):
        names = ", ".join(gone)
        lines.append(f"no longer among the submissions, so left out of the tables: {names}")
    missing = len(outcome.found) - len(outcome.reports)
    if missing and len(outcome.chosen) < len(outcome.found):
        lines.append(
            f"{missing} others of the class have no report under this seed: class.csv and "
            "index.html leave them out. Without --only and --part they are graded"
        )
    if stale := sum(map(folder.is_stale, outcome.reports.values())):
        lines.append(
            f"{stale} others of the class were graded before the lesson, tinykd or an option "
            "changed. Without --only and --part they are graded again"
        )
    if outcome.disk_error:
        lines.append(f"stopped: {outcome.disk_error}\n{progress} graded; the same command goes on")
        return "\n".join(lines), 2
    lines += [
        f"the class:     {folder.path / 'index.html'} and {folder.path / 'class.csv'}",
        f"a student:     {folder.path / 'students'}/NAME/report.html",
        f"the seed:      in {folder.path / 'class.json'}, so that going on uses the same",
    ]
    if not folder.about["sandbox"].startswith("bubblewrap"):
        lines.append("no sandbox:    --unsafe; the reports say so")
    if outcome.interrupted:
        lines.append(f"interrupted:   {progress} graded; the same command goes on")
        return "\n".join(lines), 130
    failed = [report for report in reports if report["status"] != "graded"]
    if failed:
        lines.append(f"{len(failed)} of {len(reports)} could not be graded")
    return "\n".join(lines), int(bool(failed))
