"""One source of versions, an environment that installs, and a wheel with nothing but the engine."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
PIP = next(entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))
ALLOWED = {
    *("tinykd", "lessons", "datasets", "solutions", "tests", "benchmarks", "docs"),
    *("environment.yml", "README.md", "pyproject.toml", "Makefile", "LICENSE", "CHANGELOG.md"),
    *(".ci", ".github", ".gitignore"),
}


def pins():
    lines = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {
        canonicalize_name(name): version
        for name, version in (line.split("==") for line in lines if not line.startswith("#"))
    }


def requirements():
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(text) for group in groups for text in group]


def copy_of_the_project(folder):
    """What a build needs, elsewhere: builds leave files behind."""
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "environment.yml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("tinykd", ".ci", "datasets", "tests"):
        ignore = shutil.ignore_patterns("__pycache__", "*.gz")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    return folder


def python(code, cwd):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# ---------------------------------------------------------------- versions


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_every_requirement_is_met_by_its_pin(requirement):
    if requirement.name == "tinykd":
        assert requirement.extras <= set(PROJECT["optional-dependencies"])
        return
    assert requirement.specifier, "a lower bound at least: pip may otherwise pick an ancient one"
    assert pins()[canonicalize_name(requirement.name)] in requirement.specifier


def test_pins_are_closed():
    """Whatever a pinned distribution needs here is pinned too, at a version it accepts."""
    pinned = pins()
    missing = []
    for name in pinned:
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # another system's
        for need in map(Requirement, needs):
            if need.marker and not need.marker.evaluate(default_environment() | {"extra": ""}):
                continue
            version = pinned.get(canonicalize_name(need.name))
            if version is None or not need.specifier.contains(version, prereleases=True):
                missing.append(f"{name} needs {need}, pinned: {version}")
    assert not [line for line in missing if not re.search(r"nvidia|cuda|triton", line)]


def test_torch_is_pinned_for_every_build_of_it():
    assert pins()["torch"] == "2.13.0"
    assert not [name for name in pins() if re.match(r"nvidia|cuda|triton", name)]


def test_pins_run_on_the_first_release_of_every_python():
    """Debian 12 has Python 3.11.2: one pin that wants 3.11.5 makes pip search for hours."""
    for name in pins():
        wants = SpecifierSet(importlib.metadata.metadata(name)["Requires-Python"] or "")
        assert all(wants.contains(f"3.{minor}.0") for minor in (11, 12, 13)), (name, str(wants))


def test_this_environment_has_the_pinned_versions():
    """Otherwise the tests say nothing about the versions that users get."""
    for name, version in pins().items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        assert installed.split("+")[0] == version, f"{name}: run make test, which installs the pins"


# ---------------------------------------------------------------- environment.yml


def test_environment_names_what_pyproject_names():
    """Python's range, and one extra at the pinned versions: no list of packages to fall behind."""
    conda = [entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)]
    ranges = dict(re.fullmatch(r"([a-z]+)(.*)", entry).groups() for entry in conda)
    assert ranges.keys() == {"python", "pip"}
    assert SpecifierSet(ranges["python"]) == SpecifierSet(PROJECT["requires-python"])
    assert PIP == ["-c .ci/constraints.txt", "-e .[dev]"]
    extras = {str(req) for req in map(Requirement, PROJECT["optional-dependencies"]["dev"])}
    assert "tinykd[grade,lab,llm]" in extras, "dev is everything"


@pytest.mark.slow
def test_the_pip_part_of_environment_installs(tmp_path):
    """As conda does it: the entries become lines of a requirements file in the project's folder."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    reach = [*pip, "download", "--quiet", "--no-deps", "--no-cache-dir", "-d", "reach", "nbval"]
    probe = subprocess.run(reach, cwd=tmp_path, capture_output=True, text=True)
    if probe.returncode:
        pytest.skip("no package registry can be reached: " + probe.stderr.strip()[-200:])
    project = copy_of_the_project(tmp_path / "project")
    (project / "requirements.txt").write_text("\n".join(PIP), encoding="utf-8")
    install = [*pip, "install", "--dry-run", "--ignore-installed", "-r", "requirements.txt"]
    done = subprocess.run(install, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    would = done.stdout.rpartition("Would install")[2]
    found = dict(word.rpartition("-")[::2] for word in would.split())
    found = {canonicalize_name(name): version.split("+")[0] for name, version in found.items()}
    assert found["tinykd"] == PROJECT["version"]
    assert found["torch"] == "2.13.0"
    wrong = {name for name, version in found.items() if pins().get(name, version) != version}
    assert not wrong


# ---------------------------------------------------------------- the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    project = copy_of_the_project(folder / "project")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder)]
    # Without isolation: the setuptools that torch brought along, and no network.
    done = subprocess.run(
        [*command, "--no-build-isolation", str(project)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return next(folder.glob("tinykd-*.whl"))


def test_wheel_holds_the_engine_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    info = f"tinykd-{PROJECT['version']}.dist-info"
    assert {name.split("/")[0] for name in names} == {"tinykd", info}
    sources = {
        str(path.relative_to(ROOT).as_posix())
        for path in (ROOT / "tinykd").rglob("*.py")
        if "__pycache__" not in path.parts
    }
    assert sources <= set(names)
    reports = "classroom/reports/"
    for name in ("py.typed", f"{reports}report.schema.json", f"{reports}templates/student.html"):
        assert f"tinykd/{name}" in names
    assert f"{info}/licenses/LICENSE" in names
    scripts = zipfile.ZipFile(wheel).read(f"{info}/entry_points.txt").decode()
    assert "tinykd = tinykd.classroom.cli:app" in scripts


def test_wheel_works_outside_the_repository(wheel, tmp_path):
    """In someone's homework: found in the wheel, and the command starts from there."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = f"""
        import sys
        sys.path.insert(0, {str(site)!r})
        import tinykd
        assert tinykd.__file__.startswith({str(site)!r}), tinykd.__file__
        assert float(tinykd.softmax(__import__("torch").zeros(2))[0]) == 0.5
        from tinykd.classroom.cli import app
        sys.argv = ["tinykd", "--help"]
        app()
    """
    out = python(code, tmp_path)
    for command in ("build", "check", "data"):
        assert command in out


def test_import_pulls_in_numpy_and_torch_and_nothing_else(tmp_path):
    heavy = ("matplotlib", "pooch", "requests", "typer", "tqdm", "IPython", "pytest", "nbval")
    before = python("import sys, numpy, torch; print(*sys.modules)", tmp_path).split()
    after = python("import sys, tinykd; print(*sys.modules)", tmp_path).split()
    new = {name.split(".")[0] for name in set(after) - set(before)}
    assert not new & set(heavy)
    third_party = {
        name for name in new if name not in sys.stdlib_module_names and not name.startswith("_")
    }
    third_party -= {"cython_runtime"}  # of numpy.random
    assert third_party <= {"tinykd", "torch", "numpy"}, third_party
    assert not [name for name in after if name.startswith("tinykd.classroom")]


def test_the_command_imports_typer_and_nothing_else(tmp_path):
    """So `tinykd --help` takes as long as `import tinykd`; what a command needs comes with it."""
    before = python("import sys, tinykd, typer; print(*sys.modules)", tmp_path).split()
    after = python("import sys, tinykd.classroom.cli; print(*sys.modules)", tmp_path).split()
    new = {name for name in set(after) - set(before) if name.split(".")[0] != "typer"}
    allowed = ("tinykd.classroom", "rfc3987_syntax")  # the latter is kept out, not imported
    assert new
    assert not [name for name in new if not name.startswith(allowed)]
    assert not [name for name in new if re.search("grading|sandbox|roster|reports|build", name)]


def test_datasets_is_not_importable(tmp_path):
    code = "import importlib.util; print(importlib.util.find_spec('datasets'))"
    found = python(code, tmp_path)
    assert str(ROOT) not in found
    assert not (ROOT / "datasets" / "__init__.py").exists()


def test_datasets_does_not_shadow_the_package_of_that_name(tmp_path):
    """Not even from the root of the repository, where Python looks first."""
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text("real = True", encoding="utf-8")
    code = f"import sys; sys.path.append({str(tmp_path)!r}); import datasets; print(datasets.real)"
    assert python(code, ROOT) == "True"


# ---------------------------------------------------------------- the repository


def tracked():
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_top_level_has_the_agreed_entries_only():
    assert {name.split("/")[0] for name in tracked()} <= ALLOWED


def test_checkout_stays_under_50_megabytes():
    assert sum((ROOT / name).stat().st_size for name in tracked()) < 50e6


def test_built_and_private_files_are_ignored():
    ignored = [".venv/x", "build/x", "tinykd.egg-info/x", "tinykd/__pycache__/x.pyc"]
    for name in [*ignored, ".mypy_cache/x", "lessons/.ipynb_checkpoints/x"]:
        done = subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT)
        if done.returncode == 128:
            pytest.skip("not a git checkout")
        assert done.returncode == 0, name


def test_ci_calls_make_test_and_nothing_else():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if "make" in line] == [lines[-1]]
    assert lines[-1].endswith("make test")
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    commands = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    assert commands[-1] == "bash .ci/run"
    assert all("install -y bubblewrap" in command for command in commands[:-1])
