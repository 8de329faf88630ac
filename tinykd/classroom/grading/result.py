"""The outcome of one submission: its checks, their points, and words for each lost one."""

from dataclasses import dataclass, field
from typing import Any

NOT_WRITTEN = "not written yet"  # why a check of an unwritten answer is lost
# role and name of a cell -> what the nbval plugin found there
CellResults = dict[tuple[str, str], dict[str, Any]]


@dataclass
class CheckResult:
    """One check's outcome; `why` and `hint` are words for the student, empty where it passed."""

    name: str
    hidden: bool
    points: float
    passed: bool
    why: str = ""
    hint: str = ""
    mistake: str = ""  # the known mistake (a mutant's name) that gives the same value
    seconds: float = 0.0
    mistakes: list[tuple[str, str]] = field(default_factory=list)  # all such, with their hints
    numbers: int = 0  # how many telling ones the value has that they agree with
    refuted: list[str] = field(default_factory=list)  # mistakes that would have lost what passed
    measured: dict[str, float] = field(default_factory=dict)  # by `check.measured`, by name

    @property
    def exercise(self) -> str:
        """The exercise that the check belongs to."""
        return self.name.split(".")[0]


@dataclass
class Grade:
    """A submission that was graded; `remarks` tell what was odd about it."""

    lesson: str
    checks: list[CheckResult]
    remarks: list[str] = field(default_factory=list)

    @property
    def points(self) -> float:
        """What it earned."""
        return sum(check.points for check in self.checks if check.passed)

    @property
    def max_points(self) -> float:
        """What the lesson can earn."""
        return sum(check.points for check in self.checks)

    def by_exercise(self) -> dict[str, list[CheckResult]]:
        """The checks of every exercise, in the lesson's order."""
        found: dict[str, list[CheckResult]] = {}
        for check in self.checks:
            found.setdefault(check.exercise, []).append(check)
        return found


def grade_as_text(grade: Grade) -> str:
    """What a student reads: points per exercise, and for each lost check the reason and a hint."""
    exercises = grade.by_exercise()
    width = max(map(len, exercises))
    lines = [f"{grade.lesson}\n"]
    for name, checks in exercises.items():
        earned = sum(check.points for check in checks if check.passed)
        lines.append(f"  {name:<{width}}  {earned:g} of {sum(c.points for c in checks):g} points")
    lost = [check for check in grade.checks if not check.passed]
    if lost:
        lines.append("\nLost")
    for check in lost:
        kind = " (not in your notebook)" if check.hidden else ""
        lines.append(f"  {check.name}{kind}, -{check.points:g}: {check.why}")
        lines.append(f"    Hint: {check.hint}")
    lines += [f"\nNote: {remark}" for remark in grade.remarks]
    return "\n".join(lines) + f"\n\n{grade.points:g} of {grade.max_points:g} points"
