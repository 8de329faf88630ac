"""The kill matrix in markdown, `solutions/kill_matrix.md`: which variant lost which check."""

import re

from .prove import Proof
from .variants import REFERENCE, UNTOUCHED


def kill_matrix(proof: Proof) -> str:
    """One lesson's section, a table an exercise; the same text for the same lesson."""
    lesson, lost = proof.lesson, proof.lost
    points = sum(check.points for check in lesson.checks)
    counts = {"checks": lesson.checks, "mutants": lesson.all("mutant")}
    counts |= {"right answers in another form": lesson.all("alternative")}
    counted = ", ".join(f"{len(cells)} {what}" for what, cells in counts.items())
    lines = [f"## {lesson.name}", "", f"{points:g} points, {counted}"]
    for answer in lesson.all("answer"):
        mutants = [cell.name for cell in lesson.all("mutant") if cell.of == answer.name]
        others = [cell.name for cell in lesson.all("alternative") if cell.of == answer.name]
        lost_by_mutants = set().union(*(lost[name] for name in mutants))
        checks = [
            check.name
            for check in lesson.checks
            if check.exercise == answer.name or check.name in lost_by_mutants
        ]
        rows = [["variant", *checks]]
        rows += [
            [name, *("lost" if check in lost[name] else "+" for check in checks)]
            for name in (REFERENCE, *others, UNTOUCHED, *mutants)
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
        table.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        lines += ["", *table]
    return "\n".join(lines) + "\n"


def put_section(text: str, section: str) -> str:
    """The file's `text` with one lesson's section replaced or added, in order."""
    sections = {
        part.split("\n")[0]: part.strip() for part in re.split(r"^## ", text, flags=re.M)[1:]
    }
    sections[section.split("\n")[0][3:]] = section[3:].strip()
    title = "# Kill matrix\n\nWritten by `tinykd build`: `+` a check passed, `lost` a check lost.\n"
    return title + "".join(f"\n## {sections[name]}\n" for name in sorted(sections))
