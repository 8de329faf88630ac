"""What the code of a cell defines, changes and uses: read from its syntax tree, never run."""

import ast
import re
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..notebook_format import STUB_ERROR

MAX_CELL, MAX_NOTEBOOK = 100_000, 2_000_000  # characters that are parsed; of others the text counts
MAX_CHAIN = 6  # names in a.b.c
FUNCTION, STUB, VALUE = "function", "stub", "value"
UNWRITTEN = STUB_ERROR.partition("{}")[2].rstrip('")')  # ": write your code here"
PARSING = threading.Lock()  # two at once fail now and then in Python 3.11

MAGIC_OF_CELL = re.compile(r"\s*%%(\w+)[^\n]*\n?")
PYTHON_MAGICS = ("time", "timeit", "capture", "prun")
LINE_OF_IPYTHON = re.compile(r"^([ \t]*(?:\w+[ \t]*=[ \t]*)?)(?:[%!].*|[\w.]+\?{1,2}[ \t]*)$", re.M)
TEXT_DEFINES = re.compile(r"^[ \t]*(?:(?:def|class)[ \t]+(\w+)|(\w+)[ \t]*=[ \t]*lambda\b)", re.M)


@dataclass
class Code:
    """defined: FUNCTION, STUB or VALUE by name. changed: names that get or lose a value outside of
    functions. names: all that occur. chains: dotted names, as written. imports: what a name stands
    for. `tree` is missing where the text alone was read.
    """

    defined: dict[str, str] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    chains: set[str] = field(default_factory=set)
    imports: dict[str, str] = field(default_factory=dict)
    tree: bool = False

    def libraries(self, known: dict[str, str]) -> set[str]:
        """The chains with what imports made of their first names; `known` are the setup's."""
        imports = known | self.imports
        found = set(self.imports.values())
        for chain in self.chains:
            first, dot, rest = chain.partition(".")
            if first not in self.defined:
                found.add(imports.get(first, first) + dot + rest)
        return found


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
            self._read[source] = _from_text(source) if tree is None else _from_tree(tree)
        return self._read[source]


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
    for pair in TEXT_DEFINES.findall(source):
        name = pair[0] or pair[1]
        unwritten = re.search(rf"^[^#\n]*{re.escape(STUB_ERROR.format(name))}", source, re.M)
        code.defined[name] = STUB if unwritten else FUNCTION
    return code


def _from_tree(tree: ast.Module) -> Code:
    code = Code(tree=True)
    for statement in _outer_statements(tree):
        _read_statement(statement, code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            code.names.add(node.id)
            code.chains.add(node.id)
        elif isinstance(node, ast.Attribute):
            code.chains |= _chain(node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            code.imports |= _imported(node)
    return code


def _outer_statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Every statement outside of functions and classes, also inside an `if`, a loop, a `try`."""
    todo = list(reversed(tree.body))
    while todo:
        statement = todo.pop()
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        inner: list[ast.stmt] = []
        for name in ("body", "handlers", "orelse", "finalbody"):
            for one in getattr(statement, name, []):
                inner += one.body if isinstance(one, ast.ExceptHandler) else [one]
        todo += reversed(inner)


def _read_statement(statement: ast.stmt, code: Code) -> None:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        code.defined[statement.name] = STUB if _unwritten(statement) else FUNCTION
        code.changed.add(statement.name)
        return
    if isinstance(statement, ast.Import | ast.ImportFrom):
        code.changed |= _imported(statement).keys()
        return
    value = getattr(statement, "value", None)
    targets = [*getattr(statement, "targets", []), getattr(statement, "target", None)]
    targets += [item.optional_vars for item in getattr(statement, "items", [])]
    for node in (node for target in targets if target for node in ast.walk(target)):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            code.changed.add(node.id)
            if isinstance(statement, ast.Delete):
                code.defined.pop(node.id, None)
            elif value is not None and code.defined.get(node.id) != FUNCTION:
                code.defined[node.id] = FUNCTION if isinstance(value, ast.Lambda) else VALUE


def _unwritten(node: ast.stmt) -> bool:
    """Does a function end at the stub's line, or a class in one of its methods? A stub's line below
    a `return` is a leftover; a body of `pass` is not written either.
    """
    body = getattr(node, "body", [])
    if isinstance(node, ast.ClassDef):
        methods = [one for one in body if isinstance(one, ast.FunctionDef)]
        return any(_unwritten(method) for method in methods)
    text = [isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) for one in body]
    if all(is_text or isinstance(one, ast.Pass) for one, is_text in zip(body, text, strict=True)):
        return True
    for statement in body:
        if isinstance(statement, ast.Return):
            return False
        if _is_stub_line(statement):
            return True
    return False


def _is_stub_line(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Raise) or not isinstance(statement.exc, ast.Call):
        return False
    words = [one.value for one in statement.exc.args if isinstance(one, ast.Constant)]
    return any(isinstance(word, str) and word.endswith(UNWRITTEN) for word in words)


def _chain(node: ast.Attribute) -> set[str]:
    """`a.b.c` for such an attribute; `.c`, by which methods are told, for any."""
    names, inner = [node.attr], node.value
    while isinstance(inner, ast.Attribute) and len(names) < MAX_CHAIN:
        names.append(inner.attr)
        inner = inner.value
    found = {"." + node.attr}
    if isinstance(inner, ast.Name):
        found.add(".".join([inner.id, *reversed(names)]))
    return found


def _imported(node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    """name -> what it stands for."""
    if isinstance(node, ast.ImportFrom):
        module = f"{node.module}." if node.module else ""
        return {one.asname or one.name: module + one.name for one in node.names}
    return {
        one.asname or one.name.partition(".")[0]: one.name if one.asname else one.name.split(".")[0]
        for one in node.names
    }
