"""What the checks of the challenge say of a memo: one line of words, HONEST where it is right."""

import math
import re
import statistics
from collections.abc import Sequence
from typing import Any

from ..metrics import mean_interval, paired_verdict

HONEST = "as it should be"
TEXTS = {"question": 6, "prediction": 8, "same_budget": 8, "baseline": 3}  # words, at least
NUMBERS = ("seeds", "student", "against")
KEYS = {*TEXTS, *NUMBERS, "margin", "gain", "verdict"}
VERDICTS = ("better", "not better", "not shown")


def form(memo: Any) -> str:
    """HONEST where the memo has all its parts, in words and numbers."""
    if not isinstance(memo, dict):
        return "a memo is a dict"
    if missing := sorted(KEYS - memo.keys()):
        return f"it lacks {', '.join(missing)}"
    for key, least in TEXTS.items():
        count = len(_words(memo[key]))
        if count < least:
            return f"{key} has {count} different words; at least {least}"
    if not memo["question"].rstrip().endswith("?"):
        return "question does not end with a question mark"
    if memo["verdict"] not in VERDICTS:
        return f"verdict is one of {', '.join(VERDICTS)}"
    if not _numbers(memo["gain"]) or len(memo["gain"]) != 2:
        return "gain is [lower end, upper end]"
    return _margin(memo["margin"])


def seeds(memo: Any) -> str:
    """HONEST for three seeds or more, and for each a share of both arms that somebody measured."""
    if not isinstance(memo, dict) or not all(_numbers(memo.get(key)) for key in NUMBERS):
        return "seeds, student and against are lists of numbers"
    count = len(memo["seeds"])
    if count < 3 or len(set(memo["seeds"])) < count:
        return f"{len(set(memo['seeds']))} different seeds of {count}; three at least"
    if not len(memo["student"]) == len(memo["against"]) == count:
        return "student and against have one number for each seed"
    if not all(type(seed) is int for seed in memo["seeds"]):
        return "seeds are whole numbers"
    if not all(0 < share < 1 for key in NUMBERS[1:] for share in memo[key]):
        return "student and against are shares, between 0 and 1"
    if len(set(memo["student"])) == 1:
        return "student has one share for all seeds; what differs between its runs?"
    if memo["student"] == memo["against"]:
        return "student and against are the same numbers; two arms are compared"
    return HONEST


def interval(memo: Any) -> str:
    """HONEST where `gain` is the 95% interval of student - against over the seeds."""
    if (said := seeds(memo)) != HONEST:
        return said
    ends = memo.get("gain")
    if not _numbers(ends) or len(ends) != 2:
        return "gain is [lower end, upper end]"
    off = {
        words: max(abs(a - b) for a, b in zip(ends, right, strict=True))
        for words, right in _intervals(memo["student"], memo["against"]).items()
    }
    nearest = HONEST if off[HONEST] <= 1e-4 else min(off, key=lambda words: off[words])
    return nearest if off[nearest] <= 1e-4 else "gain is not the interval that its own numbers give"


def _intervals(student: list[float], against: list[float]) -> dict[str, tuple[float, float]]:
    """The right interval, and what else is taken for it."""
    mean, half, _ = paired_verdict(student, against)
    low, high = mean - half, mean + half

    def around(width: float) -> tuple[float, float]:
        """mean ± width."""
        return mean - width, mean + width

    spread = statistics.stdev(a - b for a, b in zip(student, against, strict=True))
    normal = 1.96 * spread / math.sqrt(len(student))
    apart = math.hypot(mean_interval(student)[1], mean_interval(against)[1])
    return {
        HONEST: (low, high),
        "gain has its upper end first; the lower one comes first": (high, low),
        "gain is the interval of against - student": (-high, -low),
        "gain is in percent; shares are asked for": (100 * low, 100 * high),
        "gain is the mean and half the width; not the two ends": (mean, half),
        "gain is the spread of single seeds; the mean of n is surer": around(spread),
        "gain takes 1.96; so few seeds need Student's t": around(normal),
        "gain puts two arms' intervals together; not paired": around(apart),
        "gain is rounded; four decimals or more": (round(low, 3), round(high, 3)),
        "gain is rounded to two; four decimals or more": (round(low, 2), round(high, 2)),
    }


def conclusion(memo: Any) -> str:
    """HONEST where `verdict` follows from the numbers and the margin."""
    if (said := seeds(memo)) != HONEST:
        return said
    if (wrong := _margin(memo.get("margin"))) != HONEST:
        return wrong
    follows = paired_verdict(memo["student"], memo["against"], memo["margin"])[2]
    if memo.get("verdict") == follows:
        return HONEST
    return f"its numbers say {follows!r}, and the memo does not"


def agrees(memo: Any, share: float, within: float = 0.04) -> str:
    """HONEST where the student's mean in the memo is near what its file was found to be."""
    if (said := seeds(memo)) != HONEST:
        return said
    mean = sum(memo["student"]) / len(memo["student"])
    near = abs(mean - share) <= within
    return HONEST if near else f"the file handed in is not within {within:.0%} of the memo's mean"


def _margin(margin: Any) -> str:
    if not _numbers([margin]) or not 0 <= margin < 1:
        return "margin is a share, 0 or more and below 1 (half a point is 0.005)"
    return HONEST


def _numbers(values: Any) -> bool:
    """A list of finite numbers?"""
    return isinstance(values, Sequence) and all(
        type(one) in (int, float) and math.isfinite(one) for one in values
    )


def _words(text: Any) -> set[str]:
    """The different words of two letters or more in a text; nothing in what is no text.

    In Chinese, Japanese and Korean, which put no spaces between words, each character is one.
    """
    one = r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
    return (
        set(re.findall(rf"{one}|[^\W\d_]{{2,}}", text.casefold()))
        if isinstance(text, str)
        else set()
    )
