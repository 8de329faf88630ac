"""Which lesson a command means: those of solutions/, in the folder it is called in or above it."""

import os
from pathlib import Path

from .lesson import LessonError


def find_lessons(which: str = "all") -> list[Path]:
    """The sources solutions/NAME.py whose name begins with `which`, "03" or "03_hinton"; or all.

    The data beside them are those that kernels are told about. Raises LessonError where there is no
    such folder, or no such lesson in it.
    """
    here = Path.cwd()
    roots = [folder for folder in (here, *here.parents) if (folder / "solutions").is_dir()]
    if not roots:
        raise LessonError(
            f"no solutions/ folder in {here} or above it: run this in a clone of the course, or in "
            "the folder of a homework (`tinykd new` makes one)"
        )
    use_data_of(roots[0])
    every = sorted((roots[0] / "solutions").glob("*.py"))
    chosen = [path for path in every if which == "all" or path.stem.startswith(which)]
    if not chosen:
        names = ", ".join(path.stem for path in every)
        raise LessonError(f"no lesson {which!r} in {roots[0] / 'solutions'}; there are: {names}")
    return chosen


def find_lesson(which: str = "all") -> Path:
    """The only one of `find_lessons`. Raises LessonError, with their names, where it is not."""
    source, *others = found = find_lessons(which)
    if others:
        names = ", ".join(path.stem for path in found)
        said = f"--lesson {which!r} fits" if which != "all" else "there are several here:"
        raise LessonError(f"{said} {names}; name one: --lesson {source.stem}")
    return source


def use_data_of(folder: Path) -> None:
    """Kernels work in folders of their own, so they are told where the data lie: TINYKD_DATA."""
    if (data := folder / "datasets").is_dir():
        os.environ.setdefault("TINYKD_DATA", str(data))
