"""Only the source of a submission's answer cells, put into the pristine reference."""

import copy
import re
from typing import Any

from ..notebook_format import CHECK_ROLES, STUB_ERROR, stub
from .read_submission import NotGradable

DEFINED = re.compile(r"^(?:def|class)[ \t]+(\w+)", re.M)
ASSIGNED = re.compile(r"^(?:def|class)[ \t]+(\w+)|^(\w+)[ \t]*=(?!=)", re.M)
NBVAL_MARKER = re.compile(r"^[ \t]*#[# \t]*(NBVAL_\w+|PYTEST_VALIDATE_IGNORE_OUTPUT)[ \t]*$", re.M)


def graft(
    submission: dict[str, Any], reference: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The notebook to run (setup, the student's answers, checks) and remarks for the report.

    Raises NotGradable where the submission has none of the answer cells.
    """
    notebook, remarks, found = copy.deepcopy(reference), [], 0
    wanted = ("setup", "answer", *CHECK_ROLES)
    notebook["cells"] = [c for c in notebook["cells"] if c["metadata"].get("role") in wanted]
    used = set(reference["metadata"]["tinykd"]["used"])
    for cell in notebook["cells"]:
        if cell["metadata"]["role"] != "answer":
            continue
        name = cell["metadata"]["name"]
        if answers := _answers(submission["cells"], cell):
            found += 1
            parts = _parts_that_count([one["source"] for one in answers], cell["source"])
            if len(answers) > len(parts):
                remarks.append(f"{name}: {len(answers)} answer cells; the last one was graded")
            elif len(answers) > 1:
                remarks.append(f"{name}: {len(answers)} answer cells, graded as one")
            cell["source"] = NBVAL_MARKER.sub("#", "\n\n".join(parts))
            assigned = {one for pair in ASSIGNED.findall(cell["source"]) for one in pair}
            if changed := used & assigned:
                names = ", ".join(sorted(changed))
                remarks.append(f"{name}: your cell changes {names}, which later checks use")
        else:
            cell["source"] = stub(name, cell["source"])
            remarks.append(f"{name}: the answer cell is missing; graded as not written")
        cell |= {"outputs": [], "execution_count": None}
    if not found:
        wanted_lesson = reference["metadata"]["tinykd"]["lesson"]
        lesson = str(_lesson_of(submission))[:60]
        raise NotGradable(f"no answer cell of {wanted_lesson} in it (its lesson: {lesson!r})")
    notebook["metadata"] = {key: reference["metadata"][key] for key in ("kernelspec", "tinykd")}
    return notebook, remarks


def _lesson_of(submission: dict[str, Any]) -> Any:
    """The lesson that a submission says it is of; it may say anything."""
    metadata = submission.get("metadata", {})
    ours = metadata.get("tinykd") if isinstance(metadata, dict) else None
    return ours.get("lesson") if isinstance(ours, dict) else "unknown"


def _answers(cells: list[dict[str, Any]], answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The student's cells for `answer`, by id or name. Where an editor has dropped these, or the
    cell is still a stub, the last cell that defines its function.
    """
    name = answer["metadata"]["name"]
    marked = [one for one in cells if _is_answer(one, answer["id"], name)]
    names = set(DEFINED.findall(answer["source"]))
    if not names or any(STUB_ERROR.format(name) not in one["source"] for one in marked):
        return marked
    others = [one for one in cells if one.get("cell_type") == "code" and one not in marked]
    return [one for one in others if names <= set(DEFINED.findall(one["source"]))][-1:] or marked


def _parts_that_count(sources: list[str], reference: str) -> list[str]:
    """What counts of several answer cells: both halves of a cell that was split in JupyterLab have
    its name. Those that define what `reference` does are attempts, of which the last counts; others
    are parts of it.
    """
    names = set(DEFINED.findall(reference))
    attempts = [source for source in sources if names & set(DEFINED.findall(source))]
    if not attempts:
        return sources[-1:]
    last = len(sources) - 1 - sources[::-1].index(attempts[-1])
    return [source for i, source in enumerate(sources) if i == last or source not in attempts]


def _is_answer(cell: dict[str, Any], identity: str, name: str) -> bool:
    meta = cell.get("metadata", {})
    by_id = cell.get("id") == identity and meta.get("role") in (None, "answer")
    by_name = meta.get("role") == "answer" and meta.get("name") == name
    return cell.get("cell_type") == "code" and (by_id or by_name)
