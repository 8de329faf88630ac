"""What a run over a class has come to."""

from dataclasses import dataclass, field

from ..reports.report import Report
from .find_submissions import Submission
from .report_folder import ReportFolder


@dataclass
class Outcome:
    """What is known of a class: `reports` by slug, of this run and of earlier ones that hold."""

    folder: ReportFolder
    found: list[Submission]
    chosen: list[Submission]  # all of them, or those of --only
    reports: dict[str, Report] = field(default_factory=dict)
    reused: int = 0  # how many of `chosen` were known from an earlier run
    disk_error: str = ""  # what the disk said when it took no more
    interrupted: bool = False
    thread_stuck: bool = False  # one has not ended with its kernel: the process has to be ended

    @property
    def chosen_reports(self) -> list[Report]:
        """The reports of `chosen`, as far as there are any."""
        return [self.reports[one.slug] for one in self.chosen if one.slug in self.reports]
