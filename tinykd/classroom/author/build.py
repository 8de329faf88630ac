"""`tinykd build`: from `solutions/NN_name.py` to everything that is generated from it.

solutions/NN_name.py ---> solutions/kill_matrix.md       proved first
                     ---> lessons/checks/NN_name.json    expected values, hints, known mistakes
                     ---> lessons/NN_name.ipynb          the student's notebook
                     ---> solutions/NN_name.ipynb        the solution, executed
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..compare import compare, leaves
from .expected_values import checks_file, mistakes_metadata
from .kill_matrix import kill_matrix, put_section
from .lesson import Lesson, LessonError
from .lesson_rules import direct_calls, long_gaps, untested
from .notebooks import dump, execute, long_lines, make_notebook, reuse_outputs, write_text
from .prove import Proof, prove, prove_many_seeds
from .read_lesson import read_lesson
from .two_kernels import borrowed

OTHER_SEEDS = (1, 2, 3)  # of the whole proof
# Where a source is new its right answers are proved under these (its mistakes under fewer, see
# prove_many_seeds), so that most likely any class's seed will do; where it is not, under a sample.
MANY_SEEDS, SAMPLE_SEEDS = range(200), range(1000, 1003)
SHOWN = ("", "show")  # the roles of cells that no check depends on
MAX_VALUES = 2_000  # numbers in one check's value: the expected values ship with the lesson
Log = Callable[[str], None]


def build_lesson(source: Path, force: bool = False, log: Log = print) -> None:
    """Prove one lesson and write what it generates; execute only where the source changed.

    Raises LessonError, in words, before anything is written; only for printed lines that are too
    long afterwards, as they are known once the lesson has run.
    """
    lesson, proof = _proved(source, log)
    proved, target = proof_digest(lesson), source.with_suffix(".ipynb")
    if metadata_of(target).get("proved") != proved:
        _prove_many(lesson, MANY_SEEDS, log)
    lessons = source.parents[1] / "lessons"
    expected = json.dumps(checks_file(proof), ensure_ascii=False)
    write_text(lessons / "checks" / f"{lesson.name}.json", expected + "\n")
    write_text(lessons / f"{lesson.name}.ipynb", dump(make_notebook(lesson, solution=False)))
    matrices = source.with_name("kill_matrix.md")
    old = matrices.read_text("utf-8") if matrices.exists() else ""
    write_text(matrices, put_section(old, kill_matrix(proof)))
    solution = _solution(lesson, proof)
    if force or reuse_outputs(target, solution, proof.reference):
        execute(solution, target.parent, lesson.name)
        metadata = solution.metadata["tinykd"]
        seconds = sum(metadata["seconds"].values())
        log(f"{lesson.name}: executed in {seconds:.1f} s at {metadata['scale']} scale")
    else:
        log(f"{lesson.name}: its code is what it was, its outputs are kept")
    write_text(target, dump(solution))
    if problems := long_lines(solution):
        raise LessonError("\n".join(problems))


def check_lesson(source: Path, log: Log = print) -> list[str]:
    """What differs from a fresh build of one lesson, in words; nothing is executed or written."""
    lesson, proof = _proved(source, log)
    lessons = source.parents[1] / "lessons"
    problems = []
    path = lessons / "checks" / f"{lesson.name}.json"
    if reason := _differs(path, checks_file(proof)):
        problems.append(f"{path}: {reason}")
    path = lessons / f"{lesson.name}.ipynb"
    if not path.exists() or path.read_text("utf-8") != dump(make_notebook(lesson, solution=False)):
        problems.append(f"{path}: not what the source gives")
    path = source.with_name("kill_matrix.md")
    if not path.exists() or kill_matrix(proof).strip() not in path.read_text("utf-8"):
        problems.append(f"{path}: not what the proof of {lesson.name} gives")
    solution, path = _solution(lesson, proof), source.with_suffix(".ipynb")
    if metadata_of(path).get("proved") != proof_digest(lesson):
        problems.append(f"{path}: its checks were not proved under {len(MANY_SEEDS)} seeds")
    else:
        _prove_many(lesson, SAMPLE_SEEDS, log)
    if reason := reuse_outputs(path, solution, proof.reference):
        problems.append(f"{path}: {reason}")
    elif path.read_text("utf-8") != dump(solution):
        problems.append(f"{path}: not what the source gives")
    return [*problems, *long_lines(solution)]


def _proved(source: Path, log: Log) -> tuple[Lesson, Proof]:
    lesson = read_lesson(source)
    for warning in (*long_gaps(lesson), *untested(lesson)):
        log(f"warning: {warning}")
    proof = prove(lesson, other_seeds=OTHER_SEEDS)
    log(kill_matrix(proof))
    for name, value in proof.reference.items():
        if (count := sum(1 for _ in leaves(value))) > MAX_VALUES:
            proof.problems.append(f"{name}: {count} values; check at most {MAX_VALUES}")
    proof.problems += [*direct_calls(lesson), *borrowed(lesson)]
    if proof.problems:
        raise LessonError("\n".join(f"{source.name}: {problem}" for problem in proof.problems))
    return lesson, proof


def _prove_many(lesson: Lesson, seeds: Sequence[int], log: Log) -> None:
    if problems := prove_many_seeds(lesson, seeds):
        raise LessonError("\n".join(f"{lesson.path.name}: {problem}" for problem in problems))
    log(f"{lesson.name}: every answer earns what it should under {len(seeds)} more seeds")


def proof_digest(lesson: Lesson) -> str:
    """SHA-256 of all that a proof depends on: setup, answers, checks, mistakes, alternatives."""
    cells = [
        [c.name, c.source, c.loses, c.rtol, c.atol] for c in lesson.cells if c.role not in SHOWN
    ]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def metadata_of(path: Path) -> dict[str, Any]:
    """What a built notebook says about itself; nothing where it cannot be read."""
    try:
        return json.loads(path.read_text("utf-8"))["metadata"]["tinykd"]
    except (OSError, ValueError, KeyError):
        return {}


def _solution(lesson: Lesson, proof: Proof) -> Any:
    """The solution notebook without outputs, with the values of the known mistakes."""
    notebook = make_notebook(lesson, solution=True)
    notebook.metadata["tinykd"]["mutants"] = mistakes_metadata(proof)
    notebook.metadata["tinykd"]["proved"] = proof_digest(lesson)
    return notebook


def _differs(path: Path, expected: dict[str, Any]) -> str | None:
    try:
        found = json.loads(path.read_text("utf-8"))
        found["mutants"], mutants = (
            [[one["name"], one["hint"], list(one["values"])] for one in content["mutants"]]
            for content in (found, expected)
        )  # their values may have other digits on another machine
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"cannot be read: {error}"
    reason = compare(found, expected | {"mutants": mutants})
    return f"not what the source gives: {reason}" if reason else None
