"""What submissions are held against: the solution, with the value of every check."""

import ast
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..author.expected_values import mistakes_metadata
from ..author.lesson import LessonError
from ..author.notebooks import make_notebook
from ..author.prove import prove
from ..author.read_lesson import read_lesson
from ..notebook_format import CHECK_ROLES, NOT_RECORDED, recorded_output, recorded_value
from .read_submission import NotGradable, read_submission


@dataclass(frozen=True)
class Reference:
    """A lesson's solution under a class's seed. `notebook` is that of `read_reference`."""

    lesson: str
    notebook: dict[str, Any]
    seed: int
    sha256: str

    @property
    def max_points(self) -> float:
        """The lesson's points."""
        return sum(cell["metadata"].get("points", 0) for cell in self.notebook["cells"])

    @property
    def modules(self) -> list[str]:
        """What the lesson's setup cells import; a kernel that has it already starts faster."""
        found = []
        for cell in self.notebook["cells"]:
            if cell["metadata"].get("role") == "setup":
                for node in ast.walk(ast.parse(cell["source"])):
                    if isinstance(node, ast.Import):
                        found += [name.name for name in node.names]
                    elif isinstance(node, ast.ImportFrom) and node.module:
                        found.append(node.module)
        return found


def make_reference(source: Path, seed: int) -> Reference:
    """The reference of the lesson `source` (solutions/NN_name.py) under the instructor's seed.

    Runs the solution and every known mistake once. Raises LessonError, in words, where a mistake
    would not lose what it should: take another seed, or mend the lesson.
    """
    lesson = read_lesson(source)
    proof = prove(lesson, seed=seed)
    if proof.problems:
        raise LessonError("\n".join(f"{source.name}: {problem}" for problem in proof.problems))
    notebook = make_notebook(lesson, solution=True)
    notebook.metadata["tinykd"]["mutants"] = mistakes_metadata(proof)
    notebook.metadata["tinykd"]["used"] = names_used(notebook.cells)
    for cell in notebook.cells:
        name = cell.metadata.get("name")
        if name in proof.reference:
            output = recorded_output(name, proof.reference[name])
            cell.execution_count, cell.outputs = 1, [output]  # nbval skips cells that never ran
    text = json.dumps([cell.source for cell in lesson.cells if cell.file])  # what no source holds
    sha256 = hashlib.sha256(f"{seed}:{text}".encode() + source.read_bytes()).hexdigest()
    return Reference(lesson.name, json.loads(json.dumps(notebook)), seed, sha256)


def read_reference(path: Path) -> dict[str, Any]:
    """An executed solution notebook, with a recorded value for every check cell.

    Raises NotGradable where a check cell has none: nbval would let any answer pass there.
    """
    reference = read_submission(path)
    for cell in reference["cells"]:
        meta = cell.get("metadata", {})
        if meta.get("role") not in CHECK_ROLES:
            continue
        if recorded_value(cell.get("outputs", []), meta["name"]) is NOT_RECORDED:
            raise NotGradable(f"reference {path}: {meta['name']} has no value; build it again")
    if not any(cell["metadata"].get("role") == "answer" for cell in reference["cells"]):
        raise NotGradable(f"reference {path} has no answer cells: it is no lesson of this course")
    reference["metadata"]["tinykd"]["used"] = names_used(reference["cells"])
    return reference


def names_used(cells: list[dict[str, Any]]) -> list[str]:
    """Names that a lesson's setup cells define and its check cells use.

    Not for threads: parsing in two at once fails now and then in Python 3.11.
    """
    defined: set[str] = set()
    used: set[str] = set()
    for cell in cells:
        role = cell["metadata"].get("role")
        if role == "setup":
            for node in ast.parse(cell["source"]).body:
                defined |= {one.asname or one.name for one in getattr(node, "names", [])}
                defined |= (
                    {node.name} if isinstance(node, ast.FunctionDef | ast.ClassDef) else set()
                )
                defined |= {
                    one.id for one in getattr(node, "targets", []) if isinstance(one, ast.Name)
                }
        elif role in CHECK_ROLES:
            nodes = ast.walk(ast.parse(cell["source"]))
            used |= {node.id for node in nodes if isinstance(node, ast.Name)}
    return sorted(defined & used)
