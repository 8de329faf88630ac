"""The folder REPORT of a class: what is known already, and what is written the moment it is known.

class.json     lesson, seed and limits: the instructor's
students/*/    what `write_student` makes of one submission
errors.log     tracebacks, where grading itself failed
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import traceback
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...files import atomic
from ..grading.reference import Reference
from ..grading.result import CheckResult, Grade
from ..reports.report import SCHEMA_VERSION, Report
from ..reports.write_reports import write_class, write_student
from ..safe_text import safe_name, safe_text
from .find_submissions import Submission, submission_digest
from .folder_lock import writing_to

VERSIONS = ("torch", "numpy", "nbval", "ipykernel")
FOR_HINTS = ("mistakes", "numbers", "refuted")  # of a check, from which its words were made
INTERNAL_ERROR = "internal error"  # how the reason begins where grading itself failed


class ReportFolder:
    """The reports of one class under one seed, reference and environment.

    path: the folder REPORT. settings: what class.json holds beside lesson, seed and versions: the
    limits, the sandbox. Raises ClassError where the disk does not take class.json.
    """

    def __init__(self, path: Path, reference: Reference, settings: dict[str, Any]):
        versions = {name: importlib.metadata.version(name) for name in VERSIONS}
        versions["python"] = platform.python_version()
        lesson = {"schema": SCHEMA_VERSION, "lesson": reference.lesson, "seed": reference.seed}
        self.about: dict[str, Any] = {**lesson, **settings, "versions": versions}
        self.path, self.reference = path, reference
        # One moment for all: how long a submission took is its code's to choose.
        self.graded_at = datetime.now(UTC).isoformat(timespec="seconds")
        self.environment = _environment_digest({**settings, **versions})
        with writing_to(path), atomic(path / "class.json") as part:
            part.write_text(json.dumps(self.about, indent=2) + "\n", encoding="utf-8")

    def student_folder(self, submission: Submission) -> Path:
        """Where the files of one student lie."""
        return self.path / "students" / submission.slug

    def key(self, submission: Submission) -> dict[str, Any]:
        """All that a result depends on, as hashes."""
        return {
            "submission": submission_digest(submission.path),
            "reference": self.reference.sha256,
            "environment": self.environment,
        }

    def load(self, submission: Submission, allow_stale: bool = False) -> Report | None:
        """The report of an earlier run, if a new one would be the same; with `allow_stale`, if the
        submission and the seed are the same.
        """
        try:
            file = self.student_folder(submission) / "report.json"
            report = json.loads(file.read_text("utf-8"))
            key, old = self.key(submission), report["key"]
            valid = (
                old["submission"] == key["submission"]
                and (
                    submission.path is not None or report["reason"] == safe_text(submission.problem)
                )
                and report["seed"] == self.reference.seed
                and (allow_stale or old == key)
                and report["schema"] == SCHEMA_VERSION
                and report["student"] == submission.student
                and not report["reason"].startswith(INTERNAL_ERROR)
            )
            return report if valid else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def report(
        self,
        submission: Submission,
        key: dict[str, Any],
        grade: Grade | None,
        reason: str = "",
        seconds: float = 0,
    ) -> Report:
        """The report dict; `reason` counts where there is no `grade`. `seconds` it took."""
        return {
            "schema": SCHEMA_VERSION,
            "student": submission.student,
            "submission": {"file": safe_name(submission.file), "sha256": key["submission"]},
            "lesson": self.reference.lesson,
            "status": "graded" if grade else "not_gradable",
            "reason": "" if grade else safe_text(reason) or "no reason is known",
            "points": grade.points if grade else 0.0,
            "most": self.reference.max_points,
            "exercises": _exercises(grade) if grade else [],
            "remarks": [*submission.remarks, *(grade.remarks if grade else [])],
            "seconds": round(seconds, 3),
            "key": key,
            "seed": self.reference.seed,
            "sandbox": self.about["sandbox"],
            "graded_at": self.graded_at,
        }

    def save(self, submission: Submission, report: Report, trace: str = "") -> Report:
        """Write one report and return it. Raises ClassError where the disk does not take it."""
        with writing_to(self.path):
            try:
                write_student(report, self.student_folder(submission))
            except OSError:
                raise
            except Exception as error:  # a text that no page can hold must not end the class
                trace += traceback.format_exc()
                reason = f"{INTERNAL_ERROR}: {type(error).__name__}: {error}"
                report = self.report(submission, report["key"], None, reason)
                write_student(report, self.student_folder(submission))
            if trace:
                with (self.path / "errors.log").open("a", encoding="utf-8") as log:
                    log.write(f"{report['graded_at']} {submission.slug}\n{trace}\n")
        return report

    def is_stale(self, report: Report) -> bool:
        """Is it of another reference, or were versions, limits or the sandbox others?"""
        key = report["key"]
        return (key["reference"], key["environment"]) != (self.reference.sha256, self.environment)

    def save_class(self, reports: dict[str, Report]) -> None:
        """Write the table and the page of the class; `reports` by slug."""
        about = self.about | {"stale": sum(map(self.is_stale, reports.values()))}
        with writing_to(self.path):
            write_class(list(reports.values()), about, self.path, list(reports))

    def not_among(self, found: list[Submission]) -> list[str]:
        """Folders of students who are not among those `found`."""
        students, slugs = self.path / "students", {submission.slug for submission in found}
        names = os.listdir(students) if students.is_dir() else []
        return sorted(name for name in names if name not in slugs)


def _exercises(grade: Grade) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "points": sum(check.points for check in checks if check.passed),
            "most": sum(check.points for check in checks),
            "checks": [_shown(check) for check in checks],
        }
        for name, checks in grade.by_exercise().items()
    ]


def _shown(check: CheckResult) -> dict[str, Any]:
    """What a report holds of a check: not what its hint was chosen from."""
    shown = {key: value for key, value in asdict(check).items() if key not in FOR_HINTS}
    if not shown["measured"]:
        del shown["measured"]
    return shown


def _environment_digest(settings: dict[str, Any]) -> str:
    """SHA-256 of tinykd's own files and of the settings that results depend on."""
    package, digest = Path(__file__).parents[2], hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".json", ".html") and path.is_file():
            digest.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes())
    digest.update(json.dumps(settings, sort_keys=True).encode())
    return digest.hexdigest()
