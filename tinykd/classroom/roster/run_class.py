"""`tinykd grade`: many submissions at a time, to be stopped and gone on with at any moment."""

import math
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from ...progress import Interruptible
from ..author.lesson import LessonError
from ..grading.grade_notebook import grade_submission
from ..grading.read_submission import NotGradable
from ..grading.reference import Reference, make_reference
from ..grading.run_notebook import PYTEST_MODULES
from ..reports.report import Report
from ..sandbox import bubblewrap
from ..sandbox.bubblewrap import SandboxMissing
from ..sandbox.kernels import ForkServers
from .choose_students import chosen_by_name, of_part, whole_class
from .find_submissions import Submission
from .folder_lock import ClassError, locked_folder
from .outcome import Outcome
from .report_folder import INTERNAL_ERROR, ReportFolder
from .terminal import Progress

POLL_SECONDS = 0.2  # between two checks whether somebody wants to stop
GRACE_SECONDS = 2.0  # for a submission's thread to end once its kernel has
SEEDS_TO_TRY = 3  # until every known mistake is caught, where the seed is a random one
Log = Callable[[str], None]


@dataclass(frozen=True)
class GradingOptions:
    """Limits are in seconds: `seconds` of a submission, `cell_seconds` of one cell."""

    jobs: int = 1
    sandboxed: bool = True
    gpu: bool = False
    seconds: float = 300
    cell_seconds: float = 30


def grade_class(
    submissions: Path,
    source: Path,
    out: Path,
    options: GradingOptions,
    seed: int | None = None,
    only: Sequence[str] = (),
    log: Log = print,
    part: str = "",
) -> Outcome:
    """Grade what is handed in for the lesson `source` in `submissions`; reports go to `out`.

    What an earlier run found under the same seed, reference and environment is kept, but for the
    students that `only` names. part: "n/N", a part of the class alone (see `of_part`). Raises
    ClassError, SandboxMissing or LessonError, in words, and KeyboardInterrupt where nothing has
    begun. A signal after that ends the kernels, and all that is known is written.
    """
    found = whole_class(submissions, source.stem, out, log)
    chosen = chosen_by_name(found, only)
    if part:
        chosen = of_part(chosen, part)
        if seed is None and not (out / "class.json").exists():
            raise ClassError(f"--part {part} needs --seed, a long one, the same for all parts")
    if options.sandboxed:
        _need_sandbox(source, submissions, out, Path(tempfile.gettempdir()))
    signals = Interruptible((signal.SIGINT, signal.SIGTERM), defers=0)
    with signals, locked_folder(out, source.stem, seed) as used_seed:
        log(f"proving the checks of {source.stem} under the class's seed")
        reference = _reference(source, used_seed, tries=1 if seed is not None else SEEDS_TO_TRY)
        servers = ForkServers(options.sandboxed, options.gpu, reference.modules, PYTEST_MODULES)
        signals.defers = math.inf  # from here on what is being written gets written
        limits = {name: getattr(options, name) for name in ("gpu", "seconds", "cell_seconds")}
        folder = ReportFolder(out, reference, {"sandbox": servers.description, "limits": limits})
        outcome = Outcome(folder, found, chosen)
        outcome.reports = _known_reports(folder, found, regraded=chosen if only else [])
        todo = [one for one in chosen if one.slug not in outcome.reports]
        outcome.reused, start = len(chosen) - len(todo), time.monotonic()
        try:
            _grade_all(outcome, todo, servers, options, signals)
            if not outcome.reused:
                seconds = round(time.monotonic() - start, 1)
                folder.about |= {"jobs": options.jobs, "seconds": seconds}
            folder.save_class(outcome.reports)
        except ClassError as error:
            outcome.disk_error = str(error)
    return outcome


def _need_sandbox(*private: Path) -> None:
    """Raises SandboxMissing where none can be made, or where one of `private` would lie in it."""
    if reason := bubblewrap.why_unavailable():
        raise SandboxMissing(reason)
    for path in private:
        above = (path.resolve(), *path.resolve().parents)
        if visible := [str(folder) for folder in bubblewrap.visible_folders() if folder in above]:
            places = ", ".join(visible)
            raise SandboxMissing(f"{places} would be in it, and {path} with it: move one of them")


def _reference(source: Path, seed: int, tries: int) -> Reference:
    """The reference under `seed`, or the next one under which every known mistake is caught."""
    try:
        return make_reference(source, seed)
    except LessonError:
        if tries == 1:
            raise
        return _reference(source, seed + 1, tries - 1)


def _known_reports(
    folder: ReportFolder, found: list[Submission], regraded: list[Submission]
) -> dict[str, Report]:
    """The reports of earlier runs that still hold, by slug. Where only some are `regraded`, stale
    ones of the others hold too: they are not in question now.
    """
    loaded = {
        one.slug: folder.load(one, allow_stale=bool(regraded))
        for one in found
        if one not in regraded
    }
    return {slug: report for slug, report in loaded.items() if report}


def _grade_all(
    outcome: Outcome,
    todo: list[Submission],
    servers: ForkServers,
    options: GradingOptions,
    signals: Interruptible,
) -> None:
    """Grade `todo`, every report written the moment it is known, until done or asked to stop."""
    if not todo:
        return
    pool, running = ThreadPoolExecutor(options.jobs), {}
    try:
        with servers, Progress(len(outcome.chosen), outcome.reused) as progress:
            for one in todo:
                running[pool.submit(_grade_one, one, outcome.folder, servers, options)] = one
            while running:
                stopping = signals.asked  # whoever is done by now is still kept
                done, _ = wait(running, 0 if stopping else POLL_SECONDS, FIRST_COMPLETED)
                for future in done:
                    one = running.pop(future)
                    report = outcome.folder.save(one, *future.result())
                    outcome.reports[one.slug] = report
                    progress.report_done(report)
                if stopping:
                    progress.print_line("interrupted: ending the kernels, keeping what is known")
                    break
                names = [one.student for future, one in running.items() if future.running()]
                progress.show_running(names)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        outcome.interrupted = bool(running)
        begun = [future for future in running if not future.cancelled()]
        outcome.thread_stuck = bool(wait(begun, GRACE_SECONDS).not_done)


def _grade_one(
    submission: Submission, folder: ReportFolder, servers: ForkServers, options: GradingOptions
) -> tuple[Report, str]:
    """A report, and the traceback where grading itself failed. Runs in a thread of its own."""
    key, start = folder.key(submission), time.monotonic()
    grade, reason, trace = None, submission.problem, ""
    try:
        if submission.path:
            limits = (options.cell_seconds, options.seconds)
            grade = grade_submission(submission.path, folder.reference, servers, *limits)
    except NotGradable as error:
        reason = str(error).replace(str(submission.path), Path(submission.file).name)
    except Exception as error:
        reason = f"{INTERNAL_ERROR}: {type(error).__name__}: {error}"
        trace = traceback.format_exc()
    report = folder.report(submission, key, grade, reason, time.monotonic() - start)
    return report, trace
