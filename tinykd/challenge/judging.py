"""What the checks of the challenge say of a file: one line of words each.

The right words are the same for everybody, so that a check compares them; any others say what is
wrong. No code of a student's runs for it.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from ..classroom.literal import NotLiteral, from_lines, in_lines
from ..metrics import accuracy, rank_correlation
from .onnx_answers import answers
from .onnx_file import Refused

FITS, OPENS, NO_TEXT = "it fits", "it opens", "it is no text"


def hand_in(name: str, file: str | Path, folder: str | Path = ".") -> Path:
    """Write the answer cell that holds `file` into folder/NAME.py, and say how to fill it in."""
    data, path = Path(file).read_bytes(), Path(folder) / f"{name}.py"
    path.write_text(f"{name} = {in_lines(data)}\n", encoding="utf-8")
    print(f"{len(data):,} bytes, written as text into {path}.")
    print(f"Into the answer cell of {name} write this one line, alone, and run it:")
    print(f"    %load {path}\nThe file's text takes its place. Run the cell once more.")
    return path


def size(text: Any, limit: int, inputs: Tensor, outputs: int = 10) -> str:
    """FITS, or how many bytes are too many, or why the file cannot be asked about these inputs.

    Being small is worth something only in a file that answers: an empty text is smallest.
    """
    if (said := _small(text, limit)) != FITS:
        return said
    found = _asked(text, inputs, outputs)
    return found if isinstance(found, str) else FITS


def opens(text: Any, inputs: Tensor, outputs: int = 10) -> str:
    """OPENS, or why the file in `text` cannot be asked about these inputs."""
    found = _asked(text, inputs, outputs) if isinstance(text, str) else NO_TEXT
    return found if isinstance(found, str) else OPENS


def share_right(text: Any, limit: int, inputs: Tensor, labels: Tensor) -> float:
    """Share of inputs that the file gets right; 0 where it is too large or cannot be asked.

    Of equal logits the first is its answer. The same tensors are asked once: several checks may
    look at one result.
    """
    return _number(_found(text, limit, inputs, labels, 10, accuracy))


def reaches(text: Any, limit: int, inputs: Tensor, labels: Tensor, share: float) -> str:
    """ "at least 70% right", or what it is instead."""
    found = _found(text, limit, inputs, labels, 10, accuracy)
    if isinstance(found, str):
        return found
    least = f"{100 * share:g}%"
    return f"at least {least} right" if found >= share else f"{found:.1%}, below {least}"


def correlation(text: Any, limit: int, inputs: Tensor, ratings: Tensor) -> float:
    """Rank correlation of the file's scores with ratings (N,); 0 as in `share_right`."""
    return _number(_found(text, limit, inputs, ratings, 1, _in_order))


def correlates(text: Any, limit: int, inputs: Tensor, ratings: Tensor, least: float) -> str:
    """ "a rank correlation of at least 0.400", or what it is instead."""
    found = _found(text, limit, inputs, ratings, 1, _in_order)
    if isinstance(found, str):
        return found
    above = f"a rank correlation of at least {least:.3f}"
    return above if found >= least else f"a rank correlation of {found:.3f}, below {least:.3f}"


def _in_order(scores: Tensor, ratings: Tensor) -> float:
    return rank_correlation(scores[:, 0], ratings)


def _found(
    text: Any, limit: int, inputs: Tensor, truth: Tensor, outputs: int, score: Callable[..., float]
) -> float | str:
    """The score, or in words why there is none."""
    if (said := _small(text, limit)) != FITS:
        return said
    found = _asked(text, inputs, outputs)
    return found if isinstance(found, str) else score(found, truth)


def _small(text: Any, limit: int) -> str:
    """FITS, or how many bytes are too many."""
    if not isinstance(text, str):
        return NO_TEXT
    try:
        count = len(from_lines(text))
    except NotLiteral as error:
        return str(error)
    return FITS if count <= limit else f"{count:,} bytes are more than {limit:,}"


@functools.lru_cache(maxsize=8)
def _asked(text: str, inputs: Tensor, outputs: int) -> Tensor | str:
    """The file's answers (N, outputs), or in words why there are none."""
    try:
        found = answers(from_lines(text), inputs, outputs)
    except (NotLiteral, Refused) as error:
        return str(error)
    if len(found) > 1 and (found == found[0]).all():
        return "it says the same of every input"
    return found


def _number(found: float | str) -> float:
    return found if isinstance(found, float) else 0.0
