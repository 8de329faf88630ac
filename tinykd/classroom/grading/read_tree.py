"""What the syntax tree of a cell defines, changes and uses."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..notebook_format import UNWRITTEN

FUNCTION, STUB, VALUE = "function", "stub", "value"
MAX_CHAIN = 6  # names in a.b.c
# What makes a function of a function.
WRAPPERS = {
    "partial",
    "vectorize",
    "compile",
    "jit",
    "vmap",
    "cache",
    "lru_cache",
    "script",
    "no_grad",
}


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

    def libraries(self, known: dict[str, str], listed: set[str]) -> list[str]:
        """What of `listed` the code uses, in whatever way it is written: by the last name of a
        chain or of an import, or anything of a listed module. `known` are the setup's imports.
        """
        imports = known | self.imports
        chains = set(self.imports.values())
        for chain in self.chains:
            first, dot, rest = chain.partition(".")
            if first not in self.defined:
                chains.add(imports.get(first, first) + dot + rest)
        last = {one.rpartition(".")[2] for one in listed}
        found = {
            chain
            for chain in chains
            if chain in listed
            or ("." in chain and chain.rpartition(".")[2] in last)
            or any(chain.startswith(one + ".") for one in listed)
        }
        return sorted(
            chain
            for chain in found
            if not any(other != chain and other.endswith(chain) for other in found)
        )


def from_tree(tree: ast.Module) -> Code:
    """What the code of this syntax tree defines, changes, uses and imports."""
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
                code.defined[node.id] = FUNCTION if _callable(value, node.id, code) else VALUE


def _callable(value: ast.expr, name: str, code: Code) -> bool:
    """May `name = value` define a function? A lambda, another name, `partial(...)`, an instance of
    a class of the same cell; what a call of the function itself returns is none.
    """
    if isinstance(value, ast.Call):
        called = value.func.attr if isinstance(value.func, ast.Attribute) else ""
        called = value.func.id if isinstance(value.func, ast.Name) else called
        return called != name and (called in WRAPPERS or called in code.defined)
    return isinstance(value, ast.Lambda | ast.Name | ast.Attribute)


def _unwritten(node: ast.stmt) -> bool:
    """Does a function end at the stub's line, or a class in one of its methods? A stub's line below
    a `return` is a leftover; a body of `pass` or `return None` is not written either.
    """
    body = getattr(node, "body", [])
    if isinstance(node, ast.ClassDef):
        methods = [one for one in body if isinstance(one, ast.FunctionDef)]
        return any(_unwritten(method) for method in methods)
    text = [isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) for one in body]
    if all(is_text or _is_nothing(one) for one, is_text in zip(body, text, strict=True)):
        return True
    for statement in body:
        if isinstance(statement, ast.Return):
            return False
        if _is_stub_line(statement):
            return True
    return False


def _is_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Return):
        value = statement.value
        return value is None or (isinstance(value, ast.Constant) and value.value is None)
    return isinstance(statement, ast.Pass)


def _is_stub_line(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Raise):
        return False
    raised = statement.exc
    if isinstance(raised, ast.Call) and not raised.args:
        raised = raised.func
    if isinstance(raised, ast.Name):
        return raised.id == "NotImplementedError"
    if not isinstance(statement.exc, ast.Call):
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
