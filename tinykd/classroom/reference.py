"""What a class is held against: a lesson's checks under the instructor's seed."""

import ast
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat import v4

from .build import expected_values
from .graft import names_used
from .lesson import LessonError, read_lesson
from .notebooks import notebook
from .prove import prove


@dataclass(frozen=True)
class Reference:
    """What submissions are held against: a lesson's notebook, with the value of every check."""

    lesson: str
    notebook: dict[str, Any]
    seed: int
    sha256: str

    @property
    def most(self) -> float:
        """The lesson's points."""
        return sum(cell["metadata"].get("points", 0) for cell in self.notebook["cells"])

    @property
    def modules(self) -> list[str]:
        """What the lesson's setup cells import: a kernel that has it already starts faster."""
        found = []
        for cell in self.notebook["cells"]:
            if cell["metadata"].get("role") == "setup":
                for node in ast.walk(ast.parse(cell["source"])):
                    if isinstance(node, ast.Import):
                        found += [name.name for name in node.names]
                    elif isinstance(node, ast.ImportFrom) and node.module:
                        found.append(node.module)
        return found


def prepare(source: Path, seed: int) -> Reference:
    """The reference of the lesson `source` (solutions/NN_name.py) under the instructor's seed.

    Runs the solution and every known mistake once. Raises LessonError, in words, where a mistake
    would not lose what it should: take another seed, or mend the lesson.
    """
    lesson = read_lesson(source, (0, 99), 0)
    proof = prove(lesson, seed=seed)
    if proof.problems:
        raise LessonError("\n".join(f"{source.name}: {problem}" for problem in proof.problems))
    made = notebook(lesson, solution=True)
    made.metadata["tinykd"]["mutants"] = expected_values(proof)[1]
    made.metadata["tinykd"]["used"] = names_used(made.cells)
    for cell in made.cells:
        name = cell.metadata.get("name")
        if name in proof.reference:
            mark = {"check": name, "value": json.dumps(proof.reference[name])}
            text = {"text/plain": f"recorded: {name}"}
            cell.execution_count = 1  # nbval compares only cells that were run
            cell.outputs = [v4.new_output("display_data", text, metadata={"tinykd": mark})]
    sha256 = hashlib.sha256(f"{seed}:".encode() + source.read_bytes()).hexdigest()
    return Reference(lesson.name, json.loads(json.dumps(made)), seed, sha256)
