"""What `import tinykd` gives: names that are there, in order, and how much work a lesson may do."""

import importlib
import pkgutil
import tomllib
from pathlib import Path

import pytest

import tinykd

ROOMS = ["", "compress", "data", "features", "flow", "lm", "lm.reasoning", "lm.teachers"]
ROOMS += ["lm.tokens", "lm.weights", "metrics", "models", "robust", "search", "teachers"]
ROOMS += ["training"]


def test_every_room_is_looked_at():
    found = {one.name for one in pkgutil.walk_packages(tinykd.__path__) if one.ispkg}
    assert found - {"challenge", "classroom"} == {name for name in ROOMS if "." not in name} - {""}


@pytest.mark.parametrize("room", ROOMS)
def test_names_are_there_once(room):
    """None that the room does not have; in order as ruff sorts them."""
    module = importlib.import_module(".".join(filter(None, ["tinykd", room])))
    names = module.__all__
    assert names
    assert len(set(names)) == len(names)
    assert not [name for name in names if not hasattr(module, name)]
    assert not [name for name in names if name.startswith("_")]


@pytest.mark.parametrize("file", ["topk_teacher", "served"])
def test_older_places_give_the_same(file):
    """Lesson 12 and programs import from there."""
    old = importlib.import_module(f"tinykd.lm.{file}")
    new = importlib.import_module(f"tinykd.lm.teachers.{file}")
    assert old.__all__
    assert all(getattr(old, name) is getattr(new, name) for name in old.__all__)


def test_the_version_is_that_of_the_project():
    project = Path(__file__).resolve().parents[1] / "pyproject.toml"
    assert tinykd.__version__ == tomllib.loads(project.read_text("utf-8"))["project"]["version"]


def test_how_much_work_a_lesson_may_do(monkeypatch):
    monkeypatch.delenv("TINYKD_SCALE", raising=False)
    assert tinykd.scale() == "default"
    for value in ("smoke", "default", "full"):
        monkeypatch.setenv("TINYKD_SCALE", value)
        assert tinykd.scale() == value
    for wrong in ("", "Full", "tiny"):
        monkeypatch.setenv("TINYKD_SCALE", wrong)
        with pytest.raises(ValueError, match=f"got {wrong!r}"):
            tinykd.scale()
