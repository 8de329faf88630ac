"""Notebooks: made from a lesson, executed, written."""

import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from nbformat import v4

from .compare import compare
from .graft import recorded
from .lesson import Cell, Lesson, LessonError, environment, stub

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def notebook(lesson: Lesson, solution: bool) -> Any:
    """The solution notebook (with hidden checks) or the student's (stubs), without outputs."""
    cells, last, prose = [], "top", 0
    for cell in lesson.cells:
        if cell.role == "mutant" or (cell.role == "hidden" and not solution):
            continue
        if not cell.role:
            prose += 1
            made = v4.new_markdown_cell(cell.source, id=f"{last[:50]}-text{prose}")
        else:
            last, prose = cell.id, 0
            source = (
                stub(cell.name, cell.source)
                if cell.role == "answer" and not solution
                else cell.source
            )
            made = v4.new_code_cell(source, id=cell.id, metadata=_metadata(cell, solution))
        cells.append(made)
    return v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": KERNELSPEC,
            "language_info": {"name": "python"},
            "tinykd": {"lesson": lesson.name},
        },
    )


def _metadata(cell: Cell, solution: bool) -> dict[str, Any]:
    kept: dict[str, Any] = {"role": cell.role, "name": cell.name}
    if cell.role in ("answer", "check", "setup"):
        kept["deletable"] = False
    if cell.points:
        kept["points"] = cell.points
        if solution:
            kept |= {"hint": cell.hint, "rtol": cell.rtol, "atol": cell.atol}
            kept["tags"] = ["nbval-check-output"]  # so that plain `pytest --nbval-lax` compares it
    return kept


def fingerprint(made: Any) -> str:
    """A hash of the code of a notebook: what decides its outputs."""
    code = [[cell.id, cell.source] for cell in made.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()


def reuse(path: Path, made: Any, values: dict[str, Any]) -> str | None:
    """Move the outputs of the executed notebook at `path` into `made`.

    `values` are the reference's. Returns why that cannot be done, None where it was.
    """
    try:
        found = nbformat.reads(path.read_text("utf-8"), as_version=4)
        about, cells = found.metadata["tinykd"], {cell.id: cell for cell in found.cells}
    except Exception as error:
        return f"cannot be read: {error}"
    if not fingerprint(made) == fingerprint(found) == about.get("source"):
        return "not made from this source"
    if about["scale"] != "default":
        return f"executed at scale {about['scale']!r}; build it without TINYKD_SCALE"
    for cell in (cell for cell in made.cells if cell.cell_type == "code"):
        old, name = cells[cell.id], cell.metadata.name
        if any(output.output_type == "error" for output in old.outputs):
            return f"cell {name} ended in an error"
        if name in values:
            if old.execution_count is None or not old.outputs:
                return f"check cell {name} has no outputs: nbval would pass it unseen"
            got = recorded(old.outputs, name)
            if reason := compare(got, values[name], cell.metadata.rtol, cell.metadata.atol):
                return f"check {name} has another value than the proof: {reason}"
        cell.outputs, cell.execution_count = old.outputs, old.execution_count
    made.metadata["tinykd"] |= {key: about[key] for key in ("source", "scale", "seconds")}
    if "widgets" in found.metadata:
        made.metadata["widgets"] = found.metadata["widgets"]
    if _outlines(about["mutants"]) == _outlines(made.metadata["tinykd"]["mutants"]):
        made.metadata["tinykd"]["mutants"] = about["mutants"]
    return None


def _outlines(mutants: str) -> list[Any]:
    # A mistake may give other digits on another machine: overflow, cancellation.
    return [[one["name"], one["hint"], sorted(one["values"])] for one in json.loads(mutants)]


def execute(made: Any, folder: Path, title: str) -> None:
    """Run every cell of `made` in `folder`, with a progress bar; times go into its metadata.

    Raises LessonError with cell and traceback where one fails.
    """
    from jupyter_client.manager import KernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager
    from tqdm import tqdm

    manager = KernelManager(
        kernel_name=CURRENT_ENV_KERNEL_NAME, kernel_spec_manager=NbvalKernelspecManager()
    )  # this interpreter, whatever "python3" means on this machine
    client = NotebookClient(made, km=manager, timeout=1800, record_timing=False)
    env = environment(TINYKD_SCALE=os.environ.get("TINYKD_SCALE", "default"))
    seconds: dict[str, float] = {}
    with open(os.devnull, "w") as null, client.setup_kernel(env=env, cwd=str(folder), stderr=null):
        bar = tqdm(made.cells, desc=title, unit="cell", disable=None)
        for index, cell in enumerate(bar):
            bar.set_postfix_str(cell.metadata.get("name", ""))
            start = time.perf_counter()
            try:
                client.execute_cell(cell, index)
            except CellExecutionError as error:
                raise LessonError(f"{title}: cell {cell.metadata.get('name')}: {error}") from None
            if cell.cell_type == "code":
                seconds[cell.metadata["name"]] = round(time.perf_counter() - start, 2)
                cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
        client.set_widgets_metadata()
    manager.cleanup_connection_file()
    made.metadata["language_info"] = {"name": "python"}
    made.metadata["tinykd"] |= {"scale": env["TINYKD_SCALE"], "seconds": seconds}
    made.metadata["tinykd"]["source"] = fingerprint(made)


def dump(made: Any) -> str:
    """A notebook as text, the same for the same notebook."""
    nbformat.validate(made)
    return nbformat.writes(made) + "\n"


def write(path: Path, text: str) -> None:
    """Replace a file in one step, so that a crash leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}")
    with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
    os.chmod(name, 0o644)
    os.replace(name, path)
