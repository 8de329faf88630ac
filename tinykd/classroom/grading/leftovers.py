"""In the kernel: what one answer cell leaves behind does not break the next exercise.

`range = 7`, `del np`, `torch.set_grad_enabled(False)`: before the next answer runs, names of Python
and of the lesson mean again what they did. Names of the student's own stay, for later answers may
use them. An exercise itself runs with what its own cell did, as it does in the notebook.

All this is for the honest: it runs where a student's code runs, and decides nothing.
"""

import builtins
import sys
from typing import Any

OF_IPYTHON = {"In", "Out", "exit", "quit", "get_ipython"}
_of_python = dict(vars(builtins))
_of_lesson: dict[str, Any] = {}  # names of its setup cells, and answers of earlier exercises
_before: dict[str, Any] = {}
_settings: dict[str, Any] = {}


def setup_begins(space: dict[str, Any]) -> None:
    """Before a setup cell: what is there is not its doing."""
    _before.clear()
    _before.update(space)


def setup_ends(space: dict[str, Any]) -> None:
    """After it: remember what it has defined, and how the libraries are set."""
    for name, value in space.items():
        new = name not in _before or _before[name] is not value
        if new and not name.startswith("_") and name not in OF_IPYTHON:
            _of_lesson[name] = value
    if torch := sys.modules.get("torch"):
        _settings.setdefault("dtype", torch.get_default_dtype())
    if numpy := sys.modules.get("numpy"):
        _settings.setdefault("errors", numpy.geterr())


def exercise_ends(space: dict[str, Any], *own: str) -> None:
    """After an exercise whose answer is called `own`: put back what it was not asked to change."""
    vars(builtins).update(_of_python)
    for name in own:
        if name in space:
            _of_lesson[name] = space[name]
    for name in [name for name in space if name in _of_python and not name.startswith("_")]:
        del space[name]
    space.update(_of_lesson)
    if torch := sys.modules.get("torch"):
        torch.set_grad_enabled(True)
        torch.set_default_dtype(_settings.get("dtype", torch.float32))
    if numpy := sys.modules.get("numpy"):
        numpy.seterr(**_settings.get("errors", {}))


def cell(function: str, *names: str) -> dict[str, Any]:
    """A cell that calls `function` of this module; not even `import` need be what it was."""
    arguments = ", ".join(["globals()", *map(repr, names)])
    source = f'__import__("sys").modules["{__name__}"].{function}({arguments})'
    metadata = {"role": "leftovers", "name": "leftovers"}
    about = {"cell_type": "code", "id": "leftovers", "metadata": metadata, "source": source}
    return about | {"outputs": [], "execution_count": None}


def load_cell() -> dict[str, Any]:
    """The first cell of all. It imports what it needs, so it has the time of a setup cell."""
    first = cell("setup_begins")
    source = f"import {__name__} as _leftovers\n{first['source']}"
    return first | {"source": source, "metadata": first["metadata"] | {"role": "setup"}}
