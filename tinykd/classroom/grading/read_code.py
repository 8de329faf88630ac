"""The code of a submission's cells: read from the syntax tree or the text, never run."""

import ast
import re
import threading
import warnings

from ..notebook_format import STUB_ERROR
from .read_tree import FUNCTION, STUB, Code, from_tree

MAX_CELL, MAX_NOTEBOOK = 100_000, 2_000_000  # characters that are parsed; of others the text counts
PARSING = threading.Lock()  # two at once fail now and then in Python 3.11

MAGIC_OF_CELL = re.compile(r"\s*%%(\w+)[^\n]*\n?")
PYTHON_MAGICS = ("time", "timeit", "capture", "prun")
LINE_OF_IPYTHON = re.compile(r"^([ \t]*(?:\w+[ \t]*=[ \t]*)?)(?:[%!].*|[\w.]+\?{1,2}[ \t]*)$", re.M)
TEXT_STUB = re.compile(r"^[^#\n]*" + re.escape(STUB_ERROR).replace(r"\{\}", r"(\w+)"), re.M)
TEXT_DEFINES = re.compile(r"^[ \t]*(?:(?:def|class)[ \t]+(\w+)|(\w+)[ \t]*=[ \t]*lambda\b)", re.M)


class CodeReader:
    """Reads the cells of one notebook, each text once; its work is bounded by MAX_NOTEBOOK."""

    def __init__(self) -> None:
        self._read: dict[str, Code] = {}
        self._left = MAX_NOTEBOOK

    def read(self, source: str) -> Code:
        """What `source` does, by its syntax tree or, where that cannot be had, by its text."""
        if source not in self._read:
            tree = None
            if len(source) <= min(MAX_CELL, self._left):
                self._left -= len(source)
                tree = _parse(source)
            self._read[source] = _from_text(source) if tree is None else from_tree(tree)
        return self._read[source]


def joined(parts: list[str]) -> str:
    """The parts of one answer as one cell: what times or catches a cell would stand inside it."""
    if len(parts) == 1:
        return parts[0]
    return "\n\n".join(
        part[magic.end() :]
        if (magic := MAGIC_OF_CELL.match(part)) and magic[1] in PYTHON_MAGICS
        else part
        for part in parts
    )


def _parse(source: str) -> ast.Module | None:
    if magic := MAGIC_OF_CELL.match(source):
        source = source[magic.end() :] if magic[1] in PYTHON_MAGICS else ""
    for text in (source, LINE_OF_IPYTHON.sub(_without_ipython, source)):
        try:
            with PARSING, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of odd escapes in a string
                return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError, SystemError):
            continue
    return None


def _without_ipython(line: re.Match[str]) -> str:
    return line[1] + ("None" if "=" in line[1] else "pass")


def _from_text(source: str) -> Code:
    code = Code(names=set(re.findall(r"\w+", source)))
    unwritten = set(TEXT_STUB.findall(source))
    for pair in TEXT_DEFINES.findall(source):
        name = pair[0] or pair[1]
        code.defined[name] = STUB if name in unwritten else FUNCTION
    return code
