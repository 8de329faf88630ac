"""`tinykd new`: a small homework that works, for its author to change."""

from pathlib import Path

from ..notebook_format import LESSON_NAME
from .lesson import LessonError
from .notebooks import write_text

TEMPLATE = Path(__file__).parent / "template"


def new_lesson(name: str, folder: Path) -> list[Path]:
    """Write solutions/NAME.py into `folder`, and a README.md where there is none; the files.

    Raises LessonError for a name that is no name of a lesson, or that is taken.
    """
    source, readme = folder / "solutions" / f"{name}.py", folder / "README.md"
    if not LESSON_NAME.fullmatch(name):
        raise LessonError(f"{name!r} is to be a file's name: letters, digits, _ and - only")
    if source.exists():
        raise LessonError(f"{source} is there already: give another name or folder")
    written = {source: TEMPLATE / "solutions" / "homework.py", readme: TEMPLATE / "README.md"}
    if readme.exists():
        del written[readme]
    for path, template in written.items():
        text = template.read_text("utf-8").replace('Checks("homework")', f'Checks("{name}")')
        write_text(path, text.replace("NAME", name))
    return list(written)
