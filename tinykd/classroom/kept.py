"""The folder REPORT of a class: what is known already, and what is written the moment it is known.

class.json     lesson, seed and limits: the instructor's
students/*/    what reports.write_student makes of one submission
errors.log     tracebacks, where grading itself failed
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import secrets
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..checkpoint import atomic
from .grade import Grade
from .overview import Report
from .plain import plain, plain_name
from .reference import Reference
from .reports import write_class, write_student
from .submissions import Submission, fingerprint

VERSIONS = ("torch", "numpy", "nbval", "ipykernel")
INTERNAL = "internal error"  # how the reason begins where grading itself failed


class ClassError(Exception):
    """What was asked for cannot be done; the text says why, and what would help."""


@contextmanager
def opened(out: Path, lesson: str, seed: int | None) -> Iterator[int]:
    """Hold the report folder `out` for one run, making it if need be; yields the class's seed.

    That is `seed`, or the one kept there, or a random one. Raises ClassError where the folder
    belongs to something else, or to a run that goes on.
    """
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise ClassError(f"another tinykd grade is writing to {out}; let it finish") from None
    try:
        kept = _kept_seed(out, lesson)
        yield next(one for one in (seed, kept, secrets.randbits(128)) if one is not None)
    finally:
        lock.release()


def _kept_seed(out: Path, lesson: str) -> int | None:
    path = out / "class.json"
    if not path.exists():
        if any(not name.startswith(".") for name in os.listdir(out)):
            raise ClassError(f"{out} is no report folder: it has files, but no class.json")
        return None
    try:
        about = json.loads(path.read_text("utf-8"))
        theirs, seed = about["lesson"], int(about["seed"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClassError(f"{path} cannot be read ({error!r}); give another --out") from None
    if theirs != lesson:
        raise ClassError(
            f"{out} holds reports of lesson {theirs}, not {lesson}; give another --out"
        )
    return seed


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Whatever the disk refuses becomes a ClassError."""
    try:
        yield
    except OSError as error:
        raise ClassError(f"cannot write {error.filename or out}: {error.strerror}") from error


class Folder:
    """The reports of one class under one seed, reference and environment.

    out: the folder REPORT. about: what class.json shall hold beside lesson, seed and versions: the
    limits, the sandbox. Raises ClassError where the disk does not take class.json.
    """

    def __init__(self, out: Path, reference: Reference, about: dict[str, Any]):
        versions = {name: importlib.metadata.version(name) for name in VERSIONS}
        versions["python"] = platform.python_version()
        whole = {"schema": 1, "lesson": reference.lesson, "seed": reference.seed}
        self.about: dict[str, Any] = {**whole, **about, "versions": versions}
        self.out, self.reference = out, reference
        # One moment for all: how long a submission took is its code's to choose.
        self.now = datetime.now(UTC).isoformat(timespec="seconds")
        self.environment = _environment({**about, **versions})
        with writing(out), atomic(out / "class.json") as part:
            part.write_text(json.dumps(self.about, indent=2) + "\n", encoding="utf-8")

    def place(self, one: Submission) -> Path:
        return self.out / "students" / one.slug

    def key(self, one: Submission) -> dict[str, Any]:
        """All that a result depends on."""
        parts = {"reference": self.reference.sha256, "environment": self.environment}
        return {"submission": fingerprint(one.path), **parts}

    def kept(self, one: Submission, stale: bool = False) -> Report | None:
        """The report of an earlier run, where a new one would be the same; or, with `stale`, where
        the submission and the seed are the same.
        """
        try:
            report = json.loads((self.place(one) / "report.json").read_text("utf-8"))
            key, old = self.key(one), report["key"]
            same = old["submission"] == key["submission"]
            same = same and (one.path is not None or report["reason"] == plain(one.problem))
            same = same and report["seed"] == self.reference.seed and (stale or old == key)
            same = same and report["schema"] == 1 and report["student"] == one.student
            return report if same and not report["reason"].startswith(INTERNAL) else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def report(
        self,
        one: Submission,
        key: dict[str, Any],
        grade: Grade | None,
        reason: str = "",
        seconds: float = 0,
    ) -> Report:
        """The report dict; `reason` counts where there is no `grade`. `seconds` it took."""
        return {
            "schema": 1,
            "student": one.student,
            "submission": {"file": plain_name(one.file), "sha256": key["submission"]},
            "lesson": self.reference.lesson,
            "status": "graded" if grade else "not_gradable",
            "reason": "" if grade else plain(reason) or "no reason is known",
            "points": grade.points if grade else 0.0,
            "most": self.reference.most,
            "exercises": _exercises(grade) if grade else [],
            "remarks": [*one.remarks, *(grade.remarks if grade else [])],
            "seconds": round(seconds, 3),
            "key": key,
            "seed": self.reference.seed,
            "sandbox": self.about["sandbox"],
            "graded_at": self.now,
        }

    def keep(self, one: Submission, report: Report, trace: str = "") -> Report:
        """Write one report and return it. Raises ClassError where the disk does not take it."""
        with writing(self.out):
            try:
                write_student(report, self.place(one))
            except OSError:
                raise
            except Exception as error:  # a text that no page can hold must not end the class
                trace += traceback.format_exc()
                words = f"{INTERNAL}: {type(error).__name__}: {error}"
                report = self.report(one, report["key"], None, words)
                write_student(report, self.place(one))
            if trace:
                with (self.out / "errors.log").open("a", encoding="utf-8") as log:
                    log.write(f"{report['graded_at']} {one.slug}\n{trace}\n")
        return report

    def stale(self, report: Report) -> bool:
        """Is it of another reference, or were versions, limits or the sandbox others?"""
        key = report["key"]
        return (key["reference"], key["environment"]) != (self.reference.sha256, self.environment)

    def close(self, reports: dict[str, Report]) -> None:
        """Write the table and the page of the class; `reports` by slug."""
        about = self.about | {"stale": sum(map(self.stale, reports.values()))}
        with writing(self.out):
            write_class(list(reports.values()), about, self.out, list(reports))

    def vanished(self, found: list[Submission]) -> list[str]:
        """Folders of students who are not among those `found`."""
        students, have = self.out / "students", {one.slug for one in found}
        names = os.listdir(students) if students.is_dir() else []
        return sorted(name for name in names if name not in have)


@dataclass
class Outcome:
    """What is known of a class: `reports` by slug, of this run and of earlier ones that hold."""

    folder: Folder
    found: list[Submission]
    chosen: list[Submission]  # all of them, or those of --only
    reports: dict[str, Report] = field(default_factory=dict)
    kept: int = 0  # how many of `chosen` were known from an earlier run
    trouble: str = ""  # what the disk said when it took no more
    stopped: bool = False
    stuck: bool = False  # a thread has not ended with its kernel: the process has to be ended

    @property
    def mine(self) -> list[Report]:
        """The reports of `chosen`, as far as there are any."""
        return [self.reports[one.slug] for one in self.chosen if one.slug in self.reports]


def _exercises(grade: Grade) -> list[dict[str, Any]]:
    made = []
    for name in dict.fromkeys(check.exercise for check in grade.checks):
        mine = [check for check in grade.checks if check.exercise == name]
        earned = sum(check.points for check in mine if check.passed)
        total = {"points": earned, "most": sum(check.points for check in mine)}
        made.append({"name": name, **total, "checks": [asdict(check) for check in mine]})
    return made


def _environment(settings: dict[str, Any]) -> str:
    """SHA-256 of tinykd's own files and of the settings that results depend on."""
    package, whole = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".json", ".html") and path.is_file():
            whole.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes())
    whole.update(json.dumps(settings, sort_keys=True).encode())
    return whole.hexdigest()
