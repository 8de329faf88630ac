"""The lesson pipeline: what is refused, what is generated, when it is stale."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tinykd.classroom.author import build
from tinykd.classroom.author.kill_matrix import put_section
from tinykd.classroom.author.lesson import LessonError, long_gaps, read_lesson
from tinykd.classroom.author.prove import prove
from tinykd.classroom.author.variants import run_variants

pytestmark = pytest.mark.slow

SOURCE = Path(__file__).parent / "fixtures" / "course" / "solutions" / "01_fixture.py"
LIMITS = {"exercises": (1, 6), "mutants": 3}
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
        build.build_lesson(Path(source), log=said.append, limits=LIMITS)
    return folder, "\n".join(said), proofs[0]


@pytest.fixture
def course(built, tmp_path, monkeypatch):
    """A copy to spoil; proving it again takes seconds, so the proof of the original is used."""
    shutil.copytree(built[0], tmp_path / "course")
    monkeypatch.setattr(build, "prove", lambda *a, **k: built[2])
    return tmp_path / "course"


def stale(course):
    source = course / "solutions" / "01_fixture.py"
    return "\n".join(build.check_lesson(source, log=lambda text: None, limits=LIMITS))


def test_build_makes_everything(built):
    folder, said, _ = built
    assert "| softmax.no_max | +             | lost           | +              |\n" in said
    assert "| energy.sum    | lost            |\n" in said
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


def test_only_what_changed_is_executed(course, monkeypatch):
    assert stale(course) == ""
    monkeypatch.setattr(build, "execute", lambda *_: pytest.fail("executed again"))
    said = []
    source = course / "solutions" / "01_fixture.py"
    edit(source, "A lesson for", "A text for")
    build.build_lesson(source, log=said.append, limits=LIMITS)
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
        ('loses="softmax.stable"', 'loses="softmax.stabel"', "must name checks"),
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
        read_lesson(source, **LIMITS)
    assert said in str(error.value)
    assert "01_fixture.py: " in str(error.value)


def test_limits_of_a_lesson(tmp_path):
    with pytest.raises(LessonError, match="2 exercises; a lesson has 3 to 6"):
        read_lesson(SOURCE)
    with pytest.raises(LessonError, match="'energy' has 3 mutants, fewer than 4"):
        read_lesson(SOURCE, (1, 6), 4)
    source = Path(shutil.copy(SOURCE, tmp_path))
    edit(
        source,
        "# %% [markdown]\n# The mean",
        "# %% [markdown]\n# Prose.\n\n" * 6 + "# %% [markdown]\n# The mean",
    )
    assert (
        "8 cells between softmax.stable and energy" in long_gaps(read_lesson(source, **LIMITS))[0]
    )


def test_proof_finds_wrong_claims(tmp_path):
    source = Path(shutil.copy(SOURCE, tmp_path))
    edit(source, 'loses="softmax.stable"', 'loses="softmax.stable softmax.plain"')
    edit(source, "    raise SystemExit\n", "    while True: pass\n")
    edit(source, "    # YOUR CODE: two lines\n", "    if T == 0.5: return np.zeros(1)\n")
    edit(source, '"loss": value', '"loss": value + len(os.environ["TINYKD_SCALE"])')
    edit(source, "import numpy as np", "import os\nimport numpy as np")
    found = "\n".join(prove(read_lesson(source, **LIMITS), limit=1).problems)
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
        "softmax(rng.normal(size=(4, 10)), T=4.0)",
        "softmax(np.arange(40.0).reshape(4, 10))",
    )
    edit(source, "    return (x * x).sum(), 2 * x\n", LUCKY)
    with pytest.raises(LessonError) as error:
        build.build_lesson(source, log=lambda text: None, limits=LIMITS)
    found = str(error.value)
    assert "check softmax.plain: the same value under another seed: anyone can look it up" in found
    assert 'draw its inputs from check.rng("softmax.plain")' in found
    assert "softmax.stable: the same" not in found
    assert "under seed 2: mutant energy.sum loses [], but declares ['energy.gradient']" in found
    assert "under seed 1: mutant energy.sum" not in found
    assert not (tmp_path / "lessons").exists()


def test_proof_under_a_seed_of_ones_own(built, monkeypatch):
    """`built` has proved the lesson under seed 0, in another process."""
    kept = []

    def run_and_keep(*arguments):
        kept.extend(run_variants(*arguments))
        return kept

    monkeypatch.setattr("tinykd.classroom.author.prove.run_variants", run_and_keep)
    proof = prove(read_lesson(SOURCE, **LIMITS), seed=2**62, other_seeds=[0])
    assert proof.problems == []
    assert kept[1] == built[2].values
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
