"""Names that a check takes from a check of the other kind, which grading runs in another kernel."""

import symtable
from collections.abc import Iterator

from .lesson import Lesson

OTHER = {"check": "hidden", "hidden": "check"}


def borrowed(lesson: Lesson) -> list[str]:
    """A problem for each name that only visible checks define and a hidden one uses, or reversed.

    The proof runs all checks in one process and would not notice; a class would lose the check.
    """
    names = {cell.name: _names(cell.source) for cell in lesson.cells if cell.role}
    shared = {
        name
        for cell in lesson.cells
        if cell.role in ("setup", "answer")
        for name in names[cell.name][0]
    }
    found = {role: dict[str, str]() for role in OTHER}  # name -> the check that defines it
    for cell in lesson.cells:
        if cell.role in OTHER:
            found[cell.role] |= dict.fromkeys(names[cell.name][0], cell.name)
    return [
        f"{cell.name} uses {name}, which {found[OTHER[cell.role]][name]} defines: visible and "
        "hidden checks are graded in kernels of their own, so put it into a setup cell"
        for cell in lesson.cells
        if cell.role in OTHER
        for name in sorted(names[cell.name][1] - found[cell.role].keys() - shared)
        if name in found[OTHER[cell.role]]
    ]


def _names(source: str) -> tuple[set[str], set[str]]:
    """What a cell defines, and what it takes from outside of its functions."""
    top = symtable.symtable(source, "cell", "exec")
    defined = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    used = {s.get_name() for s in top.get_symbols() if s.is_referenced()}
    for table in _inside(top):
        used |= {s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced()}
    return defined, used


def _inside(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    for child in table.get_children():
        yield child
        yield from _inside(child)
