"""The Frechet distance against scipy's matrix root, and where it is known by hand."""

import numpy as np
import pytest
import scipy.linalg
import torch

from tinykd.metrics import frechet_distance, nearest_distance


def cloud(seed, count, size=4):
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.normal(size=(count, size)) @ rng.normal(size=(size, size)) + 3)


def test_it_is_the_formula_with_scipys_root():
    a, b = cloud(0, 30), cloud(1, 50)
    cov_a, cov_b = np.cov(a.numpy().T), np.cov(b.numpy().T)
    root = scipy.linalg.sqrtm(cov_a @ cov_b).real
    means = ((a.mean(0) - b.mean(0)) ** 2).sum()
    expected = float(means) + np.trace(cov_a + cov_b - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected)
    assert frechet_distance(b, a) == pytest.approx(expected)


def test_equal_sets_shifts_and_scales():
    a = cloud(2, 40)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + torch.tensor([3.0, 0, 4, 0])) == pytest.approx(25)
    one = torch.tensor([[-1.0], [1.0]])  # variance 2, against variance 18
    assert frechet_distance(one, 3 * one) == pytest.approx((18**0.5 - 2**0.5) ** 2)


def test_fewer_samples_than_features_and_half_precision():
    a, b = cloud(3, 5, 12), cloud(4, 6, 12)
    found = frechet_distance(a.float(), b.float())
    assert np.isfinite(found)
    p, q = ((s - s.mean(0)) / (len(s) - 1) ** 0.5 for s in (a, b))
    cross = torch.linalg.matrix_norm(p @ q.T, "nuc")
    expected = (a.mean(0) - b.mean(0)).square().sum() + p.square().sum() + q.square().sum()
    assert found == pytest.approx(float(expected - 2 * cross), rel=1e-4)


def test_small_samples_are_farther_away():
    a, b = cloud(5, 20_000, 8), None
    a, b = a[:10_000], a[10_000:]
    means = [
        np.mean([frechet_distance(part, b) for part in a.split(n)[:10]]) for n in (30, 300, 3000)
    ]
    assert means[0] > 3 * means[1] > 9 * means[2]


def test_other_shapes_are_refused():
    for a, b in (
        (torch.zeros(3), torch.zeros(3)),
        (torch.zeros(3, 2), torch.zeros(3, 4)),
        (torch.zeros(3, 2), torch.zeros(3, 2, 2)),
        (torch.zeros(3, 2), torch.zeros(1, 2)),
        (torch.zeros(1, 2), torch.zeros(3, 2)),
    ):
        with pytest.raises(ValueError, match="two sets"):
            frechet_distance(a, b)


def test_the_nearest_is_found_in_pieces():
    torch.manual_seed(0)
    samples, gallery = torch.randn(23, 5), torch.randn(40, 5)
    distance, which = nearest_distance(samples, gallery, rows=7)
    for i in range(23):
        each = [float((samples[i] - one).norm()) for one in gallery]
        assert distance[i] == pytest.approx(min(each), rel=1e-5)
        assert which[i] == int(np.argmin(each))
