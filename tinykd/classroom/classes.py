"""`tinykd grade`: many submissions at a time, to be stopped and gone on with at any moment."""

import difflib
import signal
import threading
import time
import traceback
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from . import sandbox
from .grade import grade_one
from .graft import NotGradable
from .kept import INTERNAL, ClassError, Folder, Outcome, opened
from .kernels import Kernels, SandboxMissing
from .lesson import LessonError
from .overview import Report
from .plain import plain_name
from .reference import Reference, prepare
from .submissions import Submission, find, folder_below
from .terminal import Progress

LOOK = 0.2  # seconds between two looks at whether somebody wants to stop
LAST = 2.0  # seconds for a submission's thread to end once its kernel has
Say = Callable[[str], None]


@dataclass(frozen=True)
class How:
    """Limits are in seconds, of a submission and of one cell; `safe` means in a sandbox."""

    jobs: int = 1
    safe: bool = True
    gpu: bool = False
    seconds: float = 300
    cell_seconds: float = 30


class Stop:
    """SIGINT and SIGTERM raise KeyboardInterrupt; once `calm`, they only set `asked`, so that what
    is being written gets written, however often somebody presses Ctrl-C.
    """

    asked = calm = False

    def __enter__(self) -> "Stop":
        # Python delivers signals to the main thread alone.
        main = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGINT, signal.SIGTERM) if main else ()
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if not self.calm:
            raise KeyboardInterrupt


def grade_class(
    submissions: Path,
    source: Path,
    out: Path,
    how: How,
    seed: int | None = None,
    only: Sequence[str] = (),
    say: Say = print,
) -> Outcome:
    """Grade what is handed in for the lesson `source` in `submissions`; reports go to `out`.

    What an earlier run found under the same seed, reference and environment is kept, but for the
    students that `only` names. Raises ClassError, SandboxMissing or LessonError, in words, and
    KeyboardInterrupt where nothing has begun. A signal after that ends the kernels, and all that is
    known is written.
    """
    found = _found(submissions, source.stem, out, say)
    chosen = _chosen(found, only)
    if how.safe and (reason := sandbox.missing()):
        raise SandboxMissing(reason)
    if how.safe and (open_to_all := set(sandbox.mounted()) & set(source.resolve().parents)):
        places = ", ".join(map(str, open_to_all))
        raise SandboxMissing(f"{places} would be in it, and {source} with it: move one of them")
    with Stop() as stop, opened(out, source.stem, seed) as used:
        say(f"proving the checks of {source.stem} under the class's seed")
        reference = _reference(source, used, tries=1 if seed is not None else 3)
        kernels = Kernels(how.safe, how.gpu, reference.modules)
        stop.calm = True
        limits = {key: value for key, value in asdict(how).items() if key not in ("jobs", "safe")}
        folder = Folder(out, reference, {"sandbox": kernels.about, "limits": limits})
        outcome = Outcome(folder, found, chosen)
        outcome.reports = _known(folder, found, chosen if only else [])
        todo = [one for one in chosen if one.slug not in outcome.reports]
        outcome.kept, start = len(chosen) - len(todo), time.monotonic()
        try:
            _grade(outcome, todo, kernels, how, stop)
            if not outcome.kept:
                folder.about |= {"jobs": how.jobs, "seconds": round(time.monotonic() - start, 1)}
            folder.close(outcome.reports)
        except ClassError as error:
            outcome.trouble = str(error)
    return outcome


def _reference(source: Path, seed: int, tries: int) -> Reference:
    """The reference under `seed`, or the next one under which every known mistake is caught."""
    try:
        return prepare(source, seed)
    except LessonError:
        if tries == 1:
            raise
        return _reference(source, seed + 1, tries - 1)


def _found(submissions: Path, lesson: str, out: Path, say: Say) -> list[Submission]:
    """The submissions; raises ClassError where there can be none."""
    if not submissions.is_dir():
        raise ClassError(f"{submissions} is not a folder; give the one that holds the submissions")
    if submissions.resolve() in (out.resolve(), *out.resolve().parents):
        raise ClassError(f"--out {out} lies in {submissions}: its reports would be submissions")
    try:
        found, others = find(submissions, lesson)
    except OSError as error:
        raise ClassError(f"{submissions} cannot be read: {error.strerror}") from None
    if others:
        names = ", ".join(map(plain_name, others[:5])) + (", ..." if others[5:] else "")
        say(f"not looked at: {names} (neither a notebook nor a folder)")
    if not found:
        raise ClassError(
            f"nothing to grade in {submissions}: looked for notebooks (NAME.ipynb) and for folders "
            f"with a notebook (NAME/{lesson}.ipynb)"
        )
    if not any(one.path for one in found) and (deeper := folder_below(submissions, found, lesson)):
        say(f"nothing to grade in {submissions}, but in {deeper}: is that the folder to give?")
    return found


def _chosen(found: list[Submission], only: Sequence[str]) -> list[Submission]:
    chosen = []
    for name in only:
        wanted = _folded(name.rstrip("/"))
        fits = [one for one in found if wanted in map(_folded, one.names)]
        if not fits:
            names = [one.student for one in found]
            near = difflib.get_close_matches(name, names, n=5, cutoff=0.3) or names[:5]
            raise ClassError(f"--only {name!r}: no such student; nearest: {', '.join(near)}")
        chosen += [one for one in fits if one not in chosen]
    return chosen or found


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()  # macOS takes letters and accents apart


def _known(folder: Folder, found: list[Submission], again: list[Submission]) -> dict[str, Report]:
    """The reports of earlier runs that still hold, by slug; beside those `again` asked for alone,
    also such as a whole run would not keep: they are not in question now.
    """
    kept = {one.slug: folder.kept(one, stale=bool(again)) for one in found if one not in again}
    return {slug: report for slug, report in kept.items() if report}


def _grade(
    outcome: Outcome, todo: list[Submission], kernels: Kernels, how: How, stop: Stop
) -> None:
    """Grade `todo`, every report written the moment it is known, until done or asked to stop."""
    if not todo:
        return
    pool, running = ThreadPoolExecutor(how.jobs), {}
    try:
        with kernels, Progress(len(outcome.chosen), outcome.kept) as progress:
            run = (outcome.folder, kernels, how)
            running = {pool.submit(_one, one, *run): one for one in todo}
            while running:
                last = stop.asked  # whoever is done by now is still kept
                done, _ = wait(running, 0 if last else LOOK, FIRST_COMPLETED)
                for future in done:
                    one = running.pop(future)
                    report = outcome.folder.keep(one, *future.result())
                    outcome.reports[one.slug] = report
                    progress.done(report)
                if last:
                    progress.note("interrupted: ending the kernels, keeping what is known")
                    break
                progress.show([one.student for job, one in running.items() if job.running()])
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        outcome.stopped = bool(running)
        begun = [job for job in running if not job.cancelled()]
        outcome.stuck = bool(wait(begun, LAST).not_done)


def _one(one: Submission, folder: Folder, kernels: Kernels, how: How) -> tuple[Report, str]:
    """A report, and the traceback where grading itself failed. Runs in a thread of its own."""
    key, start, grade, reason, trace = folder.key(one), time.monotonic(), None, one.problem, ""
    try:
        if one.path:
            grade = grade_one(one.path, folder.reference, kernels, how.cell_seconds, how.seconds)
    except NotGradable as error:
        reason = str(error).replace(str(one.path), Path(one.file).name)
    except Exception as error:
        reason = f"{INTERNAL}: {type(error).__name__}: {error}"
        trace = traceback.format_exc()
    return folder.report(one, key, grade, reason, time.monotonic() - start), trace
