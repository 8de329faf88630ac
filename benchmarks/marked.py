"""Tables in a page that a script makes, between two marks."""

import argparse
from collections.abc import Iterable
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def table_of_readme(about: str, begin: str, end: str, lines: Iterable[str]) -> int:
    """The command of a script that makes one of README's tables; its exit status, see `between`."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    return between(README, begin, end, lines, parser.parse_args().check)


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
