"""Accuracy, agreement, prediction and intervals over seeds."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from tinykd import accuracy, agreement, mean_interval, paired_verdict, predict
from tinykd.metrics import evaluate, rank_correlation


def test_accuracy_counts_labelled_positions():
    logits = torch.eye(4)[torch.tensor([0, 1, 2, 3])]
    assert accuracy(logits, torch.tensor([0, 1, 0, 0])) == 0.5
    assert accuracy(logits, torch.tensor([0, 1, -100, 0])) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="no labelled"):
        accuracy(logits, torch.full((4,), -100))
    with pytest.raises(ValueError, match=r"\(4, 4\).*\(3,\)"):
        accuracy(logits, torch.zeros(3, dtype=torch.long))


def test_agreement_is_not_accuracy():
    s = torch.tensor([[2.0, 0], [0, 2.0], [2.0, 0]])
    assert agreement(s, 5 * s) == 1.0
    assert agreement(s, -s) == 0.0
    with pytest.raises(ValueError, match=r"\(3, 2\).*\(2, 2\)"):
        agreement(s, s[:2])


def test_predict_is_in_eval_mode_without_gradients_and_the_mode_comes_back():
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.BatchNorm1d(8))
    model[2].eval()
    x = torch.randn(25, 4)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    once = predict(model, x, batch_size=10)
    torch.testing.assert_close(once, predict(model, x))
    assert once.shape == (25, 8)
    assert not once.requires_grad
    assert [m.training for m in model.modules()] == [True, True, True, False]
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert predict(model.bfloat16(), x.bfloat16()).dtype == torch.float32


def test_evaluate_weighs_positions_equally_however_they_are_cut():
    model = nn.Linear(4, 3)
    x, y = torch.randn(10, 4), torch.randint(3, (10,))
    y[:3] = -100
    cpu = torch.device("cpu")
    whole = evaluate(model, [(x, y)], cpu)
    cut = evaluate(model, [(x[:4], y[:4]), {"inputs": x[4:], "labels": y[4:]}], cpu)
    assert whole == pytest.approx(cut)
    assert whole["accuracy"] == pytest.approx(accuracy(model(x), y))
    with pytest.raises(ValueError, match="no labelled"):
        evaluate(model, [(x, torch.full_like(y, -100))], cpu)


def test_mean_interval_is_students():
    mean, half = mean_interval([1.0, 2.0, 3.0])
    assert (mean, half) == pytest.approx((2.0, 4.302653 / math.sqrt(3)))
    assert mean_interval([5]) == (5.0, math.inf)
    assert mean_interval([1.0] * 50) == (1.0, 0.0)
    with pytest.raises(ValueError, match="at least one"):
        mean_interval([])


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_intervals_take_lists_arrays_and_tensors(kind):
    ours, theirs = [4.0, 2.0, 9.0], [1.0, 1.0, 4.0]
    found = mean_interval(kind([3.0, 1.0, 5.0]))
    assert found == pytest.approx((3.0, 4.302653 * 2 / math.sqrt(3)))
    assert found == paired_verdict(kind(ours), kind(theirs))[:2]
    assert all(type(number) is float for number in found)
    assert mean_interval(kind([5])) == (5.0, math.inf)
    assert paired_verdict(kind(ours), theirs, 20)[2] == "not better"
    with pytest.raises(ValueError, match="at least one"):
        mean_interval(kind([]))


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_intervals_refuse_what_is_no_number_a_seed(kind):
    for wrong in (kind([[1.0], [2.0]]), kind(3.0)):
        with pytest.raises(ValueError, match=r"one number a seed.* axes"):
            mean_interval(wrong)
        with pytest.raises(ValueError, match=r"one number a seed.* axes"):
            paired_verdict(wrong, wrong)


def test_rank_correlation_is_spearman_s():
    rng = np.random.default_rng(0)
    for n in (2, 3, 50):
        a, b = rng.normal(size=n), rng.integers(0, max(2, n // 4), n)
        b[0] = b.max() + 1  # ties, but not all
        assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    a = torch.tensor([0.1, 0.2, 0.2, 9.0], requires_grad=True)
    assert rank_correlation(a, [1, 5, 5, 6]) == pytest.approx(1)
    assert rank_correlation(a, [-v for v in (1, 5, 5, 6)]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 3], [7, 7, 7]) == 0
    wrong = [1.0, 2, math.nan]
    for a, b, words in (
        ([1, 2], [1, 2, 3], "got"),
        ([[1, 2, 3]], [1, 2, 3], "got"),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]], "got"),
        ([1], [2], "two or more"),
        (wrong, [1, 2, 3], "finite"),
        ([1, 2, 3], wrong, "finite"),
    ):
        with pytest.raises(ValueError, match=words):
            rank_correlation(a, b)
