"""Sampled-token estimators and advantages against sums over the whole vocabulary."""

import pytest
import torch

from tinykd import Trainer, forward_kl, reverse_kl
from tinykd.lm.advantage import SampledReverseKL, advantages, k1, k2, k3
from tinykd.lm.batches import SequenceBatches
from tinykd.lm.onpolicy import OnPolicy
from tinykd.lm.transformer import Config, Transformer
from tinykd.outputs import Outputs

V = 6


def pair(seed=0, shape=(V,)):
    dice = torch.Generator().manual_seed(seed)
    z, v = (torch.randn(*shape, generator=dice, dtype=torch.float64) for _ in range(2))
    return z.requires_grad_(), v


def expected(estimate, z, v):
    """Mean over all tokens with the student's probabilities: no sampling noise. Value, gradient."""
    log_q, log_p = torch.log_softmax(z, -1), torch.log_softmax(v, -1)
    loss = (log_q.exp().detach() * estimate(log_q, log_p)).sum()
    return loss.detach(), torch.autograd.grad(loss, z)[0]


def exact(divergence, z, v):
    loss = divergence(z, v)
    return loss.detach(), torch.autograd.grad(loss, z)[0]


def test_k1_and_k3_are_unbiased_values_and_k2_is_not():
    z, v = pair()
    kl, _ = exact(reverse_kl, z, v)
    for estimate in (k1, k3):
        torch.testing.assert_close(expected(estimate, z, v)[0], kl)
    assert (expected(k2, z, v)[0] - kl).abs() > 0.01
    log_q, log_p = torch.log_softmax(z, -1), torch.log_softmax(v, -1)
    assert (k2(log_q, log_p) >= 0).all()
    assert (k3(log_q, log_p) >= 0).all()
    assert (k1(log_q, log_p) < 0).any()


def test_what_their_plain_gradients_are():
    """k1: nothing, whatever the teacher. k2: KL(q || p). k3: KL(p || q)."""
    z, v = pair()
    torch.testing.assert_close(expected(k1, z, v)[1], torch.zeros_like(z))
    torch.testing.assert_close(expected(k2, z, v)[1], exact(reverse_kl, z, v)[1])
    torch.testing.assert_close(expected(k3, z, v)[1], exact(forward_kl, z, v)[1])
    assert (exact(reverse_kl, z, v)[1] - exact(forward_kl, z, v)[1]).abs().max() > 0.05


def test_no_gradient_reaches_the_teacher_and_half_precision_is_lifted():
    log_q = torch.tensor([-1.0, -2.0], dtype=torch.bfloat16, requires_grad=True)
    log_p = torch.tensor([-1.5, -0.1], dtype=torch.bfloat16, requires_grad=True)
    for estimate in (k1, k2, k3):
        value = estimate(log_q, log_p)
        assert value.dtype == torch.float32
        value.sum().backward()
    assert log_p.grad is None
    assert not advantages(log_q, log_p).requires_grad


def outputs(z, v, labels, **more):
    batch = {"labels": labels, "input_ids": torch.zeros_like(labels), "on_policy": True, **more}
    return Outputs(batch, z, v)


def test_the_surrogates_gradient_is_the_reverse_kls_at_each_position():
    """Each token at each of three positions, weighed by the student's probability of it."""
    z, v = pair(1, (1, 3, V))
    want = torch.autograd.grad(reverse_kl(z, v).sum(), z)[0]
    q = torch.softmax(z, -1).detach()
    got = torch.zeros_like(z)
    for y in range(V):
        values = SampledReverseKL().per_position(outputs(z, v, torch.full((1, 3), y)))
        got += torch.autograd.grad((q[..., y] * values).sum(), z)[0]
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("flat", [False, True])
def test_centred_by_prompt_and_clipped_against_a_loop(scale, flat):
    z, v = pair(2, (4, 3, V))
    v = 5 * v
    labels = torch.tensor([[1, 2, -100], [0, -100, -100], [5, 4, 3], [-100, 2, 2]])
    prompt = torch.tensor([7, 3, 7, 3])
    term = SampledReverseKL(clip=2.0, centre="prompt", scale=scale)
    log_q, log_p = torch.log_softmax(z, -1), torch.log_softmax(v, -1)
    found = {}
    for b in range(4):
        for t in range(3):
            if labels[b, t] >= 0:
                gap = (log_p - log_q)[b, t, labels[b, t]].item()
                found[b, t] = max(-2.0, min(2.0, gap))
    assert 2.0 in map(abs, found.values())
    want = torch.zeros(4, 3, dtype=torch.float64)
    for (b, t), gap in found.items():
        own = [x for (c, _), x in found.items() if prompt[c] == prompt[b]]
        mean = sum(own) / len(own)
        spread = (sum((x - mean) ** 2 for x in own) / len(own)) ** 0.5
        A = (gap - mean) / (spread if scale else 1)
        want[b, t] = -A * log_q[b, t, labels[b, t]].item()
    out = outputs(z, v, labels, prompt=prompt)
    if flat:
        where = (labels.flatten() != -100).nonzero().squeeze(1)
        batch = out.batch | {"labels": labels.flatten()[where], "positions": where}
        out = Outputs(batch, z.flatten(0, 1)[where], v.flatten(0, 1)[where])
        want = want.flatten()[where]
    torch.testing.assert_close(term.per_position(out).detach(), want)


def test_a_group_without_spread_pushes_nowhere_and_a_centre_couples_samples():
    log = torch.log(torch.tensor([0.5, 0.25, 0.5]))
    group = torch.tensor([0, 1, 0])
    A = advantages(log, 2 * log, group, scale=True)
    torch.testing.assert_close(A, torch.zeros(3))
    assert not SampledReverseKL(clip=1.0).couples_samples
    assert SampledReverseKL(centre="batch").couples_samples
    values = advantages(log, 2 * log, torch.zeros(3, dtype=torch.long))
    torch.testing.assert_close(values.sum(), torch.tensor(0.0))


def test_garbage_where_nothing_is_scored_reaches_nothing():
    z, v = pair(3, (2, 3, V))
    labels = torch.tensor([[1, -100, 2], [-100, 3, -100]])
    bad = v.clone()
    bad[labels == -100] = torch.nan
    found = []
    for teacher in (v, bad):
        term = SampledReverseKL(centre="batch")
        loss = term.per_position(outputs(z, teacher, labels)).sum()
        found.append((loss, *torch.autograd.grad(loss, z)))
    torch.testing.assert_close(*found)


def test_refusals():
    for how, words in (
        ({"centre": "mean"}, "centre"),
        ({"clip": 0.0}, "clip"),
        ({"scale": True}, "needs a centre"),
    ):
        with pytest.raises(ValueError, match=words):
            SampledReverseKL(**how)
    z, v = pair(0, (1, 2, V))
    with pytest.raises(ValueError, match='batch\\["prompt"\\]'):
        SampledReverseKL(centre="prompt").per_position(outputs(z, v, torch.tensor([[1, 2]])))
    with pytest.raises(ValueError, match="group="):
        advantages(v[0, 0], v[0, 1], scale=True)
    for clip in (0.0, -1.0):
        with pytest.raises(ValueError, match="largest advantage, in nats, above 0"):
            advantages(v[0, 0], v[0, 1], clip=clip)
    with pytest.raises(ValueError, match="SampledReverseKL needs a teacher's logits"):
        SampledReverseKL().per_position(outputs(v[0], None, torch.tensor([0, 1])))
    with pytest.raises(ValueError, match="same tokens"):
        k1(v[0, 0], v[0, 0, 1:])
    data = SequenceBatches([([1], [2])], size=1).batch([0])
    assert not SampledReverseKL().valid(data).any()


def test_the_student_comes_nearer_to_the_teacher_and_prompts_are_grouped():
    student, teacher = (Transformer(Config(V, width=16, layers=1, heads=2)) for _ in range(2))
    batches = OnPolicy(student, [[3], [4, 1], [5]], size=12, samples=4, max_new=3)
    assert len(batches) == 1
    batch = next(iter(batches))
    assert sorted(batch["prompt"].tolist()) == sorted([0, 1, 2] * 4)
    first = {0: 3, 1: 4, 2: 5}
    assert [first[p] for p in batch["prompt"].tolist()] == batch["input_ids"][:, 0].tolist()
    with pytest.raises(ValueError, match="multiple"):
        OnPolicy(student, [[3]], size=6, samples=4)

    def distance():
        with torch.no_grad():
            given = {k: batch[k] for k in ("input_ids", "attention_mask", "positions")}
            return reverse_kl(student(**given), teacher(**given)).mean().item()

    before = distance()
    objective = 1.0 * SampledReverseKL(clip=5.0, centre="prompt")
    rate = torch.optim.Adam(student.parameters(), 1e-2)
    Trainer(student, objective, teacher, rate, progress=False).fit(batches, epochs=60)
    assert distance() < 0.6 * before
