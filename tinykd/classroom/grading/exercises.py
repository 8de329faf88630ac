"""The exercises of a grafted notebook: their cells, alone or together, ready to be run."""

from typing import Any

from ..checks import generator_seeds
from ..notebook_format import CHECK_ROLES
from . import leftovers
from .read_code import CodeReader

Cell = dict[str, Any]


class Exercises:
    """The cells of `notebook`; `stubs` by exercise replace answers that are left out."""

    def __init__(self, notebook: dict[str, Any], stubs: dict[str, str], seed: int):
        self._notebook, self._stubs, self._seed = notebook, stubs, seed
        self._left_out: set[str] = set()
        self.names = [cell["metadata"]["name"] for cell in self._cells("answer")]
        reader = CodeReader()
        self._code = {
            cell["metadata"]["name"]: reader.read(cell["source"]) for cell in self._cells("answer")
        }
        self._functions = {name: list(reader.read(stubs[name]).defined) for name in self.names}
        self._of_setup = {
            n for cell in self._cells("setup") for n in reader.read(cell["source"]).changed
        }
        self._in_checks: dict[str, set[str]] = {name: set() for name in self.names}
        for cell in self._cells(*CHECK_ROLES):
            name = self.of(cell["metadata"]["name"])
            self._in_checks.setdefault(name, set()).update(reader.read(cell["source"]).names)

    def _cells(self, *roles: str) -> list[Cell]:
        return [cell for cell in self._notebook["cells"] if cell["metadata"]["role"] in roles]

    @staticmethod
    def of(cell: str) -> str:
        """The exercise that a cell of this name belongs to."""
        return cell.partition(".")[0]

    def checks(self, role: str, exercise: str) -> list[str]:
        """Names of the checks of one exercise."""
        names = [cell["metadata"]["name"] for cell in self._cells(role)]
        return [name for name in names if self.of(name) == exercise]

    def lacking(self, role: str, found: dict[tuple[str, str], Any]) -> list[str]:
        """Exercises with checks of which nothing is known yet."""
        names = [cell["metadata"]["name"] for cell in self._cells(role)]
        return list(dict.fromkeys(self.of(one) for one in names if (role, one) not in found))

    def leave_out(self, answer: str) -> bool:
        """From now on the stub stands where `answer` did; False where there is nothing to do."""
        if answer not in self._stubs or answer in self._left_out:
            return False
        self._left_out.add(answer)
        return True

    def _used_by(self, exercise: str) -> set[str]:
        """The exercise, and those whose functions its answer or its checks use, and so on."""
        found, todo = set[str](), [exercise]
        while todo:
            one = todo.pop()
            if one in found or one not in self._code:
                continue
            found.add(one)
            used = self._code[one].names | self._in_checks[one]
            used -= self._of_setup
            todo += [
                other
                for other in self.names  # one may use what another has imported
                if used & (self._code[other].defined.keys() | self._code[other].changed)
            ]
        return found

    def notebook(self, role: str, exercise: str | None = None) -> dict[str, Any]:
        """The notebook with the checks of `role`, of all exercises or of one with what it uses.

        Between two exercises names get their meaning back: see `leftovers`.
        """
        wanted = self._used_by(exercise) if exercise else set(self.names)
        cells, own, loaded = [], list[str](), False
        for cell in self._cells("setup", "answer", role):
            name, kind = cell["metadata"]["name"], cell["metadata"]["role"]
            if kind == role and exercise and self.of(name) != exercise:
                continue
            if kind == "answer" and name not in wanted:
                continue
            if kind != role and own:
                cells.append(leftovers.cell("exercise_ends", *own))
                own = []
            if kind == "setup":
                begins = leftovers.cell("setup_begins") if loaded else leftovers.load_cell()
                cells += [begins, cell, leftovers.cell("setup_ends")]
                loaded = True
            elif kind == "answer" and name in self._left_out:
                cells.append(cell | {"source": self._stubs[name]})
            else:
                cells.append(cell)
            if kind == "answer":
                own = self._functions[name]
        ours = [cell["source"] for cell in cells if cell["metadata"]["role"] != "answer"]
        tinykd = self._notebook["metadata"]["tinykd"]
        tinykd = tinykd | {"seeds": generator_seeds("\n".join(ours), self._seed)}
        return self._notebook | {
            "cells": cells,
            "metadata": self._notebook["metadata"] | {"tinykd": tinykd},
        }
