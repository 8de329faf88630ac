"""Weighted sums of terms: what counts, how often, and with which weight."""

import contextlib

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tinykd
from tinykd import HardLabels, Hint, SoftTargets, linear
from tinykd.objective import Term, as_objective
from tinykd.outputs import Outputs, Targets
from tinykd.training.step import Step, backward


class Table(nn.Module):
    """A model whose logits are its parameters: gradients of a loss can be read off it."""

    def __init__(self, logits):
        super().__init__()
        self.z = nn.Parameter(logits.clone())

    def forward(self, inputs):
        return self.z[inputs]


def gradient(objective, logits, groups, teacher=None, progress=0.0):
    """Gradient in the logits of one step over `groups` (lists of rows), by the engine's reducer."""
    model = Table(logits)
    objective = as_objective(objective)
    net = Step(model, objective, contextlib.nullcontext)
    sums, counts, _ = backward(net, objective, groups, lambda b: _rows(teacher, b), progress)
    return model.z.grad, sums, counts


def _rows(teacher, batch):
    return {} if teacher is None else {None: Targets(teacher[batch["inputs"]], {})}


def rows(labels, *index, **more):
    index = torch.tensor(index)
    return {"inputs": index, "labels": labels[index], **{k: v[index] for k, v in more.items()}}


def test_the_batch_gradient_is_the_mean_over_positions():
    """Pitfall 1: repeating a batch changes nothing; the values are those of F.cross_entropy."""
    z, labels = torch.randn(4, 6), torch.randint(6, (4,))
    grad, sums, counts = gradient(HardLabels(), z, [rows(labels, 0, 1, 2, 3)])
    ref = z.clone().requires_grad_()
    F.cross_entropy(ref, labels).backward()
    torch.testing.assert_close(grad, ref.grad)
    torch.testing.assert_close((sums / counts)[0], F.cross_entropy(z, labels))
    twice, *_ = gradient(HardLabels(), z, [rows(labels, 0, 1, 2, 3, 0, 1, 2, 3)])
    torch.testing.assert_close(twice, grad)


def test_folding_time_into_the_batch_changes_nothing():
    """Pitfall 2: (B, T) positions or (1, B T): same loss, same gradient."""
    z, t, labels = torch.randn(3, 4, 6), torch.randn(3, 4, 6), torch.randint(6, (3, 4))
    objective = 0.7 * SoftTargets(T=3) + 0.3 * HardLabels()
    grad, sums, counts = gradient(objective, z, [rows(labels, 0, 1, 2)], t)
    flat = z.view(1, 12, 6), labels.view(1, 12), t.view(1, 12, 6)
    grad1, sums1, counts1 = gradient(objective, flat[0], [rows(flat[1], 0)], flat[2])
    torch.testing.assert_close(grad1.view(3, 4, 6), grad)
    torch.testing.assert_close(sums1 / counts1, sums / counts)


def test_masked_and_ignored_positions_count_neither_in_sum_nor_in_number():
    z, t, labels = torch.randn(5, 4, 6), torch.randn(5, 4, 6), torch.randint(6, (5, 4))
    mask = torch.rand(5, 4) < 0.6
    labels[0, 0], mask[0, 0] = -100, True
    objective = 0.5 * SoftTargets(T=2) + 0.5 * HardLabels()
    grad, sums, counts = gradient(objective, z, [rows(labels, 0, 1, 2, 3, 4, mask=mask)], t)
    hard = mask & (labels != -100)
    assert counts.tolist() == [hard.sum(), hard.sum()]
    torch.testing.assert_close(sums[0], tinykd.forward_kl(z, t, 2.0)[hard].sum())
    torch.testing.assert_close(sums[1], F.cross_entropy(z[hard], labels[hard], reduction="sum"))
    assert (grad[~hard] == 0).all()


@pytest.mark.parametrize("cut", [[8], [4, 4], [1] * 8, [5, 3], [2, 6]])
def test_a_step_does_not_depend_on_how_it_was_cut(cut):
    """Pitfall 15: 1 x 8 = 4 x 2 = 8 x 1 with unequal numbers of valid positions in each part."""
    z, t = torch.randn(8, 3, 6), torch.randn(8, 3, 6)
    labels = torch.randint(6, (8, 3))
    labels[0], labels[3, 1:] = -100, -100
    mask = torch.rand(8, 3) < 0.5
    objective = 0.7 * SoftTargets(T=3) + 0.3 * HardLabels()
    order = torch.arange(8).split(cut)
    groups = [rows(labels, *part.tolist(), mask=mask) for part in order]
    whole = gradient(objective, z, [rows(labels, *range(8), mask=mask)], t)
    for ours, expected in zip(gradient(objective, z, groups, t), whole, strict=True):
        torch.testing.assert_close(ours, expected)


def test_soft_targets_use_the_teacher_and_one_temperature():
    """Pitfalls 3, 10: T**2 sum p (log p - log q) with p from the teacher, both sides at T."""
    s, t = torch.randn(2, 5, 7)
    T = 3.0
    p, q = torch.softmax(t.double() / T, -1), torch.softmax(s.double() / T, -1)
    value = SoftTargets(T=T).per_position(Outputs({}, s, t))
    torch.testing.assert_close(
        value.double(), T**2 * (p * (p / q).log()).sum(-1), rtol=1e-4, atol=0
    )
    scheduled = SoftTargets(T=linear(1.0, 5.0)).per_position(Outputs({}, s, t, progress=0.5))
    torch.testing.assert_close(scheduled, value)
    other = SoftTargets(T=T, divergence=tinykd.reverse_kl).per_position(Outputs({}, s, t))
    torch.testing.assert_close(other, tinykd.reverse_kl(s, t, T))


def test_the_loss_is_continuous_as_alpha_goes_to_zero():
    """Pitfall 3: alpha * soft + (1 - alpha) * hard tends to the hard loss, linearly in alpha."""
    z, t, labels = torch.randn(6, 5), torch.randn(6, 5), torch.randint(5, (6,))
    batch = [rows(labels, *range(6))]
    hard, *_ = gradient(0.0 * SoftTargets(T=20) + 1.0 * HardLabels(), z, batch, t)
    plain, *_ = gradient(HardLabels(), z, batch, t)
    torch.testing.assert_close(hard, plain)
    gaps = []
    for alpha in (1e-1, 1e-2, 1e-3):
        objective = alpha * SoftTargets(T=20) + (1 - alpha) * HardLabels()
        gaps.append((gradient(objective, z, batch, t)[0] - plain).norm() / alpha)
    torch.testing.assert_close(gaps[0], gaps[2], rtol=1e-2, atol=0)


def test_weights_and_their_algebra():
    objective = 2 * (0.5 * SoftTargets(T=4) + linear(1, 0) * HardLabels()) + HardLabels()
    assert objective.weights_at(0.25) == [1.0, 1.5, 1.0]
    assert objective.names() == ["SoftTargets", "HardLabels[0]", "HardLabels[1]"]
    assert (HardLabels() * 3).weights_at(0.0) == [3.0]
    assert (HardLabels() + SoftTargets()).weights_at(1.0) == [1.0, 1.0]
    z, t, labels = torch.randn(4, 5), torch.randn(4, 5), torch.randint(5, (4,))
    batch = [rows(labels, 0, 1, 2, 3)]
    parts = [gradient(term, z, batch, t)[0] for term in (SoftTargets(T=4), HardLabels())]
    total, *_ = gradient(objective, z, batch, t, progress=0.25)
    torch.testing.assert_close(total, parts[0] + 2.5 * parts[1])


def test_wrong_objectives_are_named():
    z, labels = torch.randn(4, 5), torch.randint(5, (4,))
    batch = rows(labels, 0, 1, 2, 3)
    with pytest.raises(ValueError, match="T=0"):
        SoftTargets(T=0)
    with pytest.raises(ValueError, match="SoftTargets needs a teacher"):
        gradient(SoftTargets(), z, [batch])
    with pytest.raises(ValueError, match="T=-1"):
        gradient(SoftTargets(T=lambda progress: -1), z, [batch], z)
    with pytest.raises(ValueError, match="needs class indices as labels"):
        gradient(HardLabels(), z, [{"inputs": torch.arange(4)}])
    with pytest.raises(ValueError, match=r"\(4, 5\).*\(4, 3\)"):
        gradient(SoftTargets(), z, [batch], z[:, :3])
    with pytest.raises(ValueError, match=r"mask \(4, 2\) and labels \(4,\)"):
        gradient(SoftTargets(), z, [{**batch, "mask": torch.ones(4, 2)}], z)


def test_layers_and_regressors_belong_to_the_objective():
    objective = 50 * Hint("a", "b.0", nn.Linear(3, 4)) + Hint("a", "b.1") + HardLabels()
    assert objective.student_layers() == ["a"]
    assert objective.teacher_layers() == {None: ["b.0", "b.1"]}
    assert len(list(objective.parameters())) == 2
    assert not HardLabels().couples_samples
    assert not Term().needs_teacher
