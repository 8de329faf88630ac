"""Learning without forgetting against an explicit sum, and the numbers read off the matrix."""

import copy

import pytest
import torch
from torch.nn import functional as F

import tinykd
from tinykd import MLP, WithoutForgetting, forgetting, learning, without_forgetting

OLD = torch.tensor([True, True, False, False, True, False])
NEW = torch.tensor([False, False, True, True, False, False])
EVERY = torch.ones(6, dtype=torch.bool)


def explicit(z, v, y, old, new, T, weight):
    """Position by position, probabilities of the classes alone, in float64."""
    found = []
    for a, b, label in zip(z, v, y.tolist(), strict=True):
        own = [c for c in range(len(old)) if new[c]]
        before = [c for c in range(len(old)) if old[c]]
        learn = torch.stack([a[c] for c in own]).exp().sum().log() - a[label]
        p = torch.stack([b[c] / T for c in before]).exp()
        q = torch.stack([a[c] / T for c in before]).exp()
        p, q = p / p.sum(), q / q.sum()
        found.append(learn + weight * T**2 * (p * (p / q).log()).sum())
    return torch.stack(found)


@pytest.mark.parametrize(("old", "new"), [(OLD, NEW), (EVERY, EVERY), (OLD, EVERY)])
@pytest.mark.parametrize(("T", "weight"), [(2.0, 1.0), (1.0, 0.3), (5.0, 4.0)])
def test_it_is_the_explicit_sum(old, new, T, weight):
    torch.manual_seed(0)
    z, v = (3 * torch.randn(7, 6, dtype=torch.float64) for _ in range(2))
    z.requires_grad_()
    v.requires_grad_()
    y = torch.tensor([2, 3, 2, 3, 3, 2, 2])
    found = without_forgetting(z, v, y, old, new, T, weight)
    expected = explicit(z, v.detach(), y, old, new, T, weight)
    torch.testing.assert_close(found, expected)
    weights = torch.rand(7).double()
    ours, teacher = torch.autograd.grad((weights * found).sum(), (z, v), allow_unused=True)
    (theirs,) = torch.autograd.grad((weights * expected).sum(), z)
    torch.testing.assert_close(ours, theirs)
    assert teacher is None


def test_positions_stay_positions_and_far_logits_are_finite():
    torch.manual_seed(0)
    z, v = 500 * torch.randn(2, 3, 6), 500 * torch.randn(2, 3, 6)
    z.requires_grad_()
    loss = without_forgetting(z, v, torch.full((2, 3), 2), OLD, NEW)
    assert loss.shape == (2, 3)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert z.grad.isfinite().all()


def test_the_term_trains_with_a_copy_of_the_model_as_teacher():
    torch.manual_seed(0)
    model, x, y = MLP(4, 8, 6), torch.randn(20, 4), torch.randint(2, 4, (20,))
    old_self = copy.deepcopy(model)
    term = WithoutForgetting(OLD, NEW, T=2.0, weight=1.0)
    assert term.needs_teacher
    loss = (1.0 * term)(tinykd.Outputs({"inputs": x, "labels": y}, model(x), old_self(x)))
    by_hand = without_forgetting(model(x), old_self(x), y, OLD, NEW).mean()
    torch.testing.assert_close(loss, by_hand)
    assert not term.state_dict()  # which classes are old is a setting, no weight
    before = copy.deepcopy(old_self.state_dict())
    tinykd.Trainer(model, term, old_self, progress=False, device="cpu").fit([(x, y)], epochs=100)
    assert without_forgetting(model(x), old_self(x), y, OLD, NEW).mean() < 0.8 * by_hand
    assert all(torch.equal(value, before[key]) for key, value in old_self.state_dict().items())


def test_without_weight_it_is_fine_tuning_and_asks_nobody():
    torch.manual_seed(0)
    z, y = torch.randn(5, 6), torch.tensor([2, 3, 3, 2, 2])
    term = WithoutForgetting(OLD, NEW, weight=0)
    assert not term.needs_teacher
    found = term.per_position(tinykd.Outputs({"labels": y}, z))
    torch.testing.assert_close(found, F.cross_entropy(z[:, NEW], y - 2, reduction="none"))


def test_forgetting_and_learning_are_read_off_the_matrix():
    matrix = [[0.9, 0.1, 0.1], [0.95, 0.8, 0.2], [0.6, 0.7, 0.5]]
    assert forgetting(matrix) == pytest.approx(((0.95 - 0.6) + (0.8 - 0.7)) / 2)
    assert learning(matrix) == pytest.approx((0.8 + 0.5) / 2)
    assert forgetting(torch.tensor([[0.5, 0.0], [0.7, 0.9]])) == pytest.approx(-0.2)


def test_what_is_no_matrix_or_no_class_is_refused():
    for wrong in ([[1.0]], [[1.0, 2.0]], [1.0, 2.0]):
        with pytest.raises(ValueError, match="two or more"):
            forgetting(wrong)
    z = torch.randn(2, 6)
    with pytest.raises(ValueError, match="old says"):
        without_forgetting(z, z, torch.tensor([2, 3]), ~EVERY, NEW)
    with pytest.raises(ValueError, match="new says"):
        without_forgetting(z, z, torch.tensor([2, 3]), OLD, NEW[:5])
