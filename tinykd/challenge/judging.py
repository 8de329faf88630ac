"""What the checks of the challenge say of a file and of a memo: one line of words each.

The right words are the same for everybody, so that a check compares them; any others say what is
wrong. No code of a student's runs for it.
"""

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ..classroom.literal import NotLiteral, from_lines, in_lines
from ..metrics import accuracy, paired_verdict
from .onnx_file import Refused, answers

FITS, OPENS, HONEST = "it fits", "it opens", "as it should be"
TEXTS = {"question": 6, "prediction": 8, "same_budget": 8, "baseline": 3}  # words, at least
NUMBERS = ("seeds", "student", "against")
KEYS = {*TEXTS, *NUMBERS, "margin", "gain", "verdict"}
VERDICTS = ("better", "not better", "not shown")


def hand_in(name: str, file: str | Path, folder: str | Path = ".") -> Path:
    """Write the answer cell that holds `file` into folder/NAME.py, and say how to fill it in."""
    data, path = Path(file).read_bytes(), Path(folder) / f"{name}.py"
    path.write_text(f"{name} = {in_lines(data)}\n", encoding="utf-8")
    print(f"{len(data):,} bytes, written as text into {path}.")
    print(f"Into the answer cell of {name} write this one line, alone, and run it:")
    print(f"    %load {path}\nThe file's text takes its place. Run the cell once more.")
    return path


def size(text: Any, limit: int) -> str:
    """FITS, or how many bytes are too many."""
    try:
        count = len(from_lines(text))
    except NotLiteral as error:
        return str(error)
    return FITS if count <= limit else f"{count:,} bytes are more than {limit:,}"


def opens(text: Any, inputs: Tensor, classes: int = 10) -> str:
    """OPENS, or why the file in `text` cannot be asked about these inputs."""
    try:
        answers(from_lines(text), inputs, classes)
    except (NotLiteral, Refused) as error:
        return str(error)
    return OPENS


@functools.lru_cache(maxsize=8)
def _right(text: str, limit: int, inputs: Tensor, labels: Tensor) -> float | str:
    if (said := size(text, limit)) != FITS:
        return said
    try:
        return accuracy(answers(from_lines(text), inputs), labels)
    except Refused as error:
        return str(error)


def share_right(text: Any, limit: int, inputs: Tensor, labels: Tensor) -> float:
    """Share of inputs that the file gets right; 0 where it is too large or cannot be asked.

    The same tensors are asked once: several checks may look at one result.
    """
    found = _right(text, limit, inputs, labels) if isinstance(text, str) else 0.0
    return found if isinstance(found, float) else 0.0


def reaches(text: Any, limit: int, inputs: Tensor, labels: Tensor, share: float) -> str:
    """ "at least 70% right", or what it is instead."""
    found = _right(text, limit, inputs, labels) if isinstance(text, str) else "it is no text"
    if isinstance(found, str):
        return found
    return f"at least {share:.0%} right" if found >= share else f"{found:.1%}, below {share:.0%}"


# ------------------------------------------------------------------------------------ the memo


def form(memo: Any) -> str:
    """HONEST where the memo has all its parts, in words and numbers."""
    if not isinstance(memo, dict):
        return "a memo is a dict"
    if missing := sorted(KEYS - memo.keys()):
        return f"it lacks {', '.join(missing)}"
    for key, least in TEXTS.items():
        count = len(memo[key].split()) if isinstance(memo[key], str) else 0
        if count < least:
            return f"{key} has {count} words; at least {least}"
    if not memo["question"].rstrip().endswith("?"):
        return "question does not end with a question mark"
    if memo["verdict"] not in VERDICTS:
        return f"verdict is one of {', '.join(VERDICTS)}"
    if not _numbers(memo["gain"]) or len(memo["gain"]) != 2 or memo["gain"][0] > memo["gain"][1]:
        return "gain is [lower end, upper end]"
    if not _numbers([memo["margin"]]) or memo["margin"] < 0:
        return "margin is a number, 0 or more"
    return HONEST


def seeds(memo: Any) -> str:
    """HONEST for three seeds or more, and for each a share of both arms that somebody measured."""
    if not isinstance(memo, dict) or not all(_numbers(memo.get(key)) for key in NUMBERS):
        return "seeds, student and against are lists of numbers"
    count = len(memo["seeds"])
    if count < 3 or len(set(memo["seeds"])) < count:
        return f"{len(set(memo['seeds']))} different seeds of {count}; three at least"
    if not len(memo["student"]) == len(memo["against"]) == count:
        return "student and against have one number for each seed"
    if not all(0 < share < 1 for key in NUMBERS[1:] for share in memo[key]):
        return "student and against are shares, between 0 and 1"
    return HONEST


def interval(memo: Any) -> str:
    """HONEST where `gain` is the 95% interval of student - against over the seeds."""
    if (said := seeds(memo)) != HONEST:
        return said
    mean, half, _ = paired_verdict(memo["student"], memo["against"])
    ends = memo.get("gain")
    if not _numbers(ends) or len(ends) != 2:
        return "gain is [lower end, upper end]"
    near = all(
        math.isclose(end, right, abs_tol=1e-4)
        for end, right in zip(ends, (mean - half, mean + half), strict=True)
    )
    return HONEST if near else "gain is not the interval that its own numbers give"


def conclusion(memo: Any) -> str:
    """HONEST where `verdict` follows from the numbers and the margin."""
    if (said := seeds(memo)) != HONEST:
        return said
    margin = memo.get("margin")
    if not _numbers([margin]) or margin < 0:
        return "margin is a number, 0 or more"
    follows = paired_verdict(memo["student"], memo["against"], margin)[2]
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


def _numbers(values: Any) -> bool:
    """A list of finite numbers?"""
    return isinstance(values, Sequence) and all(
        type(one) in (int, float) and math.isfinite(one) for one in values
    )
