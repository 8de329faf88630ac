"""Which of a notebook's cells count, what runs in their place, and what is said: without a kernel.

test_submissions.py grades such notebooks for real, in minutes; here they are taken apart in a
moment, so a choice that is made wrongly is seen before any of it has run.
"""

import copy
import json

import pytest

from tinykd.classroom.grading import grade_notebook
from tinykd.classroom.grading.choose_answer import MISSING
from tinykd.classroom.grading.exercises import Exercises
from tinykd.classroom.grading.grade_notebook import grade_own_notebook, grade_submission
from tinykd.classroom.grading.graft import graft
from tinykd.classroom.grading.read_code import MAX_CELL, MAX_NOTEBOOK, CodeReader, joined
from tinykd.classroom.grading.read_submission import MAX_BYTES, NotGradable, read_submission
from tinykd.classroom.grading.reference import Reference

STUB = 'raise NotImplementedError("{}: write your code here")'
F, G = "def f(x):\n    return x + 1", "def g(x):\n    return 2 * f(x)"
F_STUB, G_STUB = (f"def {name}(x):\n    {STUB.format(name)}" for name in "fg")
HELPER = "def helper(x):\n    return x"


def code(source, **more):
    return {"cell_type": "code", "metadata": {}, "source": source} | more


def ours(role, name, source, **more):
    return code(source, id=name.replace(".", "-"), metadata={"role": role, "name": name} | more)


def check(name, role="check"):
    return ours(role, name, f'check("{name}", check.call({name[0]}, 1))', points=1.0)


def solution(name, body):
    return f"def {name}(x):\n    # BEGIN SOLUTION\n    return {body}\n    # END SOLUTION"


SETUP = ours("setup", "setup", "import numpy as np\n\n\ndef tool(x):\n    return x")
F_CHECK, G_CHECK = check("f.one"), check("g.one")
REFERENCE = {
    "cells": [
        SETUP,
        ours("answer", "f", solution("f", "x + 1")),
        F_CHECK,
        check("f.two", "hidden"),
        ours("show", "figure", "plot(f)"),
        ours("answer", "g", solution("g", "2 * f(x)")),
        G_CHECK,
        check("g.two", "hidden"),
    ],
    "metadata": {"kernelspec": {}, "tinykd": {"lesson": "01_letters", "used": ["tool"]}},
}


def mine(name, source, **more):
    """A cell with the marks that the lesson gives an answer."""
    return ours("answer", name, source) | more


def grafted(*cells):
    """What counts as f and as g in a notebook of these cells, and the remarks."""
    submission = {"cells": list(cells), "metadata": {"tinykd": {"lesson": "01_letters"}}}
    before = json.dumps(REFERENCE)
    notebook, remarks = graft(submission, REFERENCE)
    assert json.dumps(REFERENCE) == before
    wanted = [cell for cell in REFERENCE["cells"] if cell["metadata"]["role"] != "show"]
    for cell, right in zip(notebook["cells"], wanted, strict=True):
        assert cell["metadata"] == right["metadata"]
        if cell["metadata"]["role"] != "answer":
            assert cell == right
    f, g = (cell["source"] for cell in notebook["cells"] if cell["metadata"]["role"] == "answer")
    return f, g, remarks


OWN = "f: graded was a cell of your own that defines it, it begins 'def f(x):'"
WRONG = "def f(x):\n    return 0"
ELSE = "def f(x):\n    return 7  # of another exercise"


@pytest.mark.parametrize(
    ("cells", "f", "remarks"),
    [
        ([mine("f", F)], F, []),
        ([mine("f", F, id="new")], F, []),
        ([code(F, id="f")], F, []),
        ([], "stub", ["missing"]),
        ([mine("f", F, id="new"), code(WRONG, id="f", metadata={"role": "show"})], F, []),
        ([mine("f", F), mine("f", WRONG, id="b")], WRONG, ["2 answer cells; the last one was"]),
        ([mine("f", F), mine("f", F_STUB, id="b")], F, ["the last one that is written was"]),
        ([mine("f", HELPER), mine("f", F, id="b")], f"{HELPER}\n\n{F}", ["graded as one"]),
        ([mine("f", "# nothing yet"), mine("f", "x = 3", id="b")], "x = 3", []),
        ([mine("f", F_STUB), code(F)], F, [OWN]),
        ([mine("f", F), F_CHECK, code(WRONG)], F, []),
        ([mine("f", WRONG), code(F), F_CHECK, code(ELSE)], F, [OWN]),
        ([mine("f", WRONG), code(F), F_CHECK, code(ELSE), F_CHECK], ELSE, [OWN]),
        ([code(ELSE), mine("f", F), F_CHECK], F, []),
        ([mine("f", F), ours("show", "figure", ELSE), F_CHECK], F, []),
        ([mine("f", F), ours("show", "f", WRONG), F_CHECK], F, []),
        ([mine("f", F), code(F_STUB), F_CHECK], F, []),
        ([mine("f", F_STUB), code(WRONG), F_CHECK, code(F)], F, [OWN]),
        ([code(WRONG), code(F), F_CHECK, code(ELSE)], F, [OWN]),
        ([code(F), code("f = f(3)"), F_CHECK, code(ELSE)], F, [OWN]),
        ([code(WRONG), code(F)], F, [OWN]),
        ([mine("f", F, cell_type="markdown")], "stub", ["no longer a code cell"]),
        ([mine("f", "# NBVAL_SKIP\n" + F)], "#\n" + F, []),
        ([mine("f", "<<<<<<< mine\n" + F)], "<<<<<<< mine\n" + F, ["a merge in git"]),
        ([mine("f", F + "\n\ntool = np = 7")], F + "\n\ntool = np = 7", ["changes tool, which"]),
        ([mine("f", "import numpy as np\n" + F)], "import numpy as np\n" + F, []),
        ([mine("f", "import math as tool\n" + F)], "import math as tool\n" + F, ["changes tool"]),
        ([mine("f", "y = getattr(3, 'real')\n" + F)], "y = getattr(3, 'real')\n" + F, []),
        (
            [mine("f", "from math import *\n" + F)],
            "from math import *\n" + F,
            ["from math (import"],
        ),
    ],
)
def test_what_counts_as_the_answer(cells, f, remarks):
    made, other, said = grafted(*cells, mine("g", G))
    assert other == G
    if f == "stub":
        assert made == F_STUB
    else:
        assert made == f
    assert len(said) == len(remarks)
    for words, line in zip(remarks, said, strict=True):
        assert words in line
        assert line.startswith("f: ")


def test_a_library_is_named_where_the_solution_does_without():
    answer = "def f(x):\n    return np.add(x, 1)"
    for body, said in (("x + 1", ["f: uses numpy.add, a library's version"]), ("np.add(x, 1)", [])):
        lesson = copy.deepcopy(REFERENCE)
        lesson["cells"][1] = ours("answer", "f", solution("f", body), library="numpy.add")
        _, remarks = graft({"cells": [mine("f", answer), mine("g", G)], "metadata": {}}, lesson)
        assert [one.partition(" of what")[0] for one in remarks] == said


def test_a_notebook_without_an_answer_is_not_graded():
    for cells in ([], [code("x = 1")], [code(F, cell_type="markdown")]):
        with pytest.raises(NotGradable, match="no answer cell of 01_letters"):
            grafted(*cells)
    assert grafted(mine("g", G))[:2] == (F_STUB, G)


def test_an_answer_that_is_data_is_written_anew():
    lesson = copy.deepcopy(REFERENCE)
    lesson["cells"].append(ours("answer", "votes", "votes = [3, 5]", literal=True))

    def handed_in(source):
        notebook, remarks = graft({"cells": [mine("votes", source)], "metadata": {}}, lesson)
        assert remarks == [f"{name}: {MISSING}" for name in "fg"]
        return notebook["cells"][-1]["source"]

    assert handed_in("# mine\nvotes = [1,\n  2]  # too") == "votes = [1, 2]"
    assert handed_in("votes = open('secret')").startswith("raise ValueError(")
    with pytest.raises(NotGradable, match="no answer cell"):
        handed_in("votes = None")


def test_the_last_of_very_many_cells_count():
    many = [mine("f", f"{F}  # {n}", id=f"m{n}") for n in range(150)]
    assert grafted(*many)[0] == f"{F}  # 149"
    unmarked = [code(f"{F}  # {n}") for n in range(150)]
    assert grafted(*unmarked, mine("g", G))[0] == f"{F}  # 149"


def test_a_cell_s_magic_does_not_take_the_other_half_with_it():
    assert joined(["%%time\n" + F]) == "%%time\n" + F
    assert joined([HELPER, "%%time\n" + F]) == f"{HELPER}\n\n{F}"
    assert joined([HELPER, "%%bash\nls"]) == f"{HELPER}\n\n%%bash\nls"


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    from fast import f\nexcept ImportError:\n    def f(x): return x",
        "try:\n    x = 1\nfinally:\n    def f(x): return x",
        "if x:\n    pass\nelse:\n    def f(x): return x",
        "for x in y:\n    pass\nelse:\n    f = lambda x: x",
        "def f(x): return x\n\nf = wrapped(f)",
        "def f(x):\n    if x > 0:\n        return x\n    raise ValueError",
        "def f(x):\n    if x > 0:\n        return x\n    raise ValueError('x above 0')",
        "def f(x):\n    if x > 0:\n        return x\n    raise NotImplementedError('x above 0')",
    ],
)
def test_a_function_is_written_wherever_it_stands(source):
    assert CodeReader().read(source).defined["f"] == "function"


def test_a_class_is_written_when_all_of_its_methods_are():
    source = "class f:\n    def a(self):\n        return 1\n\n    def b(self):\n        "
    assert CodeReader().read(f"{source}{STUB.format('f')}").defined["f"] == "stub"
    assert CodeReader().read(f"{source}return 2").defined["f"] == "function"


def test_what_is_parsed_is_bounded():
    """Beyond the bounds the text alone counts, in which a `def` in a string is a function too."""
    text = '"""\ndef f(x): return x\n"""\n'
    assert "f" not in CodeReader().read(text).defined
    assert "f" in CodeReader().read(text + "#" * MAX_CELL).defined
    reader = CodeReader()
    for n in range(MAX_NOTEBOOK // MAX_CELL - 1):
        for _ in range(2):  # what was read is known
            reader.read(str(n).ljust(MAX_CELL, "#"))
    assert "f" not in reader.read(text).defined
    reader.read("#" * MAX_CELL)
    reader.read("7" + "#" * (MAX_CELL - len(text) - 1))
    assert "f" in reader.read(f"{text}# again").defined


# -------------------------------------------------------------------- what runs together


def exercises(f=F, g=G):
    cells = [{"f": mine("f", f), "g": mine("g", g)}.get(one["metadata"]["name"], one)
             for one in REFERENCE["cells"] if one["metadata"]["role"] != "show"]  # fmt: skip
    return Exercises(REFERENCE | {"cells": cells}, {"f": F_STUB, "g": G_STUB}, 5)


def run(notebook):
    """The cells in order, those that put names right in parentheses."""
    found = []
    for cell in notebook["cells"]:
        meta = cell["metadata"]
        found.append("(" + cell["source"].rpartition(".")[2] if meta["name"] == "leftovers"
                     else meta["name"])  # fmt: skip
    return found


SETUP_CELLS = ["(setup_begins(globals())", "setup", "(setup_ends(globals())"]


def test_checks_of_one_kind_run_in_one_kernel():
    made = exercises()
    one_after_another = [
        *SETUP_CELLS, "f", "f.one", "(exercise_ends(globals(), 'f')", "g", "g.one",
    ]  # fmt: skip
    assert run(made.notebook("check")) == one_after_another
    hidden = [name.replace(".one", ".two") for name in one_after_another]
    assert run(made.notebook("hidden")) == hidden


def test_an_exercise_alone_has_the_answers_that_it_uses():
    made = exercises()
    assert run(made.notebook("check", "f")) == [*SETUP_CELLS, "f", "f.one"]
    with_f = [*SETUP_CELLS, "f", "(exercise_ends(globals(), 'f')", "g", "g.one"]
    assert run(made.notebook("check", "g")) == with_f
    alone = exercises(g="def g(x):\n    return x")
    assert run(alone.notebook("check", "g")) == [*SETUP_CELLS, "g", "g.one"]
    of_the_setup = exercises("import numpy as np\n" + F, "def g(x):\n    return np.exp(x)")
    assert run(of_the_setup.notebook("check", "g")) == [*SETUP_CELLS, "g", "g.one"]
    for brought, used in (("import math", "math.exp"), ("from math import exp as e", "e")):
        imported = exercises(f"{brought}\n{F}", f"def g(x):\n    return {used}(x)")
        assert run(imported.notebook("check", "g")) == with_f


def test_a_check_may_use_another_exercise():
    made = exercises(g="def g(x):\n    return x")
    for cell in made._notebook["cells"]:
        if cell["metadata"]["name"] == "g.one":
            cell["source"] = 'check("g.one", check.call(g, f(1)))'
    made = Exercises(made._notebook, {"f": F_STUB, "g": G_STUB}, 5)
    with_f = [*SETUP_CELLS, "f", "(exercise_ends(globals(), 'f')", "g", "g.one"]
    assert run(made.notebook("check", "g")) == with_f


def test_an_answer_that_is_left_out_is_its_stub():
    made = exercises()
    assert not made.leave_out("f.one")
    assert made.leave_out("f")
    assert not made.leave_out("f")
    sources = [cell["source"] for cell in made.notebook("check", "g")["cells"]]
    assert F_STUB in sources
    assert F not in sources
    assert G in sources


def test_a_kernel_knows_the_generators_of_its_own_checks_alone():
    made = exercises(F + '\n# check.rng("f.two"), check.rng("mine")')
    for cell in made._notebook["cells"]:
        name = cell["metadata"]["name"]
        if "." in name:
            cell["source"] = f'check("{name}", check.rng("{name}").normal())'
    seeds = made.notebook("check")["metadata"]["tinykd"]["seeds"]
    assert seeds.keys() == {"f.one", "g.one"}
    assert made.notebook("check", "f")["metadata"]["tinykd"]["seeds"].keys() == {"f.one"}


def test_what_is_not_known_yet():
    made = exercises()
    assert made.lacking("check", {}) == ["f", "g"]
    assert made.lacking("check", {("check", "f.one"): {}, ("hidden", "g.one"): {}}) == ["g"]
    assert made.checks("hidden", "g") == ["g.two"]


# -------------------------------------------------------------------- points

PASSED = {"passed": True, "why": None, "seconds": 1.5}
LOST = {"passed": False, "why": "it is 0", "seconds": 2.5, "numbers": 3}
MISTAKE = {"mistakes": [["f.none", "You add nothing."]]}


@pytest.fixture
def graded(tmp_path, monkeypatch):
    """Grade a notebook whose cells are said to have given `results`."""
    path, seen = tmp_path / "mine.ipynb", []
    book = {"cells": [mine("f", F), mine("g", G)], "nbformat": 4, "metadata": {}}
    path.write_text(json.dumps(book))
    lesson = copy.deepcopy(REFERENCE)
    for cell in lesson["cells"]:
        cell["metadata"]["hint"] = "Think."

    def grade(results, hidden=0, started=("check", "hidden")):
        setup = {(role, "setup"): PASSED for role in started}
        monkeypatch.setattr(
            grade_notebook, "run_cells", lambda *a: seen.append(a[-2:]) or (setup | results)
        )
        if not hidden:
            return grade_submission(path, Reference("01_letters", lesson, 7, ""), None, 3, 40)
        lesson["metadata"]["tinykd"]["hidden"] = hidden
        monkeypatch.setattr(grade_notebook, "read_reference", lambda where: lesson)
        return grade_own_notebook(path, path, 4, 50)

    grade.limits = seen
    return grade


def test_points_are_counted_from_what_ran(graded):
    results = {("check", "f.one"): PASSED | {"refuted": ["f.none"]}, ("check", "g.one"): LOST}
    results["check", "g.one"] = LOST | {"refuted": ["g.once"], "measured": {"digits": 0.5}}
    results |= {("hidden", "f.two"): PASSED, ("check", "f.two"): LOST, ("hidden", "g.one"): PASSED}
    grade = graded(results)
    found = {check.name: check for check in grade.checks}
    assert [name for name, check in found.items() if check.passed] == ["f.one", "f.two"]
    assert (grade.points, grade.max_points) == (2, 4)
    assert (found["f.one"].refuted, found["f.one"].hint, found["f.one"].seconds) == (
        *(["f.none"], "", 1.5),
    )
    assert (found["g.one"].why, found["g.one"].hint) == ("it is 0", "Think.")
    assert (found["g.one"].refuted, found["g.one"].measured) == ([], {"digits": 0.5})
    assert not found["g.two"].passed, "of which nothing is known"
    late = graded({})
    assert {check.why for check in late.checks} >= {"the time was up before it ran"}
    assert late.points == 0
    assert graded.limits == [(3, 40)] * 2


def test_of_a_hidden_check_nothing_comes_out_but_whether_it_passed(graded):
    told = LOST | MISTAKE | {"why": "ValueError: the inputs", "refuted": ["g.once"]}
    right = {("check", name): PASSED for name in ("f.one", "g.one")}
    grade = graded(right | {("hidden", "f.two"): told, ("hidden", "g.two"): told | PASSED})
    f, g = (check for check in grade.checks if check.hidden)
    assert (f.why, f.hint, f.mistake, f.mistakes) == ("wrong for other inputs", "Think.", "", [])
    assert (g.passed, g.why, g.hint, g.refuted) == (True, "", "", [])
    assert f.seconds == g.seconds == f.numbers == 0


def test_a_mistake_is_named_where_it_is_seen(graded):
    grade = graded({("check", "f.one"): LOST | MISTAKE})
    lost = grade.checks[0]
    assert (lost.mistake, lost.hint) == ("f.none", "You add nothing.")


def test_where_the_lesson_s_own_setup_fails_nobody_loses_points(graded):
    for role in ("check", "hidden"):
        with pytest.raises(NotGradable, match="own setup cell fails on this machine: no numpy"):
            graded({(role, "setup"): LOST | {"why": "no numpy"}})
    with pytest.raises(NotGradable, match="the kernel did not start"):
        graded({}, started=())


def test_a_student_is_told_what_was_not_run(graded):
    said = [graded({}, hidden).remarks[-1] for hidden in (1, 2)]
    assert said == [
        f"the solution is not on this machine: {words} not run"
        for words in ("1 hidden check was", "2 hidden checks were")
    ]
    assert graded.limits == [(4, 50)] * 2


# -------------------------------------------------------------------- files


BOOK = '{"cells": [], "nbformat": 4, "metadata": {}}'


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (BOOK.encode(), ""),
        (b"\xef\xbb\xbf" + BOOK.encode(), ""),
        (BOOK.encode().ljust(MAX_BYTES), ""),
        (BOOK.encode().ljust(MAX_BYTES + 1), "larger than 20 MB"),
        (b'{"cells": [],\n"nbformat": 4,\n"metadata": {]}', "damaged in line 3"),
        (b"{\n<<<<<<< HEAD\n}", "a merge in git left its marks in it, the first in line 2"),
        (b'{"nbformat": 4, "cells": "' + b"\xe9" + b'"}', "not in UTF-8"),
        (b'{"x": [' + b"{}," * 100_001 + b"0]}", "more than 100,000 JSON objects"),
        (b'{"x": [' + b"0," * 1_000_001 + b"0]}", "more than 1,000,000 JSON values"),
        (b'{"x": "' + b"{[," * 1_000_001 + b'", ' + BOOK.encode()[1:], ""),
        (b"[" * 200_000, "nested too deep"),
        (b'{"nbformat": "4"}', "it has to be the number 4"),
        (b"PK\x03\x04", "a zip archive"),
        (b"<html>", "a web page"),
    ],
)
def test_a_file_is_read_or_refused_in_words(tmp_path, data, said):
    path = tmp_path / "mine.ipynb"
    path.write_bytes(data)
    if not said:
        assert read_submission(path)["cells"] == []
        return
    with pytest.raises(NotGradable) as refused:
        read_submission(path)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
