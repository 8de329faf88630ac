"""Disturbed signals, mixtures of a batch, and what draws inputs: by class, or with a pen."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tinykd
from tinykd import (
    MLP,
    Batches,
    ClassGaussians,
    HardLabels,
    SoftTargets,
    Trainer,
    disturb,
    mixed,
    mixup,
    strokes,
)

# ---------------------------------------------------------------- disturbed signals


def test_a_disturbed_signal_is_read_at_stretched_and_moved_places():
    """Against numpy's interpolation: the noise is the same for zeros, and drops out."""
    x = torch.randn(6, 20, dtype=torch.float64)
    before = x.clone()
    torch.manual_seed(4)
    noise = disturb(torch.zeros_like(x))
    torch.manual_seed(4)
    found = disturb(x) - noise
    assert torch.equal(x, before)
    torch.manual_seed(4)
    stretch, move = (torch.rand(6, 1, dtype=torch.float64)[:, 0].numpy() for _ in range(2))
    for i in range(6):
        places = [(1 + stretch[i] / 2 - 0.25) * (k - 9.5) + 12 * move[i] - 6 for k in range(20)]
        expected = np.interp(places, np.arange(20) - 9.5, x[i].numpy())
        np.testing.assert_allclose(found[i].numpy(), expected, atol=1e-9)


def test_tilt_hum_and_noise_have_their_sizes():
    """Covariances of disturbed zeros: 0.25 u u' + 0.81 (9 - k) / 81 at distance k, + 0.0025."""
    torch.manual_seed(5)
    found = disturb(torch.zeros(40_000, 13)).numpy()
    u = np.linspace(-1, 1, 13)
    distance = np.abs(np.subtract.outer(np.arange(13), np.arange(13)))
    hum = 0.81 * np.clip(9 - distance, 0, None) / 81
    expected = 0.25 * np.outer(u, u) + hum + 0.0025 * np.eye(13)
    np.testing.assert_allclose(np.cov(found.T), expected, atol=0.012)
    np.testing.assert_allclose(found.mean(0), 0, atol=0.015)


def test_disturbed_signals_repeat_with_torchs_seed_and_keep_the_type():
    x = torch.randn(8, 40)
    torch.manual_seed(6)
    first = disturb(x)
    second = disturb(x)
    torch.manual_seed(6)
    assert torch.equal(first, disturb(x))
    assert not torch.equal(first, second)
    assert first.dtype == torch.float32
    assert first.shape == x.shape


def test_what_is_no_signal_is_refused():
    for wrong in (torch.randn(40), torch.randn(3, 1, 40), torch.randn(3, 1)):
        with pytest.raises(ValueError, match=r"signals \(B, L\)"):
            disturb(wrong)
    with pytest.raises(ValueError, match="int64"):
        disturb(torch.ones(3, 40).long())


# ---------------------------------------------------------------- mixtures


def test_a_mixture_is_that_of_an_explicit_sum():
    x, partner, share = torch.randn(5, 2, 3), torch.tensor([3, 0, 1, 2, 4]), torch.rand(5)
    before = x.clone()
    found = mixed(x, partner, share)
    for i in range(5):
        s = float(share[i])
        expected = s * x[i].double() + (1 - s) * x[int(partner[i])].double()
        torch.testing.assert_close(found[i].double(), expected, atol=1e-6, rtol=1e-6)
    assert torch.equal(x, before)
    ones = F.one_hot(torch.arange(5)).float()
    torch.testing.assert_close(mixed(ones, partner, share).sum(1), torch.ones(5))


def test_a_mixture_keeps_the_type_and_passes_the_gradient():
    x, partner = torch.randn(3, 4, requires_grad=True), torch.tensor([1, 2, 0])
    share = torch.tensor([0.2, 0.5, 1.0], dtype=torch.float64)
    found = mixed(x, partner, share)
    assert found.dtype == torch.float32
    found.sum().backward()
    # sample 0 is kept by 0.2 and lent to sample 2, which takes nothing of it, and so on
    torch.testing.assert_close(x.grad, torch.tensor([0.2, 1.3, 1.5])[:, None].expand(3, 4))


def test_what_has_no_mixture_is_refused():
    x, three = torch.randn(3, 4), torch.rand(3)
    with pytest.raises(ValueError, match="one_hot"):
        mixed(torch.arange(3), torch.arange(3), three)
    with pytest.raises(ValueError, match=r"share \(3, 1\)"):
        mixed(x, torch.arange(3), three[:, None])
    with pytest.raises(ValueError, match=r"partner \(2,\)"):
        mixed(x, torch.arange(2), three)
    with pytest.raises(ValueError, match="concentration"):
        mixup(x, 0)


def test_mixup_mixes_pairs_of_the_batch():
    """Samples e_0 ... e_9: a mixture has at most two parts, and they sum to 1."""
    torch.manual_seed(0)
    found = torch.cat([mixup(torch.eye(10)) for _ in range(200)])
    assert bool(((found > 0).sum(1) <= 2).all())
    torch.testing.assert_close(found.sum(1), torch.ones(2000))
    assert len(set(mixup(torch.eye(10)).max(1).values.tolist())) > 5  # each has its own share
    largest = found.max(1).values
    # of pairs, a share uniform in [0, 1]: the larger part is uniform in [1/2, 1]
    parts = largest[(found > 0).sum(1) == 2]
    assert 0.72 < float(parts.mean()) < 0.78
    torch.manual_seed(0)
    nearly_whole = mixup(torch.eye(1000), concentration=0.05).max(1).values
    assert float((nearly_whole > 0.99).float().mean()) > 0.6


def test_the_teacher_is_asked_about_the_mixture():
    """Batches without labels: a live teacher sees what the student sees, HardLabels is refused."""
    seen = {"teacher": [], "student": []}

    class Seen(nn.Module):
        def __init__(self, name):
            super().__init__()
            self.name, self.net = name, MLP(6, 4, 3)

        def forward(self, x):
            seen[self.name].append(x.clone())
            return self.net(x)

    x = torch.eye(6)
    batches = Batches(x, size=6, augment=mixup)
    student, teacher = Seen("student"), Seen("teacher")
    Trainer(student, SoftTargets(T=2), teacher, progress=False, device="cpu").fit(batches)
    assert torch.equal(seen["student"][0], seen["teacher"][0])
    assert not torch.equal(seen["student"][0].sort(0).values, x)
    with pytest.raises(ValueError, match="HardLabels needs"):
        Trainer(Seen("student"), HardLabels(), progress=False, device="cpu").fit(batches)


# ---------------------------------------------------------------- generator


def samples(rng, count=600, classes=3, size=5):
    """Samples of classes that differ in their means and share a covariance."""
    labels = torch.arange(count) % classes
    factor = torch.tensor(rng.normal(size=(size, size)), dtype=torch.float32)
    means = torch.tensor(rng.normal(scale=4, size=(classes, size)), dtype=torch.float32)
    x = means[labels] + torch.tensor(rng.normal(size=(count, size)), dtype=torch.float32) @ factor
    return x, labels


def test_the_generator_has_the_means_and_the_pooled_covariance():
    """Against an explicit sum in float64: all components give the covariance itself."""
    x, y = samples(np.random.default_rng(0))
    generator = ClassGaussians(x, y, components=5)
    pooled = np.zeros((5, 5))
    for c in range(3):
        own = x[y == c].double().numpy()
        np.testing.assert_allclose(generator.means[c].numpy(), own.mean(0), rtol=1e-4, atol=1e-4)
        pooled += (own - own.mean(0)).T @ (own - own.mean(0))
    covariance = (generator.directions.T @ generator.directions).numpy()
    np.testing.assert_allclose(covariance, pooled / (len(x) - 3), rtol=1e-3, atol=1e-3)


def test_fewer_components_are_the_largest():
    x, y = samples(np.random.default_rng(1))
    whole, two = ClassGaussians(x, y, components=5), ClassGaussians(x, y, components=2)
    lengths = whole.directions.norm(dim=1)
    assert bool((lengths[:-1] >= lengths[1:]).all())
    torch.testing.assert_close(two.directions, whole.directions[:2])
    shared = whole.directions @ whole.directions.T
    torch.testing.assert_close(shared, torch.diag(shared.diag()), atol=1e-2, rtol=0)


def test_samples_follow_what_was_fitted():
    x, y = samples(np.random.default_rng(2))
    generator = ClassGaussians(x.view(-1, 1, 5), y, components=5)
    torch.manual_seed(0)
    labels = torch.arange(30_000) % 3
    drawn = generator.sample(labels)
    assert drawn.shape == (30_000, 1, 5)
    for c in range(3):
        own = drawn[labels == c].flatten(1)
        size = float(generator.directions.norm())
        assert float((own.mean(0) - generator.means[c]).norm()) < 0.05 * size
        expected = generator.directions.T @ generator.directions
        assert float((own.T.cov() - expected).norm() / expected.norm()) < 0.08
    torch.manual_seed(0)
    assert torch.equal(drawn, generator.sample(labels))


def test_what_cannot_be_fitted_is_refused():
    x, y = torch.randn(12, 4), torch.arange(12) % 3
    with pytest.raises(ValueError, match=r"no sample of the classes \[1\]"):
        ClassGaussians(x[y != 1], y[y != 1], components=2)
    with pytest.raises(ValueError, match="1 to 4 components"):
        ClassGaussians(x, y, components=5)
    with pytest.raises(ValueError, match="1 to 0 components"):
        ClassGaussians(x[:3], y[:3], components=1)


def test_ten_samples_a_class_of_digits_give_digits():
    """Few-shot: drawn around 10 digits a class, they teach a net most digits."""
    images, labels = tinykd.load_mnist("train")
    images = F.avg_pool2d(images[:4000, None], 2).flatten(1)
    labels = labels[:4000]
    few = torch.cat([torch.where(labels == c)[0][:10] for c in range(10)])
    generator = ClassGaussians(images[few], labels[few])
    torch.manual_seed(0)
    drawn = torch.arange(2000) % 10
    net = MLP(196, 32, 10)
    Trainer(
        net,
        HardLabels(),
        optimizer=lambda parameters: torch.optim.Adam(parameters, 1e-2),
        progress=False,
        device="cpu",
    ).fit(Batches(generator.sample(drawn), drawn, size=100), epochs=3)
    assert tinykd.accuracy(tinykd.predict(net, images[1000:]), labels[1000:]) > 0.6


# ---------------------------------------------------------------- strokes


@pytest.mark.parametrize("size", [14, 28])
def test_strokes_are_the_distances_from_cubic_curves(size):
    """Pixel by pixel in float64, from the same draws: three times the corners, then who has one."""
    count, unit = 12, size / 14
    found = strokes(count, np.random.default_rng(7), size)
    rng, expected = np.random.default_rng(7), np.zeros((count, size, size))
    for chance in (1, 0.5, 0.2):
        corners = rng.uniform(1.5 * unit, 11.5 * unit, size=(count, 4, 2))
        there = rng.random(count) >= 1 - chance
        for n in np.flatnonzero(there):
            a, b, c, d = corners[n]
            path = [
                (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d
                for t in np.linspace(0, 1, 20)
            ]
            for y in range(size):
                for x in range(size):
                    near = min(np.hypot(*(point - (y, x))) for point in path)
                    ink = min(max(1.6 * unit - near, 0), 1)
                    expected[n, y, x] = max(expected[n, y, x], ink)
    assert found.shape == (count, size, size)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


def test_strokes_are_as_many_as_said_and_no_two_alike():
    """More than fit into one part, and each part with draws of its own."""
    drawn = strokes(2500, np.random.default_rng(0))
    assert drawn.shape == (2500, 14, 14)
    assert drawn.dtype == torch.float32
    assert bool((drawn.flatten(1).max(1).values > 0.9).all())
    assert len({image.numpy().tobytes() for image in drawn}) == 2500
    assert torch.equal(drawn, strokes(2500, np.random.default_rng(0)))
    assert not torch.equal(drawn, strokes(2500, np.random.default_rng(1)))
    with pytest.raises(ValueError, match="0 images"):
        strokes(0, np.random.default_rng(0))
