"""A training that ends when its time is up."""

import pytest
import torch

from tinykd import MLP, HardLabels, Trainer
from tinykd.data import Batches, Timed


class Clock:
    """Half a second passes whenever somebody looks."""

    def __init__(self):
        self.now = 7.0

    def __call__(self):
        self.now += 0.5
        return self.now


def test_it_goes_on_past_the_source_and_stops_when_the_time_is_up():
    timed = Timed([1, 2, 3], 4.0, Clock())
    assert timed.left() == 1.0
    assert list(timed) == [1, 2, 3, 1, 2, 3, 1, 2]  # one look a batch
    assert timed.left() == 0.0
    assert list(timed) == [1, 2, 3, 1, 2, 3, 1, 2]  # the time begins anew


def test_as_a_schedule_it_ends_at_0():
    torch.manual_seed(0)
    batches = Batches(torch.randn(40, 4), torch.randint(3, (40,)), size=10)
    timed, rates, model = Timed(batches, 8.0, Clock()), [], MLP(4, 8, 3)
    sgd = torch.optim.SGD(model.parameters(), 0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(sgd, timed.left)
    note = lambda trainer: rates.append(sgd.param_groups[0]["lr"])  # noqa: E731
    how = {"schedule": schedule, "progress": False, "callbacks": [note]}
    history = Trainer(model, HardLabels(), None, sgd, **how).fit(timed)
    assert len(rates) == history[0]["step"] == 8  # two looks a step: the rate, and the end
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 0.09
    assert rates[-1] < 0.01


def test_refusals():
    with pytest.raises(ValueError, match="above 0"):
        Timed([1], 0)
    with pytest.raises(ValueError, match="empty"):
        list(Timed([], 1.0))
