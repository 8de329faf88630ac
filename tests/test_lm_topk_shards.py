"""Top-k targets in shards: one cache in many files, from many writers, from anywhere."""

import importlib.util
import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch

from tinykd.lm import (
    SequenceBatches,
    TopKShards,
    TopKTeacher,
    finish_shards,
    keep_served,
    topk_kl,
    write_shard,
)
from tinykd.lm.teachers.served import Served
from tinykd.lm.topk import TopK

SCRIPT = Path(__file__).parent / "scripts" / "write_shards.py"
spec = importlib.util.spec_from_file_location("write_shards", SCRIPT)
shards = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shards)
examples, model, SIZE = shards.examples, shards.model, shards.SIZE


@pytest.fixture(params=["folder", "file://", "memory://"])
def url(request, tmp_path):
    if request.param == "memory://":
        return f"memory://{uuid.uuid4().hex}/set"
    return tmp_path / "set" if request.param == "folder" else f"file://{tmp_path}/set"


def whole(tmp_path, k=6):
    """The same targets in one cache."""
    rows = SequenceBatches(examples(), size=1, shuffle=False)
    return TopKTeacher.write(tmp_path / "one", model(), rows, k, progress=False)


def made(url, **options):
    for writer in (1, 0):
        shards.write(url, range(writer, 4, 2), **options)
    finish_shards(url, 10, progress=False)
    return TopKShards(url, opened=1)


def stored(url):
    """The files of a URL: {name: bytes}."""
    files, root = fsspec.core.url_to_fs(str(url))
    return {name.rsplit("/", 1)[1]: files.cat_file(name) for name in files.find(root)}


def put(url, name, content):
    files, root = fsspec.core.url_to_fs(str(url))
    files.pipe_file(f"{root}/{name}", content)


def test_loss_and_gradient_are_those_of_one_cache_bit_by_bit(url, tmp_path):
    """Pitfall 23: whatever the order and the cut of batches, with one shard open at a time."""
    one, many = whole(tmp_path), made(url)
    assert (many.samples, many.size, many.k, many.T) == (10, SIZE, 6, 1.0)
    for batch in SequenceBatches(examples(), size=4, seed=11):
        found = []
        for teacher in (one, many):
            z = torch.randn(len(batch["positions"]), shards.VOCABULARY, dtype=torch.float64)
            z = torch.linspace(-3, 3, z.numel(), dtype=torch.float64).view_as(z).requires_grad_()
            loss = topk_kl(z, teacher.targets(batch, []).logits)
            loss.sum().backward()
            found.append((loss.detach(), z.grad))
        assert torch.equal(found[0][0], found[1][0])
        assert torch.equal(found[0][1], found[1][1])
        assert len(many._open) == 1
    assert torch.equal(shards.train(one), shards.train(many))


def test_words_take_two_bytes_where_the_vocabulary_allows(tmp_path):
    assert whole(tmp_path).ids.dtype == np.uint16
    words = torch.tensor([[70_000, 2]]), torch.tensor([[-0.1, -3.0, -4.0]]).log_softmax(-1)
    answers = [Served(torch.tensor([7]), TopK(*words, 1.0), torch.zeros(1))] * 2
    rows = SequenceBatches([([1], [7])] * 2, size=2)
    kept = keep_served(tmp_path / "large", answers, rows)
    assert kept.targets(next(iter(rows)), []).logits.ids.tolist() == [[70_000, 2]] * 2


def test_what_a_server_said_fills_shards(url):
    top = [TopK(torch.tensor([[i, 1]]), torch.randn(1, 3).log_softmax(-1), 1.0) for i in range(5)]
    for n in range(3):
        said = [Served(torch.tensor([7]), one, torch.zeros(1)) for one in top[2 * n : 2 * n + 2]]
        rows = SequenceBatches([([2, 2 + n], [7])] * len(said), size=2)
        assert write_shard(url, n, lambda p, a=said, r=rows: keep_served(p, a, r, "a server"))
    finish_shards(url, 5, progress=False)
    data = SequenceBatches([([2, 2 + i // 2], [7]) for i in range(5)], size=3, seed=1)
    teacher = TopKShards(url, batches=data)
    for batch in data:
        ids = teacher.targets(batch, []).logits.ids[:, 0].tolist()
        assert ids == batch["index"].tolist()


def test_from_elsewhere_only_what_is_asked_for_comes_and_it_stays(tmp_path, monkeypatch):
    """A second process finds the copies; shards that were written anew are others."""
    url, local = f"memory://{uuid.uuid4().hex}/set", tmp_path / "local"
    made(url)
    brought = []
    get = fsspec.AbstractFileSystem.get_file
    monkeypatch.setattr(
        fsspec.AbstractFileSystem,
        "get_file",
        lambda self, a, b, **k: brought.append(a) or get(self, a, b, **k),
    )
    batch = SequenceBatches(examples(), size=2, shuffle=False).batch([4, 3, 5])
    first = TopKShards(url, local=local).targets(batch, []).logits
    assert {name.rsplit("/", 1)[1][:6] for name in brought} == {"000001"}
    assert len(brought) == 5
    again = TopKShards(url, local=local).targets(batch, []).logits
    assert len(brought) == 5
    assert torch.equal(first.log_p, again.log_p)
    for name in stored(url):
        if name.endswith(".json"):
            fsspec.core.url_to_fs(url)[0].rm(f"{url}/{name}")
    made(url, seed=1)
    other = TopKShards(url, local=local).targets(batch, []).logits
    assert len(brought) == 10
    assert not torch.equal(first.log_p, other.log_p)
    temporary = TopKShards(url)
    folder = temporary.folder
    temporary.targets(batch, [])
    assert folder.exists()
    del temporary
    assert not folder.exists()


def test_a_finished_shard_is_never_asked_about_again(url):
    made(url)
    before = stored(url)
    assert not write_shard(url, 2, lambda path: 1 / 0)
    assert stored(url) == before


@pytest.mark.parametrize("at", range(5))
def test_a_shard_that_is_half_there_is_not_there(url, at, monkeypatch):
    """Pitfalls 23, 36: whichever of its files was the last one, and it can be written again."""
    files, _ = fsspec.core.url_to_fs(str(url))
    place, name = (type(files), "put_file") if "memory" in str(url) else (os, "replace")
    real, calls = getattr(place, name), []

    def stops(*args, **options):
        calls.append(args)
        if len(calls) > at:
            raise OSError(28, "No space left on device")
        return real(*args, **options)

    monkeypatch.setattr(place, name, stops)
    with pytest.raises(OSError, match="No space"):
        shards.write(url, [0])
    monkeypatch.undo()
    assert "000000.json" not in stored(url)
    with pytest.raises(FileNotFoundError, match=r"no shard 0 in .*write_shard"):
        finish_shards(url, 10, progress=False)
    with pytest.raises(FileNotFoundError, match=r"no index in .*finish_shards"):
        TopKShards(url)
    made(url)
    assert not [name for name in stored(url) if "part" in name]


@pytest.mark.parametrize("shard", [0, 2])
def test_a_killed_writer_loses_its_shard_and_no_other(tmp_path, child_env, shard):
    """SIGKILL in the middle of a shard; the next writer keeps what is there and makes the rest."""
    url = tmp_path / "set"
    command = [sys.executable, str(SCRIPT), "write", str(url)]
    writer = subprocess.Popen(command, env=child_env, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(url.glob(f".{shard:06d}.ids.npy.*.part")):  # until its first rows are written
        assert time.monotonic() < deadline
        assert writer.poll() is None
        time.sleep(0.01)
    writer.kill()
    writer.wait()
    assert sorted(path.name for path in url.glob("*.json")) == [
        f"{n:06d}.json" for n in range(shard)
    ]
    assert list(url.glob(".*.part"))
    before = {path: path.stat().st_mtime_ns for path in url.iterdir() if path.name[0] != "."}
    shards.write(url, range(4))
    finish_shards(url, 10, progress=False)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not list(url.glob(".*.part"))
    one, many = whole(tmp_path), TopKShards(url)
    batch = SequenceBatches(examples(), size=10).batch(range(10))
    ours, theirs = (teacher.targets(batch, []).logits for teacher in (many, one))
    assert torch.equal(ours.ids, theirs.ids)
    assert torch.equal(ours.log_p, theirs.log_p)


def rewritten(url, n, **options):
    """Shard n again, with other options."""
    files, root = fsspec.core.url_to_fs(str(url))
    files.rm(f"{root}/{n:06d}.json")
    shards.write(url, [n], **options)


def test_what_does_not_belong_is_refused_by_its_number(url):
    """Pitfalls 23, 38: by whoever writes the index, and by whoever reads by an older one."""
    batch = SequenceBatches(examples(), size=10).batch(range(10))
    for options, words in (
        ({"k": 5}, "shard 2 of .*: it has k = 5, the others have 6.*delete its .json"),
        ({"seed": 1}, "shard 2 .*teacher = "),
    ):
        made(url)
        rewritten(url, 2, **options)
        with pytest.raises(ValueError, match=words):
            TopKShards(url).targets(batch, [])
        with pytest.raises(ValueError, match=words):
            finish_shards(url, 10, progress=False)
        rewritten(url, 2)
    with pytest.raises(ValueError, match="shard 3 of .* has samples = 1, the others have 2"):
        finish_shards(url, 11, progress=False)
    with pytest.raises(FileNotFoundError, match="no shard 4"):
        finish_shards(url, 13, progress=False)
    with pytest.raises(ValueError, match="another teacher"):
        TopKShards(url, model(seed=1))
    files, root = fsspec.core.url_to_fs(str(url))
    files.rm(f"{root}/000001.json")
    with pytest.raises(FileNotFoundError, match=r"no shard 1 in .*write_shard\(.*, 1, "):
        TopKShards(url).targets(batch, [])
    put(url, "000001.json", b"{}")
    with pytest.raises(ValueError, match=r"shard 1 of .*no stamp .*delete its .json"):
        finish_shards(url, 10, progress=False)


def test_other_rows_are_refused(url):
    """Pitfall 38: recognised shard by shard; the message says which sample."""
    teacher = made(url)
    other = examples()
    other[7][0][0] = (other[7][0][0] + 1) % shards.VOCABULARY
    batch = SequenceBatches(other, size=10).batch(range(10))
    with pytest.raises(ValueError, match="sample 7 is another .*'input_ids'"):
        teacher.targets(batch, [])
    with pytest.raises(ValueError, match="sample 7 is another"):
        TopKShards(url, batches=SequenceBatches(other, size=4))
    with pytest.raises(ValueError, match="holds 10 samples, these are 9"):
        TopKShards(url, batches=SequenceBatches(other[:9], size=4))
    TopKShards(url, recognise=False).targets(batch, [])
    with pytest.raises(ValueError, match="index 10 is outside"):
        teacher.targets({**batch, "index": batch["index"] + 1}, [])
    with pytest.raises(ValueError, match="opened"):
        TopKShards(url, opened=0)


def test_a_file_cut_short_is_named_and_brought_again(url):
    made(url)
    batch = SequenceBatches(examples(), size=2).batch([3, 4])
    for name, content in stored(url).items():
        if not name.startswith("000001"):
            continue
        put(url, name, content[: len(content) // 2])
        teacher = TopKShards(url)
        with pytest.raises(ValueError, match=r"shard 1 of .*damaged"):
            teacher.targets(batch, [])
        put(url, name, content)
        teacher.targets(batch, [])
    assert json.loads(stored(url)["index.json"])["samples"] == 10


@pytest.mark.slow
def test_two_processes_read_and_train_as_one(tmp_path, script, child_env):
    """Pitfall 15: each rank opens the shards of its own samples."""
    made(tmp_path / "shards")
    child_env["GLOO_SOCKET_IFNAME"] = "lo"
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    script("write_shards.py", "train", tmp_path, launcher=torchrun)
    script("write_shards.py", "train", tmp_path)
    alone, a, b = (torch.load(tmp_path / f"{name}.pt") for name in ("alone", 0, 1))
    assert torch.equal(a, b)
    torch.testing.assert_close(a, alone)
