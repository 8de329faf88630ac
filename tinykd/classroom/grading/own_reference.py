"""What a student's own notebook is held against: the solution, or the visible checks without it."""

import json
import re
from pathlib import Path
from typing import Any

from ..author.notebooks import KERNELSPEC
from ..notebook_format import CHECK_ROLES, LESSON_NAME, recorded_output
from .graft import lesson_of
from .read_submission import NotGradable, read_submission
from .reference import names_used, read_reference


def find_reference(notebook: Path) -> dict[str, Any]:
    """The reference of the lesson that `notebook` says it is of, whatever its file is called.

    From solutions/, or where a course was given without it from lessons/checks/: the visible checks
    alone. Looked for beside the notebook and above the working directory. Raises NotGradable.
    """
    if notebook.is_dir():
        raise NotGradable(f"{notebook} is a folder: name the notebook in it")
    lesson = str(lesson_of(read_submission(notebook)))
    if lesson == "unknown" or not LESSON_NAME.fullmatch(lesson):
        lesson = lesson_name(notebook)
    here = notebook.absolute().parent
    roots = list(dict.fromkeys([here.parent, here, *here.parents, Path.cwd(), *Path.cwd().parents]))
    for root in roots:
        if (solution := root / "solutions" / f"{lesson}.ipynb").is_file():
            return read_reference(solution)
    for root in roots:
        for folder in (root / "lessons" / "checks", root / "checks"):
            if (path := folder / f"{lesson}.json").is_file():
                return visible_reference(path)
    raise NotGradable(
        f"neither solutions/{lesson}.ipynb nor lessons/checks/{lesson}.json lies by {notebook} or "
        f"above {Path.cwd()}: run this in the course's folder, or give --reference"
    )


def lesson_name(notebook: Path) -> str:
    """By its file name, for a notebook whose metadata an editor has dropped."""
    return re.split(r" |-Copy|-\d+$|_copy$", notebook.stem)[0]


def visible_reference(path: Path) -> dict[str, Any]:
    """The reference that `lessons/checks/NN_name.json` holds: every check that students see."""
    found = json.loads(path.read_text("utf-8"))
    cells = []
    for cell in found["cells"]:
        cell |= {"cell_type": "code", "outputs": [], "execution_count": 1}
        if cell["metadata"]["role"] in CHECK_ROLES:
            name = cell["metadata"]["name"]
            entry = dict(found["checks"][name])
            cell["outputs"] = [recorded_output(name, entry.pop("value"))]
            cell["metadata"] |= entry
        cells.append(cell)
    about = {"lesson": found["lesson"], "mutants": json.dumps(found["mutants"])}
    about |= {"used": names_used(cells), "hidden": len(found["hidden"])}
    metadata = {"kernelspec": KERNELSPEC, "tinykd": about}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}
