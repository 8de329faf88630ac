"""Lessons: building them, instant checks, grading. Nothing in the engine imports this package."""

import sys

# nbformat imports jsonschema, which may compile a grammar for addresses: seconds, for nothing.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

from .checks import CheckFailed, Checks, with_gradient  # noqa: E402

__all__ = ["CheckFailed", "Checks", "with_gradient"]
