"""Attacks and accidents, graded as a class: each gets what its header says, and harms nobody else.

`tests/submissions/*/*.py` hold one notebook each: a header (what it tries, what it earns, what its
report says), then the cells it changes in an otherwise right notebook. What a text file cannot hold
(broken JSON, links, pipes, odd names) is made below. After each of them comes an honest student.

The checks of the lesson are worth 1, 2, 4, 8, 16 and 32 points, so a score tells which passed.
"""

import copy
import csv
import gzip
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import pytest

from tinykd.classroom import Checks
from tinykd.classroom.author import build
from tinykd.classroom.grading.graft import graft
from tinykd.classroom.grading.read_submission import NotGradable, read_submission
from tinykd.classroom.grading.reference import read_reference
from tinykd.classroom.roster.run_class import GradingOptions, grade_class
from tinykd.classroom.sandbox import bubblewrap

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent / "submissions"
LESSON = HERE / "course" / "solutions" / "01_grading.py"
ALL, NOTHING, FIRST, SECOND = 63, 0, 7, 56
CELL_SECONDS, SECONDS, JOBS = 4, 25, 2
SECRET = "A-SECRET-OF-THE-GRADER"
SEED = 918_273_645

needs_sandbox = pytest.mark.sandbox


@dataclass(frozen=True)
class Case:
    """`earns` is None where the submission cannot be graded; its report holds all of `says`.

    Where chance decides what an attack destroys of its own, it earns `least` to `earns`.
    """

    name: str
    earns: float | None
    says: tuple[str, ...] = ()
    least: float | None = None


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    if built := os.environ.get("TINYKD_BUILT_COURSE"):  # by seen_to_fail.py, once for all bugs
        return Path(built)
    folder = tmp_path_factory.mktemp("course")
    (folder / "solutions").mkdir()
    source = Path(shutil.copy(LESSON, folder / "solutions"))
    build.build_lesson(source, log=lambda text: None)
    return folder


@pytest.fixture(scope="module")
def right(course):
    """The student's notebook with the right answers."""
    made = json.loads((course / "lessons" / "01_grading.ipynb").read_text())
    solution = json.loads((course / "solutions" / "01_grading.ipynb").read_text())
    for name in ("centre", "spread"):
        cell(made, name)["source"] = cell(solution, name)["source"]
    return made


def cell(notebook, name):
    return next(c for c in notebook["cells"] if c["metadata"].get("name") == name)


def code(source, **metadata):
    return {"cell_type": "code", "source": source, "metadata": metadata, "outputs": []}


# --- Submissions that are text files ---

TEXTS = sorted(path for path in HERE.glob("*/*.py"))


def case_of(path):
    """What the header of a submission says of it."""
    header = path.read_text().split("\n# %%")[0]
    (earns,) = re.findall(r"^# earns: (.+)$", header, re.M)
    says = re.findall(r"^# says: (.+)$", header, re.M)
    *least, earns = map(float, earns.split(" to "))
    return Case(f"{path.parent.name}-{path.stem}", earns, tuple(says), *least)


def notebook_of(path, right):
    """The right notebook with the cells of `path` in the place of those of their names."""
    made, place = copy.deepcopy(right), 0
    cells = "# %%" + path.read_text().split("\n# %%", 1)[1]
    for found in jupytext.reads(cells, fmt="py:percent").cells:
        named = [
            c for c in made["cells"] if c["metadata"].get("name") == found.metadata.get("name")
        ]
        if found.metadata and named:
            place = made["cells"].index(named[0])
            named[0]["source"] = found.source
        else:
            made["cells"].insert(place, code(found.source))
        place += 1
    return made


# --- Notebooks whose structure is odd, most of them by accident ---


def changed(*names, **changes):
    def change(book):
        for name in names:
            cell(book, name).update(changes)

    return change


def removed(*names):
    return lambda book: [book["cells"].remove(cell(book, name)) for name in names]


def check_cells_for_oneself(book):
    for name, source in [
        ("centre.rows", "check('centre.rows', [[0.0] * 4] * 3)"),
        ("centre.deep", "# NBVAL_SKIP\nassert True"),
        ("spread.plain", "# NBVAL_RAISES_EXCEPTION\nraise ValueError"),
        ("spread.warm", "pass"),
    ]:
        cell(book, name)["source"] = source
    wrong_centre(book)


def wrong_centre(book):
    cell(book, "centre")["source"] = "def centre(x):\n    return x"


def skip_markers(book):
    wrong_centre(book)
    cell(book, "centre")["source"] = "# NBVAL_SKIP\n#NBVAL_IGNORE_OUTPUT\n" + "".join(
        cell(book, "centre")["source"]
    )
    for one in book["cells"]:
        one["metadata"]["tags"] = ["raises-exception", "nbval-skip", "nbval-raises-exception"]


def markers_in_right_answers(book):
    for name in ("centre", "spread"):
        source = "".join(cell(book, name)["source"])
        cell(book, name)["source"] = f"# NBVAL_SKIP\n{source}\n# NBVAL_RAISES_EXCEPTION"


def outputs_of_oneself(book):
    wrong_centre(book)
    for name in ("centre.rows", "centre.deep"):
        mark = {"tinykd": {"check": name, "value": "[]"}}
        data = {"text/plain": f"passed: {name}"}
        output = {"output_type": "display_data", "metadata": mark, "data": data}
        cell(book, name).update(outputs=[output], execution_count=1)


def points_for_oneself(book):
    wrong_centre(book)
    cell(book, "centre.rows")["metadata"] |= {"points": 1000, "rtol": 1e9, "atol": 1e9}
    cell(book, "centre")["metadata"] |= {"points": 1000, "rtol": 1e9, "role": "answer"}
    book["metadata"]["tinykd"] |= {"mutants": "[]", "points": 1e6, "source": "x", "seed": 0}


def another_role(book):
    """The answer cell claims to be setup; cells of one's own claim to be setup and checks."""
    cell(book, "centre")["metadata"]["role"] = "setup"
    cell(book, "centre")["source"] = "def centre(x):\n    return x"
    book["cells"].insert(0, code("import os; os._exit(1)", role="setup", name="setup"))
    book["cells"].append(code("centre = len", role="check", name="centre.rows", points=1))
    book["cells"].append(code("spread = len", role="hidden", name="spread.cold", points=1))


def twice(book):
    book["cells"].append(copy.deepcopy(cell(book, "centre")))
    wrong_centre(book)


def twice_and_the_last_is_wrong(book):
    book["cells"].append(copy.deepcopy(cell(book, "centre")))
    book["cells"][-1]["source"] = "def centre(x):\n    return x"


def split(book):
    """JupyterLab gives both halves of a split cell its metadata; the lower one has its id."""
    right, place = cell(book, "centre"), book["cells"].index(cell(book, "centre"))
    book["cells"].insert(place, copy.deepcopy(right) | {"id": "new"})
    book["cells"][place]["source"] = "def mean_of(x):\n    return x.mean(-1)[..., None]"
    right["source"] = "def centre(x):\n    return x - mean_of(x)"


def rewritten(book):
    """The answer cell was deleted, and the function written into a cell of one's own."""
    own = code(cell(book, "centre")["source"])
    removed("centre")(book)
    book["cells"].append(own)


def below_its_stub(book):
    """The lesson's cell is as it was, the function is in a cell of one's own."""
    right = cell(book, "centre")
    book["cells"].append(code(right["source"]))
    right["source"] = (
        'def centre(x):\n    raise NotImplementedError("centre: write your code here")'
    )


STUB = 'def centre(x):\n    raise NotImplementedError("centre: write your code here")'


def stub_below(book):
    """An untouched copy of the lesson's cell came in below the answer."""
    book["cells"].append(copy.deepcopy(cell(book, "centre")) | {"source": STUB, "id": "copy"})


def stub_line_left(book):
    """The stub's line still stands below the answer, and a note in a comment says it too."""
    line = '\n    raise NotImplementedError("centre: write your code here")'
    cell(book, "centre")["source"] = [
        *cell(book, "centre")["source"],
        line,
        line.replace("r", "# r"),
    ]
    demo(book)


def stub_line_commented_out(book):
    source = "".join(cell(book, "centre")["source"]).replace(
        "    # BEGIN SOLUTION", '    # raise NotImplementedError("centre: write your code here")'
    )
    cell(book, "centre")["source"] = source
    demo(book)


def demo(book):
    """Another function of that name in a cell of one's own, the last one."""
    book["cells"].append(code("def centre(x):\n    return x  # what if not?\n\nprint(centre(1))"))


def without_marks_and_with_a_demo(book):
    without_ids_and_metadata(book)
    demo(book)


def lambda_without_marks(book):
    cell(book, "centre")["source"] = "centre = lambda x: x - x.mean(axis=-1, keepdims=True)"
    without_ids_and_metadata(book)


def inside_if_without_marks(book):
    lines = "".join(cell(book, "centre")["source"]).replace("\n", "\n    ")
    cell(book, "centre")["source"] = f"%matplotlib inline\nif True:\n    {lines}"
    without_ids_and_metadata(book)


def merge_marks(book):
    source = "".join(cell(book, "centre")["source"])
    cell(book, "centre")["source"] = f"<<<<<<< HEAD\n{source}\n=======\n{STUB}\n>>>>>>> theirs"


def twelve_thousand_twice(book):
    """2.5 MB: as many cells with the answer's mark as without."""
    right = cell(book, "centre")
    wrong = {"cell_type": "code", "source": "def centre(x):\n    return 0", "metadata": {}}
    marked = wrong | {"metadata": right["metadata"]}
    book["cells"][:0] = [dict(marked, id=f"m{i}") for i in range(12_000)]
    book["cells"] += [dict(wrong, id=f"w{i}") for i in range(12_000)]


def takes_a_name(book):
    cell(book, "centre")["source"] += ["\n\ncheck = centre(np.ones((2, 2)))"]


WORKS = "def centre(x):\n    return x - x.mean(axis=-1, keepdims=True)"


def own_cell_below(source, marked="def centre(x):\n    return x"):
    """`marked` in the lesson's cell, `source` in one of one's own between it and its checks."""

    def change(book):
        answer = cell(book, "centre")
        answer["source"] = marked
        book["cells"].insert(book["cells"].index(answer) + 1, code(source))

    return change


def without_marks(source):
    def change(book):
        cell(book, "centre")["source"] = source
        without_ids_and_metadata(book)

    return change


def everything_of_numpy(book):
    """The next answer lives on what it has brought in."""
    cell(book, "centre")["source"] = f"from numpy import *\n\n{WORKS}"
    spread = "def spread(x, T=1.0):\n    y = x - x.mean(axis=-1, keepdims=True)\n"
    cell(book, "spread")["source"] = f"{spread}    return sum(y**2, axis=-1) / x.shape[-1] / T**2"


def imports_for_the_next(book):
    """The first answer ends the kernel; the second, run again by itself, uses what it imported."""
    ends = WORKS.replace("return", "print('x' * 6_000_000)\n    return")
    cell(book, "centre")["source"] = f"import numpy.linalg as la\n\n{ends}"
    spread = "def spread(x, T=1.0):\n    y = (x - x.mean(axis=-1, keepdims=True)) / T\n"
    cell(book, "spread")["source"] = f"{spread}    return la.norm(y, axis=-1) ** 2 / x.shape[-1]"


def check_merged_into_the_next_answer(book):
    check = cell(book, "centre.deep")
    cell(book, "spread")["source"] = "".join(
        [*check["source"], "\n\n", *cell(book, "spread")["source"]]
    )
    book["cells"].remove(check)


def second_half_timed(book):
    split(book)
    cell(book, "centre")["source"] = "%%time\n" + cell(book, "centre")["source"]
    place = book["cells"].index(cell(book, "centre"))
    book["cells"][place], book["cells"][place + 1] = book["cells"][place + 1], book["cells"][place]


def eleven_thousand_functions(book):
    """143 kB that no parser takes; each line was once looked for in all the others."""
    cell(book, "centre")["source"] = "".join(f"def f{i}():\n" for i in range(11_000))


def of_vs_code(book):
    """What VS Code writes: no ids in old versions, settings of its own, sources as one text."""
    for one in book["cells"]:
        one.pop("id", None)
        one["source"] = "".join(one["source"])
        one["metadata"]["vscode"] = {"languageId": "python"}
    book |= {"nbformat_minor": 2}
    book["metadata"]["orig_nbformat"] = 4


def of_colab(book):
    """What Colab writes: ids of its own in the metadata, execution times, a GPU."""
    for number, one in enumerate(book["cells"]):
        one.pop("id", None)
        own = {"id": f"xYz{number}", "colab": {"base_uri": "https://localhost/"}}
        one["metadata"] = own | {"executionInfo": {"status": "ok"}} | one["metadata"]
    book["metadata"] |= {"colab": {"provenance": []}, "accelerator": "GPU"}


def without_metadata(book):
    for one in book["cells"]:
        one["metadata"] = {}


def without_ids_and_metadata(book):
    without_metadata(book)
    for one in book["cells"]:
        del one["id"]


def odd_metadata(book):
    values = [7, None, [], {}, "role", True, 1e308, "\ud800"]
    for one, value in zip(book["cells"], values * 9, strict=False):
        one["metadata"] |= {"tags": value, "tinykd": value, "hint": value, "collapsed": value}
        one["execution_count"] = value
    book["cells"].append({"cell_type": 7, "id": ["centre"], "metadata": {"role": [], "name": {}}})
    book["cells"].append({"cell_type": "code", "id": {}, "metadata": {"role": "answer", "name": 1}})
    book["metadata"]["kernelspec"] = book["metadata"]["language_info"] = 7


def long_cell(book):
    lines = "".join(f"# attempt {number}\n" for number in range(10_000))
    cell(book, "centre")["source"] = [lines, *cell(book, "centre")["source"]]


def many_cells(book):
    book["cells"] += [code(f"x = {number}") for number in range(20_000)]


def windows_line_ends(book):
    for name in ("centre", "spread"):
        cell(book, name)["source"] = "".join(cell(book, name)["source"]).replace("\n", "\r\n")


def broken_syntax(book):
    cell(book, "centre")["source"] = "def centre(x:\n    return x -"


def null_in_source(book):
    cell(book, "centre")["source"] = "def centre(x):\n    return '\0\ud800'"


def shell_cell(book):
    cell(book, "centre")["source"] = "%%bash\necho 'def centre(x): pass'\nkill -9 $PPID"


def script_in_names(book):
    book["metadata"]["tinykd"]["lesson"] = "<script>alert(1)</script>\x1b[31m\u202e" * 1000
    book["metadata"]["title"] = "<img src=x onerror=alert(1)>"
    removed("centre", "spread")(book)


# (name, what it earns, what its report says, what is done to the right notebook)
BOOKS = [
    ("untouched", NOTHING, ["not written yet"], None),
    ("check-cells-edited", SECOND, [], check_cells_for_oneself),
    ("check-cells-deleted", ALL, [], removed("centre.rows", "centre.deep", "spread.warm")),
    ("setup-deleted", ALL, [], removed("setup")),
    ("cells-reordered", ALL, [], lambda book: book["cells"].reverse()),
    ("skip-markers-and-tags", SECOND, [], skip_markers),
    ("skip-markers-in-right-answers", ALL, [], markers_in_right_answers),
    ("outputs-of-oneself", SECOND, [], outputs_of_oneself),
    ("points-of-oneself", SECOND, [], points_for_oneself),
    ("roles-of-oneself", SECOND, [], another_role),
    ("corrected-below", ALL, ["centre: graded was a cell of your own"], own_cell_below(WORKS)),
    ("raises-without-words", ALL, [], own_cell_below(WORKS, STUB.split('("')[0])),
    ("returns-nothing-written-below", ALL, [], own_cell_below(WORKS, "def centre(x): return None")),
    (
        *("alias-below", ALL, ["centre: graded was a cell of your own"]),
        own_cell_below(f"{WORKS.replace('centre', 'mine')}\n\ncentre = mine", STUB),
    ),
    (
        *("partial-below", ALL, []),
        own_cell_below(
            "from functools import partial\n\n"
            "centre = partial(lambda x, axis: x - x.mean(axis, keepdims=True), axis=-1)",
            STUB,
        ),
    ),
    (
        *("instance-without-marks", ALL, []),
        without_marks(
            "class Centre:\n    def __call__(self, x):\n"
            "        return x - x.mean(axis=-1, keepdims=True)\n\ncentre = Centre()"
        ),
    ),
    (
        "everything-of-numpy",
        FIRST,
        ["imports everything from numpy (import *)"],
        everything_of_numpy,
    ),
    ("imports-for-the-next", SECOND, [], imports_for_the_next),
    ("check-merged-into-an-answer", ALL, [], check_merged_into_the_next_answer),
    ("second-half-timed", ALL, ["2 answer cells, graded as one"], second_half_timed),
    ("eleven-thousand-functions", SECOND, ["IndentationError"], eleven_thousand_functions),
    ("answer-deleted", SECOND, ["centre: the answer cell is missing"], removed("centre")),
    ("both-answers-deleted", None, ["no answer cell of 01_grading"], removed("centre", "spread")),
    ("answer-twice", ALL, ["centre: 2 answer cells; the last one was graded"], twice),
    ("answer-twice-last-wrong", SECOND, ["2 answer cells"], twice_and_the_last_is_wrong),
    ("id-changed", ALL, [], changed("centre", id="4f1c")),
    ("ids-all-the-same", ALL, [], changed("spread.warm", "setup", id="spread")),
    (
        "answer-as-markdown",
        SECOND,
        ["centre: its cell is no longer a code cell"],
        changed("centre", cell_type="markdown"),
    ),
    (
        "answer-empty",
        SECOND,
        ["your cell centre does not define centre"],
        changed("centre", source=[]),
    ),
    ("saved-by-vs-code", ALL, [], of_vs_code),
    ("saved-by-colab", ALL, [], of_colab),
    ("metadata-lost", ALL, [], without_metadata),
    ("ids-and-metadata-lost", ALL, [], without_ids_and_metadata),
    ("answer-split", ALL, ["centre: 2 answer cells, graded as one"], split),
    ("answer-rewritten", ALL, [], rewritten),
    ("answer-takes-a-name", SECOND, ["your cell changes check, which others use"], takes_a_name),
    ("answer-below-its-stub", ALL, ["graded was a cell of your own"], below_its_stub),
    ("answer-above-its-stub", ALL, ["the last one that is written was graded"], stub_below),
    ("answer-above-the-stub-s-line", ALL, [], stub_line_left),
    ("answer-with-the-stub-s-line-commented-out", ALL, [], stub_line_commented_out),
    (
        "marks-lost-and-a-demo",
        ALL,
        ["graded was a cell of your own"],
        without_marks_and_with_a_demo,
    ),
    ("marks-lost-and-lambda", ALL, [], lambda_without_marks),
    ("marks-lost-and-inside-if", ALL, [], inside_if_without_marks),
    ("merge-marks", SECOND, ["a merge in git left its marks", "SyntaxError"], merge_marks),
    ("cells-12000-twice", ALL, ["the last one was graded"], twelve_thousand_twice),
    ("metadata-odd", ALL, [], odd_metadata),
    ("cell-of-10000-lines", ALL, [], long_cell),
    ("cells-20000", ALL, [], many_cells),
    ("windows-line-ends", ALL, [], windows_line_ends),
    ("syntax-broken", SECOND, ["SyntaxError"], broken_syntax),
    ("source-with-null", SECOND, [], null_in_source),
    ("source-shell", SECOND, ["your code ended the kernel"], shell_cell),
    ("no-cells", None, ["no answer cell"], lambda book: book["cells"].clear()),
    ("another-lesson", None, ["no answer cell of 01_grading in it"], script_in_names),
    ("kernel-unknown", ALL, [], lambda b: b["metadata"].update(kernelspec={"name": "julia-9"})),
    ("format-3", None, ["notebook format 3"], lambda book: book.update(nbformat=3, worksheets=[])),
    ("format-4-as-text", None, ["it has to be the number 4"], lambda b: b.update(nbformat="4")),
    ("format-5", None, ["notebook format 5"], lambda book: book.update(nbformat=5)),
    ("format-4.99", ALL, [], lambda book: book.update(nbformat_minor=99)),
    ("cells-no-list", None, ["no list of cells"], lambda book: book.update(cells={"0": 1})),
    ("source-a-number", None, ["is not text"], changed("centre.rows", source=7)),
]


def odd_books(right, untouched):
    for name, _, _, change in BOOKS:
        book = copy.deepcopy(right if change else untouched)
        if change:
            change(book)
        yield f"book-{name}", book


# --- Files that are no notebooks, and names that are no names ---


def linked_to(target):
    return lambda path, text: path.symlink_to(target)


def named_pipe(path, text):
    os.mkfifo(path)


def directory(path, text):
    path.mkdir()
    (path / "inside.ipynb").write_text(text)


def folder_holding(make):
    def made(path, text):
        path.with_suffix("").mkdir()
        make(path.with_suffix("") / "01_grading.ipynb", text)

    return made


def folder_linked_to(target):
    return lambda path, text: path.with_suffix("").symlink_to(target)


def written(change):
    return lambda path, text: path.write_bytes(change(text))


FILES = [
    ("file-empty", None, ["is not a notebook"], written(lambda text: b"")),
    ("file-cut", None, ["is not a notebook"], written(lambda text: text[:-200].encode())),
    ("file-of-lists", None, ["is not a notebook"], written(lambda text: b"[" * 10**6)),
    ("file-number", None, ["is not a notebook"], written(lambda text: b"9" * 10**5)),
    ("file-gzip", None, ["is compressed (gzip)"],
     written(lambda text: gzip.compress(text.encode()))),
    ("file-of-empty-lists", None, ["JSON values"],
     written(lambda text: text[:-1].encode() + b', "x": [' + b"[]," * 6_000_000 + b"0]}")),
    ("file-with-long-texts", ALL, [],
     written(lambda text: text[:-1].encode() + b', "x": "' + b'[{,\\"' * 3_000_000 + b'"}')),
    ("file-of-quotes", None, ["is not a notebook"],
     written(lambda text: b'"' + b'\\"' * 9_000_000)),
    ("file-image", None, ["is not a notebook"], written(lambda text: b"\x89PNG\r\n\x1a\n" * 99)),
    ("file-utf-16", None, ["is not a notebook"], written(lambda text: text.encode("utf-16"))),
    ("file-latin-1", None, ["is not a notebook"],
     written(lambda text: text.replace("text", "\xe9\xff", 1).encode("latin-1"))),
    ("file-of-zeros", None, ["is not a notebook"], written(lambda text: b"\0" * 10**6)),
    ("file-100-megabytes", None, ["larger than 20 MB"],
     written(lambda text: text.encode() + b" " * 10**8)),
    ("file-byte-order-mark", ALL, [], written(lambda text: b"\xef\xbb\xbf" + text.encode())),
    ("file-windows-line-ends", ALL, [], written(lambda text: text.replace("\n", "\r\n").encode())),
    ("link-to-a-neighbour", None, ["is a symbolic link"], linked_to("honest-magics.ipynb")),
    ("link-to-passwords", None, ["is a symbolic link"], linked_to("/etc/passwd")),
    ("link-to-nothing", None, ["is a symbolic link"], linked_to("nothing")),
    ("link-to-itself", None, ["is a symbolic link"], linked_to("link-to-itself.ipynb")),
    ("link-to-device", None, ["is a symbolic link"], linked_to("/dev/zero")),
    ("named-pipe", None, ["a pipe"], named_pipe),
    ("directory", None, ["is a folder, not a notebook"], directory),
    ("folder-right", ALL, [], folder_holding(written(str.encode))),
    ("folder-empty", None, ["its folder is empty"], folder_holding(lambda path, text: None)),
    ("folder-with-a-link", None, ["is a symbolic link"], folder_holding(linked_to("/etc/passwd"))),
    ("folder-with-a-pipe", None, ["a pipe"], folder_holding(named_pipe)),
    ("folder-linked", None, ["is a symbolic link"], folder_linked_to("/etc")),
    ("folder-in-itself", None, ["is a symbolic link"], folder_linked_to(".")),
]  # fmt: skip

# Names of honest students' notebooks, as the disk has them.
NAMES = [
    b"-rf",
    b"a\\..\\..\\escaped",
    b"a..%2e%2e%2fescaped",
    b"<img src=x onerror=alert(1)>",
    b"a\nb\r\x1b[31m",
    b"a\xff\xfe",
    b"\xe2\x80\xae txt.exe",
    b"a'\";$(touch escaped)`&| *?",
    b"=cmd|'calc'!A1",
    b"con.",
    b"n" * 249,
    b"\xc3\xa9",
    b"e\xcc\x81",
    b"ADA",
    b"ada",
]

# Before any attack: is there a sandbox at all? Some of them would be the end of this machine.
CANARY = """
import os

def centre(x):
    alone = sum(name.isdigit() for name in os.listdir("/proc")) < 9
    assert alone and os.getuid() and not os.path.exists({outside!r}), "no sandbox"
    return x - x.mean(axis=-1, keepdims=True)
"""


# --- The class ---


@dataclass
class Class:
    """What grading the class left: reports by student, and the folders."""

    submissions: Path
    out: Path
    reports: dict[str, dict[str, Any]]

    def for_the_student(self, name):
        """All that a student is sent, as one text."""
        (place,) = [path for path in self.out.glob("students/*") if self.name(path) == name]
        files = (path for path in place.iterdir() if path.name != "report.json")
        return "\n".join(path.read_text("utf-8") for path in files)

    @staticmethod
    def name(place):
        return json.loads((place / "report.json").read_text("utf-8"))["student"]


def grade_folder(folder, course, **limits):
    out = folder.with_name(folder.name + "-reports")
    options = GradingOptions(jobs=JOBS, seconds=SECONDS, cell_seconds=CELL_SECONDS, **limits)
    source = course / "solutions" / "01_grading.py"
    grade_class(folder, source, out, options, SEED, log=lambda text: None)
    reports = {}
    for path in out.glob("students/*/report.json"):
        report = json.loads(path.read_text("utf-8"))
        reports[report["student"]] = report
    return Class(folder, out, reports)


@pytest.fixture(scope="module")
def own_temporary(course):
    """A folder for all temporary files of grading, so that what is left behind can be seen."""
    with pytest.MonkeyPatch.context() as patch:
        place = tempfile.mkdtemp(prefix="tkd-")  # short: sockets lie in it
        patch.setenv("TMPDIR", place)
        patch.setenv("SECRET_OF_THE_GRADER", SECRET)
        patch.setattr(tempfile, "tempdir", place)
        yield Path(place)
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def sandboxed(tmp_path_factory, own_temporary, course, right):
    """Fails where an honest notebook finds that it is in no sandbox; then no attack is run."""
    folder = tmp_path_factory.mktemp("canary")
    book = copy.deepcopy(right)
    cell(book, "centre")["source"] = CANARY.format(outside=str(folder))
    (folder / "canary.ipynb").write_text(json.dumps(book))
    found = grade_folder(folder, course).reports["canary"]
    assert found["points"] == ALL, found


@pytest.fixture(scope="module")
def chosen(request):
    """The cases that are asked for: with `-k` a few, where a test needs the whole class all."""
    ours = [item for item in request.session.items if item.path == request.node.path]
    asked = [item for item in ours if "graded" in item.fixturenames]
    some = [item.callspec.params["case"] for item in asked if hasattr(item, "callspec")]
    return some if len(some) == len(asked) else CASES


@pytest.fixture(scope="module")
def graded(tmp_path_factory, own_temporary, sandboxed, course, right, chosen):
    """All of them graded as one class, an honest student after every third."""
    folder = tmp_path_factory.mktemp("class")
    untouched = json.loads((course / "lessons" / "01_grading.ipynb").read_text())
    books = [(case_of(path).name, notebook_of(path, right)) for path in TEXTS]
    books += odd_books(right, untouched)
    text = json.dumps(right)
    makers = [
        (name, written(lambda _, book=book: json.dumps(book).encode())) for name, book in books
    ]
    names = {case.name for case in chosen}
    for name, make in makers + [(name, make) for name, _, _, make in FILES]:
        if name in names:
            make(folder / f"{name}.ipynb", text)
    for number in range(0, len(chosen), 3):
        (folder / f"{chosen[number].name}-then-honest.ipynb").write_text(text)
    for name in NAMES if chosen is CASES else []:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name + b".ipynb")).write_text(text)
    return grade_folder(folder, course)


CASES = [case_of(path) for path in TEXTS]
CASES += [Case(f"book-{name}", earns, tuple(says)) for name, earns, says, _ in BOOKS]
CASES += [Case(name, earns, tuple(says)) for name, earns, says, _ in FILES]


@needs_sandbox
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_earns_what_it_deserves(case, graded):
    report = graded.reports[case.name]
    if case.earns is None:
        assert (report["status"], report["points"]) == ("not_gradable", 0), report
        assert report["reason"]
        assert "\n" not in report["reason"]
    else:
        assert report["status"] == "graded", report["reason"]
        least = case.earns if case.least is None else case.least
        assert least <= report["points"] <= case.earns, words_of(report)
    for said in case.says:
        assert said in words_of(report)
    assert "leaked" not in words_of(report)
    assert len(words_of(report)) < 20_000
    assert report["seconds"] < SECONDS + 5
    checks = [check for one in report["exercises"] for check in one["checks"]]
    assert not [c for c in checks if c["hidden"] and (c["seconds"] or c["mistake"])]


def words_of(report):
    checks = [check for one in report["exercises"] for check in one["checks"]]
    lost = [f"{c['name']}: {c['why']} Hint: {c['hint']}" for c in checks if not c["passed"]]
    return "\n".join([report["reason"], *lost, *report["remarks"]])


@needs_sandbox
def test_honest_students_among_them_lose_nothing(graded):
    honest = {name: one for name, one in graded.reports.items() if name.endswith("-then-honest")}
    assert len(honest) == len(range(0, len(CASES), 3))
    assert {name: words_of(one) for name, one in honest.items() if one["points"] != ALL} == {}


@needs_sandbox
def test_odd_names_get_a_report_each_inside_the_folder(graded):
    known = {case.name for case in CASES}
    odd = {n: r for n, r in graded.reports.items() if n not in known and "-then-honest" not in n}
    assert [one["points"] for one in odd.values()] == [ALL] * len(NAMES), list(odd)
    assert len(list(graded.out.glob("students/*"))) == len(list(graded.submissions.iterdir()))
    for path in graded.out.rglob("*"):
        assert re.fullmatch(r"[\w.-]{1,80}", path.name, re.ASCII), path
    assert not list(graded.out.parent.parent.rglob("*escaped*.json"))
    for name in odd:
        assert "<img src=x" not in graded.for_the_student(name)
    with (graded.out / "class.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(graded.reports)
    assert not any(value.startswith(tuple("=+-@")) for row in rows for value in row.values())


@needs_sandbox
def test_nothing_hidden_reaches_a_student(graded):
    hidden = hidden_numbers()
    for name in graded.reports:
        text = graded.for_the_student(name)
        for word in ("hidden_sentinel", "leaked", SECRET, str(SEED), str(graded.submissions)):
            assert word not in text, name
        assert not [number for number in hidden if number in text], name


def hidden_numbers():
    """The inputs of the hidden checks and what is expected of them, to five digits."""
    checks = Checks("01_grading")
    checks._seed = str(SEED)
    flat = checks.rng("centre.flat").normal(size=5) + 5
    cold = checks.rng("spread.cold").normal(size=(2, 5)) + 5
    values = [*flat, *(flat - flat.mean()), *cold.ravel(), *(cold.var(axis=-1) * 16)]
    return [f"{abs(value):.6f}"[:-1] for value in values]


@needs_sandbox
def test_nothing_is_left_behind(graded, own_temporary):
    assert list(own_temporary.iterdir()) == []
    for process in Path("/proc").glob("[0-9]*"):
        assert process.stat().st_uid not in bubblewrap.UIDS, (process / "status").read_text()


KILLED = """
import os, signal
from pathlib import Path
from tinykd.classroom.sandbox.kernels import ForkServers

with ForkServers(sandboxed=False) as servers:
    Path(servers.folder, "hidden").write_text("a value")
    print(servers.folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_grader_leaves_no_hidden_value_behind(child_env):
    done = subprocess.run(
        [sys.executable, "-c", KILLED], env=child_env, stdout=subprocess.PIPE, text=True
    )
    assert done.returncode == -signal.SIGKILL
    folder, deadline = Path(done.stdout.strip()), time.monotonic() + 20
    assert folder.name.startswith("tinykd-")
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folder.exists()


# --- A thousand randomly damaged notebooks ---

FUZZ = int(os.environ.get("TINYKD_FUZZ", "40"))  # so many of the thousand are run to the end
JUNK = [None, True, -1, 1e308, "", "\ud800\0", "centre", "spread-warm", [], {}, [[]], {"id": {}}]


def damaged(text, rng):
    """A notebook's text with one to five accidents, to its JSON or to its bytes."""
    book = json.loads(text)
    for _ in range(rng.randint(1, 5)):
        holder, key = rng.choice([place for place in places(book) if place[0] is not None])
        match rng.randrange(6):
            case 0:
                holder[key] = copy.deepcopy(rng.choice(JUNK))
            case 1:
                del holder[key]
            case 2:
                holder[key] = copy.deepcopy(book)
            case 3 if isinstance(holder, list):
                holder.insert(rng.randrange(len(holder)), copy.deepcopy(holder[key]))
            case 4 if isinstance(holder, list):
                rng.shuffle(holder)
            case 5 if isinstance(holder[key], str):
                letters = list(holder[key] or " ")
                letters[rng.randrange(len(letters))] = rng.choice(" \t\n#(:x0'\"\\é\0")
                holder[key] = "".join(letters)
        if not places(book):
            break
    data = json.dumps(book).encode()
    if rng.random() < 0.1:
        place = rng.randrange(len(data))
        data = rng.choice([data[:place], data[:place] + rng.randbytes(3) + data[place:]])
    return data


def places(thing):
    """Every (container, key) of a tree of lists and dicts."""
    found, todo = [], [thing]
    while todo:
        one = todo.pop()
        keys = one if isinstance(one, dict) else range(len(one))
        found += [(one, key) for key in keys]
        todo += [one[key] for key in keys if isinstance(one[key], list | dict)]
    return found


@pytest.fixture(scope="module")
def thousand(course, right):
    """(what the damaged notebook was, its bytes): every other one had no answers to begin with."""
    untouched = (course / "lessons" / "01_grading.ipynb").read_text()
    whole, rng = json.dumps(right), random.Random(4)
    return [("untouched", damaged(untouched, rng)) for _ in range(500)] + [
        ("right", damaged(whole, rng)) for _ in range(500)
    ]


def test_a_thousand_damaged_notebooks_are_grafted_or_refused(tmp_path, thousand, course, right):
    reference = read_reference(course / "solutions" / "01_grading.ipynb")
    sources = {name: "".join(cell(right, name)["source"]) for name in ("centre", "spread")}
    kept = whole = 0
    for number, (was, data) in enumerate(thousand):
        path = tmp_path / "damaged.ipynb"
        path.write_bytes(data)
        start = time.monotonic()
        try:
            made, remarks = graft(read_submission(path), reference)
        except NotGradable:
            continue
        finally:
            assert time.monotonic() - start < 2, number
        kept += 1
        assert len(remarks) < 9
        for ours, theirs in zip(reference_cells(reference), made["cells"], strict=True):
            name = ours["metadata"]["name"]
            if ours["metadata"]["role"] != "answer":
                assert theirs == ours, number
            else:
                assert isinstance(theirs["source"], str), number
                assert theirs["metadata"] == ours["metadata"], number
                whole += theirs["source"] == sources[name]
                assert was == "right" or theirs["source"] != sources[name], number
    assert kept > 500
    assert whole > 300


def reference_cells(reference):
    roles = ("setup", "answer", "check", "hidden")
    return [cell for cell in reference["cells"] if cell["metadata"].get("role") in roles]


@needs_sandbox
def test_damaged_notebooks_earn_nothing_they_should_not(
    tmp_path_factory, own_temporary, sandboxed, thousand, course
):
    folder = tmp_path_factory.mktemp("damaged")
    chosen = random.Random(5).sample(range(len(thousand)), FUZZ)
    for number in chosen:
        (folder / f"{thousand[number][0]}-{number}.ipynb").write_bytes(thousand[number][1])
    found = grade_folder(folder, course).reports
    assert len(found) == FUZZ
    for name, report in found.items():
        assert report["status"] == "graded" or report["reason"], name
        assert not report["reason"].startswith("internal error"), (name, report["reason"])
        assert report["seconds"] < SECONDS + 5, name
        if name.startswith("untouched"):
            assert report["points"] == 0, (name, report)
