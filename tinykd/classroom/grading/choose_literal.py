"""Which cell of a submission is the answer to an exercise whose answer is data, and its value."""

import re
from typing import Any

from ..literal import NotLiteral, read_literal, written
from .choose_answer import MISSING, TURNED_TEXT

MAX_CELLS = 20  # that are read for one exercise, the last ones
Cell = dict[str, Any]


def literal_cell(cell: Cell, cells: list[Cell]) -> tuple[str, list[str]]:
    """What runs in place of the answer to the exercise of `cell`, the lesson's own, and remarks.

    It is written anew from the value that was read, so that nothing of the student's own runs: a
    plain assignment, of None where nothing was handed in, or an error in words where what was is
    no literal. Of several cells the last one with a value counts; one without the lesson's marks
    counts where none that has them does.
    """
    name = cell["metadata"]["name"]
    assigns = re.compile(rf"^{name}[ \t]*=(?!=)", re.M)
    marked: list[Cell] = []
    others: list[Cell] = []
    for one in cells:
        meta = one.get("metadata", {})
        ours = meta.get("name") == name and meta.get("role") == "answer"
        if ours or (one.get("id") == cell.get("id") and meta.get("role") in (None, "answer")):
            marked.append(one)
        elif (
            not meta.get("role")
            and one.get("cell_type") == "code"
            and assigns.search(one["source"])
        ):
            others.append(one)
    codes = [one for one in marked if one.get("cell_type") == "code"]
    refused = ""
    for some in (codes, others):
        for one in reversed(some[-MAX_CELLS:]):
            try:
                value = read_literal(name, one["source"])
            except NotLiteral as error:
                refused = refused or str(error)
                continue
            if value is not None:
                remarks = [] if some is codes else ["graded was a cell of your own that holds it"]
                return written(name, value), remarks
    if refused:
        return f"raise ValueError({f'no code is run here, and {refused}'!r})", []
    missing = [] if codes else [TURNED_TEXT if marked else MISSING]
    return written(name, None), missing
