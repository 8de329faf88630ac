"""Tables in a page that a script makes, between two marks."""

from collections.abc import Iterable
from pathlib import Path


def between(page: Path, begin: str, end: str, lines: Iterable[str], check: bool) -> int:
    """Put the lines between the two marks of the page; 0.

    check: write nothing, and return 1 where the page holds other lines.
    """
    old = page.read_text("utf-8")
    before, _, rest = old.partition(begin)
    after = rest.partition(end)[2]
    new = f"{before}{begin}\n" + "\n".join(lines) + f"\n{end}{after}"
    if check:
        return int(new != old)
    page.write_text(new, "utf-8")
    return 0
