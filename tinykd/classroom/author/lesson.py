"""A lesson's source: `solutions/NN_name.py` in jupytext's percent format."""

from dataclasses import dataclass
from pathlib import Path

from ..compare import ATOL, RTOL
from ..notebook_format import CHECK_ROLES, literal_stub, stub

ROLES = ("setup", "answer", *CHECK_ROLES, "mutant", "alternative", "show")


class LessonError(ValueError):
    """A lesson's source is not what the course needs; the text names file, cell and fix."""


@dataclass(frozen=True)
class Cell:
    """One cell of the source; what its `# %%` line says is in the fields of the same names."""

    source: str
    role: str = ""  # "" for prose
    name: str = ""
    points: float = 0
    hint: str = ""
    of: str = ""  # of a mutant or an alternative: the answer cell that it replaces
    loses: tuple[str, ...] = ()  # of a mutant: the checks that it must lose
    rtol: float = RTOL
    atol: float = ATOL
    library: str = ""  # of an answer: library functions that are what is to be written
    constant: bool = False  # of a check: the same value under every seed, such as a choice
    literal: bool = False  # of an answer: data, no code; see ..literal
    file: str = ""  # of an answer, mutant or alternative: its base85 text stands where ... does
    folded: bool = False  # of a show cell: JupyterLab opens it with its code hidden
    place: str = ""  # where to find it, for error messages

    @property
    def id(self) -> str:
        """What a notebook calls the cell: an id there has no dots."""
        return self.name.replace(".", "-")

    @property
    def exercise(self) -> str:
        """The exercise that the cell belongs to: "entropy" of "entropy.values"."""
        return self.name.split(".")[0]

    @property
    def unwritten(self) -> str:
        """An answer as a student finds it."""
        return (literal_stub if self.literal else stub)(self.name, self.source)


@dataclass(frozen=True)
class Lesson:
    """A parsed source; `name` is NN_name."""

    name: str
    path: Path
    cells: tuple[Cell, ...]

    def all(self, *roles: str) -> list[Cell]:
        """The cells that have one of `roles`, in order."""
        return [cell for cell in self.cells if cell.role in roles]

    @property
    def literals(self) -> set[str]:
        """The exercises whose answer is data and no code."""
        return {cell.name for cell in self.cells if cell.literal}

    @property
    def checks(self) -> list[Cell]:
        """The check cells, visible and hidden."""
        return self.all(*CHECK_ROLES)
