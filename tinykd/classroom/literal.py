"""Answers that are data and no code: one assignment of a literal, read and never run.

    digit_student = "base85 of a file"          memo = {"question": "...", "seeds": [0, 1, 2]}

What a student wrote is parsed, and written anew from the value: nothing of theirs is executed.
"""

import ast
import base64
import math
import re
import threading
import warnings
from typing import Any

MAX_CHARACTERS, MAX_NODES, MAX_DEPTH = 250_000, 20_000, 12
CALLED = {
    ast.JoinedStr: "an f-string",
    ast.Call: "a call",
    ast.Name: "a name",
    ast.BinOp: "a sum or product",
    ast.Attribute: "something with a dot",
    ast.Subscript: "an index",
    ast.Lambda: "a function",
    ast.Set: "a set",
}
PARSING = threading.Lock()  # two at once fail now and then in Python 3.11


class NotLiteral(ValueError):
    """A cell is not one assignment of a literal; the text says what is in it instead."""


def read_literal(name: str, source: str) -> Any:
    """The value of `name = literal`, the only statement of a cell beside comments.

    Texts (also in several pieces, one after the other), numbers, True, False, None, and lists,
    tuples and dicts of them, the keys of dicts being texts. Raises NotLiteral, in words that quote
    nothing of the cell, for anything else and for more than MAX_CHARACTERS.
    """
    if len(source) > MAX_CHARACTERS:
        raise NotLiteral(f"the cell has {len(source):,} characters; at most {MAX_CHARACTERS:,}")
    if re.search(r"^[ \t]*%load\b", source, re.M):
        raise NotLiteral("run the cell with %load once, so that the text itself stands in it")
    try:
        with PARSING, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in a string
            body = ast.parse(source).body
    except SyntaxError as error:
        raise NotLiteral(f"line {error.lineno or 1} is not Python; is a text cut off?") from None
    except (ValueError, RecursionError, MemoryError, SystemError):
        raise NotLiteral("it is nested too deep, or holds what is no text") from None
    if len(body) != 1 or not isinstance(body[0], ast.Assign):
        raise NotLiteral(f"the cell holds {name} = ... and nothing else, apart from comments")
    [target, *more] = body[0].targets
    if more or not isinstance(target, ast.Name) or target.id != name:
        raise NotLiteral(f"the cell must give {name} a value, and nothing else")
    return _Reader().value(body[0].value, MAX_DEPTH)


def written(name: str, value: Any) -> str:
    """The cell that gives `name` this value."""
    return f"{name} = {value!r}"


def in_lines(data: bytes, columns: int = 88) -> str:
    """The base85 text of a file as a literal of many short lines, between parentheses."""
    text = base64.b85encode(data).decode()
    pieces = [text[n : n + columns] for n in range(0, len(text), columns)] or [""]
    return "(\n" + "\n".join(f'    "{piece}"' for piece in pieces) + "\n)"


def from_lines(text: Any) -> bytes:
    """The file that `in_lines` has written. Raises NotLiteral for what is no such text."""
    try:
        return base64.b85decode("".join(text.split()))
    except (ValueError, AttributeError):
        raise NotLiteral("it is not base85 text, or a part of it is missing") from None


class _Reader:
    """Turns a tree into a value; looks at no more than MAX_NODES of its nodes."""

    def __init__(self) -> None:
        self.left = MAX_NODES

    def value(self, node: ast.expr | None, depth: int) -> Any:
        """What stands in the node, at most `depth` lists deep. Raises NotLiteral for code."""
        self.left -= 1
        if self.left < 0:
            raise NotLiteral(f"more than {MAX_NODES:,} values")
        if depth < 0:
            raise NotLiteral(f"lists in lists in lists, more than {MAX_DEPTH} deep")
        if isinstance(node, ast.Constant):
            return _constant(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            inner = node.operand
            number = _constant(inner) if isinstance(inner, ast.Constant) else None
            if isinstance(number, int | float) and not isinstance(number, bool):
                return -number if isinstance(node.op, ast.USub) else number
        if isinstance(node, ast.List):
            return [self.value(one, depth - 1) for one in node.elts]
        if isinstance(node, ast.Tuple):
            return tuple(self.value(one, depth - 1) for one in node.elts)
        if isinstance(node, ast.Dict):
            found: dict[str, Any] = {}
            for key, item in zip(node.keys, node.values, strict=True):
                name = key.value if isinstance(key, ast.Constant) else None
                if not isinstance(name, str):
                    raise NotLiteral("the keys of a dict are texts, written out")
                if name in found:
                    raise NotLiteral("a dict has the same key twice")
                found[name] = self.value(item, depth - 1)
            return found
        line = getattr(node, "lineno", 1)
        what = CALLED.get(type(node), "code") if node is not None else "code"
        raise NotLiteral(f"line {line} holds {what}; only the value itself counts, written out")


def _constant(node: ast.Constant) -> Any:
    value = node.value
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int) and abs(value) < 10**18:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    what = "bytes: leave out the b before the text" if isinstance(value, bytes) else "no number"
    raise NotLiteral(f"line {node.lineno} holds {what}")
