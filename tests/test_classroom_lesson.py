"""What a lesson's source may hold, what of it students get, and how its proof is judged.

No cell is run here: what variants gave is made up. test_classroom_build.py runs them, in minutes.
"""

import json
import os
import zipfile
from pathlib import Path

import nbformat
import pytest

from tinykd.classroom.author import build, prove, release
from tinykd.classroom.author.expected_values import checks_file, known_mistakes
from tinykd.classroom.author.find_lesson import find_lesson, find_lessons
from tinykd.classroom.author.kill_matrix import kill_matrix, put_section
from tinykd.classroom.author.lesson import LessonError
from tinykd.classroom.author.lesson_rules import long_gaps
from tinykd.classroom.author.notebooks import (
    as_shown,
    code_digest,
    dump,
    long_lines,
    make_notebook,
    reuse_outputs,
)
from tinykd.classroom.author.prove import Proof
from tinykd.classroom.author.read_lesson import read_lesson
from tinykd.classroom.author.run_cells import run_cells, run_setup
from tinykd.classroom.author.two_kernels import borrowed
from tinykd.classroom.author.variants import REFERENCE, RESCALED, UNTOUCHED, cells_for
from tinykd.classroom.notebook_format import recorded_output

SOURCE = '''# %% role="setup" name="setup"
from tinykd.classroom import Checks

check = Checks("01_letters")


# %% role="answer" name="f" library="numpy.add"
def f(x):
    """x and one more."""
    # BEGIN SOLUTION
    return x + 1  # the whole secret
    # END SOLUTION


# %% role="check" name="f.plain" points=2 hint="One more."
check("f.plain", check.call(f, check.rng("f.plain").normal()))

# %% role="hidden" name="f.large" points=1 hint="Any x." rtol=0.01
check("f.large", check.call(f, 1e3 + check.rng("f.large").normal()))

# %% role="show" name="figure" folded=true
print(f(1))


# %% role="answer" name="g"
def g(x):
    # BEGIN SOLUTION
    return 2 * f(x)
    # END SOLUTION


# %% role="check" name="g.plain" points=0.5 hint="Twice f."
check("g.plain", check.call(g, check.rng("g.plain").normal()))


# %% role="mutant" of="f" name="f.none" loses="f.plain, f.large, g.plain" hint="You add nothing."
def f(x):
    return x


# %% role="mutant" of="f" name="f.big" loses="f.large" hint="Only small x."
def f(x):
    return x + (x < 9)


# %% role="mutant" of="g" name="g.once" loses="g.plain" hint="Twice."
def g(x):
    return f(x)


# %% role="alternative" of="g" name="g.sum"
def g(x):
    return f(x) + f(x)
'''


@pytest.fixture
def lesson(tmp_path):
    return made(tmp_path)


def made(folder, old="", new="", more=""):
    path = folder / "solutions" / "01_letters.py"
    path.parent.mkdir(exist_ok=True)
    assert old in SOURCE
    path.write_text(SOURCE.replace(old, new, 1) + more)
    return read_lesson(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name="f.large" points=1', 'name="f.large"', "'f.large': a check needs points=1"),
        ('hint="Any x."', "", "'f.large': needs a hint"),
        ('hint="Twice."', "", "'g.once': needs a hint"),
        ('name="g"', 'name="g" points=1', "'g': only check and hidden cells have points"),
        ('name="g"', 'name="g" folded=true', "'g': folded is for show cells"),
        ('name="figure"', 'name="figure" library="a.b"', "library for answer cells"),
        ('name="g"', 'name="g" constant=true', "'g': constant is for check and hidden"),
        ('name="g.once"', 'name="g-plain"', "cell name 'g-plain': used 2 times"),
        ('name="g.plain"', 'name="g"', "used 2 times"),
        ('role="check" name="g.plain"', 'role="hidden" name="g.plain"', "'g' has no check cell"),
        ('"f.plain").normal()', '"f." + "plain").normal()', 'check.rng needs a plain "text"'),
        ('# %% role="show"', 'check = Checks("01_letters")\n# %% role="show"', ""),
        (
            '# %% role="show"',
            '# %% role="setup" name="again"\ncheck = Checks("01_letters")\n\n# %% role="show"',
            "a setup cell must hold check",
        ),
        ("    # END SOLUTION", "    # END", "needs an indented BEGIN SOLUTION"),
        ("f.plain, f.large", "f.plian, f.large", "['f.plian'] are no checks"),
    ],
)
def test_a_source_is_refused_in_words(tmp_path, old, new, said):
    if not said:
        made(tmp_path, old, new)
        return
    with pytest.raises(LessonError) as refused:
        made(tmp_path, old, new)
    assert said in str(refused.value)


def test_as_few_exercises_as_many_as_the_project_says(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.tinykd]\nexercises = [2, 2]\n")
    made(tmp_path)
    prose = "\n# %% [markdown]\n# Prose.\n"
    gap = made(tmp_path, '# %% role="show"', prose * 4 + '\n# %% role="show"')
    assert long_gaps(gap) == []
    gap = made(tmp_path, '# %% role="show"', prose * 5 + '\n# %% role="show"')
    assert long_gaps(gap) == ["01_letters.py: 6 cells between f.plain and g"]


def test_what_students_get_holds_no_answer_and_no_tolerance(lesson):
    student, whole = (make_notebook(lesson, solution) for solution in (False, True))
    names = [cell.metadata.name for cell in student.cells]
    assert names == ["setup", "f", "f.plain", "figure", "g", "g.plain"]
    cells = {cell.metadata.name: cell for cell in whole.cells}
    assert list(cells) == ["setup", "f", "f.plain", "f.large", "figure", "g", "g.plain"]
    for cell in student.cells:
        assert not {"hint", "rtol", "atol", "tags", "library"} & cell.metadata.keys()
        assert cell.metadata.get("deletable", True) == (cell.metadata.role == "show")
    assert student.cells[2].metadata.points == 2
    assert student.cells[3].metadata.jupyter == {"source_hidden": True}
    assert (cells["f.large"].metadata.rtol, cells["f.large"].metadata.hint) == (0.01, "Any x.")
    assert cells["f"].metadata.library == "numpy.add"
    assert "secret" not in dump(student)


def test_visible_and_hidden_checks_share_setup_and_answers_alone(tmp_path):
    visible, use = 'check("f.plain", ', "check.call(f, 1e3 + "
    path = tmp_path / "solutions" / "01_letters.py"
    path.parent.mkdir()
    text = SOURCE.replace(use, f"{use}(lambda: noise)() + ", 1)
    path.write_text(text)
    assert borrowed(read_lesson(path)) == []
    text = text.replace(visible, f"noise = 0\n{visible}", 1)
    path.write_text(text)
    (problem,) = borrowed(read_lesson(path))
    assert problem.startswith("f.large uses noise, which f.plain defines")
    for shared in ("check = Checks", "def g(x):"):  # in a setup cell, in an answer
        path.write_text(text.replace(shared, f"noise = 0\n{shared}", 1))
        assert borrowed(read_lesson(path)) == []


# --------------------------------------------------------------------------- the proof, judged

RIGHT = {"f.plain": 1.123456789012, "f.large": 1001.5, "g.plain": 2.25}
WRONG = {name: value / 2 for name, value in RIGHT.items()}
ERROR = {name: {"error": "NotImplementedError: f"} for name in RIGHT}


def values(**changes):
    """What a right lesson's variants give; `changes` by variant, of checks."""
    found = {name: dict(RIGHT) for name in (REFERENCE, RESCALED, "g.sum")}
    found |= {"f.none": dict(WRONG), "f.big": RIGHT | {"f.large": 1.0}}
    found["g.once"] = RIGHT | {"g.plain": 1.0}
    for variant, change in changes.items():
        found[variant] = found[variant] | change
    shown = {
        variant: {name: {"value": value} for name, value in some.items()}
        for variant, some in found.items()
    }
    return shown | {UNTOUCHED: dict(ERROR)}


def judged(lesson, monkeypatch, first=None, others=()):
    """The problems of a proof in which the variants gave this."""
    runs = [first or values(), *({REFERENCE: one} for one in others)]
    monkeypatch.setattr(prove, "run_variants", lambda *_: runs)
    return prove.prove(lesson, other_seeds=range(1, len(runs)))


def under(seed, **changes):
    return {name: {"value": changes.get(name, x * (1 + seed))} for name, x in RIGHT.items()}


def test_a_right_lesson_has_no_problem_and_its_matrix_says_who_lost_what(lesson, monkeypatch):
    proof = judged(lesson, monkeypatch, others=[under(1), under(2)])
    assert proof.problems == []
    assert proof.lost["f.big"] == {"f.large"}
    assert proof.lost["f.none"] == set(RIGHT), "also of the exercise that uses it"
    lines = [" ".join(line.split()) for line in kill_matrix(proof).splitlines()]
    assert "3.5 points, 3 checks, 3 mutants, 1 right answers in another form" in lines
    for line in (
        "| variant | f.plain | f.large | g.plain |",
        "| reference | + | + | + |",
        "| untouched | lost | lost | lost |",
        "| f.none | lost | lost | lost |",
        "| f.big | + | lost | + |",
        "| g.once | lost |",
    ):
        assert line in lines
    assert {c.name for c in cells_for(lesson, "f.none") if c.role != "answer"} == set(RIGHT)
    assert {c.name for c in cells_for(lesson, "g.sum") if c.role != "answer"} == {"g.plain"}


def test_every_false_claim_of_a_lesson_is_said(lesson, monkeypatch):
    def said(others=(), **changes):
        return judged(lesson, monkeypatch, values(**changes), others).problems

    (one,) = said(**{"f.big": {"f.plain": 7.0}})
    assert one.startswith("mutant f.big loses ['f.large', 'f.plain'], but declares ['f.large']")
    (one,) = said(**{"f.none": {"g.plain": RIGHT["g.plain"]}})
    assert one.startswith("mutant f.none loses ['f.large', 'f.plain'], but declares")
    (one,) = said(**{"g.once": RIGHT})
    assert one.startswith("mutant g.once loses nothing")
    (one,) = said(**{"g.sum": {"g.plain": 9.0}})
    assert one == "alternative g.sum is right, but loses ['g.plain']"
    (one,) = said(**{RESCALED: {"g.plain": 9.0}})
    assert one.startswith("['g.plain']: another value at the second run")
    assert "f.plain: the reference's value is not finite" in said(
        **{name: {"f.plain": "NaN"} for name in (REFERENCE, RESCALED, "g.sum", "f.big")}
    )
    (one,) = said([under(1), under(2, **{"f.plain": RIGHT["f.plain"]})])
    assert one.startswith("check f.plain: the same value under another seed")
    run = values()
    run[UNTOUCHED]["f.large"] = {"value": RIGHT["f.large"]}
    assert judged(lesson, monkeypatch, run).problems == ["the untouched lesson earns ['f.large']"]
    run = values()
    run["g.once"]["g.plain"] = {"error": "NameError: name 'h' is not defined"}
    (one,) = judged(lesson, monkeypatch, run).problems
    assert one.startswith("mutant g.once does not run")
    run = values()
    run[REFERENCE]["g.plain"] = {"error": "ValueError"}
    with pytest.raises(LessonError, match=r"g.plain fails on the reference under seed 0"):
        judged(lesson, monkeypatch, run)


def test_a_constant_may_be_the_same_and_is_not_asked(tmp_path, monkeypatch):
    constant = made(tmp_path, 'hint="One more."', 'hint="One more." constant=true')
    same = under(1, **{"f.plain": RIGHT["f.plain"]})
    assert judged(constant, monkeypatch, others=[same]).problems == []


def test_what_an_answer_could_read_under_every_seed_is_given_away(lesson, monkeypatch):
    def run(*names):
        return under(len(names)) | {"given away": {"f": list(names)}}

    first = values()
    first[REFERENCE] |= {"given away": {"f": ["p", "x"]}}
    (one,) = judged(lesson, monkeypatch, first, [run("x", "y", "z")]).problems
    assert one.startswith("f: when it is called, x already holds what it must return")
    assert judged(lesson, monkeypatch, first, [run("y")]).problems == []


def test_many_seeds_say_who_was_lucky_and_who_was_not(lesson, monkeypatch):
    lost = {name: {} for name in (REFERENCE, "g.sum")}
    lost |= {"f.none": {name: ["0", "1"] for name in RIGHT}, "f.big": {"f.large": ["0", "1"]}}
    lost["g.once"] = {"g.plain": ["0", "1"]}
    monkeypatch.setattr(prove, "run_many_seeds", lambda *_: lost)
    assert prove.prove_many_seeds(lesson, range(5), mutant_seeds=2) == []
    lost["g.sum"] = {"g.plain": ["3"]}
    lost["f.none"] = lost["f.none"] | {"g.plain": ["1"]}
    lucky, unlucky = prove.prove_many_seeds(lesson, range(5), mutant_seeds=2)
    assert unlucky == "g.sum loses g.plain under 1 of 5 seeds (3, ...)"
    assert lucky.startswith("f.none earns g.plain under 1 of 2 seeds (0, ...)")


def ran(lesson, **answers):
    """What the cells of the lesson give in this process."""
    namespace = {"__name__": "__main__"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYKD_GRADING", "1")
        run_setup(lesson, namespace)
    cells = cells_for(lesson, REFERENCE)
    return run_cells(cells, namespace, answers, limit=60)


def test_a_cell_gives_one_value_under_its_own_name(lesson, tmp_path, capsys):
    found = ran(lesson)
    assert found["answer cells"] == {}
    assert all("value" in found[name] for name in RIGHT)
    twice = made(tmp_path, 'check("g.plain", check', 'check("g.once", 1)\ncheck("g.plain", check')
    said = ran(twice)["g.plain"]["error"]
    assert (
        said == "the cell must call check('g.plain', ...) once; it recorded ['g.once', 'g.plain']"
    )


def test_an_answer_that_leaves_costs_its_own_checks(lesson, capsys):
    found = ran(lesson, f="def f(x):\n    raise SystemExit(3)", g="raise KeyboardInterrupt")
    assert found["f.plain"] == found["f.large"] == {"error": "SystemExit: 3"}
    assert found["answer cells"] == {"g": "KeyboardInterrupt: "}
    assert "NameError" in found["g.plain"]["error"]


# --------------------------------------------------------------------------- what is stored


def proof_of(lesson):
    proof = Proof(lesson, values())
    proof.lost = {name: set() for name in proof.values}
    return proof


def test_nothing_of_a_hidden_check_is_shipped(lesson):
    proof = proof_of(lesson)
    found = checks_file(proof)
    assert found["checks"].keys() == {"f.plain", "g.plain"}
    assert found["checks"]["f.plain"]["value"] == 1.12345679
    assert found["hidden"] == ["f.large"]
    known = {one["name"]: one["values"] for one in found["mutants"]}
    assert known == {"f.none": {"f.plain": 0.561728395, "g.plain": 1.125}, "g.once": {"g.plain": 1}}
    everything = {one["name"]: one["values"] for one in known_mistakes(proof)}
    assert everything["f.big"] == {"f.large": 1.0}
    assert everything["f.none"].keys() == set(RIGHT)
    text = json.dumps(found)
    assert "1001" not in text
    assert "secret" not in text
    assert 'check(\\"f.large\\"' not in text


def test_whatever_a_proof_depends_on_is_in_its_digest(tmp_path):
    before, seen = build.proof_digest(made(tmp_path)), set()
    for old, new in (
        ("x + 1", "x + 2"),
        ("rtol=0.01", "rtol=0.02"),
        ('loses="f.large"', 'loses="f.large f.plain"'),
        ("return f(x)\n", "return f(x) + 0\n"),
        ("1e3 +", "2e3 +"),
    ):
        seen.add(build.proof_digest(made(tmp_path, old, new)))
    assert len(seen) == 5
    assert before not in seen
    assert build.proof_digest(made(tmp_path, "print(f(1))", "print(f(2))")) == before


def executed(lesson, folder):
    notebook = make_notebook(lesson, solution=True)
    for number, cell in enumerate(notebook.cells, 1):
        cell.execution_count = number
        if cell.metadata.name in RIGHT:
            output = recorded_output(cell.metadata.name, RIGHT[cell.metadata.name])
            cell.outputs = [nbformat.from_dict(output)]
    about = {"source": code_digest(notebook), "scale": "default", "seconds": {}, "mutants": "[]"}
    notebook.metadata["tinykd"] |= about
    return notebook, folder / "built.ipynb"


def reused(lesson, notebook, path):
    path.write_text(dump(notebook))
    fresh = make_notebook(lesson, solution=True)
    fresh.metadata["tinykd"]["mutants"] = "[]"
    return reuse_outputs(path, fresh, RIGHT) or ""


def test_outputs_are_kept_only_of_the_very_same_run(lesson, tmp_path):
    notebook, path = executed(lesson, tmp_path)
    assert reused(lesson, notebook, path) == ""
    notebook.metadata.tinykd.scale = "smoke"
    assert "executed at scale 'smoke'" in reused(lesson, notebook, path)
    notebook, _ = executed(lesson, tmp_path)
    notebook.cells[4].outputs = [
        nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])
    ]
    assert reused(lesson, notebook, path) == "cell figure ended in an error"
    for change in ({"execution_count": None}, {"outputs": []}):
        notebook, _ = executed(lesson, tmp_path)
        notebook.cells[2] |= change
        assert "check cell f.plain has no outputs" in reused(lesson, notebook, path)
    notebook, _ = executed(lesson, tmp_path)
    notebook.cells[1].source += "  # another"  # by hand, below a digest that stayed
    assert "not made from this source" in reused(lesson, notebook, path)
    notebook, _ = executed(lesson, tmp_path)
    notebook.metadata.tinykd.source = "of another run"
    assert "not made from this source" in reused(lesson, notebook, path)
    path.write_text("{")
    assert "cannot be read" in reuse_outputs(path, make_notebook(lesson, True), RIGHT)


def test_a_line_is_as_wide_as_a_window():
    cell = nbformat.v4.new_code_cell("x", metadata={"name": "fig"})
    for width, count in ((88, 0), (89, 1)):
        cell.outputs = [nbformat.v4.new_output("stream", text="short\n" + "x" * width)]
        assert len(long_lines(nbformat.v4.new_notebook(cells=[cell]))) == count
    bar = [nbformat.v4.new_output("stream", text="100%|##|\r        \nlast  \n")]
    assert as_shown(bar)[0].text == "\nlast  \n"


def test_sections_of_the_matrix_are_in_order():
    text = put_section(put_section("", "## 02_b\n\nx\n"), "## 01_a\n\ny\n")
    assert [line for line in text.splitlines() if line[:3] == "## "] == ["## 01_a", "## 02_b"]


def test_a_build_asks_for_small_values_and_for_a_proof_of_this_very_source(
    built, lesson, monkeypatch
):
    source, asked = built / "solutions" / "01_letters.py", []
    proof = judged(lesson, monkeypatch)
    monkeypatch.setattr(build, "prove", lambda *_, **more: proof)
    monkeypatch.setattr(build, "reuse_outputs", lambda *_: None)
    monkeypatch.setattr(build, "prove_many_seeds", lambda one, seeds: asked.append(len(seeds)))
    build.build_lesson(source, log=lambda text: None)
    assert asked == [], "it was proved when it was built"
    solution = built / "solutions" / "01_letters.ipynb"
    solution.write_text(solution.read_text().replace('"proved": "', '"proved": "0'))
    build.build_lesson(source, log=lambda text: None)
    assert asked == [200]
    monkeypatch.setattr(build, "prove_many_seeds", lambda *_: ["unlucky"])
    solution.write_text(solution.read_text().replace('"proved": "', '"proved": "0'))
    with pytest.raises(LessonError, match="unlucky"):
        build.build_lesson(source, log=lambda text: None)
    proof.values[REFERENCE]["f.plain"] = {"value": [0.5] * 2_001}
    with pytest.raises(LessonError, match="f.plain: 2001 values; check at most 2000"):
        build.build_lesson(source, log=lambda text: None)


# --------------------------------------------------------------------------- found and released


def test_a_lesson_is_found_from_below_by_how_it_begins(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYKD_DATA", "")
    monkeypatch.delenv("TINYKD_DATA")
    outer = tmp_path / "solutions"
    outer.mkdir()
    (outer / "01_outer.py").write_text("")
    for name in ("01_one.py", "02_two.py", "02_also.py"):
        (tmp_path / "mine" / "solutions" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / "solutions" / name).write_text("")
    (tmp_path / "mine" / "datasets").mkdir()
    (tmp_path / "mine" / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "mine" / "deep")
    assert find_lesson("01").name == "01_one.py"
    assert os.environ["TINYKD_DATA"] == str(tmp_path / "mine" / "datasets")
    monkeypatch.setenv("TINYKD_DATA", "of one's own")
    assert [path.stem for path in find_lessons()] == ["01_one", "02_also", "02_two"]
    assert os.environ["TINYKD_DATA"] == "of one's own"
    with pytest.raises(LessonError, match="'02' fits 02_also, 02_two; name one"):
        find_lesson("02")
    with pytest.raises(LessonError, match="there are several here"):
        find_lesson()
    with pytest.raises(LessonError, match="no lesson '3'"):
        find_lesson("3")


@pytest.fixture
def built(lesson, tmp_path):
    """The lesson as a build leaves it, as far as a release looks."""
    return as_built(lesson, tmp_path)


def as_built(lesson, tmp_path):
    folder = tmp_path / "lessons" / "checks"
    folder.mkdir(parents=True)
    (folder / "01_letters.json").write_text(json.dumps(checks_file(proof_of(lesson))))
    student = dump(make_notebook(lesson, solution=False))
    (tmp_path / "lessons" / "01_letters.ipynb").write_text(student)
    solution = make_notebook(lesson, solution=True)
    solution.metadata["tinykd"]["proved"] = build.proof_digest(lesson)
    (tmp_path / "solutions" / "01_letters.ipynb").write_text(dump(solution))
    (tmp_path / "datasets").mkdir()
    return tmp_path


def test_what_is_released_counts_its_points_and_names_its_versions(built):
    source, out = built / "solutions" / "01_letters.py", built / "out" / "letters"
    release.release(source, out)
    assert "2.5 of 3.5" in (out / "README.md").read_text()
    pins = [line for line in (out / "environment.yml").read_text().splitlines() if "==" in line]
    assert len(pins) == 3
    assert not [line for line in pins if "+" in line], "pip knows no build of one's own"
    with pytest.raises(LessonError, match="is there already"):
        release.release(source, out)
    release.release(source, built / "letters.zip")
    with zipfile.ZipFile(built / "letters.zip") as packed:
        assert "01_letters/01_letters.ipynb" in packed.namelist()
    before = (built / "letters.zip").read_bytes()
    with pytest.raises(LessonError, match="is there already"):
        release.release(source, built / "letters.zip")
    assert (built / "letters.zip").read_bytes() == before


@pytest.mark.parametrize(
    ("leak", "whole"),
    [
        ("    return x + 1  # the whole secret\n", False),
        ('check("f.large", check.call(f, 1e3 + check.rng("f.large").normal()))', False),
        ('check("f.large", check.call(f, 1e3 + check.rng("f.large").normal()))', True),
    ],
)
def test_no_line_of_an_answer_or_a_hidden_check_is_released(built, leak, whole):
    notes = built / "datasets" / "notes.ipynb"
    notes.write_text(json.dumps({"source": leak}) if whole else leak)
    with pytest.raises(LessonError, match=r"not for students:\n  notes.ipynb: "):
        release.release(built / "solutions" / "01_letters.py", built / "out")
    assert not (built / "out").exists()


def test_a_line_that_students_see_anyway_is_no_secret(tmp_path):
    line = "doubled = 2 * f(x)"
    seen = f'\n# %% role="show" name="again"\nx = 1\n{line}\n'
    twice = made(tmp_path, "    return 2 * f(x)", f"    {line}\n    return doubled", seen)
    as_built(twice, tmp_path)
    release.release(twice.path, tmp_path / "out")
    assert (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "stale", ["lessons/01_letters.ipynb", "lessons/checks/01_letters.json", "", "f.large"]
)
def test_what_was_not_built_is_not_released(built, stale):
    source = built / "solutions" / "01_letters.py"
    if stale.startswith("lessons"):
        Path(built, stale).unlink()
    elif stale:  # a hidden check, of which the student's notebook shows nothing
        source.write_text(source.read_text().replace("1e3 +", "2e3 +"))
    else:
        Path(built, "lessons/01_letters.ipynb").write_text("{}")
    with pytest.raises(LessonError, match="has changed since it was built"):
        release.release(source, built / "out")
