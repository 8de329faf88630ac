"""Why a check was lost, in words that help whoever wrote the answer."""

import re
from typing import TYPE_CHECKING

from .graft import UNWRITTEN
from .runs import Verdicts

if TYPE_CHECKING:
    from .grade import Check

WRONG = "wrong for other inputs"
MISSING = re.compile(r"NameError: name '(\w+)' is not defined")
# Python stopped at these before there was a value that a hint could speak of.
STOPPED = re.compile(r"(Name|Import|ModuleNotFound|UnboundLocal|Syntax|Indentation)Error\b")
ENDED = re.compile(r"your code ended the kernel|more than [\d,]+ bytes of output")
PLACE = re.compile(r" \(in the cell [\w.]+\)$")
# What a hidden check is lost by too, where all the visible ones of its exercise are.
COMMON = re.compile(rf"{UNWRITTEN}|your cell|it took longer|it is None|{ENDED.pattern}|\w+Error\b")


def explain(checks: "list[Check]", verdicts: Verdicts) -> None:
    """Put words for people into `why` and `hint` of every lost check.

    Of a hidden check they say what the visible ones of its exercise all say, if that is so, and no
    more: nothing that code which has seen its inputs could have chosen.
    """
    for check in checks:
        if not check.hidden and not check.passed:
            _visible(check, verdicts)
    for check in checks:
        if check.hidden and not check.passed:
            _hidden(check, [one for one in checks if one.exercise == check.exercise])


def _visible(check: "Check", verdicts: Verdicts) -> None:
    if ENDED.match(check.why) or PLACE.search(check.why):
        check.hint = "It takes the rest of its exercise with it. Mend this first."
    elif STOPPED.match(check.why):
        check.hint = "An answer cell has to define or import what it uses."
    missing = MISSING.match(check.why)
    for name in (check.exercise, missing[1]) if missing else ():
        cell = verdicts.get(("check", name))
        if cell and cell["why"]:
            check.why = f"your cell {name} does not run: {cell['why']}"
            check.hint = "First make that cell run; the rest may be right."
            return
    if missing and missing[1] == check.exercise:
        check.why = f"your cell {check.exercise} does not define {check.exercise}"
        check.hint = "The name stays as the lesson has it."


def _hidden(check: "Check", others: "list[Check]") -> None:
    visible = [one for one in others if not one.hidden]
    reasons = list(dict.fromkeys(PLACE.sub("", one.why) for one in visible))
    kinds = {why.partition(":")[0] for why in reasons}
    check.why = WRONG
    if len(kinds) == 1 and COMMON.match(reasons[0]):
        check.why = reasons[0] if len(reasons) == 1 else f"{kinds.pop()}, as in your notebook"
        hints = {one.hint for one in visible}
        check.hint = hints.pop() if len(hints) == 1 else check.hint
