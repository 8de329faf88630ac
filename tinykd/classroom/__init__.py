"""Lessons: building them, instant checks, grading. Nothing in the engine imports this package."""

from .checks import CheckFailed, Checks

__all__ = ["CheckFailed", "Checks"]
