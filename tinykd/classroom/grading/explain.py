"""Why a check was lost, in words that help whoever wrote the answer."""

import re

from ..mistakes import most_likely
from .result import NOT_WRITTEN, CellResults, CheckResult

NOT_ALONE = (
    "your answer cell stopped with an error where the checks that you see are not run: does it use "
    "a variable of one of them?"
)
WRONG = "wrong for other inputs"  # all that is said of most lost hidden checks
UNDEFINED = re.compile(r"NameError: name '(\w+)' is not defined")
# Python stops at these before there is a value that a hint could speak of.
NO_VALUE = re.compile(r"(Name|Import|ModuleNotFound|UnboundLocal|Syntax|Indentation)Error\b")
KERNEL_ENDED = re.compile(r"your code ended the kernel|more than [\d,]+ bytes of output")
IN_CELL = re.compile(r" \(in the cell [\w.]+\)$")
# What a hidden check is lost by too, where all the visible ones of its exercise are.
SAME_REASON = re.compile(
    rf"{NOT_WRITTEN}|your cell|it took longer|it is None|{KERNEL_ENDED.pattern}|\w+Error\b"
)


def explain(checks: list[CheckResult], results: CellResults) -> None:
    """Put words for people into `why` and `hint` of every lost check.

    Of a hidden check they say what the visible ones of its exercise all say, if that is so, and no
    more: nothing that code which has seen its inputs could have chosen.
    """
    for check in checks:
        if not check.hidden and not check.passed:
            _name_mistake(check, [one for one in checks if one.exercise == check.exercise])
            _explain_visible(check, results)
    for check in checks:
        if check.hidden and not check.passed:
            others = [one for one in checks if one.exercise == check.exercise]
            _explain_hidden(check, others, results)


def _name_mistake(check: CheckResult, others: list[CheckResult]) -> None:
    lost = [one for one in others if not one.hidden and not one.passed]
    refuted = {name for one in others for name in one.refuted}
    if check.mistakes:
        check.mistake, check.hint = most_likely(
            check.mistakes,
            lambda name: name not in refuted and all(name in dict(one.mistakes) for one in lost),
            sum(one.numbers for one in lost),
        )


def _explain_visible(check: CheckResult, results: CellResults) -> None:
    if KERNEL_ENDED.match(check.why) or IN_CELL.search(check.why):
        check.hint = "It takes the rest of its exercise with it. Mend this first."
    elif NO_VALUE.match(check.why):
        check.hint = "An answer cell has to define or import what it uses."
    undefined = UNDEFINED.match(check.why)
    for name in (check.exercise, undefined[1]) if undefined else ():
        cell = results.get(("check", name))
        if cell and cell["why"]:
            check.why = f"your cell {name} does not run: {cell['why']}"
            check.hint = "First make that cell run; the rest may be right."
            return
    if undefined and undefined[1] == check.exercise:
        check.why = f"your cell {check.exercise} does not define {check.exercise}"
        check.hint = "The name stays as the lesson has it."


def _explain_hidden(check: CheckResult, others: list[CheckResult], results: CellResults) -> None:
    visible = [one for one in others if not one.hidden]
    cell = results.get(("hidden", check.exercise))
    if all(one.passed for one in visible) and cell and not cell["passed"]:
        check.why = NOT_ALONE  # fixed words: it may have seen the inputs of other hidden checks
        return
    reasons = list(dict.fromkeys(IN_CELL.sub("", one.why) for one in visible))
    kinds = {why.partition(":")[0] for why in reasons}
    check.why = WRONG
    if len(kinds) == 1 and SAME_REASON.match(reasons[0]):
        check.why = reasons[0] if len(reasons) == 1 else f"{kinds.pop()}, as in your notebook"
        hints = {one.hint for one in visible}
        check.hint = hints.pop() if len(hints) == 1 else check.hint
