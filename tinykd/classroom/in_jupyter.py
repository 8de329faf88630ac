"""What a check shows in a notebook, and what it asks the notebook for."""

import ast
import re
import sys
from typing import Any

from .notebook_format import measured_metadata, value_metadata


def unreadable_cell(name: str) -> str:
    """A word where the newest cell with `name` has a syntax error: an older one was looked at."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None:
        return ""
    for source in reversed(shell.user_ns.get("In", [])):
        if re.search(rf"^\s*(def|class) {name}\b", source, re.M):
            try:
                ast.parse(shell.transform_cell(source))
            except SyntaxError as error:
                return (
                    f"(Your newest cell with {name} has a syntax error in line {error.lineno}: "
                    "what was looked at is the version before it.)"
                )
            return ""
    return ""


def publish(text: str, name: str, value: Any) -> None:
    """Show `text`, and record `value` for the check `name` in the output's metadata.

    Plain nbval ignores metadata: last-digit noise never fails it.
    """
    if not in_kernel():
        print(text)
        return
    from IPython.display import publish_display_data

    publish_display_data({"text/plain": text}, value_metadata(name, value))


def publish_measured(name: str, value: float) -> None:
    """Show a number that a check has found, and record it in the output's metadata."""
    from IPython.display import publish_display_data

    text = f"measured: {name} {value:.6g}"
    publish_display_data({"text/plain": text}, measured_metadata(name, value))


def in_kernel() -> bool:
    """Is this a notebook's kernel, and not plain Python?"""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
