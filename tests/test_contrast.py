"""The loss of pairs against an explicit sum, through gradients on both sides."""

import math

import pytest
import torch
from torch import nn

import tinykd
from tinykd import ByDescription, clip_loss, features, similarities


def explicit(a, b, tau):
    """Written out, number by number."""

    def cosine(u, v):
        dot = sum(p * q for p, q in zip(u, v, strict=True))
        return dot / (sum(p * p for p in u).sqrt() * sum(q * q for q in v).sqrt())

    s = [[cosine(u, v) / tau for v in b] for u in a]
    n, found = len(a), []
    for i in range(n):
        row = torch.stack([s[i][j] for j in range(n)]).exp().sum().log()
        column = torch.stack([s[j][i] for j in range(n)]).exp().sum().log()
        found.append((row + column) / 2 - s[i][i])
    return torch.stack(found)


@pytest.mark.parametrize("tau", [0.1, 0.5, 2.0])
def test_clip_loss_is_the_explicit_sum(tau):
    torch.manual_seed(0)
    a, b = (torch.randn(5, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    found, expected = clip_loss(a, b, tau), explicit(a, b, tau)
    torch.testing.assert_close(found, expected)
    weights = torch.rand(5).double()
    ours, theirs = (torch.autograd.grad((weights * v).sum(), (a, b)) for v in (found, expected))
    for x, y in zip(ours, theirs, strict=True):
        torch.testing.assert_close(x, y)
        assert x.abs().max() > 1e-3


def test_clip_loss_is_the_mean_of_both_directions():
    torch.manual_seed(0)
    a, b = torch.randn(6, 4), torch.randn(6, 4)
    both = features.contrastive(a, b, 0.2) + features.contrastive(b, a, 0.2)
    torch.testing.assert_close(clip_loss(a, b, 0.2), both / 2)


def test_lengths_do_not_matter_and_one_pair_costs_nothing():
    torch.manual_seed(0)
    a, b = torch.randn(4, 3), torch.randn(4, 3)
    torch.testing.assert_close(clip_loss(100 * a, 3 * b), clip_loss(a, b))
    assert float(clip_loss(a[:1], b[:1])) == pytest.approx(0, abs=1e-6)


def test_halves_are_computed_whole():
    torch.manual_seed(0)
    a, b = torch.randn(4, 3).bfloat16(), torch.randn(4, 3).bfloat16()
    found = similarities(a, b)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, similarities(a.double(), b.double()).float())


def test_it_couples_samples():
    """The mean over two halves of a batch is another loss, and a term of it says so."""
    torch.manual_seed(0)
    a, b = torch.randn(4, 3), torch.randn(4, 3)
    halves = torch.cat([clip_loss(a[:2], b[:2]), clip_loss(a[2:], b[2:])])
    assert not torch.allclose(clip_loss(a, b), halves)
    assert clip_loss.couples_samples is True
    assert tinykd.Hint("a", "b", loss=clip_loss).couples_samples


def test_a_description_is_a_class():
    torch.manual_seed(0)
    encoder, sentences = nn.Linear(5, 3), torch.randn(7, 3)
    net, x = ByDescription(encoder, sentences, 0.1), torch.randn(4, 5)
    expected = (
        torch.cosine_similarity(encoder(x).unsqueeze(1), sentences.unsqueeze(0), dim=-1) / 0.1
    )
    torch.testing.assert_close(net(x), expected)
    assert [name for name, _ in net.named_parameters()] == ["encoder.weight", "encoder.bias"]
    sentences.zero_()
    torch.testing.assert_close(net(x), expected)  # it has its own copy
    assert "descriptions" in net.state_dict()
    learned = nn.Linear(3, 3)(sentences)
    assert not ByDescription(encoder, learned).descriptions.requires_grad


def test_what_has_no_cosine_is_refused():
    with pytest.raises(ValueError, match=r"\(N, D\)"):
        similarities(torch.ones(2, 3), torch.ones(2, 4))
    for a, b in ((torch.ones(3), torch.ones(2, 3)), (torch.ones(2, 3), torch.ones(3, 3, 3))):
        with pytest.raises(ValueError, match=r"\(N, D\)"):
            similarities(a, b)
    with pytest.raises(ValueError, match="above 0"):
        similarities(torch.ones(2, 3), torch.ones(2, 3), 0)
    with pytest.raises(ValueError, match="2 rows of a, 3 of b"):
        clip_loss(torch.ones(2, 3), torch.ones(3, 3))
    assert math.isfinite(float(tinykd.clip_loss(torch.zeros(2, 3), torch.zeros(2, 3)).sum()))
