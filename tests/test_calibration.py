"""Calibration against explicit loops in float64, finite differences and SciPy's own search."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

import tinykd


def drawn(seed, n=200, classes=5, size=3.0):
    """Logits and labels that follow softmax(z / 2): the best temperature is near 2."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, classes)) * size
    p = np.exp(z / 2) / np.exp(z / 2).sum(-1, keepdims=True)
    y = np.array([rng.choice(classes, p=row) for row in p])
    return torch.from_numpy(z), torch.from_numpy(y)


def ece_by_loop(z, y, bins, T):
    e = np.exp((z - z.max(-1, keepdims=True)) / T)
    p = e / e.sum(-1, keepdims=True)
    total = 0.0
    for m in range(bins):
        mine = [
            (row.max(), row.argmax() == label)
            for row, label in zip(p, y, strict=True)
            if m / bins < row.max() <= (m + 1) / bins
        ]
        if mine:
            confidence, right = np.mean(mine, axis=0)
            total += len(mine) * abs(right - confidence)
    return total / len(y)


@given(seed=st.integers(0, 50), bins=st.integers(1, 30), T=st.sampled_from([0.3, 1.0, 5.0]))
def test_ece_is_that_of_the_definition(seed, bins, T):
    z, y = drawn(seed)
    found = tinykd.calibration_error(z, y, bins, T)
    assert found == pytest.approx(ece_by_loop(z.numpy(), y.numpy(), bins, T), abs=1e-12)
    assert 0 <= found <= 1


def test_the_upper_edge_belongs_to_a_bin_and_certainty_to_the_last():
    half = torch.tensor([[0.0, 0.0], [500.0, 0.0]])  # confidences of exactly 0.5 and 1
    found = tinykd.reliability(half, torch.tensor([0, 1]), bins=4)
    assert found.number.tolist() == [0, 1, 0, 1]
    assert found.confidence.tolist() == [0, 0.5, 0, 1]
    assert found.accuracy.tolist() == [0, 1, 0, 0]
    assert tinykd.calibration_error(half, torch.tensor([0, 1]), bins=4) == 0.75


def test_gaps_of_bins_do_not_cancel():
    """Over-confident in one bin, under-confident in another: the mean gap is 0, the ECE is not."""
    low, high = math.log(0.6 / 0.4), math.log(0.9 / 0.1)
    z = torch.tensor([[low, 0.0]] * 10 + [[high, 0.0]] * 10, dtype=torch.float64)
    y = torch.tensor([0] * 9 + [1] + [0] * 6 + [1] * 4)
    assert tinykd.calibration_error(z, y, bins=10) == pytest.approx(0.3)
    assert tinykd.calibration_error(z, y, bins=1) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("T", [0.5, 1.0, 7.0])
def test_nll_is_torchs_mean_cross_entropy(T):
    z, y = drawn(3)
    expected = torch.nn.functional.cross_entropy(z / T, y)
    assert tinykd.negative_log_likelihood(z, y, T) == pytest.approx(float(expected))
    assert tinykd.negative_log_likelihood(z.view(20, 10, 5), y.view(20, 10), T) == pytest.approx(
        float(expected)
    )


@given(seed=st.integers(0, 50), size=st.sampled_from([0.1, 1.0, 30.0]))
def test_the_fitted_temperature_is_scipys(seed, size):
    z, y = drawn(seed)
    z = z * size

    def nll(log_t):
        return float(torch.nn.functional.cross_entropy(z / math.exp(log_t), y))

    best = minimize_scalar(nll, bounds=(math.log(0.01), math.log(100)), method="bounded")
    found = tinykd.fit_temperature(z, y)
    assert found == pytest.approx(math.exp(best.x), rel=1e-3)
    slope = (nll(math.log(found) + 1e-3) - nll(math.log(found) - 1e-3)) / 2e-3
    assert abs(slope) < 1e-5  # a valley by finite differences


def test_fitting_undoes_a_factor_and_changes_no_answer():
    z, y = drawn(1, n=2000)
    T = tinykd.fit_temperature(z, y)
    assert abs(T - 2) < 0.2
    assert tinykd.fit_temperature(8 * z, y) == pytest.approx(8 * T, rel=1e-5)
    assert tinykd.negative_log_likelihood(z, y, T) < tinykd.negative_log_likelihood(z, y)
    assert tinykd.calibration_error(z, y, T=T) < tinykd.calibration_error(z, y) / 2
    assert torch.equal((z / T).argmax(-1), z.argmax(-1))


def test_where_all_is_right_or_nothing_is_known_an_end_comes_back():
    z = 5 * torch.eye(4)
    assert tinykd.fit_temperature(z, torch.arange(4)) == pytest.approx(0.01, rel=1e-4)
    assert tinykd.fit_temperature(z, torch.arange(4).flip(0)) == pytest.approx(100, rel=1e-4)


def test_half_precision_and_bytes_and_ignored_labels():
    z, y = drawn(2)
    z = z.bfloat16()
    for measure in (
        tinykd.calibration_error,
        tinykd.negative_log_likelihood,
        tinykd.fit_temperature,
    ):
        assert measure(z, y.to(torch.uint8)) == measure(z.double(), y)
        some = y.clone()
        some[50:] = -100
        assert measure(z, some) == measure(z[:50], y[:50])
        with pytest.raises(ValueError, match=r"\(200, 5\).*\(3,\)"):
            measure(z, y[:3])
        with pytest.raises(ValueError, match="no labelled"):
            measure(z, torch.full_like(y, -100))
    with pytest.raises(ValueError, match="bins is 0"):
        tinykd.calibration_error(z, y, bins=0)
    for T in (0, -1, math.inf, math.nan):
        with pytest.raises(ValueError, match="temperature"):
            tinykd.negative_log_likelihood(z, y, T)
    with pytest.raises(ValueError, match="between two numbers"):
        tinykd.fit_temperature(z, y, low=2, high=1)


def test_a_masked_class_counts_as_deleted():
    z, y = drawn(4)
    wide = torch.cat([z, torch.full((len(z), 1), -math.inf)], -1)
    for measure in (tinykd.calibration_error, tinykd.negative_log_likelihood):
        assert measure(wide, y) == pytest.approx(measure(z, y))
    assert tinykd.fit_temperature(wide, y) == pytest.approx(tinykd.fit_temperature(z, y))


def test_the_verdict_is_that_of_the_paired_interval():
    theirs = [10.0, 20.0, 30.0, 40.0, 50.0]
    gains = [1.0, 2.0, 3.0, 2.0, 2.0]
    mean, half, verdict = tinykd.paired_verdict(
        [a + b for a, b in zip(theirs, gains, strict=True)], theirs
    )
    assert (mean, half) == pytest.approx(tinykd.mean_interval(gains))
    assert half == pytest.approx(2.776445 * math.sqrt(0.5) / math.sqrt(5), rel=1e-5)
    assert verdict == "better"  # although single values overlap by far
    zeros = [0.0] * 5
    assert tinykd.paired_verdict([-x for x in gains], zeros)[2] == "not better"
    assert tinykd.paired_verdict([-1, 1, -1, 1, 0.5], zeros)[2] == "not shown"
    assert tinykd.paired_verdict([-1, 1, -1, 1, 0.5], zeros, margin=5)[2] == "not better"
    assert tinykd.paired_verdict(gains, zeros, margin=5)[2] == "not better"
    assert tinykd.paired_verdict(gains, zeros, margin=2)[2] == "better"
    assert tinykd.paired_verdict([7], [3]) == (4.0, math.inf, "not shown")
    with pytest.raises(ValueError, match="2 values, 3 values"):
        tinykd.paired_verdict([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="margin"):
        tinykd.paired_verdict([1, 2], [1, 2], margin=-1)
