"""Weighted samples: what they weigh in the gradient, and weights by a teacher's uncertainty."""

import contextlib
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tinykd import HardLabels, Hint, SoftTargets, Weighted, forward_kl, uncertainty_weights
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


def gradient(objective, logits, groups, teacher):
    """Gradient in the logits of one step over `groups` of rows, by the engine's reducer."""
    model = Table(logits)
    objective = as_objective(objective)
    batches = [{"inputs": g, "labels": g % 3, "index": g} for g in map(torch.tensor, groups)]
    net = Step(model, objective, contextlib.nullcontext)
    backward(net, objective, batches, lambda b: {None: Targets(teacher[b["inputs"]], {})}, 0.0)
    return model.z.grad


def by_number(weights):
    return lambda out: weights[out.batch["index"]]


def test_the_gradient_is_that_of_the_weighted_mean():
    """Weights of mean 1 over all samples: sum w l / count is sum w l / sum w, in one batch."""
    z, teacher, weights = torch.randn(6, 3), torch.randn(6, 3), torch.rand(6)
    weights /= weights.mean()
    found = gradient(
        Weighted(SoftTargets(T=2), by_number(weights)), z, [[0, 1, 2, 3, 4, 5]], teacher
    )
    ref = z.double().requires_grad_()
    total = sum(w * forward_kl(ref[i], teacher[i].double(), 2) for i, w in enumerate(weights))
    (total / weights.double().sum()).backward()
    torch.testing.assert_close(found.double(), ref.grad, atol=1e-6, rtol=1e-5)


def test_micro_batches_of_unlike_lengths_and_weights_change_nothing():
    z, teacher, weights = torch.randn(6, 3), torch.randn(6, 3), torch.rand(6) + 0.1
    objective = 0.7 * Weighted(SoftTargets(T=2), by_number(weights)) + 0.3 * HardLabels()
    whole = gradient(objective, z, [[0, 1, 2, 3, 4, 5]], teacher)
    parts = gradient(objective, z, [[0], [1, 2, 3], [4, 5]], teacher)
    torch.testing.assert_close(whole, parts)


def test_weights_of_one_change_nothing_and_weights_of_nothing_take_a_sample_out():
    z, teacher = torch.randn(4, 3), torch.randn(4, 3)
    ones = Weighted(HardLabels(), lambda out: torch.ones(len(out.student)))
    rows = [[0, 1, 2, 3]]
    assert torch.equal(gradient(ones, z, rows, teacher), gradient(HardLabels(), z, rows, teacher))
    found = gradient(
        Weighted(HardLabels(), by_number(torch.tensor([2.0, 0, 2, 0]))), z, rows, teacher
    )
    torch.testing.assert_close(found[[0, 2]], gradient(HardLabels(), z, [[0, 2]], teacher)[[0, 2]])
    assert not bool(found[[1, 3]].any())


def test_no_gradient_passes_through_a_weight():
    z = torch.randn(4, 3, requires_grad=True)
    out = Outputs({"labels": torch.tensor([0, 1, 2, 0])}, z)
    term = Weighted(HardLabels(), lambda out: out.student.softmax(-1).max(-1).values)
    term.per_position(out).sum().backward()
    weights = z.detach().softmax(-1).max(-1).values
    ref = z.detach().clone().requires_grad_()
    (weights * F.cross_entropy(ref, out.batch["labels"], reduction="none")).sum().backward()
    torch.testing.assert_close(z.grad, ref.grad)


def test_positions_that_do_not_count_are_those_of_the_term():
    labels = torch.tensor([[0, -1, 2], [-1, 1, 0]])
    z = torch.randn(2, 3, 4)
    weights = torch.tensor([[1.0, 5, 2], [5, 3, 4]])
    objective = as_objective(Weighted(HardLabels(ignore_index=-1), lambda out: weights))
    out = Outputs({"labels": labels}, z)
    assert objective.counts(out.batch).tolist() == [4]
    each = F.cross_entropy(z.flatten(0, 1), labels.clamp_min(0).flatten(), reduction="none")
    expected = (weights * each.view(2, 3))[labels != -1].sum() / 4
    torch.testing.assert_close(objective(out), expected)


def test_what_a_term_needs_is_passed_on():
    hint = Weighted(Hint("a", "b", nn.Linear(2, 3)), by_number(torch.ones(3)))
    assert hint.needs_teacher
    assert (hint.student_layers, hint.teacher_layers) == (("a",), ("b",))
    assert len(list(as_objective(hint).parameters())) == 2  # the regressor is trained
    named = Weighted(SoftTargets(teacher="old"), by_number(torch.ones(3)))
    assert as_objective(named).teacher_layers() == {"old": []}
    assert not Weighted(HardLabels(), by_number(torch.ones(3))).needs_teacher

    class Coupled(Term):
        couples_samples = True

    assert Weighted(Coupled(), by_number(torch.ones(3))).couples_samples


def test_weights_that_are_none_are_refused():
    out = Outputs({"labels": torch.tensor([0, 1])}, torch.randn(2, 3))
    for weights, words in (
        (torch.ones(2, 1), r"weights \(2, 1\)"),
        (torch.tensor([1.0, -0.1]), "at least 0"),
        (torch.tensor([1.0, math.nan]), "at least 0"),
    ):
        with pytest.raises(ValueError, match=words):
            Weighted(HardLabels(), lambda out, weights=weights: weights).per_position(out)


def test_uncertain_samples_weigh_more_and_the_mean_is_one():
    teacher = torch.randn(50, 4) * 3
    p = teacher.double().softmax(-1)
    doubt = torch.tensor([-sum(x * math.log(x) for x in row) for row in p.tolist()])
    for share in (0.0, 0.3, 1.0):
        weights = uncertainty_weights(teacher, share)
        expected = (1 - share) + share * doubt / doubt.mean()
        torch.testing.assert_close(weights.double(), expected.double(), atol=1e-5, rtol=1e-5)
        assert float(weights.mean()) == pytest.approx(1)
    torch.testing.assert_close(
        uncertainty_weights(teacher, T=4.0), uncertainty_weights(teacher / 4), atol=1e-6, rtol=1e-5
    )
    sure = torch.tensor([[200.0, 0, 0], [0.0, 0, 0]])
    torch.testing.assert_close(uncertainty_weights(sure, 1.0), torch.tensor([0.0, 2.0]))


def test_weights_by_no_doubt_at_all_are_refused():
    with pytest.raises(ValueError, match="certain"):
        uncertainty_weights(torch.tensor([[500.0, 0], [0, 500.0]]))
    with pytest.raises(ValueError, match="share"):
        uncertainty_weights(torch.randn(3, 2), share=1.5)
