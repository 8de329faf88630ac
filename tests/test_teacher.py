"""Where soft targets come from: never trained, never in train mode, never of another sample."""

import contextlib
import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

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
    for inputs in (y, x[:5], x.double(), x.flip(0), x.view(3, 8)):
        with pytest.raises(ValueError, match="another inputs|other inputs"):
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
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.json", "t.npy"]
    assert isinstance(cache.logits, np.memmap)
    assert cache.logits.dtype == np.float16
    assert cache.logits.shape == (50, 3)


def test_logits_that_do_not_fit_are_refused(tmp_path):
    huge = MLP(4, 3)
    with torch.no_grad():
        huge.layers[0].bias.fill_(1e5)
    with pytest.raises(ValueError, match="65504"):
        CachedTeacher.write(tmp_path / "t", huge, torch.randn(2, 4))
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_stops_halfway_never_vouches_for_a_mixture(tmp_path, monkeypatch):
    """Pitfall 23: between logits and stamp an old stamp would pass new logits for the old ones."""
    x = torch.randn(6, 4)
    old = MLP(4, 3)
    CachedTeacher.write(tmp_path / "t", old, x)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dumps", full)
    with pytest.raises(OSError, match="No space"):
        CachedTeacher.write(tmp_path / "t", MLP(4, 3), x)
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError):
        CachedTeacher(tmp_path / "t", old, x)


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


def test_cached_logits_are_not_for_augmented_inputs(tmp_path):
    """Pitfall 23: the rows belong to the inputs as they are."""
    x, y = torch.rand(12, 4, 4), torch.randint(3, (12,))
    cache = CachedTeacher.write(tmp_path / "t", MLP(16, 3), x)
    shifted = Batches(x, y, size=4, augment=jitter)
    with pytest.raises(ValueError, match="augmented"):
        Trainer(MLP(16, 3), SoftTargets(), cache, progress=False).fit(shifted)
