"""Which cells of a submission are the answer to an exercise."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .read_code import MAX_CELL, CodeReader
from .read_tree import FUNCTION, STUB

MAX_CELLS = 100  # that may be the answer to one exercise; of more the last ones are looked at
MISSING = "the answer cell is missing; graded as not written"
TURNED_TEXT = (
    "its cell is no longer a code cell (Markdown or raw text), so it counts as not written; in "
    "JupyterLab, Esc and then Y turn it back"
)
Cell = dict[str, Any]


@dataclass
class Answer:
    """The sources that count, in the notebook's order, and what to say about the choice."""

    parts: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


class SubmittedCells:
    """The cells of a notebook, sorted once by what they claim to be."""

    def __init__(self, cells: list[Cell], reader: CodeReader):
        self.cells, self.reader = cells, reader
        self._by_id: dict[str, list[int]] = {}
        self._by_name: dict[str, list[int]] = {}
        for index, cell in enumerate(cells):
            meta = cell.get("metadata", {})
            identity, name = cell.get("id"), meta.get("name")
            if isinstance(identity, str) and meta.get("role") in (None, "answer"):
                self._by_id.setdefault(identity, []).append(index)
            if isinstance(name, str) and meta.get("role") == "answer":
                self._by_name.setdefault(name, []).append(index)

    def answer(self, cell: Cell, names: Iterable[str]) -> Answer:
        """The answer to the exercise of `cell`, the lesson's own, which defines `names`.

        Cells with its id or name: of several that define a function the last one in which it is
        written counts, and those that define none of `names` are parts of the answer. A function
        that is written in none of them may be in a cell without marks: some editors drop these. One
        that such a cell defines once more above the last check is what that check has seen.
        """
        name = cell["metadata"]["name"]
        claimed = sorted({*self._by_id.get(cell.get("id", ""), ()), *self._by_name.get(name, ())})
        marked = [index for index in claimed if self._is_code(index)][-MAX_CELLS:]
        defined = {index: self.reader.read(self._source(index)).defined for index in marked}
        attempts = [index for index in marked if not defined[index].keys().isdisjoint(names)]
        counted, unmarked = set[int](), set[int]()
        for one in names:
            written = [i for i in attempts if defined[i].get(one, STUB) != STUB]
            if written and (place := self._corrected(one, name, written[-1])) is not None:
                unmarked.add(place)
            elif written:
                counted.add(written[-1])
            elif (place := self._without_marks(one, name, marked)) is not None:
                unmarked.add(place)
            else:
                counted.update([i for i in attempts if one in defined[i]][-1:])
        helpers = [i for i in marked if i not in attempts] if attempts else []
        parts = sorted({*helpers, *counted, *unmarked}) or marked[-1:]
        found = Answer([self._source(index) for index in parts])
        for place in sorted(unmarked):
            line = self._source(place).strip().partition("\n")[0][:60]
            found.remarks.append(
                f"graded was a cell of your own that defines it, it begins {line!r}"
            )
        if not counted.issuperset(attempts) and counted:
            last = "the last one" if attempts[-1] in counted else "the last one that is written"
            found.remarks.append(f"{len(marked)} answer cells; {last} was graded")
        elif len(parts) > 1 and not unmarked:
            found.remarks.append(f"{len(parts)} answer cells, graded as one")
        if not parts:
            found.remarks.append(TURNED_TEXT if claimed else MISSING)
        return found

    def _without_marks(self, function: str, exercise: str, marked: list[int]) -> int | None:
        """The cell without marks in which `function` is written: the last one, and where no cell
        has marks the last one above the last check, for what comes later was not checked.
        """
        defines = re.compile(rf"^[ \t]*(?:(?:def|class)[ \t]+{function}\b|{function}[ \t]*=)", re.M)
        check, taken = f'check("{exercise}.', set(marked)
        found: list[int] = []
        looked_at, checks_below = 0, False
        for index in reversed(range(len(self.cells))):
            if index in taken or not self._is_code(index):
                continue
            source = self._source(index)
            if defines.search(source) and looked_at < MAX_CELLS:
                looked_at += 1
                if self.reader.read(source).defined.get(function) == FUNCTION:
                    if checks_below:
                        return index
                    found.append(index)
            if check in source:
                checks_below = not marked
        return found[0] if found else None

    def _corrected(self, function: str, exercise: str, written: int) -> int | None:
        """The cell without marks that defines `function` anew, below the cell `written` and above
        the exercise's last check.
        """
        check, found = f'check("{exercise}.', None
        place: int | None = None
        for index in range(written + 1, len(self.cells)):
            if not self._is_code(index) or len(self._source(index)) > MAX_CELL:
                continue
            if check in self._source(index):
                place = found
            elif not self.cells[index].get("metadata", {}).get("role") and (
                function in self._source(index)
                and self.reader.read(self._source(index)).defined.get(function) == FUNCTION
            ):
                found = index
        return place

    def _is_code(self, index: int) -> bool:
        return self.cells[index].get("cell_type") == "code"

    def _source(self, index: int) -> str:
        return self.cells[index]["source"]
