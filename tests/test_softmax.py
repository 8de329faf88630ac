"""softmax, log_softmax and entropy at a temperature, against explicit float64 sums."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tinykd


def softmax64(z: np.ndarray, T: float) -> np.ndarray:
    e = np.exp((z - z.max(-1, keepdims=True)) / T)
    return e / e.sum(-1, keepdims=True)


@given(T=st.floats(0.05, 100), scale=st.floats(0.01, 300), seed=st.integers(0, 99))
def test_values_are_those_of_the_formula(T, scale, seed):
    z = np.random.default_rng(seed).normal(size=(3, 7)) * scale
    p = softmax64(z, T)
    logits = torch.from_numpy(z)
    torch.testing.assert_close(tinykd.softmax(logits, T).numpy(), p, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(
        tinykd.log_softmax(logits, T).exp().numpy(), p, rtol=1e-9, atol=1e-12
    )
    H = -(p * np.log(np.maximum(p, 1e-300))).sum(-1)
    torch.testing.assert_close(tinykd.entropy(logits, T).numpy(), H, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("T", [0.5, 1.0, 20.0])
def test_gradients_are_those_of_finite_differences(T):
    z = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    for f in (tinykd.softmax, tinykd.log_softmax, tinykd.entropy):
        assert torch.autograd.gradcheck(lambda x, f=f: f(x, T), z)


def test_huge_logits_and_full_masks_stay_finite():
    """Pitfall 6: logs are never taken of probabilities, so +-200 gives a finite value, gradient."""
    z = torch.tensor([[200.0, -200.0, 0.0], [-200.0, 200.0, 200.0]], requires_grad=True)
    value = tinykd.log_softmax(z)
    torch.testing.assert_close(value[0], torch.tensor([0.0, -400.0, -200.0]))
    (value.sum() + tinykd.entropy(z).sum()).backward()
    assert torch.isfinite(z.grad).all()


def test_a_masked_class_counts_as_deleted_in_the_entropy():
    """Pitfall 8: a logit of -inf behaves as if the class were not there, forward and backward."""
    z = torch.randn(6, 5)
    masked = torch.cat([z, torch.full((6, 2), -math.inf)], -1).requires_grad_()
    small = z.clone().requires_grad_()
    H, expected = tinykd.entropy(masked, 3.0), tinykd.entropy(small, 3.0)
    torch.testing.assert_close(H, expected)
    H.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(masked.grad[:, :5], small.grad)
    assert (masked.grad[:, 5:] == 0).all()


def test_half_precision_is_computed_in_float32_and_float64_is_kept():
    """Pitfall 9: bf16 and fp16 come in, float32 goes out, accurate for the numbers given."""
    for dtype in (torch.bfloat16, torch.float16):
        z = torch.randn(50, 1000).mul(5).to(dtype)
        p = tinykd.softmax(z, 4.0)
        assert p.dtype == torch.float32
        np.testing.assert_allclose(p.numpy(), softmax64(z.double().numpy(), 4.0), rtol=1e-4)
    assert tinykd.softmax(torch.randn(3).double()).dtype == torch.float64
    assert tinykd.softmax(torch.tensor([1, 2, 3])).dtype == torch.float32


def test_dim_names_the_classes():
    z = torch.randn(2, 3, 4)
    expected = tinykd.softmax(z.movedim(1, -1), 2.0).movedim(-1, 1)
    torch.testing.assert_close(tinykd.softmax(z, 2.0, dim=1), expected)


@pytest.mark.parametrize("T", [0, -1.0, math.inf, math.nan])
def test_a_temperature_that_is_none_is_named(T):
    for f in (tinykd.softmax, tinykd.log_softmax, tinykd.entropy):
        with pytest.raises(ValueError, match=f"above 0, got T={T}"):
            f(torch.zeros(2, 3), T)
