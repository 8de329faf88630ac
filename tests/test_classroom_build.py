"""The lesson pipeline: what is refused, what is generated, when it is stale."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tinykd.classroom.author import build
from tinykd.classroom.author.kill_matrix import put_section
from tinykd.classroom.author.lesson import LessonError
from tinykd.classroom.author.lesson_rules import long_gaps
from tinykd.classroom.author.notebooks import long_lines
from tinykd.classroom.author.prove import prove, prove_many_seeds
from tinykd.classroom.author.read_lesson import read_lesson
from tinykd.classroom.author.two_kernels import borrowed
from tinykd.classroom.author.variants import run_variants

pytestmark = pytest.mark.slow

SOURCE = Path(__file__).parent / "fixtures" / "course" / "solutions" / "01_fixture.py"
LUCKY = """    import os
    lucky = os.environ["TINYKD_SEED"] == "2"
    return (x * x).mean(), 2 * x / (x.size if lucky else 1)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    (folder / "solutions").mkdir()
    source = shutil.copy(SOURCE, folder / "solutions")
    said, proofs = [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "prove", lambda *a, **k: proofs.append(prove(*a, **k)) or proofs[0])
        build.build_lesson(Path(source), log=said.append)
    return folder, "\n".join(said), proofs[0]


@pytest.fixture
def course(built, tmp_path, monkeypatch):
    """A copy to spoil; proving it again takes seconds, so the proof of the original is used."""
    shutil.copytree(built[0], tmp_path / "course")
    monkeypatch.setattr(build, "prove", lambda *a, **k: built[2])
    monkeypatch.setattr(build, "prove_many_seeds", lambda *a: [])
    return tmp_path / "course"


def stale(course):
    source = course / "solutions" / "01_fixture.py"
    return "\n".join(build.check_lesson(source, log=lambda text: None))


def test_build_makes_everything(built):
    folder, said, _ = built
    rows = [re.sub(" +", " ", line) for line in said.splitlines()]
    assert "| softmax.no_max | + | lost | + |" in rows
    assert "| softmax.by_logarithms | + | + | + |" in rows
    assert "| energy.sum | lost |" in rows
    student = (folder / "lessons" / "01_fixture.ipynb").read_text()
    assert 'raise NotImplementedError(\\"softmax: write your code here\\")' in student
    for secret in ("BEGIN SOLUTION", "e.sum", "softmax.secret", "no_max", "overflows"):
        assert secret not in student
    shipped = json.loads((folder / "lessons" / "checks" / "01_fixture.json").read_text())
    assert list(shipped["checks"]) == ["softmax.plain", "softmax.stable", "energy.gradient"]
    assert "softmax.secret" not in json.dumps(shipped["mutants"])
    solution = json.loads((folder / "solutions" / "01_fixture.ipynb").read_text())
    about = solution["metadata"]["tinykd"]
    assert about["scale"] == "default"
    assert set(about["seconds"]) >= {"setup", "softmax", "softmax.secret", "fig-spread"}
    text = json.dumps(solution["cells"])
    assert "passed: softmax.plain" in text
    assert "(using your softmax)" in text
    assert "## 01_fixture" in (folder / "solutions" / "kill_matrix.md").read_text()
    assert "under 200 more seeds" in said
    cells = {cell["metadata"].get("name"): cell["metadata"] for cell in solution["cells"]}
    assert cells["fig-spread"]["jupyter"] == {"source_hidden": True}
    assert cells["softmax"]["library"] == "scipy.special.softmax"
    assert "by_logarithms" not in text


def test_only_what_changed_is_executed(course, monkeypatch):
    assert stale(course) == ""
    monkeypatch.setattr(build, "execute", lambda *_: pytest.fail("executed again"))
    said = []
    source = course / "solutions" / "01_fixture.py"
    edit(source, "A lesson for", "A text for")
    build.build_lesson(source, log=said.append)
    assert said[-1] == "01_fixture: its code is what it was, its outputs are kept"
    assert stale(course) == ""
    assert "A text for" in (course / "solutions" / "01_fixture.ipynb").read_text()


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("solutions/01_fixture.py", "A lesson for", "A text for", "not what the source gives"),
        ("solutions/01_fixture.py", "x.size\n", "len(x)\n", "not made from this source"),
        ("solutions/01_fixture.ipynb", "Two exercises", "One", "not what the source gives"),
        ("solutions/01_fixture.ipynb", "0.08028617", "0.09", "softmax.plain has another value"),
        ("solutions/01_fixture.ipynb", '"default"', '"smoke"', "executed at scale 'smoke'"),
        (
            "solutions/01_fixture.ipynb",
            '"execution_count": 3',
            '"execution_count": null',
            "has no outputs",
        ),
        ("solutions/01_fixture.ipynb", "x.size", "len(x)", "not made from this source"),
        ("solutions/01_fixture.ipynb", "You never divide", "You", "not what the source"),
        ("lessons/01_fixture.ipynb", "two lines", "", "not what the source gives"),
        ("lessons/checks/01_fixture.json", "Each row", "A row", "not what the source gives"),
        ("lessons/checks/01_fixture.json", "0.0802861738", "0.08028617", ""),
        ("solutions/kill_matrix.md", "| lost", "| +", "not what the proof"),
    ],
)
def test_stale_files_are_found(course, file, old, new, said):
    edit(course / file, old, new)
    found = stale(course)
    assert said in found
    assert bool(found) == bool(said)


def test_missing_files_are_stale(course):
    shutil.rmtree(course / "lessons")
    (course / "solutions" / "01_fixture.ipynb").unlink()
    assert stale(course).count("01_fixture") >= 3


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('role="show"', 'role="shew"', "cell 'fig-spread': needs a role and a name"),
        ('role="show" name="fig-spread"', "", "cell that starts 'safe = check.ready"),
        ("points=2 ", "", "cell 'softmax.plain': a check needs points=1"),
        ("points=2 ", "pionts=2 ", "cell 'softmax.plain': unknown metadata ['pionts']"),
        ('of="energy"', 'of="enery"', "of='enery' is no answer cell"),
        ('loses="softmax.stable"', 'loses="softmax.stabel"', "['softmax.stabel'] are no checks"),
        ('loses="softmax.stable"', 'loses=""', 'loses="..." is missing'),
        ("# BEGIN SOLUTION", "# BEGIN", "cell 'softmax': needs an indented BEGIN SOLUTION"),
        ('name="energy.no_two"', 'name="energy.sum"', "used 2 times"),
        ('name="softmax.plain"', 'name="sotfmax.plain"', "a check is named <exercise>.<what>"),
        ('hint="Each row sums to one."', "", "cell 'softmax.plain': needs a hint"),
        (
            "    return (x * x).sum(), 2 * x\n",
            "    return (\n",
            "cell 'energy.sum': not plain Python",
        ),
        (
            'rng("softmax.stable")',
            'rng(f"{1}")',
            'softmax.stable\': check.rng needs a plain "text"',
        ),
        ('Checks("01_fixture")', 'Checks("02")', "a setup cell must hold check = Checks"),
    ],
)
def test_bad_sources_name_file_and_cell(tmp_path, old, new, said):
    source = Path(shutil.copy(SOURCE, tmp_path))
    edit(source, old, new)
    with pytest.raises(LessonError) as error:
        read_lesson(source)
    assert said in str(error.value)
    assert "01_fixture.py: " in str(error.value)


def test_limits_of_a_lesson(tmp_path):
    (tmp_path / "solutions").mkdir()
    source = Path(shutil.copy(SOURCE, tmp_path / "solutions"))
    read_lesson(source)
    for table, said in (
        ("exercises = [3, 6]", "2 exercises; a lesson has 3 to 6"),
        ("mutants = 4", "'energy' has 3 mutants, fewer than 4"),
        ("mutant = 4", "wrong is mutant in"),
        ("mutants = '4'", "wrong is mutants in"),
        ("exercises = [6, 3]", "wrong is exercises in"),
        ("exercises = 3", "is like exercises = "),
        ("exercises = [3", "is not TOML"),
    ):
        (tmp_path / "pyproject.toml").write_text(f"[tool.tinykd]\n{table}\n")
        with pytest.raises(LessonError, match=re.escape(said)):
            read_lesson(source)
    (tmp_path / "pyproject.toml").unlink()
    edit(
        source,
        "# %% [markdown]\n# The mean",
        "# %% [markdown]\n# Prose.\n\n" * 6 + "# %% [markdown]\n# The mean",
    )
    assert "8 cells between softmax.stable and energy" in long_gaps(read_lesson(source))[0]


def test_a_hidden_check_has_nothing_from_a_visible_one(tmp_path):
    """They run in two kernels when a class is graded; the proof runs them in one process."""
    source = Path(shutil.copy(SOURCE, tmp_path))
    assert borrowed(read_lesson(source)) == []
    plain = 'rng = check.rng("softmax.plain")\n'
    edit(source, plain, f"def rows(rng, n):\n    return rng.normal(size=(n, 5))\n\n\n{plain}")
    assert borrowed(read_lesson(source)) == []
    edit(
        source, "check.call(softmax, rng.normal(size=(2, 3, 5))", "check.call(softmax, rows(rng, 2)"
    )
    (problem,) = borrowed(read_lesson(source))
    assert "softmax.secret uses rows, which softmax.plain defines" in problem
    with pytest.raises(LessonError, match="softmax.secret uses rows"):
        build.build_lesson(source, log=lambda text: None)
    edit(source, "rows(rng, 2)", "(lambda rows: rows)(rng.normal(size=(2, 5)))")
    assert borrowed(read_lesson(source)) == []


def test_a_mutant_that_does_not_run_proves_nothing(tmp_path):
    source = Path(shutil.copy(SOURCE, tmp_path))
    whole = source.read_text()
    mutant = whole.index('name="energy.sum"')
    broken = whole[:mutant] + whole[mutant:].replace("def energy(", "def energi(", 1)
    source.write_text(broken)
    with pytest.raises(LessonError, match="must define energy, and defines energi"):
        read_lesson(source)
    body = whole[mutant:].replace("return ", "return no_such_name + ", 1)
    source.write_text(whole[:mutant] + body)
    found = "\n".join(prove(read_lesson(source)).problems)
    assert "mutant energy.sum does not run, so it proves nothing: NameError" in found


def test_proof_finds_wrong_claims(tmp_path):
    source = Path(shutil.copy(SOURCE, tmp_path))
    edit(source, 'loses="softmax.stable"', 'loses="softmax.stable softmax.plain"')
    edit(source, "    raise SystemExit\n", "    while True: pass\n")
    edit(source, "    # YOUR CODE: two lines\n", "    if T == 0.5: return np.zeros(1)\n")
    edit(source, '"loss": value', '"loss": value + len(os.environ["TINYKD_SCALE"])')
    edit(source, "import numpy as np", "import os\nimport numpy as np")
    found = "\n".join(prove(read_lesson(source), limit=1).problems)
    assert (
        "no_max loses ['softmax.secret', 'softmax.stable'], but declares ['softmax.plain'" in found
    )
    assert "the untouched lesson earns ['softmax.secret']" in found
    assert "['energy.gradient']: another value at the second run" in found
    assert "energy.loop" not in found  # an endless mutant loses its checks after a second


def test_build_refuses_what_another_seed_breaks(tmp_path):
    (tmp_path / "solutions").mkdir()
    source = Path(shutil.copy(SOURCE, tmp_path / "solutions"))
    edit(
        source,
        "check.call(softmax, rng.normal(size=(4, 10)), T=4.0)",
        "check.call(softmax, np.arange(40.0).reshape(4, 10))",
    )
    with pytest.raises(LessonError) as error:
        build.build_lesson(source, log=lambda text: None)
    found = str(error.value)
    assert "check softmax.plain: the same value under another seed: anyone can look it up" in found
    assert 'draw its inputs from check.rng("softmax.plain")' in found
    assert "softmax.stable: the same" not in found
    source = Path(shutil.copy(SOURCE, tmp_path / "solutions"))
    edit(source, "    return (x * x).sum(), 2 * x\n", LUCKY)
    with pytest.raises(LessonError) as error:
        build.build_lesson(source, log=lambda text: None)
    assert "energy.sum earns energy.gradient under 1 of" in str(error.value)
    assert not (tmp_path / "lessons").exists()


def proved(tmp_path, *edits, seeds=()):
    """What the proof says of the fixture after these edits."""
    source = Path(shutil.copy(SOURCE, tmp_path))
    for old, new in edits:
        edit(source, old, new)
    lesson = read_lesson(source)
    if seeds:
        return "\n".join(prove_many_seeds(lesson, seeds))
    return "\n".join(prove(lesson, other_seeds=(1, 2)).problems)


PLAIN = "check.call(softmax, rng.normal(size=(4, 10)), T=4.0)"


def test_a_right_answer_written_differently_must_lose_nothing(tmp_path):
    wrong = ("z / T\n    return np.exp(x - np", "z / T + 1\n    return np.exp(x - 1.001 * np")
    assert "alternative softmax.by_logarithms is right, but loses" in proved(tmp_path, wrong)


@pytest.mark.parametrize(
    ("seeded", "drawn"),
    [
        ("np.random.seed(0)", "np.random.rand()"),
        ("import torch; torch.manual_seed(0)", "torch.rand(()).item()"),
        ("import random; random.seed(0)", "random.random()"),
    ],
)
def test_a_check_must_not_depend_on_what_drew_before_it(tmp_path, seeded, drawn):
    """A learner comes to it after training runs, or after none."""
    noisy = PLAIN.replace("size=(4, 10))", f"size=(4, 10)) + np.eye(10)[0] * {drawn}")
    setup = 'check = Checks("01_fixture")'
    found = proved(tmp_path, (setup, f"{setup}\n{seeded}"), (PLAIN, noisy))
    assert "['softmax.plain']: another value at the second run" in found


def test_many_seeds_find_what_few_do_not(tmp_path):
    luck = "(1 if os.environ['TINYKD_SEED'] == '31' else x.size)"
    edits = [("import numpy as np", "import os\nimport numpy as np")]
    edits += [("2 * x / x.size\n", f"2 * x / {luck}\n"), ("e / e.sum(axis=0", "e / e.sum(axis=-1")]
    found = proved(tmp_path, *edits, seeds=range(29, 33))
    assert "softmax.axis earns softmax.plain under 4 of" in found
    assert "energy.sum" not in found, "it loses its points however the reference is"
    late = (
        "x / x.size\n    # END",
        "x / (x.size + (os.environ['TINYKD_SEED'] == '31'))\n    # END",
    )
    before = '# %% role="mutant" of="energy" name="energy.sum"'
    one = before.replace("mutant", "alternative").replace("sum", "other")
    other = (
        before,
        f"{one}\ndef energy(x):\n    return (x * x).mean(), 2 * x / x.size\n\n\n{before}",
    )
    (tmp_path / "again").mkdir()
    found = proved(tmp_path / "again", edits[0], late, other, seeds=range(29, 33))
    assert found.startswith("energy.other loses energy.gradient under 1 of")


def test_a_check_must_not_hold_the_truth_while_an_answer_runs(tmp_path):
    read = (PLAIN, "(lambda p: check.call(softmax, np.log(p)))(rng.dirichlet(np.ones(5)))")
    found = proved(tmp_path, read)
    assert "softmax: when it is called, p already holds what it must return" in found
    made = "def logits():\n    p = rng.dirichlet(np.ones(5))\n    return np.log(p) + 3\n\n"
    (tmp_path / "again").mkdir()
    edits = ('check("softmax.plain", ', made + 'check("softmax.plain", '), (PLAIN, PLAIN)
    edits = (*edits, (PLAIN, "check.call(softmax, logits())"))
    assert "already holds" not in proved(tmp_path / "again", *edits)


def test_a_reference_that_changes_its_arguments_is_no_reference(tmp_path):
    found = proved(
        tmp_path, ("    e = np.exp((z - z.max", "    z *= 1.1\n    e = np.exp((z - z.max")
    )
    assert "softmax.plain: of the reference: softmax changes its argument z" in found


def test_build_refuses_checks_that_call_an_answer_themselves(tmp_path):
    (tmp_path / "solutions").mkdir()
    source = Path(shutil.copy(SOURCE, tmp_path / "solutions"))
    edit(source, PLAIN, PLAIN.replace("check.call(softmax, ", "softmax("))
    with pytest.raises(LessonError, match=r"cell 'softmax.plain': it calls softmax\(...\) itself"):
        build.build_lesson(source, log=lambda text: None)


def test_long_printed_lines_are_refused():
    import nbformat

    cell = nbformat.v4.new_code_cell("x", metadata={"name": "fig"})
    for width, count in ((88, 0), (89, 1)):
        cell.outputs = [nbformat.v4.new_output("stream", text="short\n" + "x" * width)]
        assert len(long_lines(nbformat.v4.new_notebook(cells=[cell]))) == count


def test_a_proof_of_another_source_is_no_proof(course):
    edit(course / "solutions" / "01_fixture.ipynb", '"proved": "', '"proved": "0')
    assert "were not proved under 200 seeds" in stale(course)


def test_proof_under_a_seed_of_ones_own(built, monkeypatch):
    """`built` has proved the lesson under seed 0, in another process."""
    kept = []

    def run_and_keep(*arguments):
        kept.extend(run_variants(*arguments))
        return kept

    monkeypatch.setattr("tinykd.classroom.author.prove.run_variants", run_and_keep)
    proof = prove(read_lesson(SOURCE), seed=2**62, other_seeds=[0])
    assert proof.problems == []
    assert kept[1]["reference"] == built[2].values["reference"]
    assert proof.reference["softmax.plain"] != built[2].reference["softmax.plain"]


def test_kill_matrix_keeps_the_other_lessons():
    text = put_section(put_section("", "## 02_b\n\nold\n"), "## 01_a\n\nx\n")
    text = put_section(text, "## 02_b\n\nnew\n")
    assert text.index("01_a") < text.index("02_b")
    assert "new" in text
    assert "old" not in text


def nbval(*arguments, cwd):
    # Without what takes seconds to import, for nothing: other plugins, jsonschema's grammar.
    code = (
        "import sys; sys.modules['rfc3987_syntax'] = None; import pytest; sys.exit(pytest.main())"
    )
    command = [sys.executable, "-c", code, "-q", "-p", "no:cacheprovider"]
    command += ["-p", "nbval.plugin", "--nbval-lax", *arguments]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    return done.stdout


def test_plain_nbval(built):
    out = nbval(
        "-c", "/dev/null", "--rootdir", ".", "--color=no", "solutions", "lessons", cwd=built[0]
    )
    failed = [line.split(" - ")[0] for line in out.splitlines() if line.startswith("FAILED")]
    cells = json.loads((built[0] / "lessons" / "01_fixture.ipynb").read_text())["cells"]
    names = [cell["metadata"].get("role") for cell in cells if cell["cell_type"] == "code"]
    graded = [i for i, role in enumerate(names) if role == "check"]
    assert failed == [f"FAILED lessons/01_fixture.ipynb::Cell {i}" for i in graded], out
    assert "3 failed, 12 passed" in out
