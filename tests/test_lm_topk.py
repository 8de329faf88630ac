"""Top-k targets: true distributions over k + 1 buckets, and a cache that cannot be misaligned."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tinykd import MLP, CachedTeacher, SoftTargets, Trainer, forward_kl
from tinykd.lm import Config, SequenceBatches, Transformer
from tinykd.lm.teachers.topk_teacher import TopKTeacher
from tinykd.lm.topk import top_k, topk_kl


def gradient(f, student):
    student = student.detach().clone().requires_grad_()
    value = f(student)
    value.sum().backward()
    return value.detach(), student.grad


def oracle(student, teacher, k, T):
    """T**2 KL between the two bucketed distributions, in float64 over probabilities."""
    p, q = (torch.softmax(z.double() / T, -1).numpy() for z in (teacher, student))
    values = []
    for a, b in zip(p, q, strict=True):
        top = np.argsort(-a, kind="stable")[:k]
        a, b = (np.append(x[top], np.delete(x, top).sum()) for x in (a, b))
        values.append(T**2 * (a * np.log(a / b)).sum())
    return torch.tensor(np.array(values))


@pytest.mark.parametrize("T", [0.7, 1.0, 4.0])
@pytest.mark.parametrize("k", [1, 3, 8])
def test_value_is_that_of_the_explicit_sum_and_so_is_its_gradient(k, T):
    """Pitfall 17: the tail is a bucket of its own; T**2, p and q where they belong."""
    s, t = torch.randn(2, 6, 9, dtype=torch.float64) * 2
    value, grad = gradient(lambda z: topk_kl(z, top_k(t, k, T), T), s)
    torch.testing.assert_close(value, oracle(s, t, k, T), rtol=1e-9, atol=1e-12)
    slope = torch.zeros_like(s)
    for i in np.ndindex(*s.shape):
        step = torch.zeros_like(s)
        step[i] = 1e-6
        slope[i] = (oracle(s + step, t, k, T) - oracle(s - step, t, k, T)).sum() / 2e-6
    torch.testing.assert_close(grad, slope, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("T", [1.0, 3.0])
def test_all_words_kept_is_the_dense_loss(T):
    """Pitfall 17: k = V, value and gradient."""
    s, t = torch.randn(2, 2, 3, 7)
    ours = gradient(lambda z: topk_kl(z, top_k(t, 7, T), T), s)
    torch.testing.assert_close(ours, gradient(lambda z: forward_kl(z, t, T), s))


@given(scale=st.floats(0, 60), T=st.floats(0.2, 20), k=st.integers(1, 12), seed=st.integers(0, 999))
def test_never_negative_never_above_the_dense_loss(scale, T, k, seed):
    """Pitfall 17: merging outcomes loses information (the data processing inequality)."""
    s, t = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(seed)).double() * scale
    value, grad = gradient(lambda z: topk_kl(z, top_k(t, k, T), T), s)
    dense = forward_kl(s, t, T)
    assert (value >= -1e-9 * T**2).all()
    assert (value <= dense + 1e-9 * (T**2 + dense)).all()
    assert torch.isfinite(grad).all()


@pytest.mark.parametrize("k", [1, 4, 8])
def test_zero_where_student_equals_teacher(k):
    """Pitfall 4: and the gradient too; a renormalised top-k has neither."""
    z = torch.randn(6, 8) * 5
    value, grad = gradient(lambda s: topk_kl(s, top_k(z, k, 2.0), 2.0), z)
    assert (value == 0).all()
    torch.testing.assert_close(grad, torch.zeros(6, 8), rtol=0, atol=1e-6)


def test_a_tiny_tail_keeps_its_digits():
    """1 - (sum of the k) would be 0 in float32; the tail is 1e-20, and the student can have it."""
    t = torch.tensor([[50.0, 4.0, 3.0, -math.inf]])
    kept = top_k(t, 1)
    exact = torch.logsumexp(t[0, 1:].double(), 0) - torch.logsumexp(t[0].double(), 0)
    torch.testing.assert_close(kept.log_p[0, 1].double(), exact, rtol=1e-6, atol=0)


def test_finite_for_huge_logits_and_masked_words():
    """Pitfalls 6, 7, 8: +-200, complete disagreement, words that are ruled out, empty tails."""
    s = torch.full((5, 5), -200.0).fill_diagonal_(200.0)
    value, grad = gradient(lambda z: topk_kl(z, top_k(s.roll(1, 0), 2)), s)
    torch.testing.assert_close(value, torch.full((5,), 400.0))
    assert torch.isfinite(grad).all()
    wide = torch.cat([torch.randn(2, 6, 5), torch.full((2, 6, 3), -math.inf)], -1)
    for k in (3, 5, 7, 8):
        value, grad = gradient(lambda z, k=k: topk_kl(z, top_k(wide[1], k)), wide[0])
        short = gradient(
            lambda z, k=k: topk_kl(z, top_k(wide[1, :, :5], min(k, 5))), wide[0, :, :5]
        )
        torch.testing.assert_close(value, short[0])
        torch.testing.assert_close(grad[:, :5], short[1])
        assert (grad[:, 5:] == 0).all()


def test_wrong_input_is_named():
    t = top_k(torch.randn(4, 6), 3, 2.0)
    with pytest.raises(ValueError, match=r"\[1, 6\].*got 7"):
        top_k(torch.randn(4, 6), 7)
    with pytest.raises(ValueError, match=r"T=2.0, the loss is at T=1.0"):
        topk_kl(torch.randn(4, 6), t)
    with pytest.raises(ValueError, match=r"\(5, 6\).*\(4, 3\)"):
        topk_kl(torch.randn(5, 6), t, 2.0)


VOCABULARY = 23


def examples(seed=0):
    dice = np.random.default_rng(seed)
    sizes = dice.integers(1, 6, size=(9, 2))
    return [tuple(dice.integers(2, VOCABULARY, size=n).tolist() for n in pair) for pair in sizes]


def model(layers=1, width=16, seed=0):
    torch.manual_seed(seed)
    return Transformer(Config(VOCABULARY, width, layers, heads=2))


def cache(tmp_path, k=VOCABULARY, T=2.0, **options):
    batches = SequenceBatches(examples(), size=4, seed=5)
    return TopKTeacher.write(tmp_path / "c", model(2), batches, k, T, progress=False, **options)


@pytest.mark.parametrize(("dtype", "close"), [("float32", 1e-5), ("float16", 2e-2)])
def test_rows_are_those_of_the_live_teacher_however_batches_are_cut(tmp_path, dtype, close):
    """Pitfall 23: another seed, size and padding: by sample, in the order of `positions`."""
    kept = cache(tmp_path, k=6, dtype=dtype)
    for batch in SequenceBatches(examples(), size=3, seed=11):
        with torch.no_grad():
            live = top_k(
                model(2)(batch["input_ids"], batch["attention_mask"], batch["positions"]), 6, 2.0
            )
        found, layers = kept.targets(batch, [])
        assert (layers, found.T) == ({}, 2.0)
        torch.testing.assert_close(found.ids.long(), live.ids)
        torch.testing.assert_close(found.log_p, live.log_p, rtol=0, atol=close)
        torch.testing.assert_close(found.log_p.exp().sum(-1), torch.ones(len(found.ids)))


def test_training_from_the_cache_is_training_from_the_teacher(tmp_path):
    """Pitfalls 17, 23: k = V in float32 through Trainer, against the live teacher, same weights."""
    kept = cache(tmp_path, dtype="float32")
    students = []
    for teacher, divergence in ((model(2), forward_kl), (kept, topk_kl)):
        students.append(model(seed=3))
        Trainer(
            students[-1],
            SoftTargets(T=2.0, divergence=divergence),
            teacher,
            lambda ps: torch.optim.SGD(ps, 0.1),
            device="cpu",
            progress=False,
        ).fit(SequenceBatches(examples(), size=4), epochs=2)
    for a, b in zip(*(student.parameters() for student in students), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_another_teacher_and_other_data_are_refused(tmp_path):
    """Pitfall 23: by fingerprint; the same data in another order is the same data."""
    kept = cache(tmp_path)
    same = SequenceBatches(examples(), size=2, seed=9)
    TopKTeacher(kept.path, model(2), same)
    with pytest.raises(ValueError, match="another teacher"):
        TopKTeacher(kept.path, model(2, seed=1))
    changed = examples()
    changed[4][1][0] = (changed[4][1][0] + 1) % VOCABULARY
    for other, words in (
        (changed, "sample 4 is another .*'input_ids'"),
        (examples()[:5], "other inputs: it holds 9 samples, these are 5"),
        (moved_on(examples(), 4), "sample 4 is another .*'positions' differ .what the loss is on"),
    ):
        with pytest.raises(ValueError, match=words):
            TopKTeacher(kept.path, batches=SequenceBatches(other, size=4))
        if len(other) == 9:
            with pytest.raises(ValueError, match=words):
                TopKTeacher(kept.path).targets(next(iter(SequenceBatches(other, size=9))), [])
    other = next(iter(SequenceBatches(changed, size=9)))
    assert len(TopKTeacher(kept.path, recognise=False).targets(other, []).logits.ids)
    with pytest.raises(ValueError, match="is a cache of logits, not of top-k targets"):
        TopKTeacher(CachedTeacher.write(tmp_path / "logits", MLP(4, 3), torch.zeros(2, 4)).path)


def moved_on(rows, n):
    """The same tokens, and the answer begins one later."""
    prompt, answer = rows[n]
    assert len(answer) > 1
    rows[n] = [*prompt, answer[0]], answer[1:]
    return rows


def test_batches_that_do_not_fit_are_refused(tmp_path):
    kept = cache(tmp_path)
    batch = next(iter(SequenceBatches(examples(), size=4)))
    cases = [
        ({**batch, "index": batch["index"] + 9}, "outside the cache of 9"),
        ({**batch, "index": -1 - batch["index"]}, "index -"),
        ({**batch, "positions": batch["positions"][1:]}, "'positions' differ"),
        ({**batch, "positions": batch["positions"].flip(0)}, "must ascend"),
        ({**batch, "on_policy": True}, "written by a student"),
        ({k: v for k, v in batch.items() if k != "positions"}, '"positions"'),
        ({k: v for k, v in batch.items() if k != "index"}, '"index"'),
    ]
    for wrong, words in cases:
        with pytest.raises(ValueError, match=words):
            kept.targets(wrong, [])
    with pytest.raises(ValueError, match="layers"):
        kept.targets(batch, ["norm"])
    whole = list(SequenceBatches(examples(), size=4))
    for batches, words in (
        (iter(whole), "only once"),
        (whole[:1], "sample . among 4: number them 0 to 3"),
        (whole + whole[:1], "twice"),
        (SequenceBatches(examples(), size=9, dense=True), '"positions"'),
        ([{**one, "positions": one["positions"].flip(0)} for one in whole], "must ascend"),
    ):
        with pytest.raises(ValueError, match=words):
            TopKTeacher.write(tmp_path / "w", model(2), batches, 3, progress=False)
    broken = model(2)
    with torch.no_grad():
        next(broken.parameters())[:] = torch.nan
    with pytest.raises(ValueError, match="the teacher says NaN"):
        TopKTeacher.write(tmp_path / "w", broken, whole, 3, progress=False)
    with pytest.raises(ValueError, match="dtype must be"):
        TopKTeacher.write(tmp_path / "w", model(2), whole, 3, dtype="bfloat16", progress=False)
    assert not list(tmp_path.glob("w*"))


def test_a_write_that_stops_changes_nothing_or_leaves_nothing(tmp_path, monkeypatch, disk_full_at):
    """Pitfalls 23, 36: the stamp comes last, and never beside the arrays of another cache."""
    kept = cache(tmp_path)
    assert (kept.stamp["k"], kept.stamp["T"]) == (VOCABULARY, 2.0)
    monkeypatch.setattr("tinykd.lm.teachers.topk_teacher.top_k", lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cache(tmp_path, k=3)
    monkeypatch.undo()
    assert TopKTeacher(tmp_path / "c").k == VOCABULARY
    for stop in range(5):
        cache(tmp_path)
        disk_full_at(stop)
        with pytest.raises(OSError, match="No space"):
            cache(tmp_path, k=3)
        monkeypatch.undo()
        with pytest.raises(FileNotFoundError, match=r"TopKTeacher\.write"):
            TopKTeacher(tmp_path / "c")
    assert not list(tmp_path.glob(".*part"))


def test_damaged_and_older_caches(tmp_path):
    """Pitfall 37: a file cut short is named; a cache without numbers for its rows is still read."""
    kept = cache(tmp_path, k=3)
    batch = next(iter(SequenceBatches(examples(), size=4)))
    expected = kept.targets(batch, []).logits
    for file in (*kept.files(kept.path).values(), tmp_path / "c@rows.npy"):
        whole = file.read_bytes()
        file.write_bytes(whole[:-1])
        with pytest.raises(ValueError, match=f"{file.name} is damaged"):
            TopKTeacher(kept.path)
        file.write_bytes(whole)
    older = {name: kept.stamp[name] for name in ("k", "T", "teacher")} | {"data": "0"}
    (tmp_path / "c.json").write_text(json.dumps(older))
    (tmp_path / "c@rows.npy").unlink()
    old = TopKTeacher(kept.path, model(2))
    found = old.targets({**batch, "input_ids": batch["input_ids"] + 1}, []).logits
    torch.testing.assert_close(found.log_p, expected.log_p)
    with pytest.raises(ValueError, match="holds .* positions of these 4 samples"):
        old.targets({**batch, "positions": batch["positions"][1:]}, [])
    with pytest.raises(ValueError, match="older tinykd"):
        TopKTeacher(kept.path, batches=SequenceBatches(examples(), size=4))
