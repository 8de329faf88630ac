"""Losses on logits: values and gradients against explicit float64 sums in NumPy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from tinykd import cross_entropy, decoupled_kl, entropy, forward_kl, jsd, reverse_kl
from tinykd.features import hint
from tinykd.losses import skew_kl, skew_reverse_kl


def probabilities(z, T):
    e = np.exp((z - z.max(-1, keepdims=True)) / T)
    return e / e.sum(-1, keepdims=True)


def kl64(p, q):
    return (p * (np.log(p) - np.log(q))).sum(-1)


def oracle(name, zs, zt, T, labels=None):
    """The formula of each divergence, written out in float64 over probabilities."""
    q, p = probabilities(zs, T), probabilities(zt, T)
    if name == "forward":
        return T**2 * kl64(p, q)
    if name == "reverse":
        return T**2 * kl64(q, p)
    if name == "skew":
        return T**2 * kl64(p, 0.1 * p + 0.9 * q)
    if name == "skew_reverse":
        return T**2 * kl64(q, 0.1 * q + 0.9 * p)
    if name == "decoupled":
        rows = np.arange(len(p))
        pt, qt = p[rows, labels], q[rows, labels]
        binary = kl64(np.stack([pt, 1 - pt], -1), np.stack([qt, 1 - qt], -1))
        others = np.ones_like(p, dtype=bool)
        others[rows, labels] = False
        p2, q2 = (x[others].reshape(len(x), -1) for x in (p, q))
        p2, q2 = (x / x.sum(-1, keepdims=True) for x in (p2, q2))
        return T**2 * (1.0 * binary + 1.0 * kl64(p2, q2))
    beta = float(name.removeprefix("jsd"))
    m = beta * p + (1 - beta) * q
    return T**2 * (beta * kl64(p, m) + (1 - beta) * kl64(q, m))


LABELS = torch.tensor([0, 3, 2, 1, 4, 0])
DIVERGENCES = {
    "forward": forward_kl,
    "reverse": reverse_kl,
    "jsd0.5": lambda s, t, T=1.0: jsd(s, t, T, 0.5),
    "jsd0.1": lambda s, t, T=1.0: jsd(s, t, T, 0.1),
    "skew": skew_kl,
    "skew_reverse": skew_reverse_kl,
    "decoupled": lambda s, t, T=1.0: decoupled_kl(s, t, LABELS[: len(s)], T),
}
divergences = pytest.mark.parametrize("name", DIVERGENCES)


def gradient(f, student, *rest):
    student = student.detach().clone().requires_grad_()
    value = f(student, *rest)
    value.sum().backward()
    return value.detach(), student.grad


def finite_difference(f, z, h=1e-5):
    """d sum f / dz by central differences."""
    grad = np.zeros_like(z)
    for i in np.ndindex(*z.shape):
        up, down = z.copy(), z.copy()
        up[i] += h
        down[i] -= h
        grad[i] = (f(up).sum() - f(down).sum()) / (2 * h)
    return grad


@divergences
@pytest.mark.parametrize("T", [0.7, 1.0, 5.0])
def test_value_and_gradient_are_those_of_the_explicit_sum(name, T):
    """Pitfalls 1, 5, 10: one value per position, classes summed, p and q where they belong.

    Also rules out a teacher compared with itself, a softmax taken twice and a temperature on one
    side only: the oracle has p = softmax(teacher / T), q = softmax(student / T), both once.
    """
    rng = np.random.default_rng(1)
    zs, zt = rng.normal(size=(6, 5)) * 2, rng.normal(size=(6, 5)) * 2

    def f(z):
        return oracle(name, z, zt, T, LABELS.numpy())

    student, teacher = torch.tensor(zs), torch.tensor(zt)
    value, grad = gradient(DIVERGENCES[name], student, teacher, T)
    assert value.shape == (6,)
    np.testing.assert_allclose(value.numpy(), f(zs), rtol=1e-9)
    np.testing.assert_allclose(grad.numpy(), finite_difference(f, zs), rtol=1e-5, atol=1e-7)
    value32, grad32 = gradient(DIVERGENCES[name], student.float(), teacher.float(), T)
    torch.testing.assert_close(value32, value.float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(grad32, grad.float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("f", [forward_kl, reverse_kl, jsd])
def test_leading_dimensions_are_positions_and_nothing_else(f):
    """Pitfalls 1, 2: (B, T, V), (1, B T, V) and 10 times the classes, masked, give the same."""
    s, t = torch.randn(3, 4, 7), torch.randn(3, 4, 7)
    value, grad = gradient(f, s, t, 2.0)
    flat_value, flat_grad = gradient(f, s.view(1, 12, 7), t.view(1, 12, 7), 2.0)
    assert value.shape == (3, 4)
    torch.testing.assert_close(flat_value.view(3, 4), value)
    torch.testing.assert_close(flat_grad.view(3, 4, 7), grad)
    dead = torch.full((3, 4, 63), -math.inf)
    torch.testing.assert_close(f(torch.cat([s, dead], -1), torch.cat([t, dead], -1), 2.0), value)


@divergences
def test_the_gradient_does_not_fade_with_the_temperature(name):
    """Pitfall 3: T**2 is there on every path: doubling a large T leaves the gradient alone."""
    s, t = torch.randn(6, 5).double(), torch.randn(6, 5).double()
    sizes = [gradient(DIVERGENCES[name], s, t, T)[1].norm() for T in (50.0, 100.0)]
    assert 0.97 < sizes[1] / sizes[0] < 1.03


@pytest.mark.parametrize(
    ("name", "share"), [("forward", 1), ("reverse", 1), ("jsd0.1", 0.09), ("skew", 0.81)]
)
def test_at_high_temperature_it_is_logit_matching(name, share):
    """Pitfall 3: for centred logits the gradient tends to (z_s - z_t) / C."""
    s, t = (z - z.mean(-1, keepdim=True) for z in torch.randn(2, 6, 5, dtype=torch.float64))
    _, grad = gradient(DIVERGENCES[name], s, t, 1e4)
    torch.testing.assert_close(grad, share * (s - t) / 5, rtol=1e-2, atol=1e-4)


@divergences
@pytest.mark.parametrize("T", [1.0, 4.0, 20.0])
def test_zero_where_student_equals_teacher(name, T):
    """Pitfall 4: a divergence is exactly 0 there, with a gradient of 0; a cross-entropy is not."""
    z = torch.randn(6, 5) * 5
    value, grad = gradient(DIVERGENCES[name], z, z.clone(), T)
    assert (value == 0).all()
    torch.testing.assert_close(grad, torch.zeros(6, 5), rtol=0, atol=1e-6 * T)


def test_generalised_jsd_ends_are_the_two_kl():
    """Pitfall 5: beta -> 0 is KL(p || q), beta -> 1 is KL(q || p), each in its limit too."""
    s, t = torch.randn(6, 5).double(), torch.randn(6, 5).double()
    for end, f in ((0.0, forward_kl), (1.0, reverse_kl)):
        value, grad = gradient(f, s, t, 2.0)
        at_end = gradient(lambda a, b, T, end=end: jsd(a, b, T, end), s, t, 2.0)
        torch.testing.assert_close(at_end, (value, grad))
        near = abs(end - 1e-6)
        limit = gradient(lambda a, b, T, near=near: jsd(a, b, T, near) / 1e-6, s, t, 2.0)
        torch.testing.assert_close(limit, (value, grad), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(jsd(s, t, 2.0), jsd(t, s, 2.0))


def test_skew_zero_is_plain_kl_and_the_bound_is_log_of_one_over_skew():
    """Pitfall 5: which side is mixed, and with what share; near 0 the limit is the plain one."""
    s, t = torch.randn(2, 6, 5, dtype=torch.float64) * 3
    for skewed, plain in ((skew_kl, forward_kl), (skew_reverse_kl, reverse_kl)):
        exact = gradient(plain, s, t, 2.0)
        torch.testing.assert_close(gradient(lambda *a, f=skewed: f(*a, 0.0), s, t, 2.0), exact)
        near = gradient(lambda *a, f=skewed: f(*a, 1e-9), s, t, 2.0)
        torch.testing.assert_close(near, exact, rtol=1e-4, atol=1e-5)
        far = skewed(s * 100, t * 100, 2.0, 0.25)
        assert (far <= 4 * math.log(4) + 1e-9).all()


@pytest.mark.parametrize("f", [skew_kl, skew_reverse_kl])
def test_a_class_that_one_side_alone_rules_out_keeps_skew_finite(f):
    """Pitfall 8: -inf in the student or in the teacher only: the mixture still has the class."""
    s, t = torch.randn(2, 6, 5)
    for a, b in ((s.index_fill(1, torch.tensor([2]), -math.inf), t), (s, t)):
        b = b.index_fill(1, torch.tensor([4]), -math.inf)
        value, grad = gradient(f, a, b, 2.0)
        assert torch.isfinite(value).all()
        assert torch.isfinite(grad).all()
        assert (value <= 4 * math.log(10)).all()


@divergences
def test_finite_for_huge_logits_that_disagree_completely(name):
    """Pitfalls 6, 7: logits of +-200, teacher and student apart: finite value, finite gradient."""
    s = torch.full((5, 5), -200.0).fill_diagonal_(200.0)
    t = s.roll(1, 0)
    value, grad = gradient(DIVERGENCES[name], s, t, 1.0)
    assert torch.isfinite(value).all()
    assert torch.isfinite(grad).all()
    exact = {"forward": 400.0, "reverse": 400.0, "jsd0.5": math.log(2)}
    exact |= {"skew": math.log(10), "skew_reverse": math.log(10)}
    if name in exact:
        torch.testing.assert_close(value, torch.full((5,), exact[name]))
    if name == "forward":  # q - p
        torch.testing.assert_close(grad, (s - t) / 400)


@given(scale=st.floats(0, 1000), T=st.floats(0.1, 50), seed=st.integers(0, 9999))
def test_gradients_are_always_finite_and_values_never_negative(scale, T, seed):
    """Pitfall 7: no finite loss with a NaN gradient, whatever the logits."""
    make = torch.Generator().manual_seed(seed)
    s, t = (torch.randn(6, 5, generator=make) * scale for _ in range(2))
    for f in DIVERGENCES.values():
        value, grad = gradient(f, s, t, T)
        assert torch.isfinite(value).all()
        assert torch.isfinite(grad).all()
        assert (value >= -1e-5 * T**2).all()


@divergences
def test_the_teacher_is_a_constant(name):
    """Pitfalls 7, 26: no gradient flows into targets, not even where they require one."""
    s, t = torch.randn(6, 5, requires_grad=True), torch.randn(6, 5, requires_grad=True)
    DIVERGENCES[name](s, t, 2.0).sum().backward()
    assert t.grad is None
    assert torch.isfinite(s.grad).all()


WITH_CE = {**DIVERGENCES, "ce": None, "smoothed": None}


@pytest.mark.parametrize("name", WITH_CE)
def test_a_masked_class_counts_as_deleted(name):
    """Pitfall 8: -inf in both logits is the same as the class not being there, in either pass."""
    f = WITH_CE[name] or (
        lambda s, t, T: cross_entropy(s, LABELS, 0.2 if name == "smoothed" else 0.0)
    )
    s, t = torch.randn(6, 5), torch.randn(6, 5)
    dead = torch.full((6, 3), -math.inf)
    value, grad = gradient(f, s, t, 3.0)
    wide, wide_grad = gradient(f, torch.cat([s, dead], -1), torch.cat([t, dead], -1), 3.0)
    torch.testing.assert_close(wide, value)
    torch.testing.assert_close(wide_grad[:, :5], grad)
    assert (wide_grad[:, 5:] == 0).all()


@divergences
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_in_float32_precision_out(name, dtype):
    """Pitfall 9: within 1% of float64 for the same numbers; no overflow of fp16 at T = 50."""
    s, t = (torch.randn(2, 6, 5) * 3).to(dtype)
    for T in (1.0, 50.0):
        value, grad = gradient(DIVERGENCES[name], s, t, T)
        exact, exact_grad = gradient(DIVERGENCES[name], s.double(), t.double(), T)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.double(), exact, rtol=1e-2, atol=0)
        torch.testing.assert_close(grad.double(), exact_grad, rtol=1e-2, atol=1e-3)
    ce = cross_entropy(s, LABELS)
    torch.testing.assert_close(ce, F.cross_entropy(s.float(), LABELS, reduction="none"))


@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-11), (torch.float32, 1e-5)])
def test_decoupled_identity(dtype, close):
    """Pitfall 11: KL = target part + (1 - p_true) other part, in value and in gradient."""
    s, t = torch.randn(2, 6, 5, dtype=dtype) * 3
    T = 2.0
    p_true = torch.softmax(t / T, -1).gather(-1, LABELS[:, None]).squeeze(-1)

    def recombined(s, t, T):
        target = decoupled_kl(s, t, LABELS, T, alpha=1.0, beta=0.0)
        others = decoupled_kl(s, t, LABELS, T, alpha=0.0, beta=1.0)
        return target + (1 - p_true) * others

    ours, plain = gradient(recombined, s, t, T), gradient(forward_kl, s, t, T)
    torch.testing.assert_close(ours, plain, rtol=close * 10, atol=close)


def test_decoupled_is_finite_where_the_teacher_is_certain():
    """Pitfall 11: p_true = 1 to the last digit: the other classes still teach, finitely."""
    t = torch.tensor([[300.0, 1.0, 0.0], [300.0, 0.0, 0.0]])
    s = torch.tensor([[300.0, 0.0, 1.0], [0.0, 0.0, 300.0]])
    value, grad = gradient(lambda s, t: decoupled_kl(s, t, torch.tensor([0, 0])), s, t)
    assert torch.isfinite(value).all()
    assert torch.isfinite(grad).all()
    q = torch.softmax(torch.tensor([0.0, 1.0]), -1)
    p = q.flip(0)
    torch.testing.assert_close(value[0], (p * (p / q).log()).sum())


@pytest.mark.parametrize("s", [0.0, 0.1, 1.0])
def test_cross_entropy_is_that_of_torch(s):
    """Values and gradients of F.cross_entropy, label smoothing and ignored positions included."""
    logits, labels = torch.randn(3, 4, 5) * 4, torch.randint(5, (3, 4))
    labels[0, 1] = labels[2, 3] = -100
    ours = gradient(lambda z: cross_entropy(z, labels, label_smoothing=s), logits)
    reference = gradient(
        lambda z: F.cross_entropy(
            z.movedim(-1, 1), labels, label_smoothing=s, ignore_index=-100, reduction="none"
        ),
        logits,
    )
    torch.testing.assert_close(ours, reference)
    assert (ours[0][labels == -100] == 0).all()
    assert (ours[1][labels == -100] == 0).all()


def test_cross_entropy_and_forward_kl_differ_by_the_teachers_entropy():
    """Pitfall 4: sum p (-log q) = KL(p || q) + H(p)."""
    s, t = torch.randn(2, 6, 5).double()
    soft = -(torch.softmax(t, -1) * torch.log_softmax(s, -1)).sum(-1)
    torch.testing.assert_close(forward_kl(s, t) + entropy(t), soft)


def test_hint_averages_over_features_not_over_samples():
    """Pitfall 1: one value per sample, the mean of squares over all its features."""
    s, t = torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2, requires_grad=True)
    value, grad = gradient(hint, s, t)
    np.testing.assert_allclose(
        value.numpy(), ((s - t.detach()).numpy() ** 2).reshape(4, -1).mean(1), rtol=1e-5
    )
    torch.testing.assert_close(grad, 2 * (s - t.detach()) / 12)
    assert t.grad is None


def test_wrong_input_is_named():
    z = torch.zeros(2, 3, 5)
    labels = torch.zeros(2, 3, dtype=torch.long)
    bad = labels.clone()
    bad[1, 2] = 7
    negative = labels.clone()
    negative[0, 1] = -1
    cases = [
        (lambda: cross_entropy(z, labels[:, :2]), r"\(2, 3, 5\).*\(2, 2\)"),
        (lambda: cross_entropy(z, bad), r"label 7 at index \(1, 2\).*\[0, 5\)"),
        (lambda: cross_entropy(z, negative), r"label -1 at index \(0, 1\)"),
        (lambda: cross_entropy(z, labels.float()), "float32"),
        (lambda: cross_entropy(z, labels, label_smoothing=1.5), "1.5"),
        (lambda: decoupled_kl(z, z, bad), r"label 7 at index \(1, 2\)"),
        (lambda: decoupled_kl(z, z, negative - 99), r"label -99 at index \(0, 0\)"),
        (lambda: decoupled_kl(z, z, labels[0]), r"\(2, 3, 5\).*\(3,\)"),
        (lambda: forward_kl(z, z[..., :4]), r"\(2, 3, 5\) has 5, teacher \(2, 3, 4\) has 4"),
        (lambda: reverse_kl(z, z[:1]), r"\(2, 3, 5\), teacher \(1, 3, 5\)"),
        (lambda: forward_kl(z, z, 0), "T=0"),
        (lambda: jsd(z, z, T=-2), "T=-2"),
        (lambda: jsd(z, z, beta=1.2), "1.2"),
        (lambda: skew_kl(z, z, skew=1.0), r"\[0, 1\), got 1.0"),
        (lambda: skew_reverse_kl(z, z, skew=-0.1), "-0.1"),
        (lambda: hint(z, z[..., :4]), r"\(2, 3, 5\).*\(2, 3, 4\)"),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()
