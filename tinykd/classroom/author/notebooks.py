"""Notebooks: made from a lesson, executed, written."""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import nbformat
from nbformat import v4

from ...files import atomic
from ..child_environment import child_environment
from ..compare import compare
from ..notebook_format import CHECK_ROLES, recorded_value
from .lesson import Cell, Lesson, LessonError

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def make_notebook(lesson: Lesson, solution: bool) -> Any:
    """The solution notebook (with hidden checks) or the student's (stubs), without outputs."""
    cells, last, prose = [], "top", 0
    for cell in lesson.cells:
        if cell.role in ("mutant", "alternative") or (cell.role == "hidden" and not solution):
            continue
        if not cell.role:
            prose += 1
            new_cell = v4.new_markdown_cell(cell.source, id=f"{last[:50]}-text{prose}")
        else:
            last, prose = cell.id, 0
            source = cell.unwritten if cell.role == "answer" and not solution else cell.source
            metadata = _metadata(cell, solution)
            if cell.role in ("answer", *CHECK_ROLES) and cell.exercise in lesson.literals:
                metadata["literal"] = True
            new_cell = v4.new_code_cell(source, id=cell.id, metadata=metadata)
        cells.append(new_cell)
    return v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": KERNELSPEC,
            "language_info": {"name": "python"},
            "tinykd": {"lesson": lesson.name},
        },
    )


def _metadata(cell: Cell, solution: bool) -> dict[str, Any]:
    metadata: dict[str, Any] = {"role": cell.role, "name": cell.name}
    if cell.role in ("answer", "check", "setup"):
        metadata["deletable"] = False
    if cell.folded:
        metadata["jupyter"] = {"source_hidden": True}
    if cell.library and solution:
        metadata["library"] = cell.library
    if cell.points:
        metadata["points"] = cell.points
        if solution:
            metadata |= {"hint": cell.hint, "rtol": cell.rtol, "atol": cell.atol}
            metadata["tags"] = [
                "nbval-check-output"
            ]  # so that plain `pytest --nbval-lax` compares it
    return metadata


def code_digest(notebook: Any) -> str:
    """SHA-256 of the code of a notebook: what decides its outputs."""
    code = [[cell.id, cell.source] for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()


def reuse_outputs(path: Path, notebook: Any, values: dict[str, Any]) -> str | None:
    """Copy the outputs of the executed notebook at `path` into `notebook`.

    `values` are the reference's, by check. Returns why that cannot be done, None where it was.
    """
    try:
        found = nbformat.reads(path.read_text("utf-8"), as_version=4)
        about, cells = found.metadata["tinykd"], {cell.id: cell for cell in found.cells}
    except Exception as error:
        return f"cannot be read: {error}"
    if not code_digest(notebook) == code_digest(found) == about.get("source"):
        return "not made from this source"
    if about["scale"] != "default":
        return f"executed at scale {about['scale']!r}; build it without TINYKD_SCALE"
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        old, name = cells[cell.id], cell.metadata.name
        if any(output.output_type == "error" for output in old.outputs):
            return f"cell {name} ended in an error"
        if name in values:
            if old.execution_count is None or not old.outputs:
                return f"check cell {name} has no outputs: nbval would pass it unseen"
            got = recorded_value(old.outputs, name)
            if reason := compare(got, values[name], cell.metadata.rtol, cell.metadata.atol):
                return f"check {name} has another value than the proof: {reason}"
        cell.outputs, cell.execution_count = old.outputs, old.execution_count
    notebook.metadata["tinykd"] |= {key: about[key] for key in ("source", "scale", "seconds")}
    if "widgets" in found.metadata:
        notebook.metadata["widgets"] = found.metadata["widgets"]
    if _names_and_hints(about["mutants"]) == _names_and_hints(
        notebook.metadata["tinykd"]["mutants"]
    ):
        notebook.metadata["tinykd"]["mutants"] = about["mutants"]
    return None


def _names_and_hints(mutants: str) -> list[Any]:
    # A mistake may give other digits on another machine: overflow, cancellation.
    return [
        [mutant["name"], mutant["hint"], sorted(mutant["values"])] for mutant in json.loads(mutants)
    ]


def execute(notebook: Any, folder: Path, title: str) -> None:
    """Run every cell of `notebook` in `folder`, with a progress bar; times go into its metadata.

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
    client = NotebookClient(notebook, km=manager, timeout=1800, record_timing=False)
    # As `make lab` does: beside another program, threads that spin while they wait cost tenfold.
    env = child_environment(TINYKD_SCALE=os.environ.get("TINYKD_SCALE", "default"))
    env.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    seconds: dict[str, float] = {}
    with open(os.devnull, "w") as null, client.setup_kernel(env=env, cwd=str(folder), stderr=null):
        bar = tqdm(notebook.cells, desc=title, unit="cell", disable=None)
        for index, cell in enumerate(bar):
            bar.set_postfix_str(cell.metadata.get("name", ""))
            start = time.perf_counter()
            try:
                client.execute_cell(cell, index)
            except CellExecutionError as error:
                raise LessonError(f"{title}: cell {cell.metadata.get('name')}: {error}") from None
            if cell.cell_type == "code":
                seconds[cell.metadata["name"]] = round(time.perf_counter() - start, 2)
                cell.outputs = as_shown(cell.outputs)
        client.set_widgets_metadata()
    manager.cleanup_connection_file()
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata["tinykd"] |= {"scale": env["TINYKD_SCALE"], "seconds": seconds}
    notebook.metadata["tinykd"]["source"] = code_digest(notebook)


def as_shown(outputs: list[Any]) -> list[Any]:
    """Outputs as a reader sees them: no stderr, one text where prints follow each other whatever
    pieces they came in, and of a line that was written over, as bars are, what stood there last.
    """
    found: list[Any] = []
    for output in outputs:
        if output.get("name") == "stderr":
            continue
        if found and output.output_type == found[-1].output_type == "stream":
            found[-1].text += output.text
        else:
            found.append(output)
    for output in found:
        if output.output_type == "stream":
            output.text = "\n".join(map(_written_over, output.text.split("\n")))
    return [output for output in found if output.get("text", True)]


def _written_over(line: str) -> str:
    shown = ""
    for piece in line.split("\r"):
        shown = piece + shown[len(piece) :]
    return shown.rstrip() if "\r" in line else line


def long_lines(notebook: Any, columns: int = 88) -> list[str]:
    """A problem for every printed line that is wider than a laptop's window shows."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            lines = str(output.get("text", "")).split("\n")
            if width := max((len(line) for line in lines if len(line) > columns), default=0):
                found.append(f"cell {cell.metadata.name} prints a line of {width} > {columns}")
    return found


def dump(notebook: Any) -> str:
    """A notebook as text, the same for the same notebook."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def write_text(path: Path, text: str) -> None:
    """Replace a file in one step, so that a crash leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
