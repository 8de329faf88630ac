"""What is run again where a kernel ended, what a value is compared with, what is put right between
exercises, and which lesson a notebook is of: with kernels that are made up.
"""

import builtins
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nbformat import from_dict

from tinykd.classroom.grading import guarded_kernel, leftovers, nbval_plugin, run_notebook
from tinykd.classroom.grading.guarded_kernel import GuardedKernel, KernelDied
from tinykd.classroom.grading.own_reference import find_reference, lesson_name
from tinykd.classroom.grading.read_submission import NotGradable
from tinykd.classroom.grading.reference import read_reference
from tinykd.classroom.grading.run_notebook import run_cells
from tinykd.classroom.notebook_format import measured_metadata, recorded_output

# ------------------------------------------------------------------- kernels that end


def cell(role, name, source="", **more):
    metadata = {"role": role, "name": name} | more
    return {"cell_type": "code", "id": name, "metadata": metadata, "source": source}


CELLS = [
    cell("setup", "setup", "import numpy as np"),
    cell("answer", "f", "def f(x): return x"),
    cell("check", "f.one", "check.call(f, 1)"),
    cell("hidden", "f.two", "check.call(f, 2)"),
    cell("answer", "g", "def g(x): return x"),
    cell("check", "g.one", "check.call(g, 1)"),
    cell("answer", "h", "def h(x): return f(x)"),
    cell("check", "h.one", "check.call(h, 1)"),
    cell("check", "h.two", "check.call(h, 2)"),
    cell("hidden", "h.three", "check.call(h, 3)"),
]
STUBS = {name: f"def {name}(x): raise RuntimeError" for name in ("f", "g", "h", "votes")}


@pytest.fixture
def run(monkeypatch):
    """Results of a notebook whose cells end their kernels where `ends(name, role, before)` says
    so; `before`: the cells that ran earlier in that kernel. `run.kernels`: what each had.
    """
    kernels = []

    def simulated(args, folder, servers, seconds):
        lines = []
        for name in args[1:]:
            book, role = json.loads((folder / name).read_text()), Path(name).stem
            before: list[str] = []
            kernels.append((role, before))
            for one in book["cells"]:
                meta = one["metadata"]
                if meta["name"] == "leftovers":
                    continue
                stub = one["source"] in STUBS.values()
                raises = f"{meta['name'].split('.')[0]}*" in before  # a check of a stub
                ended = not (stub or raises) and simulated.ends(meta["name"], role, before)
                why = "it ended" if ended else "RuntimeError" if raises else None
                line = {"run": role, "cell": meta["name"], "passed": not why}
                lines.append(line | {"ended": ended, "why": why})
                before.append(meta["name"] + "*" * stub)
                if ended:
                    return lines  # and the run with it
        return lines

    def results(ends=lambda *_: False, cells=CELLS, seconds=100.0):
        kernels.clear()
        simulated.ends = ends
        monkeypatch.setattr(run_notebook, "_run_pytest", simulated)
        book = {"cells": cells, "metadata": {"tinykd": {}}}
        found = run_cells(book, STUBS, None, 0, 30, seconds)
        return {name: one["why"] for (_, name), one in found.items() if not one["passed"]}, found

    results.kernels = kernels
    return results


CHECKS = {(c["metadata"]["role"], c["metadata"]["name"]) for c in CELLS if "." in c["id"]}


def test_a_right_notebook_runs_once_a_kind(run):
    lost, found = run()
    assert lost == {}
    assert found.keys() >= CHECKS
    assert [role for role, _ in run.kernels] == ["check", "hidden"]
    assert not [name for name in run.kernels[0][1] if name in ("f.two", "h.three")]


def test_a_check_that_ends_its_kernel_loses_itself_alone(run):
    lost, found = run(lambda name, *_: name == "g.one")
    assert lost == {"g.one": "it ended"}
    assert found.keys() >= CHECKS


def test_an_answer_that_ends_its_kernel_loses_its_exercise(run):
    lost, found = run(lambda name, *_: name == "g")
    assert lost == {"g": "it ended", "g.one": "it ended (in the cell g)"}
    assert found.keys() >= CHECKS, "of the others nothing is lost, hidden ones included"


def test_who_uses_an_answer_that_ends_the_kernel_has_its_stub(run):
    lost, found = run(lambda name, *_: name == "f")
    assert lost == {"f.one": "it ended (in the cell f)", "f.two": "RuntimeError"}
    assert found.keys() >= CHECKS
    assert ("check", ["setup", "f*", "h", "h.one", "h.two"]) in run.kernels
    assert ("check", ["setup", "g", "g.one"]) in run.kernels


def test_the_end_of_a_kernel_may_be_an_earlier_answer_s_doing(run):
    """A thread of f ends every kernel in which another exercise follows."""
    lost, found = run(lambda name, role, before: name == "g.one" and "f" in before)
    assert lost == {}
    assert found.keys() >= CHECKS


def test_hidden_checks_run_although_a_visible_one_ended_the_kernel(run):
    lost, found = run(lambda name, role, _: role == "check" and name == "h.one")
    assert lost == {"h.one": "it ended", "h.two": "it ended (in the cell h.one)"}
    assert found["hidden", "h.three"]["passed"]
    roles = [role for role, _ in run.kernels]
    assert roles == sorted(roles), "no visible check after a hidden one"


def test_a_setup_that_ends_the_kernel_is_said_and_nothing_is_run_again(run):
    lost, _ = run(lambda name, *_: name == "setup")
    assert lost == {"setup": "it ended"}
    assert len(run.kernels) == 1


def test_without_time_nothing_is_run_again_and_what_is_known_counts(run):
    _, found = run(lambda name, *_: name == "g", seconds=1.0)
    assert found["check", "f.one"]["passed"]
    assert ("check", "h.one") not in found


def test_data_and_code_never_meet_in_a_kernel(run):
    data = [cell("answer", "votes", "votes = [1]", literal=True)]
    data += [cell("check", "votes.sum", "check.given", literal=True)]
    _, found = run(cells=[*CELLS, *data])
    assert found["check", "votes.sum"]["passed"]
    for _, names in run.kernels:
        assert not ("votes" in names and "f" in names)


def test_a_setup_that_fails_beside_data_alone_is_said_too(run):
    data = [cell("answer", "votes", "votes = [1]", literal=True)]
    data += [cell("check", "votes.sum", "check.given", literal=True)]
    _, found = run(lambda name, *_: name == "setup" and len(run.kernels) > 2, cells=[*CELLS, *data])
    assert not found["check", "setup"]["passed"]
    assert found["check", "f.one"]["passed"]


# ------------------------------------------------------------------- values that are compared

MUTANTS = [
    {"name": "f.half", "hint": "Half.", "values": {"f.one": 0.56172, "f.two": 1.0}},
    {"name": "f.other", "hint": "Another.", "values": {"f.two": 3.0}},
]


def compared(*values, to="f.one", reply="ok", alive=True, want=1.12345, measured=(), **meta):
    """The item of a check cell after its outputs were compared, and whether it passed."""
    kernel = SimpleNamespace(reply_status=reply, is_alive=lambda: alive)
    notebook = from_dict({"metadata": {"tinykd": {"mutants": json.dumps(MUTANTS)}}})
    meta = {"role": "check", "name": "f.one", "rtol": 1e-4, "atol": 1e-6} | meta
    item = SimpleNamespace(
        cell=SimpleNamespace(metadata=from_dict(meta)),
        parent=SimpleNamespace(kernel=kernel, nb=notebook),
    )
    got = [from_dict(recorded_output(to, value)) for value in values]
    got += [from_dict({"metadata": measured_metadata(*one)}) for one in measured]
    passed = nbval_plugin.compare_outputs(item, got, [from_dict(recorded_output("f.one", want))])
    return passed, item


def test_a_value_is_right_within_its_tolerance_and_names_what_it_refutes():
    passed, item = compared(1.12346)
    assert passed
    assert item.refuted == ["f.half"], "the other would not have lost it"
    assert not compared(1.13)[0]
    assert compared(1.13, rtol=0.1)[0]
    assert compared(7, role="answer")[0], "an answer cell is not compared"


def test_a_known_mistake_is_found_and_its_numbers_are_counted():
    passed, item = compared(0.56172)
    assert not passed
    assert (item.mistakes, item.numbers) == ([("f.half", "Half.")], 1)
    assert item.why == "it is 2 times too small"
    assert compared(0.7)[1].why == "0.7 is too small", "what is expected is never said"


@pytest.mark.parametrize(
    ("values", "how"),
    [
        ((), {}),
        ((1.12345, 1.12345), {}),
        ((1.12345,), {"reply": "error"}),
        ((1.12345,), {"reply": ""}),
        ((1.12345,), {"alive": False}),
        ((1.12345,), {"to": "f.other"}),
    ],
)
def test_a_value_counts_once_of_a_cell_that_ran_to_its_end(values, how):
    passed, item = compared(*values, **how)
    assert not passed
    assert item.why == "its cell recorded no value"


def test_a_number_is_measured_where_no_code_could_say_it():
    told = [("digits", 0.9), ("odd", math.nan)]
    assert not hasattr(compared(1.12345, measured=told)[1], "measured")
    assert compared(1.12345, measured=told, literal=True)[1].measured == {"digits": 0.9}


def test_a_value_far_too_large_is_not_compared():
    for value in ([1.0] * 60_000, json.loads("[" * 30 + "1" + "]" * 30)):
        passed, item = compared(value)
        assert not passed
        assert "far more than is expected" in item.why
    assert compared([1.0] * 40_000, want=[1.0] * 40_000)[0]


# ------------------------------------------------------------------- a guarded kernel


@pytest.fixture
def kernel(monkeypatch):
    """A kernel without a process: `kernel.messages` is what comes, on either stream."""
    one = GuardedKernel.__new__(GuardedKernel)
    one.messages, one.ended, one.seen_bytes, one.deadline = [], [], 0, math.inf
    one.max_bytes, one.reply_status = 1_000, ""

    def get(timeout=None):
        if not one.messages:
            raise guarded_kernel.Empty
        return one.messages.pop(0)

    one.kc = SimpleNamespace(get_iopub_msg=get, get_shell_msg=get)
    one.km = SimpleNamespace(shutdown_kernel=lambda now: one.ended.append(now))
    monkeypatch.setattr(GuardedKernel, "is_alive", lambda self: not self.ended)
    monkeypatch.setattr(guarded_kernel, "POLL_SECONDS", 0.001)
    return one


def message(status="ok", to="mine", text="", buffers=()):
    content = {"status": status, "text": text}
    return {"parent_header": {"msg_id": to}, "content": content, "buffers": list(buffers)}


def test_the_reply_to_this_cell_counts(kernel):
    kernel.messages = [message("ok", "another"), message("error")]
    kernel.await_reply("mine", timeout=5)
    assert kernel.reply_status == "error"


def test_who_says_too_much_is_ended(kernel):
    for flood in (message(text="x" * 1_001), message(buffers=[memoryview(b"x" * 1_001)])):
        kernel.messages, kernel.seen_bytes = [message(), flood], 0
        kernel.get_message("iopub")
        with pytest.raises(KernelDied, match="more than 1,000 bytes"):
            kernel.get_message("iopub")
    assert kernel.ended == [True, True]
    kernel.messages, kernel.seen_bytes = [message(text="x" * 700)] * 2, 0
    kernel.get_message("iopub")
    with pytest.raises(KernelDied):
        kernel.get_message("shell")


def test_a_dead_kernel_and_a_late_one(kernel):
    with pytest.raises(guarded_kernel.Empty):
        kernel.await_reply("mine", timeout=0.02)
    kernel.deadline = 0
    kernel.messages = [message()]
    with pytest.raises(guarded_kernel.Empty):
        kernel.get_message("iopub")
    kernel.messages, kernel.ended = [], [True]
    with pytest.raises(KernelDied, match="your code ended the kernel"):
        kernel.await_reply("mine", timeout=5)


# ------------------------------------------------------------------- between two exercises


@pytest.fixture
def space(monkeypatch):
    """A kernel's names after the lesson's setup cell; what a test changes is put right again."""
    for name in ("_of_lesson", "_before", "_settings"):
        monkeypatch.setattr(leftovers, name, {})
    before, state = dict(vars(builtins)), np.geterr()
    found = {"there": 1}
    leftovers.setup_begins(found)
    found |= {"np": np, "tool": len, "_own": 3, "In": []}
    leftovers.setup_ends(found)
    yield found
    vars(builtins).update(before)
    np.seterr(**state)
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)


def test_what_an_exercise_leaves_behind_is_put_right(space):
    space |= {"np": 7, "tool": 8, "there": 9, "mine": 10, "range": 11, "f": 12, "_own": 13}
    builtins.sum = 14
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    np.seterr(all="ignore")
    state = dict(leftovers._settings["errors"])
    leftovers.exercise_ends(space, "f")
    assert (space["np"], space["tool"]) == (np, len)
    assert (space["there"], space["mine"], space["_own"]) == (9, 10, 13), "a student's own stay"
    assert "range" not in space
    assert sum([1, 2]) == 3
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() is torch.float32
    assert np.geterr() == state
    space["f"] = 15
    leftovers.exercise_ends(space, "g")
    assert space["f"] == 12, "a later exercise does not change an earlier answer"


def test_a_later_setup_cell_may_give_a_name_anew(space):
    leftovers.setup_begins(space)
    space["tool"] = max
    leftovers.setup_ends(space)
    space["tool"] = 8
    leftovers.exercise_ends(space, "f")
    assert space["tool"] is max


def test_an_answer_may_be_called_like_a_function_of_python(space):
    space["round"] = 5
    leftovers.exercise_ends(space, "round")
    assert space["round"] == 5
    leftovers.exercise_ends(space, "f")
    assert space["round"] == 5


# ------------------------------------------------------------------- whose lesson


@pytest.mark.parametrize(
    ("name", "lesson"),
    [
        ("01_one.ipynb", "01_one"),
        ("01_one-Copy1.ipynb", "01_one"),
        ("01_one (2).ipynb", "01_one"),
        ("01_one-2.ipynb", "01_one"),
        ("01_one_copy.ipynb", "01_one"),
        ("week-3b.ipynb", "week-3b"),
    ],
)
def test_a_lesson_s_name_is_read_from_a_copy_s(name, lesson):
    assert lesson_name(Path(name)) == lesson


def solution(**more):
    check = cell("check", "f.one", hint="", points=1.0)
    cells = [*CELLS[:2], check | {"outputs": [recorded_output("f.one", 1.0)]}]
    return {"nbformat": 4, "cells": cells, "metadata": {"tinykd": {"lesson": "01_one"} | more}}


def test_the_nearest_solution_is_the_reference(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "course" / "lessons" / "mine.ipynb"
    for folder, mark in ((tmp_path, "far"), (tmp_path / "course", "near")):
        (folder / "solutions").mkdir(parents=True)
        (folder / "solutions" / "01_one.ipynb").write_text(json.dumps(solution(mark=mark)))
    mine.parent.mkdir()
    mine.write_text(json.dumps({"nbformat": 4, "cells": [], "metadata": solution()["metadata"]}))
    assert find_reference(mine)["metadata"]["tinykd"]["mark"] == "near"
    (tmp_path / "course" / "solutions" / "01_one.ipynb").unlink()
    assert find_reference(mine)["metadata"]["tinykd"]["mark"] == "far"
    odd = {"nbformat": 4, "cells": [], "metadata": {"tinykd": {"lesson": "../solutions/01_one"}}}
    mine.write_text(json.dumps(odd))
    with pytest.raises(NotGradable, match="neither solutions/mine.ipynb nor"):
        find_reference(mine)
    renamed = mine.with_name("01_one-Copy1.ipynb")
    renamed.write_text(json.dumps({"nbformat": 4, "cells": [], "metadata": {}}))
    assert find_reference(renamed)["metadata"]["tinykd"]["mark"] == "far"


def test_a_reference_has_a_value_for_every_check_and_an_answer(tmp_path):
    path = tmp_path / "reference.ipynb"
    whole = solution()
    for change, said in (
        (lambda made: made["cells"][2].update(outputs=[]), "f.one has no value"),
        (lambda made: made["cells"].pop(1), "has no answer cells"),
    ):
        made = json.loads(json.dumps(whole))
        change(made)
        path.write_text(json.dumps(made))
        with pytest.raises(NotGradable, match=said):
            read_reference(path)
    path.write_text(json.dumps(whole))
    assert read_reference(path)["metadata"]["tinykd"]["used"] == []
