"""A teacher that is the moving average of its student."""

import copy

import pytest
import torch
from torch import nn

from tinykd import (
    MLP,
    Batches,
    HardLabels,
    MovingAverage,
    SoftTargets,
    Trainer,
    ema_update,
    linear,
)


def norm_net(width=8):
    return nn.Sequential(
        nn.Linear(4, width), nn.BatchNorm1d(width), nn.Dropout(0.5), nn.Linear(width, 3)
    )


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_an_update_is_the_weighted_mean_of_weights_and_statistics():
    """In place, without gradients; whole numbers are copied; the model stays as it is."""
    average, model = norm_net(), norm_net()
    model(torch.randn(6, 4))  # its batch norm has seen something
    weight, before, theirs = average[0].weight, state(average), state(model)
    ema_update(average, model, 0.9)
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.9 * before[name] + 0.1 * theirs[name])
        else:
            assert value == theirs[name] == 1
    assert average[0].weight is weight
    assert weight.requires_grad
    assert weight.grad_fn is None
    assert all(torch.equal(theirs[name], value) for name, value in model.state_dict().items())


def test_the_ends_of_momentum():
    average, model = norm_net(), norm_net()
    before = state(average)
    ema_update(average, model, 1.0)
    assert all(torch.equal(before[k], v) for k, v in average.state_dict().items())
    ema_update(average, model, 0.0)
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in average.state_dict().items())
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="momentum"):
            ema_update(average, model, wrong)


def test_tied_weights_move_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 4)
            self.b = nn.Linear(4, 4)
            self.b.weight = self.a.weight

    average, model = Tied(), Tied()
    expected = 0.8 * average.a.weight + 0.2 * model.a.weight
    ema_update(average, model, 0.8)
    torch.testing.assert_close(average.b.weight, expected)


def test_models_of_another_make_are_refused_and_left_alone():
    average = norm_net()
    before = state(average)
    for other, words in ((norm_net(9), "here"), (MLP(4, 3), "make")):
        with pytest.raises(ValueError, match=words):
            ema_update(average, other, 0.5)
    assert all(torch.equal(before[k], v) for k, v in average.state_dict().items())


def test_it_follows_the_student_step_by_step():
    """As teacher and callback of one Trainer: the recursion over the student's own path."""
    student = norm_net()
    expected, path = state(student), []
    average = MovingAverage(student, momentum=linear(0.5, 0.9))
    watch = lambda trainer: path.append((trainer.progress(), state(trainer.model)))  # noqa: E731
    x, y = torch.randn(24, 4), torch.randint(3, (24,))
    objective = SoftTargets(T=2) + HardLabels()
    trainer = Trainer(
        student, objective, average, callbacks=[average, watch], device="cpu", progress=False
    )
    trainer.fit(Batches(x, y, size=8), epochs=2)
    assert len(path) == 6
    for progress, at_step in path:
        m = 0.5 + 0.4 * progress
        for name, value in at_step.items():
            if value.is_floating_point():
                value = m * expected[name] + (1 - m) * value
            expected[name] = value
    for name, value in average.model.state_dict().items():
        torch.testing.assert_close(value, expected[name])
    assert not any(m.training for m in average.model.modules())
    assert all(p.grad is None and not p.requires_grad for p in average.model.parameters())


def test_its_targets_are_those_of_eval_mode_and_of_the_average():
    student = norm_net()
    average = MovingAverage(student, 0.5)
    x = torch.randn(5, 4)
    logits, layers = average.targets({"inputs": x}, ["0"])
    assert not logits.requires_grad
    assert layers["0"].shape == (5, 8)
    torch.testing.assert_close(logits, copy.deepcopy(student).eval()(x))
    with pytest.raises(ValueError, match="momentum"):
        MovingAverage(student, torch.tensor(0.5, requires_grad=True))


def test_killed_and_resumed_is_the_same_run(tmp_path):
    """Pitfall 25: the average is in the checkpoint, bit for bit."""
    x, y = torch.randn(24, 4), torch.randint(3, (24,))

    def run(file, epochs):
        torch.manual_seed(3)
        student = norm_net()
        average = MovingAverage(student, 0.8)
        Trainer(
            student, SoftTargets() + HardLabels(), average, callbacks=[average],
            checkpoint=tmp_path / file, device="cpu", progress=False,
        ).fit(Batches(x, y, size=8), epochs=epochs, resume=True)  # fmt: skip
        return state(student), state(average.model)

    whole = run("whole", 4)
    run("parts", 2)
    parts = run("parts", 4)
    for one, other in zip(whole, parts, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
