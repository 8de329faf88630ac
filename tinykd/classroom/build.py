"""`tinykd build`: from `solutions/NN_name.py` to everything that is generated from it.

solutions/NN_name.py ---> solutions/kill_matrix.md       proved first
                     ---> lessons/checks/NN_name.json    expected values, hints, known mistakes
                     ---> lessons/NN_name.ipynb          the student's notebook
                     ---> solutions/NN_name.ipynb        the solution, executed
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .compare import compare, leaves
from .lesson import Lesson, LessonError, long_gaps, read_lesson
from .notebooks import dump, execute, notebook, reuse, write
from .prove import Proof, matrix, prove, put_section

SEEDS = (1, 2, 3)  # the proof holds under these too, so under an instructor's, or hardly not
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
    write(
        lessons / "checks" / f"{lesson.name}.json", json.dumps(expected, ensure_ascii=False) + "\n"
    )
    write(lessons / f"{lesson.name}.ipynb", dump(notebook(lesson, solution=False)))
    kept = source.with_name("kill_matrix.md")
    write(kept, put_section(kept.read_text("utf-8") if kept.exists() else "", matrix(proof)))
    made = notebook(lesson, solution=True)
    made.metadata["tinykd"]["mutants"] = known
    target = source.with_suffix(".ipynb")
    if force or reuse(target, made, proof.reference):
        execute(made, target.parent, lesson.name)
        about = made.metadata["tinykd"]
        seconds = sum(about["seconds"].values())
        say(f"{lesson.name}: executed in {seconds:.1f} s at {about['scale']} scale")
    else:
        say(f"{lesson.name}: its code is what it was, its outputs are kept")
    write(target, dump(made))


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
    made, path = notebook(lesson, solution=True), source.with_suffix(".ipynb")
    made.metadata["tinykd"]["mutants"] = known
    if reason := reuse(path, made, proof.reference):
        problems.append(f"{path}: {reason}")
    elif path.read_text("utf-8") != dump(made):
        problems.append(f"{path}: not what the source gives")
    return problems


def _proved(source: Path, say: Say, limits: dict[str, Any] | None) -> tuple[Lesson, Proof]:
    lesson = read_lesson(source, **(limits or {}))
    for warning in long_gaps(lesson):
        say(f"warning: {warning}")
    proof = prove(lesson, others=SEEDS)
    say(matrix(proof))
    for name, value in proof.reference.items():
        if (count := sum(1 for _ in leaves(value))) > SMALL:
            proof.problems.append(f"{name}: {count} values; check at most {SMALL}")
    if proof.problems:
        raise LessonError("\n".join(f"{source.name}: {problem}" for problem in proof.problems))
    return lesson, proof


def expected_values(proof: Proof) -> tuple[dict[str, Any], str]:
    """The lesson's checks file, and all known mistakes with the values they give."""
    known: list[dict[str, Any]] = []
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
    return content, json.dumps(known)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


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
