"""Where soft targets come from: never trained, never in train mode, never of another sample."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from tinykd import (
    MLP,
    Batches,
    CachedTeacher,
    Capture,
    HardLabels,
    Hint,
    SoftTargets,
    Trainer,
    jitter,
    predict,
)
from tinykd.files import atomic
from tinykd.models import frozen
from tinykd.teachers import LiveTeacher, fingerprint


def norm_net():
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 3)
    )


def data(n=12):
    return torch.randn(n, 4), torch.randint(3, (n,))


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("mode", [True, False])
def test_the_teacher_is_neither_trained_nor_disturbed(mode):
    """Pitfall 18: BatchNorm buffers and weights bit-identical, no .grad, the mode it had before."""
    teacher, student = norm_net().train(mode), norm_net()
    before = state(teacher)
    objective = SoftTargets(T=2) + Hint("3", "3", nn.Linear(8, 8)) + HardLabels()
    modes = []
    teacher.register_forward_hook(lambda m, i, o: modes.append((m.training, o.requires_grad)))
    Trainer(student, objective, teacher, device="cpu", progress=False).fit([data()] * 3, epochs=2)
    assert modes == [(False, False)] * 6
    assert same(before, teacher.state_dict())
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.requires_grad for p in teacher.parameters())
    assert all(m.training is mode for m in teacher.modules())


def test_modes_come_back_one_by_one_also_after_an_error():
    """Pitfall 18: a frozen BatchNorm stays frozen, a train-mode sibling stays in train mode."""
    model = norm_net()
    model[1].eval()
    modes = [m.training for m in model.modules()]
    with frozen(model):
        assert not any(m.training for m in model.modules())
        assert not model(torch.randn(2, 4)).requires_grad
    with contextlib.suppress(RuntimeError), frozen(model):
        raise RuntimeError
    assert [m.training for m in model.modules()] == modes


def test_targets_are_those_of_eval_mode():
    """Pitfall 18: the same batch gives the same targets every time, dropout notwithstanding."""
    teacher, (x, _) = norm_net(), data()
    live = LiveTeacher(teacher)
    logits, layers = live.targets({"inputs": x}, ["3"])
    torch.testing.assert_close(live.targets({"inputs": x}, [])[0], logits)
    teacher.eval()
    torch.testing.assert_close(logits, teacher(x))
    with Capture(teacher, ["3"]) as acts:
        teacher(x)
        torch.testing.assert_close(layers["3"], acts["3"])


def test_peers_pass_no_gradient_into_each_others_targets():
    """Pitfall 26: each peer learns from the other; the other's gradients stay None."""
    a, b = norm_net(), norm_net()
    batch = [data()]
    objective = SoftTargets(T=2) + HardLabels()
    before_a, before_b = state(a), state(b)
    ours = Trainer(a, objective, b, device="cpu", progress=False)
    theirs = Trainer(b, SoftTargets(T=2) + HardLabels(), a, device="cpu", progress=False)
    ours.fit(batch)
    assert all(p.grad is None for p in b.parameters())
    assert same(before_b, b.state_dict())
    assert not same(before_a, a.state_dict())
    after_a, grads = state(a), [p.grad.clone() for p in a.parameters()]
    theirs.fit(batch)
    assert same(after_a, a.state_dict())
    assert all(torch.equal(p.grad, g) for p, g in zip(a.parameters(), grads, strict=True))


def test_a_student_may_be_its_own_teacher():
    """Pitfalls 18, 19: shared modules, in eval mode for the targets, in train mode for the step."""
    model = norm_net()
    seen = []
    model.register_forward_hook(lambda m, i, o: seen.append(m.training))
    objective = SoftTargets(T=2) + HardLabels()
    Trainer(model, objective, model, device="cpu", progress=False).fit([data()] * 2)
    assert seen == [False, True, False, True]


class Indexed(Dataset):
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return {"inputs": self.x[i], "labels": self.y[i], "index": i}


@pytest.mark.parametrize("source", ["batches", "loader", "subset"])
def test_cached_rows_follow_their_sample_through_any_shuffle(tmp_path, source):
    """Pitfall 23: the targets of each batch are those of its own samples, however shuffled."""
    x, y = torch.rand(23, 5, 5), torch.randint(3, (23,))
    teacher = MLP(25, 8, 3)
    cache = CachedTeacher.write(tmp_path / "t", teacher, x, batch_size=7)
    expected = predict(teacher, x)
    loaders = {
        "batches": Batches(x, y, size=4),
        "loader": DataLoader(Indexed(x, y), batch_size=4, shuffle=True),
        "subset": DataLoader(torch.utils.data.Subset(Indexed(x, y), [20, 3, 11]), batch_size=2),
    }
    seen = 0
    for batch in loaders[source]:
        rows, _ = cache.targets(batch, [])
        torch.testing.assert_close(rows.float(), expected[batch["index"]], rtol=2**-10, atol=1e-4)
        torch.testing.assert_close(batch["labels"], y[batch["index"]])
        seen += len(rows)
    assert seen == (3 if source == "subset" else 23)


def test_training_from_a_cache_is_training_from_the_teacher(tmp_path):
    """Pitfall 23: live or cached, the student ends at the same weights up to half precision."""
    x, y = torch.randn(20, 4), torch.randint(3, (20,))
    teacher = norm_net().eval()
    cache = CachedTeacher.write(tmp_path / "t", teacher, x)
    ends = []
    for source in (teacher, cache):
        torch.manual_seed(1)
        student = MLP(4, 8, 3)
        trainer = Trainer(student, SoftTargets(T=3), source, device="cpu", progress=False)
        trainer.fit(Batches(x, y, size=6), epochs=3)
        ends.append(torch.cat([p.detach().flatten() for p in student.parameters()]))
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=2e-4)


def test_a_cache_of_another_teacher_or_other_data_is_refused(tmp_path):
    """Pitfall 23: the stamp tells one weight and one pixel apart."""
    x = torch.randn(6, 4)
    teacher = MLP(4, 8, 3)
    path = tmp_path / "deep" / "t"
    CachedTeacher.write(path, teacher, x)
    CachedTeacher(path, teacher, x)
    other, y = MLP(4, 8, 3), x.clone()
    other.load_state_dict(teacher.state_dict())
    with torch.no_grad():
        other.layers[1].bias[2] += 1e-3
    y[5, 3] += 1e-3
    with pytest.raises(ValueError, match="another teacher: its fingerprint is .* yours"):
        CachedTeacher(path, other, x)
    for inputs in (y, x[:5], x.flip(0), x.view(3, 8), {"inputs": y}, Batches(y, size=4)):
        with pytest.raises(ValueError, match="other inputs|sample [05] is another"):
            CachedTeacher(path, teacher, inputs)
    for inputs in (x.double(), {"inputs": x}, Batches(x, size=4), [x[:4], x[4:]]):
        CachedTeacher(path, teacher, inputs)
    cache = CachedTeacher(path)
    with pytest.raises(ValueError, match="index 6 is outside the cache of 6"):
        cache.targets({"inputs": x, "index": torch.tensor([0, 6])}, [])
    with pytest.raises(ValueError, match="index -1 is outside"):
        cache.targets({"inputs": x, "index": torch.tensor([0, -1])}, [])
    with pytest.raises(ValueError, match='"index"'):
        cache.targets({"inputs": x}, [])
    with pytest.raises(ValueError, match="layers.*'1'"):
        cache.targets({"inputs": x, "index": torch.arange(6)}, ["1"])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        CachedTeacher(tmp_path / "nowhere")


def test_a_cache_is_one_mapped_file_in_half_precision(tmp_path):
    """Pitfall 27: one file for all samples, not one each."""
    x = torch.randn(50, 4)
    cache = CachedTeacher.write(tmp_path / "t", MLP(4, 3), x)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.json", "t.npy", "t@rows.npy"]
    assert isinstance(cache.logits, np.memmap)
    assert cache.logits.dtype == np.float16
    assert cache.logits.shape == (50, 3)


def test_what_does_not_fit_is_refused_by_name(tmp_path):
    """Too large for half precision, or NaN; a class that is ruled out (-inf) fits."""
    huge, x = MLP(4, 5, 3), torch.randn(2, 4)
    with torch.no_grad():
        huge.layers[1].bias.fill_(1e5)
    with pytest.raises(ValueError, match='logits: NaN, or more than the 65504 .* dtype="float32"'):
        CachedTeacher.write(tmp_path / "t", huge, x)
    assert CachedTeacher.write(tmp_path / "wide", huge, x, dtype="float32").logits.min() > 9e4
    with torch.no_grad():
        huge.layers[0].bias.fill_(1e5)
        huge.layers[1].weight.zero_()
        huge.layers[1].bias.copy_(torch.tensor([0.0, -torch.inf, 1.0]))
    with pytest.raises(ValueError, match=r"layer layers\.0: NaN, or more"):
        CachedTeacher.write(tmp_path / "t", huge, x, layers=["layers.0"])
    assert CachedTeacher.write(tmp_path / "ruled", huge, x).logits[0].tolist() == [0, -np.inf, 1]
    with torch.no_grad():
        huge.layers[1].bias[0] = torch.nan
    with pytest.raises(ValueError, match="logits: NaN"):
        CachedTeacher.write(tmp_path / "t", huge, x, dtype="float32")
    with pytest.raises(ValueError, match="dtype must be one of"):
        CachedTeacher.write(tmp_path / "t", huge, x, dtype="int8")
    assert not list(tmp_path.glob("t*"))
    assert not list(tmp_path.glob(".*"))


def test_a_write_that_stops_halfway_changes_nothing_or_leaves_nothing(
    tmp_path, monkeypatch, disk_full_at
):
    """Pitfalls 23, 36: no stamp vouches for a mixture, and the old cache stays until the new is."""
    x = torch.randn(6, 4)
    old, new = MLP(4, 3), MLP(4, 3)
    names = {"t.json", "t.npy", "t@rows.npy", "t@layer-layers.0.npy"}
    for stop in range(5):
        kept = CachedTeacher.write(tmp_path / "t", old, x, layers=["layers.0"]).logits.copy()
        disk_full_at(stop)
        with pytest.raises(OSError, match="No space") if stop < 4 else contextlib.nullcontext():
            CachedTeacher.write(tmp_path / "t", new, x + 1, layers=["layers.0"])
        monkeypatch.undo()
        if stop < 4:
            with pytest.raises(FileNotFoundError, match=r"CachedTeacher\.write makes one"):
                CachedTeacher(tmp_path / "t")
        else:
            CachedTeacher(tmp_path / "t", new, x + 1)
        assert {p.name for p in tmp_path.iterdir()} <= names
    kept = CachedTeacher.write(tmp_path / "t", old, x).logits.copy()
    batches = [{"inputs": x[:3], "index": [0, 1, 2]}, {"inputs": x[3:], "index": [3, 4, 4]}]
    with pytest.raises(ValueError, match="sample 4 comes twice"):
        CachedTeacher.write(tmp_path / "t", new, batches)
    assert (CachedTeacher(tmp_path / "t", old, x).logits == kept).all()
    assert {p.name for p in tmp_path.iterdir()} <= names


def test_a_full_disk_is_said_before_it_is_written_to(tmp_path, monkeypatch):
    """A mapped file that does not fit would end the process without a word."""
    monkeypatch.setattr("shutil.disk_usage", lambda path: Full)
    with pytest.raises(OSError, match="GB are needed"):
        CachedTeacher.write(tmp_path / "t", MLP(4, 3), torch.randn(6, 4))
    assert list(tmp_path.iterdir()) == []


class Full:
    free = 3


def test_names_are_kept_whole(tmp_path):
    """Pitfall 38: what follows a dot belongs to the name."""
    x, teachers = torch.randn(6, 4), {}
    for name in ("teacher_T2.0", "teacher_T2.5", "teacher_T2", "teacher"):
        teachers[name] = MLP(4, 3)
        CachedTeacher.write(tmp_path / name, teachers[name], x, layers=["layers.0"])
    for name, teacher in teachers.items():
        CachedTeacher(tmp_path / name, teacher, x)
        CachedTeacher(f"{tmp_path / name}.npy", teacher, x)  # the file in place of the name
    with pytest.raises(ValueError, match='"@"'):
        CachedTeacher.write(tmp_path / "teacher@rows", MLP(4, 3), x)


def as_it_was_written(path, teacher, x):
    """A cache of an older tinykd."""
    np.save(path.with_suffix(".npy"), predict(teacher, x).half().numpy())
    stamp = {"teacher": fingerprint(teacher), "inputs": fingerprint(x)}
    path.with_suffix(".json").write_text(json.dumps(stamp, indent=1) + "\n")


def test_caches_of_an_older_tinykd_are_read(tmp_path):
    """Under the names they have, and with what they know: no more than the tensor as a whole."""
    x, teacher = torch.randn(6, 4), MLP(4, 3)
    as_it_was_written(tmp_path / "t", teacher, x)
    cache = CachedTeacher(tmp_path / "t", teacher, x)
    rows = cache.targets({"inputs": x.flip(0), "index": torch.arange(6)}, []).logits
    torch.testing.assert_close(rows, predict(teacher, x).half())
    with pytest.raises(ValueError, match="other inputs"):
        CachedTeacher(tmp_path / "t", inputs=x.flip(0))
    with pytest.raises(ValueError, match="older tinykd"):
        CachedTeacher(tmp_path / "t", inputs=Batches(x))
    with pytest.raises(ValueError, match="logits only"):
        cache.targets({"inputs": x, "index": torch.arange(6)}, ["layers.0"])
    ours = Path(__file__).parents[1] / "datasets" / "results" / "hinton2015_teacher"
    assert CachedTeacher(ours).logits.shape == (60_000, 10)


def made_of(x, size=4):
    """Batches of x, numbered from 0, as a loader with a transform of its own would make them."""
    return [
        {"inputs": part, "index": torch.arange(len(part)) + size * n}
        for n, part in enumerate(x.split(size))
    ]


@pytest.mark.parametrize(
    "other",
    [
        lambda x: x[torch.arange(len(x)) != 2],
        lambda x: x.flip(0),
        lambda x: x.flip(-1),
        lambda x: x * 2,
        lambda x: x + 0.01 * torch.randn_like(x),
        lambda x: torch.where(torch.arange(len(x))[:, None, None] == 3, 0.0, x),
        lambda x: (x * 255).byte(),
        lambda x: torch.full_like(x, torch.nan),
        lambda x: x[:, :, :3],
    ],
    ids=["filter", "order", "flip", "scale", "noise", "one row", "uint8", "nan", "crop"],
)
def test_other_samples_under_the_same_numbers_are_refused(tmp_path, other):
    """Pitfalls 23, 38: a filter, an order, or an augmentation that nobody announced."""
    x = torch.rand(12, 5, 5)
    cache = CachedTeacher.write(tmp_path / "t", MLP(25, 3), x)
    with pytest.raises(ValueError, match=r"sample \d+ is another than .*recognise=False"):
        cache.targets(made_of(other(x), 12)[0], [])
    on_purpose = CachedTeacher(tmp_path / "t", recognise=False)
    assert on_purpose.targets(made_of(other(x))[0], []).logits.shape == (4, 3)


@pytest.mark.parametrize(
    "same",
    [
        lambda x: x.double(),
        lambda x: x.half(),
        lambda x: x.bfloat16(),
        lambda x: x.flatten(1),
        lambda x: x.transpose(1, 2).contiguous().transpose(1, 2),
        lambda x: x * (1 + 3e-7),
        lambda x: x.clone().requires_grad_(),
    ],
)
def test_the_same_samples_are_recognised_in_other_clothes(tmp_path, same):
    x = torch.rand(300, 5, 5)
    cache = CachedTeacher.write(tmp_path / "t", MLP(25, 3), x)
    CachedTeacher(tmp_path / "t", inputs=same(x))
    kept = torch.cat([cache.targets(batch, []).logits for batch in made_of(x)])
    found = torch.cat([cache.targets(batch, []).logits for batch in made_of(same(x))])
    assert torch.equal(found, kept)
    with pytest.raises(ValueError, match="is another"):  # and they are looked at
        CachedTeacher(tmp_path / "t").targets(made_of(same(x).flip(0))[0], [])


class OnNumbers(nn.Module):
    """A teacher of whole numbers, such as pixels of one byte."""

    def __init__(self, size=25):
        super().__init__()
        self.net = MLP(size, 3)

    def forward(self, x):
        return self.net(x.float() / 255)


def test_whole_numbers_are_recognised_exactly_and_whatever_their_type(tmp_path):
    x = torch.randint(256, (12, 5, 5), dtype=torch.uint8)
    x[0] = 0
    cache = CachedTeacher.write(tmp_path / "t", OnNumbers(), x)
    for same in (x, x.long(), x.float(), x.double()):
        cache.targets(made_of(same, 12)[0], [])
        CachedTeacher(tmp_path / "t", inputs=same)
    one_off = x.clone()
    one_off[7, 4, 4] ^= 1
    for other in (one_off, x / 255, x.float() + 0.25, x[:, :4]):
        with pytest.raises(ValueError, match="is another"):
            CachedTeacher(tmp_path / "t").targets(made_of(other, 12)[0], [])
    tokens = torch.randint(200_000, (3, 512))
    cache = CachedTeacher.write(tmp_path / "long", OnNumbers(512), tokens.clone())
    tokens[1, 300] += 1
    with pytest.raises(ValueError, match="sample 1 is another"):
        cache.targets(made_of(tokens)[0], [])
    with pytest.raises(ValueError, match="uint8 then, float32 now"):
        CachedTeacher(tmp_path / "t").targets(made_of(x / 255, 12)[0], [])


def test_later_batches_are_recognised_too(tmp_path):
    """The first one whole, a few rows of each that follows, other ones each time."""
    x = torch.rand(64, 3)
    cache = CachedTeacher.write(tmp_path / "t", MLP(3, 3), x)
    cache.targets(made_of(x, 64)[0], [])
    other = x.clone()
    other[37] += 1
    calls = iter(range(1, 99))
    with pytest.raises(ValueError, match="sample 37 is another"):
        [cache.targets(made_of(other, 64)[0], []) for _ in calls]
    assert 3 < next(calls) <= 17


def test_what_is_on_the_device_already_is_not_looked_at(tmp_path):
    """Pitfall 27: it would wait for the GPU. `check` is for the batch before it goes there."""
    x = torch.rand(6, 4)
    cache = CachedTeacher.write(tmp_path / "t", MLP(4, 3), x)
    away = {"inputs": x.to("meta"), "index": torch.arange(6)}
    assert cache.targets(away, []).logits.device.type == "cpu"
    with pytest.raises(ValueError, match="sample 0 is another"):
        cache.check({"inputs": x + 1, "index": torch.arange(6)})
    cache.to(torch.device("meta"))
    assert cache.targets(away, []).logits.device.type == "meta"
    with pytest.raises(ValueError, match=r"6 numbers for 4 samples \('inputs'\)"):
        cache.targets({"inputs": away["inputs"][:4], "index": torch.arange(6)}, [])
    with pytest.raises(ValueError, match=r"knows its samples by \['inputs'\]"):
        cache.targets({"sound": x, "index": torch.arange(6)}, [])


def test_an_index_may_be_a_list_an_array_or_a_tensor(tmp_path):
    x = torch.rand(6, 4)
    cache = CachedTeacher.write(tmp_path / "t", MLP(4, 3), x)
    expected = cache.logits[[4, 1]]
    for index in ([4, 1], np.array([4, 1]), torch.tensor([4, 1], dtype=torch.int32), (4, 1)):
        found = cache.targets({"inputs": x[[4, 1]], "index": index}, []).logits
        assert (found.numpy() == expected).all()
    for index in (torch.tensor([4.0, 1.0]), [[4, 1]], torch.tensor(4), ["a", "b"], [True, False]):
        with pytest.raises(ValueError, match='"index" must be the numbers'):
            cache.targets({"inputs": x[[4, 1]], "index": index}, [])


class Reader(nn.Module):
    """Logits of a sentence, the mean over what its mask leaves."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(50, 3)

    def forward(self, input_ids, attention_mask):
        mask = attention_mask[..., None].float()
        return (self.table(input_ids) * mask).sum(1) / mask.sum(1)


def sentences(rows, left=False, pad=0, room=0):
    """A batch of sentences: {number: token ids}, padded on one side."""
    size = max(map(len, rows.values())) + room
    ids, mask = torch.full((len(rows), size), pad), torch.zeros(len(rows), size)
    for n, row in enumerate(rows.values()):
        part = slice(size - len(row), size) if left else slice(len(row))
        ids[n, part], mask[n, part] = torch.tensor(row), 1
    return {"input_ids": ids, "attention_mask": mask, "index": list(rows)}


def test_padding_and_bucketing_do_not_matter(tmp_path):
    """Pitfall 12: a sentence is what its mask leaves of it."""
    dice = np.random.default_rng(0)
    rows = {n: dice.integers(1, 50, dice.integers(2, 9)).tolist() for n in range(10)}
    parts = [dict(list(rows.items())[i : i + 5]) for i in (5, 0)]
    cache = CachedTeacher.write(tmp_path / "t", Reader(), [sentences(part) for part in parts])
    for how in ({}, {"left": True}, {"pad": 7, "room": 3}):
        order = dice.permutation(10).tolist()
        cache.compare([sentences({n: rows[n] for n in order}, **how)])
    for other in (
        rows[3][:-1],
        [*rows[3], 0],
        rows[3][::-1],
        [*rows[3][:-1], rows[3][-1] % 49 + 1],
    ):
        with pytest.raises(ValueError, match="sample 3 is another .*'input_ids'"):
            CachedTeacher(tmp_path / "t").targets(sentences({**rows, 3: other}), [])


SOURCES = {
    "tensor": lambda x: x,
    "mapping": lambda x: {"inputs": x},
    "mapping with numbers": lambda x: {"inputs": x.flip(0), "index": torch.arange(23).flip(0)},
    "shuffled batches": lambda x: Batches(x, size=4),
    "batches in order": lambda x: Batches(x, size=4, shuffle=False),
    "shuffled loader": lambda x: DataLoader(Indexed(x, x), batch_size=4, shuffle=True),
    "loader": lambda x: DataLoader(TensorDataset(x, torch.zeros(23)), batch_size=4),
    "loader of whole batches": lambda x: DataLoader(list(x.split(5)), batch_size=None),
    "list": lambda x: [(part, None) for part in x.split(5)],
    "list with numbers": lambda x: made_of(x)[::-1],
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_cache_is_the_same_whatever_it_was_written_over(tmp_path, source):
    x, teacher = torch.rand(23, 5, 5), MLP(25, 6, 3)
    expected = CachedTeacher.write(tmp_path / "t", teacher, x, layers=["layers.0"])
    batches = SOURCES[source](x)
    epoch = getattr(batches, "epoch", None)
    cache = CachedTeacher.write(tmp_path / "u", teacher, batches, 7, ["layers.0"], progress=False)
    assert getattr(batches, "epoch", None) == epoch
    np.testing.assert_allclose(cache.logits, expected.logits, rtol=2**-9, atol=1e-4)
    assert cache.layers["layers.0"].shape == (23, 6)
    CachedTeacher(tmp_path / "u", teacher, x)
    CachedTeacher(tmp_path / "t", teacher, batches)


def test_sources_that_do_not_give_each_sample_once_are_refused(tmp_path):
    x = torch.rand(12, 4)
    loader, pairs = DataLoader, TensorDataset(x, torch.arange(12))
    cases = [
        (loader(pairs, batch_size=4, shuffle=True), 'without "index" may come in any order'),
        (loader(pairs, batch_sampler=[[3, 2], [0, 1]]), 'without "index"'),
        (tuple(x.split(4)), 'a tuple without "index"'),
        ((part for part in x.split(4)), "run only once"),
        (loader(pairs, batch_size=5, drop_last=True), "drop_last=False"),
        (Batches(x, size=5, drop_last=True), "drop_last=False"),
        (Batches(x, size=4, augment=lambda part: part + 1), "augmented"),
        (made_of(x)[1:], "sample 8 among 8: number them 0 to 7"),
        (made_of(x)[:1] * 2, "sample 0 comes twice"),
        ([{"inputs": x, "index": [*range(11), 0]}], "sample 0 comes twice"),
        (loader(Indexed(x, x), sampler=[0, 2]), "sample 2 among 2: number them 0 to 1"),
        (loader(pairs, batch_size=4, collate_fn=lambda rows: rows[0][0][None]), "sample 3 is lack"),
        ([{"inputs": x, "positions": torch.arange(12)}], "TopKTeacher"),
        ([{"inputs": x[:4]}, {"inputs": x[4:, None].expand(-1, 2, -1)}], "samples of one shape"),
        ([x[:0]], "no samples"),
        (x[:0], "no samples"),
        (3, "a tensor or batches, got int"),
    ]
    for source, words in cases:
        with pytest.raises(ValueError, match=words):
            CachedTeacher.write(tmp_path / "t", nn.Linear(4, 3), source, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_only_a_batch_is_ever_in_memory(tmp_path, monkeypatch):
    """The files are mapped and filled in place, in whatever order the samples come."""
    made, sizes, make = [], [], np.lib.format.open_memmap

    def note(path, *how, **more):
        made.extend(how[2:])
        return make(path, *how, **more)

    monkeypatch.setattr(np.lib.format, "open_memmap", note)
    teacher = MLP(4, 3)
    teacher.register_forward_hook(lambda module, inputs, logits: sizes.append(len(logits)))
    CachedTeacher.write(tmp_path / "t", teacher, torch.rand(40, 4), batch_size=7)
    assert sorted(made) == [(40, 1), (40, 3)]
    assert sizes == [7, 7, 7, 7, 7, 5]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_hints_from_a_cache_are_hints_from_the_teacher(tmp_path, dtype):
    """Activations are kept beside the logits, in a file each."""
    x, y = torch.randn(20, 4), torch.randint(3, (20,))
    teacher = norm_net().eval()
    cache = CachedTeacher.write(
        tmp_path / "t", teacher, Batches(x, y, size=6), layers=["3", "0", "3"], dtype=dtype
    )
    assert {p.name for p in tmp_path.glob("*layer*")} == {"t@layer-3.npy", "t@layer-0.npy"}
    assert {name: layer.dtype for name, layer in cache.layers.items()} == {"3": dtype, "0": dtype}
    ends = []
    for source in (teacher, cache):
        torch.manual_seed(1)
        student = norm_net()
        objective = SoftTargets(T=3) + 5 * Hint("3", "3", nn.Linear(8, 8)) + Hint("0", "0")
        trainer = Trainer(student, objective, source, device="cpu", progress=False)
        trainer.fit(Batches(x, y, size=6), epochs=3)
        ends.append(torch.cat([p.detach().flatten() for p in student.parameters()]))
    close = 5e-3 if dtype == "float16" else 1e-6
    torch.testing.assert_close(*ends, rtol=0, atol=close)
    with pytest.raises(ValueError, match=r"layers \['4'\], but .* has \['3', '0'\]"):
        cache.targets({"inputs": x, "index": torch.arange(20)}, ["3", "4"])


def test_layers_are_named_in_files_whatever_they_are_called(tmp_path):
    teacher = nn.Sequential()
    for name in ("a/b", "logits", "rows", "é*?", "x" * 30):
        teacher.add_module(name, nn.Linear(4, 4))
    layers = [name for name, _ in teacher.named_children()]
    x = torch.randn(6, 4)
    cache = CachedTeacher.write(tmp_path / "t", teacher, x, layers=layers)
    with Capture(teacher, layers) as acts:
        teacher(x)
        for name in layers:
            torch.testing.assert_close(
                cache.targets(made_of(x, 6)[0], [name]).layers[name].float(),
                acts[name].detach(),
                rtol=2**-9,
                atol=1e-4,
            )
    assert all(p.parent == tmp_path for p in tmp_path.rglob("*"))
    with pytest.raises(KeyError, match="no layer 'c'"):
        CachedTeacher.write(tmp_path / "u", teacher, x, layers=["c"])
    with pytest.raises(TypeError, match="layer names come as a list"):
        CachedTeacher.write(tmp_path / "u", teacher, x, layers="rows")
    teacher.add_module("ROWS", nn.Linear(4, 4))
    with pytest.raises(ValueError, match="tell the layers apart"):
        CachedTeacher.write(tmp_path / "u", teacher, x, layers=["rows", "ROWS"])


@pytest.mark.parametrize("file", ["t.npy", "t@rows.npy", "t@layer-layers.0.npy"])
def test_damaged_files_are_called_damaged(tmp_path, file):
    """Pitfall 37: cut short, of another shape or type, or no array at all."""
    x, file = torch.randn(6, 4), tmp_path / file
    CachedTeacher.write(tmp_path / "t", MLP(4, 3), x, layers=["layers.0"])
    whole = file.read_bytes()
    for part in (whole[:-3], whole[:70], b"", b"<html>", whole.replace(b"(6, ", b"(9, ")):
        file.write_bytes(part)
        with pytest.raises(ValueError, match=r"npy is damaged .* write the cache anew"):
            CachedTeacher(tmp_path / "t")
    file.write_bytes(whole)
    array = np.load(file)
    for other in (array[:5], array.astype(">f8"), array[:, :1].repeat(9, 1)):
        np.save(file, other)
        with pytest.raises(ValueError, match=r"its stamp says"):
            CachedTeacher(tmp_path / "t")
    np.save(file, np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match="damaged"):
        CachedTeacher(tmp_path / "t")
    file.unlink()
    with pytest.raises(FileNotFoundError, match=file.name):
        CachedTeacher(tmp_path / "t")


def test_damaged_stamps_are_called_damaged(tmp_path):
    CachedTeacher.write(tmp_path / "t", MLP(4, 3), torch.randn(6, 4))
    stamp = tmp_path / "t.json"
    kind = {**json.loads(stamp.read_text()), "kind": "top-k targets"}
    for text, words in (
        (stamp.read_text()[:-9], "damaged"),
        ("", "damaged"),
        ("\udcff", "damaged"),
        ("[]", "names no teacher"),
        ('{"teacher": 3}', "names no teacher"),
        (json.dumps(kind), "is a cache of top-k targets, not of logits"),
    ):
        stamp.write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(ValueError, match=words):
            CachedTeacher(tmp_path / "t")


def test_atomic_files_appear_whole_or_not_at_all(tmp_path):
    path = tmp_path / "f"
    with atomic(path) as part:
        part.write_text("old")
    with contextlib.suppress(RuntimeError), atomic(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_fingerprints():
    x = torch.randn(3, 4)
    assert fingerprint(x) == fingerprint(x.clone()) == fingerprint(x.t().contiguous().t())
    assert fingerprint(x) != fingerprint(x.view(4, 3))
    assert fingerprint(torch.zeros(2)) != fingerprint(torch.zeros(2, dtype=torch.int32))
    assert fingerprint(x.bfloat16()) != fingerprint(x.half())
    net = norm_net()
    assert fingerprint(net) == fingerprint(net.eval())
    before = fingerprint(net)
    net[1].num_batches_tracked += 1
    assert fingerprint(net) != before
    with pytest.raises(TypeError, match="a list"):
        fingerprint([x])


def test_cached_logits_are_not_for_augmented_inputs(tmp_path):
    """Pitfall 23: the rows belong to the inputs as they are."""
    x, y = torch.rand(12, 4, 4), torch.randint(3, (12,))
    cache = CachedTeacher.write(tmp_path / "t", MLP(16, 3), x)
    shifted = Batches(x, y, size=4, augment=jitter)
    with pytest.raises(ValueError, match="this batch was augmented"):
        Trainer(MLP(16, 3), SoftTargets(), cache, progress=False).fit(shifted)
