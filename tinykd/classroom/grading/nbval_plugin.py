"""A pytest plugin around nbval 0.11.0: tolerance, a guarded kernel, results of our own.

Every cell's result goes to the file `--tinykd-results`, one JSON line a cell, as soon as it is
known: what a killed run has earned so far is not lost. Where a kernel ends, so does the run.
"""

import functools
import json
import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import nbformat
import nbval.plugin
import pytest

from ..compare import compare
from ..mistakes import fitting_mistakes, telling
from ..notebook_format import CHECK_ROLES, NOT_RECORDED, measured_values, recorded_value
from .guarded_kernel import GRACE_SECONDS, KERNEL_ENDED, GuardedKernel
from .result import NOT_WRITTEN

MAX_DEPTH, MAX_VALUES = 16, 50_000  # of a recorded value that is compared

nbformat.validate(nbformat.v4.new_notebook())  # compiles the schema, once for all forks


def compare_outputs(self: Any, test: list[Any], ref: list[Any], skip_compare: Any = None) -> bool:
    """A check cell is right when its recorded value is the reference's, within tolerance.

    Prints, plots and warnings around it cost nothing.
    """
    meta = self.cell.metadata
    if meta.get("role") not in CHECK_ROLES:
        return True
    if meta.get("literal"):  # no code of a student was there to say it
        self.measured = measured_values(test)
    got, want = recorded_value(test, meta.name), recorded_value(ref, meta.name)
    kernel = self.parent.kernel
    if got is NOT_RECORDED or kernel.reply_status != "ok" or not kernel.is_alive():
        self.why = "its cell recorded no value"
    elif too_large(got, want):
        self.why = "it is far more than is expected, or lists in lists in lists"
    else:
        self.why = compare(got, want, meta.rtol, meta.atol)
        mutants = _known_mistakes(self.parent.nb.metadata.tinykd.mutants)
        if self.why:
            self.mistakes = fitting_mistakes(meta.name, got, mutants, meta)
            self.numbers = telling(got)
        else:
            self.refuted = [one["name"] for one in mutants if meta.name in one["values"]]
    self.comparison_traceback = [self.why]
    return self.why is None


@functools.lru_cache(maxsize=1)
def _known_mistakes(text: str) -> list[dict[str, Any]]:
    """What the mutants give, which every check of a notebook asks for; it can be megabytes."""
    return json.loads(text)


def too_large(got: Any, want: Any) -> bool:
    """Is `got` nested too deep, or much larger than `want`, to be compared with it? Each of its
    values is looked at once.
    """
    limit = max(MAX_VALUES, 2 * sum(_values_by_depth(want)))
    depth = count = 0
    for here in _values_by_depth(got):
        depth, count = depth + 1, count + here
        if depth > MAX_DEPTH or count > limit:
            return True
    return False


def _values_by_depth(value: Any) -> Iterator[int]:
    """How many values there are outermost, one list or dict deeper, and so on."""
    level = [value]
    while level:
        yield len(level)
        holders = [one.values() if isinstance(one, dict) else one for one in level
                   if isinstance(one, dict | list)]  # fmt: skip
        level = [item for one in holders for item in one]


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `run_notebook` says of a run."""
    group = parser.getgroup("tinykd")
    group.addoption("--tinykd-results", help="file for one JSON line a cell")
    group.addoption("--tinykd-folder", help="the kernel's working directory")
    group.addoption("--tinykd-server", default="", help="socket of a fork server for kernels")
    group.addoption("--tinykd-core", type=int, default=-1, help="the kernels' processor")
    group.addoption("--tinykd-bwrap", default="[]", help="the sandbox's command, as JSON")
    group.addoption("--tinykd-cell-seconds", type=float, default=30, help="time limit of a cell")
    group.addoption("--tinykd-max-bytes", type=int, default=5_000_000, help="output of one cell")


def pytest_configure(config: pytest.Config) -> None:
    """Put our kernel and our comparison in the place of nbval's."""
    os.environ |= {"TINYKD_GRADING": "1", "TINYKD_SCALE": "smoke"}
    GuardedKernel.folder = config.option.tinykd_folder
    GuardedKernel.max_bytes = config.option.tinykd_max_bytes
    GuardedKernel.server = config.option.tinykd_server
    GuardedKernel.core = config.option.tinykd_core
    GuardedKernel.bwrap = json.loads(config.option.tinykd_bwrap)
    nbval.plugin.RunningKernel = GuardedKernel
    nbval.plugin.IPyNbCell.compare_outputs = compare_outputs


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: Any) -> Generator[None, Any, Any]:
    """Before a cell: its time limit, and the seeds of its generators.

    nbval expects every cell after a timeout to fail; here each is judged by itself.
    """
    item.parent.timed_out = False
    item.output_timeout = GRACE_SECONDS
    os.environ["TINYKD_SEEDS"] = json.dumps(item.parent.nb.metadata.tinykd.get("seeds"))
    setup = item.cell.metadata.get("role") == "setup"  # ours: importing torch may be slow
    item.config.option.nbval_cell_timeout = 120 if setup else item.config.option.tinykd_cell_seconds
    result = yield
    if provisioner := getattr(getattr(item.parent.kernel, "km", None), "provisioner", None):
        _write_line(item, {"kernel": provisioner.pid})
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Generator[None, Any, Any]:
    """After a cell: a line with its result. The run stops where the kernel has ended."""
    if call.when == "call" or call.excinfo:
        meta, kernel = item.cell.metadata, item.parent.kernel
        ended = kernel is None or not kernel.is_alive()
        passed = call.excinfo is None and not ended
        words = _reason(item, call.excinfo.value) if call.excinfo else KERNEL_ENDED
        why = None if passed else re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", words[:300])
        line = {"run": item.path.stem, "cell": meta.get("name"), "passed": passed}
        line |= {"ended": ended, "why": why, "mistakes": getattr(item, "mistakes", [])}
        line |= {"numbers": getattr(item, "numbers", 0), "refuted": getattr(item, "refuted", [])}
        line |= {"measured": getattr(item, "measured", {})}
        _write_line(item, line | {"seconds": round(call.duration, 3)})
        if ended:
            item.session.shouldstop = KERNEL_ENDED
    return (yield)


def _reason(item: Any, error: BaseException) -> str:
    if getattr(item, "why", None):
        return item.why
    if item.parent.timed_out:
        return f"it took longer than {item.config.option.nbval_cell_timeout:g} s"
    errors = [out for out in item.test_outputs or [] if out.output_type == "error"]
    words = f"{errors[0].ename}: {errors[0].evalue}" if errors else str(error) or repr(error)
    if errors and errors[0].ename == "NotImplementedError":
        return NOT_WRITTEN
    if errors and errors[0].ename == "NameError":
        words += " in what is graded: your answer cells"
    return words


def _write_line(item: Any, line: dict[str, Any]) -> None:
    with Path(item.config.option.tinykd_results).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
