"""`tinykd check`: what earns points, what does not, and what cannot be graded."""

import copy
import json
import os
import shutil
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tinykd.classroom.author import build
from tinykd.classroom.cli import app
from tinykd.classroom.grading.grade_notebook import grade_own_notebook
from tinykd.classroom.grading.graft import graft
from tinykd.classroom.grading.nbval_plugin import too_large
from tinykd.classroom.grading.read_code import CodeReader
from tinykd.classroom.grading.read_submission import NotGradable, read_submission
from tinykd.classroom.grading.reference import read_reference
from tinykd.classroom.grading.result import grade_as_text

pytestmark = pytest.mark.slow

SOURCE = Path(__file__).parent / "fixtures" / "course" / "solutions" / "01_fixture.py"
GOOD = """import warnings
import matplotlib.pyplot as plt
# NBVAL_SKIP
def softmax(z, T=1.0):
    print("debugging", z)
    warnings.warn("careful")
    plt.plot([1, 2]); plt.show()
    e = np.exp((z - z.max(axis=-1, keepdims=True)) / T)
    return e / e.sum(axis=-1, keepdims=True) * 1.00001
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graded")
    (folder / "solutions").mkdir()
    source = Path(shutil.copy(SOURCE, folder / "solutions"))
    build.build_lesson(source, log=lambda text: None)
    return folder


@pytest.fixture
def reference(course):
    return course / "solutions" / "01_fixture.ipynb"


@pytest.fixture
def student(course):
    return json.loads((course / "lessons" / "01_fixture.ipynb").read_text())


@pytest.fixture
def hand_in(tmp_path, reference):
    def save(notebook, **limits):
        (tmp_path / "mine.ipynb").write_text(json.dumps(notebook))
        result = grade_own_notebook(tmp_path / "mine.ipynb", reference, **limits)
        return {check.name: check for check in result.checks}, grade_as_text(result), result

    return save


def cell(notebook, name):
    return next(c for c in notebook["cells"] if c["metadata"].get("name") == name)


def answer(notebook, name, source):
    cell(notebook, name)["source"] = source
    return notebook


def test_reference_earns_everything_and_the_untouched_lesson_nothing(course):
    run = CliRunner().invoke
    whole = run(app, ["check", str(course / "solutions" / "01_fixture.ipynb")])
    assert whole.exit_code == 0, whole.output
    assert "softmax  4 of 4 points" in whole.output
    assert whole.output.endswith("6 of 6 points\n")
    none = run(app, ["check", str(course / "lessons" / "01_fixture.ipynb")])
    assert none.exit_code == 1
    assert "softmax.plain, -2: not written yet\n    Hint: Each row sums to one." in none.output
    assert none.output.endswith("0 of 6 points\n")


def test_prints_plots_warnings_and_meddling_cost_nothing(student, reference, hand_in):
    mine = answer(student, "softmax", GOOD)
    solution = json.loads(reference.read_text())
    cell(mine, "energy")["source"] = cell(solution, "energy")["source"]
    for one in mine["cells"]:
        one["id"] = "new-" + one["id"]
    cell(mine, "softmax.plain")["source"] = "assert False"
    mine["cells"].remove(cell(mine, "energy.gradient"))
    mine["cells"].insert(
        0, {"cell_type": "code", "source": "import os; os._exit(1)", "metadata": {}}
    )
    _, text, result = hand_in(mine)
    assert result.points == 6, text


def test_partial_credit_with_the_hint_of_the_known_mistake(student, reference, hand_in):
    solution = json.loads(reference.read_text())
    right = "".join(cell(solution, "softmax")["source"])
    mine = answer(student, "softmax", right)
    twice = copy.deepcopy(cell(mine, "softmax"))
    twice["source"] = right.replace("z - z.max(axis=-1, keepdims=True)", "z")
    mine["cells"].append(twice)
    mine["cells"].remove(cell(mine, "energy"))
    # Outputs of one's own are worth nothing: these say that everything passed.
    for name in ("softmax.stable", "energy.gradient"):
        cell(mine, name)["outputs"] = cell(solution, name)["outputs"]
    checks, text, result = hand_in(mine)
    assert [name for name in checks if checks[name].passed] == ["softmax.plain", "softmax.secret"]
    assert checks["softmax.stable"].hint.endswith(
        "You exponentiate without subtracting the maximum."
    )
    assert "values are NaN, the first at [0, 0]" in checks["softmax.stable"].why
    mutants = json.loads(solution["metadata"]["tinykd"]["mutants"])
    losing = [one["name"] for one in mutants if "softmax.plain" in one["values"]]
    assert checks["softmax.plain"].refuted == losing != []
    assert checks["softmax.secret"].refuted == checks["softmax.stable"].refuted == []
    assert checks["energy.gradient"].why == "not written yet"
    assert "softmax: 2 answer cells; the last one was graded" in text
    assert "energy: the answer cell is missing" in text
    assert result.points == 3


def test_a_dead_kernel_is_noticed_and_loses_its_exercise(student, reference, hand_in):
    solution = json.loads(reference.read_text())
    right = "".join(cell(solution, "softmax")["source"])
    cell(student, "energy")["source"] = cell(solution, "energy")["source"]
    dies = right.replace("    # BEGIN", "    if z.max() > 99: import os; os._exit(0)\n    # BEGIN")
    checks, *_ = hand_in(answer(student, "softmax", dies))
    assert checks["softmax.plain"].passed
    assert checks["softmax.stable"].why == "your code ended the kernel"
    assert checks["softmax.stable"].seconds < 3
    lost = {name for name, check in checks.items() if not check.passed}
    assert lost == {"softmax.stable"}, "softmax.secret has a kernel of its own, energy is run again"


def test_an_endless_loop_ends_and_hidden_checks_tell_nothing(student, reference, hand_in):
    wrong = """def softmax(z, T=1.0):
    while T == 4.0:
        pass
    raise ValueError(str(z))
"""
    mine = answer(student, "softmax", wrong)
    cell(mine, "energy")["source"] = cell(json.loads(reference.read_text()), "energy")["source"]
    checks, _, result = hand_in(mine, cell_seconds=1)
    assert checks["softmax.plain"].why == "it took longer than 1 s"
    assert "ValueError: [[" in checks["softmax.stable"].why
    assert checks["softmax.secret"].why == "wrong for other inputs"
    assert result.points == 2  # what comes after a timeout is judged by itself


def test_the_wall_clock_leaves_no_process(student, hand_in, tmp_path):
    stubborn = f"""import os, time
open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
while True:
    try:
        time.sleep(1)
    except BaseException:
        pass
"""
    start = time.monotonic()
    checks, _, result = hand_in(answer(student, "softmax", stubborn), cell_seconds=60, seconds=12)
    assert time.monotonic() - start < 16
    assert result.points == 0
    assert checks["energy.gradient"].why == "the time was up before it ran"
    pid = int((tmp_path / "pid").read_text())
    for _ in range(20):
        if not alive(pid):
            return
        time.sleep(0.1)
    pytest.fail("the kernel outlived the grader")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_flood_of_output_ends(student, hand_in):
    flood = "def softmax(z, T=1.0):\n    for _ in range(400): print('x' * 100_000)\n    return z"
    checks, _, result = hand_in(answer(student, "softmax", flood))
    assert result.points == 0
    assert checks["softmax.plain"].why == "more than 5,000,000 bytes of output"


def spoil(path, student, how):
    text = json.dumps(student)
    if how == "directory":
        path.mkdir()
    elif how == "fifo":
        os.mkfifo(path)
    elif how == "link":
        (path.parent / "target").write_text(text)
        path.symlink_to(path.parent / "target")
    elif how == "huge":
        path.write_text(text + " " * 21_000_000)
    elif how != "missing":
        path.write_bytes(how if isinstance(how, bytes) else json.dumps(student | how).encode())


CELL = {"cell_type": "code", "id": "softmax", "metadata": {}}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "No such file"),
        ("directory", "is not a regular file"),
        ("fifo", "is not a regular file"),
        ("link", "is a symbolic link"),
        ("huge", "is larger than 20 MB"),
        (b"{", "is not a notebook"),
        (b"", "is not a notebook"),
        (b"\xff\xfe{}", "is not a notebook"),
        (b"[" * 100_000, "is not a notebook"),
        (b"[1]", "no JSON object"),
        ({"nbformat": 3}, "has notebook format 3, not 4"),
        ({"nbformat": "x" * 9999}, "has notebook format xxxxxxxxxxxxxxxxxxxx, not 4"),
        ({"cells": {}}, "it has no list of cells"),
        ({"cells": [1]}, "it has no list of cells"),
        ({"cells": [CELL | {"source": 7}]}, "the source of cell 0 is not text"),
        ({"cells": [CELL | {"source": ["a", 1]}]}, "the source of cell 0 is not text"),
        ({"cells": [CELL | {"source": "", "metadata": []}]}, "the metadata of cell 0"),
        ({"cells": []}, "no answer cell of 01_fixture in it (its lesson: '01_fixture')"),
        ({"cells": [], "metadata": []}, "no answer cell of 01_fixture in it"),
        ({"cells": [CELL | {"cell_type": "markdown", "source": ""}]}, "no answer cell"),
    ],
)
def test_what_cannot_be_graded_says_why_and_exits_2(tmp_path, student, reference, how, said):
    path = tmp_path / "mine.ipynb"
    spoil(path, student, how)
    result = CliRunner().invoke(app, ["check", str(path), "--reference", str(reference)])
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert result.output.startswith("cannot grade: ")
    assert result.output.count("\n") == 1


def test_a_reference_without_outputs_is_refused(tmp_path, student, reference):
    bare = json.loads(reference.read_text())
    cell(bare, "softmax.plain")["outputs"] = []
    (tmp_path / "bare.ipynb").write_text(json.dumps(bare))
    with pytest.raises(NotGradable, match="softmax.plain has no value; build it again"):
        grade_own_notebook(reference, tmp_path / "bare.ipynb")
    result = CliRunner().invoke(app, ["check", str(tmp_path / "bare.ipynb")])
    assert result.exit_code == 2
    assert "give --reference" in result.output


def test_the_graft_takes_source_only(student, reference, tmp_path):
    mine = answer(student, "softmax", "#  NBVAL_RAISES_EXCEPTION\nx = 1\n  ## NBVAL_SKIP\n")
    cell(mine, "softmax")["metadata"]["tags"] = ["raises-exception"]
    (tmp_path / "mine.ipynb").write_text(json.dumps(mine))
    made, remarks = graft(read_submission(tmp_path / "mine.ipynb"), read_reference(reference))
    grafted = next(c for c in made["cells"] if c["metadata"]["name"] == "softmax")
    assert grafted["source"] == "#\nx = 1\n#\n"
    assert "tags" not in grafted["metadata"]
    assert [c["metadata"]["role"] for c in made["cells"]].count("show") == 0
    assert remarks == []
    assert cell(read_reference(reference), "softmax.plain") in made["cells"]


def test_whose_lesson_it_is_stands_in_the_notebook(course, student, reference, tmp_path):
    solved = json.loads(reference.read_text())
    for name in ("softmax", "energy"):
        answer(student, name, cell(solved, name)["source"])
    run = CliRunner().invoke
    for name in ("01_fixture-Copy1.ipynb", "my homework.ipynb"):
        (course / "lessons" / name).write_text(json.dumps(student))
        assert run(app, ["check", str(course / "lessons" / name)]).output.endswith(
            "6 of 6 points\n"
        )
    told = run(app, ["check", str(course / "lessons")])
    assert told.exit_code == 2
    assert "is a folder: name the notebook in it" in told.output
    assert "No such file" in run(app, ["check", str(course / "nothing.ipynb")]).output
    (tmp_path / "elsewhere.ipynb").write_text(json.dumps(student))
    told = run(app, ["check", str(tmp_path / "elsewhere.ipynb")])
    assert told.exit_code == 2
    assert "neither solutions/01_fixture.ipynb nor" in told.output


def test_a_course_without_its_solutions_still_checks(
    course, student, reference, tmp_path, monkeypatch
):
    monkeypatch.setenv("TINYKD_DATA", "")
    monkeypatch.delenv("TINYKD_DATA")  # set by the check, and gone with this test
    (tmp_path / "course" / "datasets").mkdir(parents=True)
    shutil.copytree(course / "lessons", tmp_path / "course" / "lessons")
    solved = json.loads(reference.read_text())
    answer(student, "softmax", cell(solved, "softmax")["source"])
    mine = tmp_path / "course" / "lessons" / "mine.ipynb"
    mine.write_text(json.dumps(student))
    told = CliRunner().invoke(app, ["check", str(mine)])
    assert "softmax  3 of 3 points" in told.output
    assert told.output.endswith("3 of 5 points\n")
    assert "the solution is not on this machine: 1 hidden check was not run" in told.output
    assert "energy.gradient, -2: not written yet" in told.output
    assert os.environ["TINYKD_DATA"] == str(tmp_path / "course" / "datasets")


# ---------------------------------------------------------------- what an answer is

STUB = 'raise NotImplementedError("f: write your code here")'


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (f"def f(x):\n    {STUB}", "stub"),
        (f'def f(x):\n    """Words."""\n    {STUB}\n    return x', "stub"),
        ('def f(x):\n    """Words."""', "stub"),
        (f"class f:\n    def g(self):\n        {STUB}", "stub"),
        (f"def f(x):\n    return x\n    {STUB}", "function"),
        (f"def f(x):\n    # {STUB}\n    return x", "function"),
        (
            f"if True:\n    try:\n        def f(x): return x\n    finally: pass\n# {STUB}",
            "function",
        ),
        (f"def f(x):\n    {STUB}\ndef f(x):\n    return x", "function"),
        ("f = lambda x: x", "function"),
        ("async def f(x): return x", "function"),
        ("%time f = 3\n!ls\nx = !ls\nf?\ndef f(x):\n    return x", "function"),
        ("%%time\ndef f(x):\n    return x", "function"),
        ("import torch\nf = torch.softmax", "function"),
        ("f = f(3)", "value"),
        ("f = compute(3)", "value"),
        ("class F:\n    def __call__(self, x): return x\nf = F()", "function"),
        ("f = functools.partial(g, 2)", "function"),
        ("def f(x):\n    raise NotImplementedError", "stub"),
        ("def f(x):\n    return None", "stub"),
        ("def f(x):\n    print(x)\n    return None", "function"),
        ("%%bash\ndef f(x):\n    return x", None),
        ("def f(x): return x\ndel f", None),
        ('"""\ndef f(x): return x\n"""', None),
        ("def g():\n    def f(x): return x", None),
        ("def f(x:\n    return x", "function"),  # the text alone, where there is no tree
        (f"def f(x:\n    {STUB}", "stub"),
        ("(" * 9999 + "\ndef f(x): return x", "function"),
    ],
)
def test_what_a_cell_defines(source, kind):
    assert CodeReader().read(source).defined.get("f") == kind


def with_whole_sources(notebook):
    """As `read_submission` gives it."""
    for one in notebook["cells"]:
        one["source"] = "".join(one["source"])
    return notebook


@pytest.mark.parametrize(
    ("answer", "used"),
    [
        ("def softmax(z, T=1.0):\n    return torch.softmax(z / T, -1)", "torch.softmax"),
        ("from torch import softmax as s\ndef softmax(z):\n    return s(z, -1)", "torch.softmax"),
        (
            "import torch.nn.functional as G\ndef softmax(z):\n    return G.softmax(z)",
            "torch.nn.functional.softmax",
        ),
        ("def softmax(z, T=1.0):\n    return z.softmax(-1)", "z.softmax"),
        ("def softmax(z):\n    return torch.as_tensor(z).softmax(-1)", ".softmax"),
        ("from tinykd.softmax import softmax as sm\nsoftmax = sm", "tinykd.softmax.softmax"),
        ("def softmax(z):\n    return torch.special.softmax(z, -1)", "torch.special.softmax"),
        ("import a.b as s\ndef softmax(z):\n    return s.brent(z)", "a.b and a.b.brent"),
        ("softmax = torch.softmax", "torch.softmax"),
        ("def softmax(z):\n    # not torch.softmax\n    return np.exp(z) / np.exp(z).sum()", None),
        ("def softmax(z):\n    return z.max() and softmax(z)", None),
    ],
)
def test_a_library_s_function_as_the_answer_is_named(reference, student, answer, used):
    held = read_reference(reference)
    listed = "tinykd.softmax, torch.softmax torch.nn.functional.softmax, a.b"
    cell(held, "softmax")["metadata"]["library"] = listed
    cell(student, "softmax")["source"] = answer
    _, remarks = graft(with_whole_sources(student), held)
    words = f"softmax: uses {used}, a library's version of what was to be written"
    assert [one for one in remarks if "library" in one] == ([words] if used else [])


def test_what_is_reached_by_text_is_named(reference, student):
    held = read_reference(reference)
    cell(held, "softmax")["metadata"]["library"] = "tinykd.softmax"
    cell(student, "softmax")["source"] = "import tinykd\nsoftmax = getattr(tinykd, 'soft' + 'max')"
    _, remarks = graft(with_whole_sources(student), held)
    assert "softmax: reaches things by getattr, which only a reader can follow" in remarks


def test_what_a_stranger_sends_costs_time_in_proportion(reference, student):
    held, student = read_reference(reference), with_whole_sources(student)
    mine = cell(student, "softmax")
    marked = [mine | {"id": f"m{i}", "source": f"{GOOD}# {i}"} for i in range(12_000)]
    bare = [mine | {"id": f"b{i}", "metadata": {}} for i in range(12_000)]
    deep = [mine | {"source": "a" + ".a" * 20_000 + "-" * 20_000}]
    many = [mine | {"source": "".join(f"def f{i}():\n" for i in range(40_000))}]
    for cells in (marked + bare, bare + deep, deep * 1000 + student["cells"], many):
        start = time.process_time()
        graft(student | {"cells": cells}, held)
        assert time.process_time() - start < 5


def test_a_recorded_value_is_measured_before_it_is_compared():
    deep: list = [1.0] * 100_000
    for _ in range(900):
        deep = [deep]
    start = time.process_time()
    assert too_large(deep, [1.0, 2.0])
    assert too_large([1.0] * 60_000, [1.0, 2.0])
    assert not too_large([1.0] * 60_000, {"value": [1.0] * 40_000})
    assert not too_large([[[[0.5]]]], 0.5)
    assert time.process_time() - start < 1
