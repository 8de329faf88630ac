"""Files that are whole or not there: what is written comes back, what cannot is refused."""

import collections
import enum
import os
import pathlib
import pickle
import stat
import types

import numpy as np
import pytest
import torch

from tinykd import files


class Mode(enum.StrEnum):
    FAST = "fast"


Point = collections.namedtuple("Point", "x y")


def test_everything_that_may_be_saved_comes_back(tmp_path):
    state = {
        "tensors": [torch.arange(3.0), torch.tensor(2, dtype=torch.int8)],
        "arrays": {kind: np.zeros(2, kind) for kind in "?bhilqBHILQefdgFD"},
        "numbers": (np.float32(0.5), np.int64(3), 7, 0.25, 1j, True, None),
        "words": ["text", b"bytes", pathlib.Path("a/b"), {1, 2}],
        "dicts": [collections.OrderedDict(a=1), collections.Counter("ab"), {(1, "b"): 2}],
        "of torch": (torch.float16, torch.zeros(2, 3).shape),
    }
    path = tmp_path / "a" / "b" / "state.ckpt"
    files.save(path, state)
    found = files.load(path)
    assert all(map(torch.equal, found["tensors"], state["tensors"]))
    for kind, array in state["arrays"].items():
        assert found["arrays"][kind].dtype == array.dtype
    for key in ("numbers", "words", "dicts", "of torch"):
        assert found[key] == state[key]
    assert [type(x) for x in found["numbers"]] == [type(x) for x in state["numbers"]]
    assert os.listdir(path.parent) == ["state.ckpt"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (types.SimpleNamespace(), "state['x'] is a SimpleNamespace, and what is read back"),
        ([1, {2: [lambda: 0]}], "state['x'][1][2][0] is a function"),
        ({1, ("a", collections.Counter)}, "is a type"),
        (np.array([None]), "state['x'] is an array of objects"),
        (np.array(["text"]), "state['x'] is an array of <U4"),
        (np.ma.array([1]), "state['x'] is a MaskedArray"),
        ([Mode.FAST], "state['x'][0] is a Mode"),
        ({Mode.FAST: 1}, "the key <Mode.FAST: 'fast'> of state['x'] is a Mode"),
        (Point(1, 2), "state['x'] is a Point"),
        (collections.defaultdict(int), "state['x'] is a defaultdict"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path, value, words):
    path = tmp_path / "state.ckpt"
    files.save(path, {"x": 1})
    with pytest.raises(ValueError, match=r"state.ckpt was not written: ") as refused:
        files.save(path, {"x": value})
    assert words in str(refused.value)
    assert files.load(path) == {"x": 1}


class Runs:
    """Code, where a file with it is opened without care."""

    def __reduce__(self):
        return os.mkdir, ("it-ran",)


def test_a_file_is_opened_without_running_what_is_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, write in (
        ("torch", torch.save),
        ("pickle", lambda x, p: p.write_bytes(pickle.dumps(x, 2))),
    ):
        path = tmp_path / name
        write(Runs(), path)
        with pytest.raises(ValueError, match="is not a readable checkpoint"):
            files.load(path)
    for damaged in (b"", b"no checkpoint", (tmp_path / "torch").read_bytes()[:-50]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="delete it to start from the beginning"):
            files.load(path)
    with pytest.raises(ValueError, match="is not a readable checkpoint"):
        files.load(tmp_path / "nothing")
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize("error", [OSError(28, "No space left"), RuntimeError("writer\nfailed")])
def test_a_write_that_fails_leaves_the_old_file_and_says_so(tmp_path, monkeypatch, error):
    path = tmp_path / "state.ckpt"

    def torn(state, part):
        part.write_bytes(b"half")
        raise error

    monkeypatch.setattr(torch, "save", torn)
    with pytest.raises(OSError, match=r"could not be written .*nothing was there before"):
        files.save(path, {"x": 2})
    monkeypatch.undo()
    files.save(path, {"x": 1})
    monkeypatch.setattr(torch, "save", torn)
    free = types.SimpleNamespace(total=9e9, used=0, free=2_340_000)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda where: free)
    with pytest.raises(OSError, match=r"what was saved before is still there; 2.3 MB are free"):
        files.save(path, {"x": 2})
    assert files.load(path) == {"x": 1}
    assert os.listdir(tmp_path) == ["state.ckpt"]


def test_what_is_written_is_read_before_the_old_file_goes(tmp_path, monkeypatch):
    path = tmp_path / "state.ckpt"
    files.save(path, {"x": 1})
    whole = torch.save

    def without_its_end(state, part):
        whole(state, part)
        os.truncate(part, part.stat().st_size - 100)

    monkeypatch.setattr(torch, "save", without_its_end)
    with pytest.raises(OSError, match="is still there"):
        files.save(path, {"x": 2})
    assert files.load(path) == {"x": 1}


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda n: (done.append(stat.S_ISREG(os.fstat(n).st_mode)), fsync(n))
    )
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append(paths), replace(*paths)))
    with files.atomic(tmp_path / "f") as part:
        part.write_text("whole")
    assert done == [True, (part, tmp_path / "f")]
    assert str(os.getpid()) in part.name, "two processes may write one file"


def test_only_parts_of_this_file_are_forgotten(tmp_path):
    kept = [".other.ckpt.7.part", "run[1].ckpt", ".run[1].ckpt.part", ".run1.ckpt.7.part"]
    for name in (*kept, ".run[1].ckpt.7.part", ".run[1].ckpt.99.part"):
        (tmp_path / name).write_text("")
    files.forget_parts(tmp_path / "run[1].ckpt")
    assert sorted(os.listdir(tmp_path)) == sorted(kept)
