"""`tinykd build`: from `solutions/NN_name.py` to everything that is generated from it.

solutions/NN_name.py ---> solutions/kill_matrix.md       proved first
                     ---> lessons/checks/NN_name.json    expected values, hints, known mistakes
                     ---> lessons/NN_name.ipynb          the student's notebook
                     ---> solutions/NN_name.ipynb        the solution, executed
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from .compare import compare, leaves
from .graft import recorded
from .lesson import Lesson, LessonError, long_gaps, notebook, read_lesson
from .prove import Proof, matrix, prove, put_section

SMALL = 2_000  # numbers in one check's value: the expected values ship with the lesson
Say = Callable[[str], None]


def build_lesson(
    source: Path, force: bool = False, say: Say = print, limits: dict[str, Any] | None = None
) -> None:
    """Prove one lesson and write what it generates; execute only where the source changed.

    `limits` goes to `read_lesson`. Raises LessonError, in words, before anything is written.
    """
    lesson, proof = _proved(source, say, limits)
    lessons = source.parents[1] / "lessons"
    expected, known = expected_values(proof)
    write(lessons / "checks" / f"{lesson.name}.json", expected)
    write(lessons / f"{lesson.name}.ipynb", dump(notebook(lesson, solution=False)))
    kept = source.with_name("kill_matrix.md")
    write(kept, put_section(kept.read_text("utf-8") if kept.exists() else "", matrix(proof)))
    made = notebook(lesson, solution=True)
    made.metadata["tinykd"] |= {"source": fingerprint(made), "mutants": json.dumps(known)}
    target = source.with_suffix(".ipynb")
    if not force and not _stale(target, made, proof):
        say(f"{lesson.name}: the executed solution is up to date")
        return
    execute(made, target.parent, lesson.name)
    write(target, dump(made))
    seconds = sum(made.metadata["tinykd"]["seconds"].values())
    say(f"{lesson.name}: executed in {seconds:.1f} s at {made.metadata['tinykd']['scale']} scale")


def check_lesson(source: Path, say: Say = print, limits: dict[str, Any] | None = None) -> list[str]:
    """What differs from a fresh build of one lesson, in words; nothing is executed or written."""
    lesson, proof = _proved(source, say, limits)
    lessons = source.parents[1] / "lessons"
    expected, known = expected_values(proof)
    problems = []
    path = lessons / "checks" / f"{lesson.name}.json"
    if reason := _differs(path, expected):
        problems.append(f"{path}: {reason}")
    path = lessons / f"{lesson.name}.ipynb"
    if not path.exists() or path.read_text("utf-8") != dump(notebook(lesson, solution=False)):
        problems.append(f"{path}: not what the source gives")
    kept = source.with_name("kill_matrix.md")
    if not kept.exists() or matrix(proof).strip() not in kept.read_text("utf-8"):
        problems.append(f"{kept}: not what the proof of {lesson.name} gives")
    made = notebook(lesson, solution=True)
    made.metadata["tinykd"] |= {"source": fingerprint(made), "mutants": json.dumps(known)}
    if reason := _stale(source.with_suffix(".ipynb"), made, proof):
        problems.append(f"{source.with_suffix('.ipynb')}: {reason}")
    return problems


def _proved(source: Path, say: Say, limits: dict[str, Any] | None) -> tuple[Lesson, Proof]:
    lesson = read_lesson(source, **(limits or {}))
    for warning in long_gaps(lesson):
        say(f"warning: {warning}")
    proof = prove(lesson)
    say(matrix(proof))
    for name, value in proof.reference.items():
        if (count := sum(1 for _ in leaves(value))) > SMALL:
            proof.problems.append(f"{name}: {count} values; check at most {SMALL}")
    if proof.problems:
        raise LessonError("\n".join(f"{source.name}: {problem}" for problem in proof.problems))
    return lesson, proof


def expected_values(proof: Proof) -> tuple[str, list[dict[str, Any]]]:
    """The lesson's checks file, and all known mistakes with the values they give."""
    known = []
    for mutant in proof.lesson.all("mutant"):
        found = proof.values[mutant.name]
        values = {
            name: _rounded(found[name]["value"])
            for name in mutant.loses
            if "value" in found.get(name, {})
        }
        if values:
            known.append({"name": mutant.name, "hint": mutant.hint, "values": values})
    visible = {cell.name: cell for cell in proof.lesson.all("check")}
    shown = [m | {"values": {k: v for k, v in m["values"].items() if k in visible}} for m in known]
    checks = {
        name: {
            "value": _rounded(proof.reference[name]),
            "points": cell.points,
            "hint": cell.hint,
            "rtol": cell.rtol,
            "atol": cell.atol,
        }
        for name, cell in visible.items()
    }
    hidden = [cell.name for cell in proof.lesson.all("hidden")]
    content: dict[str, Any] = {"lesson": proof.lesson.name, "checks": checks, "hidden": hidden}
    content["mutants"] = [mutant for mutant in shown if mutant["values"]]
    return json.dumps(content, ensure_ascii=False) + "\n", known


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def _differs(path: Path, expected: str) -> str | None:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        return f"cannot be read: {error}"
    reason = compare(found, json.loads(expected))
    return f"not what the source gives: {reason}" if reason else None


def fingerprint(made: Any) -> str:
    """A hash of everything in a notebook that decides its outputs."""
    cells = [[cell.cell_type, cell.source, cell.id, cell.metadata] for cell in made.cells]
    return hashlib.sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()


def _stale(path: Path, made: Any, proof: Proof) -> str | None:
    """Why the executed notebook at `path` is not an execution of `made`; None where it is."""
    try:
        found = nbformat.reads(path.read_text("utf-8"), as_version=4)
    except Exception as error:
        return f"cannot be read: {error}"
    about, wanted = found.metadata.get("tinykd", {}), made.metadata["tinykd"]
    if fingerprint(found) != wanted["source"] or about.get("source") != wanted["source"]:
        return "not made from this source"
    if about.get("scale") != "default":
        return f"executed at scale {about.get('scale')!r}; build it without TINYKD_SCALE"
    if compare(json.loads(about["mutants"]), json.loads(wanted["mutants"])):
        return "its known mistakes are not what the source gives"
    for cell in found.cells:
        name, outputs = cell.metadata.get("name"), cell.get("outputs", [])
        if any(output.output_type == "error" for output in outputs):
            return f"cell {name} ended in an error"
        if cell.metadata.get("role") in ("check", "hidden"):
            if cell.execution_count is None or not outputs:
                return f"check cell {name} has no outputs: nbval would pass it unseen"
            value = recorded(outputs, name)
            if reason := compare(
                value, proof.reference[name], cell.metadata.rtol, cell.metadata.atol
            ):
                return f"check {name} has another value than the proof: {reason}"
    return None


def execute(made: Any, folder: Path, title: str) -> None:
    """Run every cell of `made` in `folder`, with a progress bar; times go into its metadata.

    Raises LessonError with cell and traceback where one fails.
    """
    from jupyter_client.manager import KernelManager
    from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager
    from tqdm import tqdm

    manager = KernelManager(
        kernel_name=CURRENT_ENV_KERNEL_NAME, kernel_spec_manager=NbvalKernelspecManager()
    )  # this interpreter, whatever "python3" means on this machine
    client = NotebookClient(made, km=manager, timeout=1800, record_timing=False)
    env = {key: value for key, value in os.environ.items() if key != "TINYKD_GRADING"}
    env.setdefault("TINYKD_SCALE", "default")
    seconds: dict[str, float] = {}
    with client.setup_kernel(env=env, cwd=str(folder)):
        bar = tqdm(made.cells, desc=title, unit="cell")
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
    made.metadata["language_info"] = {"name": "python"}
    made.metadata["tinykd"] |= {"scale": env["TINYKD_SCALE"], "seconds": seconds}


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
