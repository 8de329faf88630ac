"""Several teachers as one, and peers that teach each other: against loops in float64."""

import math

import pytest
import torch
from torch import nn

from tinykd import (
    MLP,
    Batches,
    CachedTeacher,
    Ensemble,
    HardLabels,
    Mutual,
    Peers,
    SoftTargets,
    Trainer,
    accuracy,
    confidence,
    ensemble_logits,
    forward_kl,
    predict,
    softmax,
)
from tinykd.teachers import fingerprint

KINDS = ("probabilities", "log_probabilities", "logits")
K, B, C = 3, 4, 5


def draw(*shape):
    return 3 * torch.randn(*shape, dtype=torch.float64)


def by_loops(logits, T, kind, w):
    """The average, one number after the other; w (K, B, C)."""
    found = torch.zeros(B, C, dtype=torch.float64)
    for b in range(B):
        row = []
        for i in range(C):
            share = [w[k, b, i] / sum(w[j, b, i] for j in range(K)) for k in range(K)]
            total = 0.0
            for k in range(K):
                z = [math.exp(value / T) for value in logits[k, b].tolist()]
                p = z[i] / sum(z)
                total += (
                    share[k]
                    * {
                        "probabilities": p,
                        "log_probabilities": math.log(p),
                        "logits": logits[k, b, i].item() / T,
                    }[kind]
                )
            row.append(total if kind == "probabilities" else math.exp(total))
        found[b] = torch.tensor([value / sum(row) for value in row])
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [None, (K,), (K, 1, C), (K, B, 1), (K, B, C)])
def test_an_average_is_the_explicit_sum(kind, shape):
    """At T = 2.5, for equal weights, one a teacher, a class, a sample."""
    logits, T = draw(K, B, C), 2.5
    weights = None if shape is None else torch.rand(shape, dtype=torch.float64) + 0.1
    full = torch.ones(K, B, C).double() if shape is None else weights
    full = full.view(K, 1, 1) if full.dim() == 1 else full
    found = softmax(ensemble_logits(logits, T, kind, weights), T)
    torch.testing.assert_close(found, by_loops(logits, T, kind, full.expand(K, B, C)))


@pytest.mark.parametrize("kind", KINDS)
def test_halves_and_whole_numbers_are_averaged_in_float32(kind):
    logits = (4 * draw(K, B, C)).bfloat16()
    found = ensemble_logits(logits, 2.0, kind, [1, 2, 5])
    assert found.dtype == torch.float32
    expected = ensemble_logits(logits.double(), 2.0, kind, torch.tensor([1.0, 2.0, 5.0]).double())
    torch.testing.assert_close(found, expected.float())


def test_the_mean_of_logits_is_the_geometric_mean_at_any_temperature():
    logits = draw(K, B, C)
    for T in (0.5, 1.0, 8.0):
        one, other = (softmax(ensemble_logits(logits, T, kind), T) for kind in KINDS[1:])
        torch.testing.assert_close(one, other)
        assert not torch.allclose(one, softmax(ensemble_logits(logits, T), T))


@pytest.mark.parametrize(
    ("kind", "forward"), [("probabilities", True), ("log_probabilities", False)]
)
def test_each_average_minimises_its_divergence(kind, forward):
    """The mixture sum_k w_k KL(p_k || p), the geometric mean sum_k w_k KL(p || p_k)."""
    logits, w = draw(K, C), torch.tensor([0.2, 0.5, 0.3]).double()
    best = ensemble_logits(logits, 1.0, kind, w)

    def cost(z):
        log_q, log_p = z.log_softmax(-1), logits.log_softmax(-1)
        each = log_p.exp() * (log_p - log_q) if forward else log_q.exp() * (log_q - log_p)
        return (w * each.sum(-1)).sum()

    z = best.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cost(z), z)
    torch.testing.assert_close(slope, torch.zeros_like(slope), atol=1e-12, rtol=0)
    assert all(cost(best + 0.3 * draw(C)) > cost(best) for _ in range(20))


def test_a_class_that_is_masked_and_logits_that_are_far_apart():
    """-inf is a deleted class; a teacher without weight may say what it will; +-500 is finite."""
    logits = draw(2, B, C)
    logits[:, :, 1] = -math.inf
    rest = logits[..., [0, 2, 3, 4]]
    for kind in KINDS:
        found = ensemble_logits(logits, 2.0, kind)
        assert torch.isneginf(found[:, 1]).all()
        torch.testing.assert_close(found[:, [0, 2, 3, 4]], ensemble_logits(rest, 2.0, kind))
        half = torch.stack([rest[0], torch.full_like(rest[0], -math.inf)])
        half[1, :, 0] = 0.0  # sure, and of no weight
        alone = softmax(ensemble_logits(half, 2.0, kind, [1.0, 0.0]), 2.0)
        torch.testing.assert_close(alone, softmax(rest[0], 2.0))
        assert ensemble_logits(500 * logits[..., [0, 2]], 1.0, kind).isfinite().all()


def test_confidence_is_the_softmax_of_minus_the_entropy():
    logits = draw(K, B, C)
    p = softmax(logits)
    H = -(p * p.log()).sum(-1)
    expected = (-2 * H).exp() / (-2 * H).exp().sum(0)
    torch.testing.assert_close(confidence(logits, 2.0), expected.unsqueeze(-1))
    torch.testing.assert_close(confidence(logits, 0.0).sum(0), torch.ones(B, 1).double())


def test_what_is_refused():
    logits = draw(K, B, C)
    shapes = [(K - 1,), (K, C), (K, 2, 1), (1, B, C), (K - 1, 1, 1), (K, 1, 1, 1)]
    for weights in (*map(torch.ones, shapes), [-1.0, 1.0, 1.0], [0, 0, 0]):
        with pytest.raises(ValueError, match="weights"):
            ensemble_logits(logits, weights=weights)
    with pytest.raises(ValueError, match="kind"):
        ensemble_logits(logits, kind="median")
    with pytest.raises(ValueError, match="at least one"):
        Ensemble()
    with pytest.raises(ValueError, match="weights"):
        Ensemble(MLP(4, 3), MLP(4, 3), weights=[1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="temperature"):
        Ensemble(MLP(4, 3), T=0)
    with pytest.raises(ValueError, match="unlike shapes"):
        Ensemble(MLP(4, 3), MLP(4, 2))(torch.randn(2, 4))


def members():
    return MLP(4, 6, 3), MLP(4, 8, 3, dropout=0.5)


def test_an_ensemble_teaches_like_the_average_of_its_members(tmp_path):
    """Live and cached, in a Trainer: the same student; the members are not touched."""
    a, b = members()
    x = torch.randn(20, 4)
    both = torch.stack([predict(a, x), predict(b, x)])
    ensemble = Ensemble(a, b, T=2.0, weights=confidence)
    torch.testing.assert_close(
        predict(ensemble, x), ensemble_logits(both, 2.0, weights=confidence(both))
    )
    cache = CachedTeacher.write(tmp_path / "cache", ensemble, x, dtype="float32", progress=False)
    before, students = fingerprint(ensemble), []
    for teacher in (ensemble, cache):
        torch.manual_seed(1)
        students.append(MLP(4, 5, 3))
        Trainer(students[-1], SoftTargets(T=2), teacher, device="cpu", progress=False).fit(
            Batches(x, size=8), epochs=2
        )
    for one, other in zip(*(s.parameters() for s in students), strict=True):
        torch.testing.assert_close(one, other)
    assert fingerprint(ensemble) == before
    assert all(p.grad is None for p in ensemble.parameters())
    assert not ensemble.training or all(m.training for m in ensemble.modules())


def test_another_way_of_averaging_is_another_teacher(tmp_path):
    """Kind, T and weights are in the fingerprint: a cache of another average is refused."""
    a, b = members()
    x = torch.randn(8, 4)
    ways = [
        Ensemble(a, b),
        Ensemble(a, b, T=2.0),
        Ensemble(a, b, kind="logits"),
        Ensemble(a, b, weights=[1.0, 3.0]),
        Ensemble(a, b, weights=confidence),
        Ensemble(b, a),
    ]
    assert len({fingerprint(way) for way in ways}) == len(ways)
    CachedTeacher.write(tmp_path / "cache", ways[0], x, progress=False)
    CachedTeacher(tmp_path / "cache", teacher=Ensemble(a, b))
    with pytest.raises(ValueError, match="another teacher"):
        CachedTeacher(tmp_path / "cache", teacher=ways[1])


def test_models_with_logits_and_named_inputs():
    class Hugging(nn.Module):
        def __init__(self, shift):
            super().__init__()
            self.shift = shift

        def forward(self, input_ids, attention_mask=None):
            logits = torch.eye(C)[input_ids] * self.shift
            return type("Output", (), {"logits": logits})()

    ids = torch.randint(C, (2, 6))
    found = Ensemble(Hugging(1.0), Hugging(3.0), kind="logits")(input_ids=ids, attention_mask=None)
    torch.testing.assert_close(found, (torch.eye(C)[ids] * 2).log_softmax(-1))


# ------------------------------------------------------------------------------ mutual learning


def test_peers_learn_the_textbook_step():
    """Pitfall 26: CE_i + mean KL(stop-grad p_j || p_i), the gradient of each peer's own loss."""
    a, b, c = MLP(4, 5, 3), MLP(4, 6, 3), MLP(4, 3)
    x, y, T, lr = torch.randn(7, 4), torch.randint(3, (7,)), 2.0, 0.1
    expected = []
    with torch.no_grad():
        said = [net(x) for net in (a, b, c)]
    for i, net in enumerate((a, b, c)):
        z = net(x)
        log_q = (z / T).log_softmax(-1)
        pulls = []
        for j in range(3):
            if j != i:
                p = (said[j] / T).softmax(-1)
                pulls.append(T**2 * (p * (p.log() - log_q)).sum(-1).mean())
        loss = nn.functional.cross_entropy(z, y) + 0.7 * sum(pulls) / 2
        slopes = torch.autograd.grad(loss, list(net.parameters()))
        expected += [p - lr * s for p, s in zip(net.parameters(), slopes, strict=True)]
    peers = Peers(a, b, c)
    Trainer(
        peers,
        Mutual(peers, T=T, weight=0.7),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr),
        device="cpu",
        progress=False,
    ).fit([(x, y)])
    for own, wanted in zip(peers.parameters(), expected, strict=True):
        torch.testing.assert_close(own, wanted.detach())


def test_without_weight_peers_are_strangers():
    """weight=0 is two independent trainings."""
    batches = [(torch.randn(7, 4), torch.randint(3, (7,)))] * 3
    alone, together = MLP(4, 5, 3), MLP(4, 5, 3)
    together.load_state_dict(alone.state_dict())
    sgd = lambda parameters: torch.optim.SGD(parameters, 0.1)  # noqa: E731
    peers = Peers(together, MLP(4, 6, 3))
    Trainer(peers, Mutual(peers, weight=0.0), None, sgd, device="cpu", progress=False).fit(batches)
    Trainer(alone, HardLabels(), None, sgd, device="cpu", progress=False).fit(batches)
    for one, other in zip(alone.parameters(), together.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_peers_as_one_model_are_their_mixture():
    peers, x = Peers(MLP(4, 5, 3), MLP(4, 6, 3)), torch.randn(9, 4)
    mixed = sum(softmax(peer(x)) for peer in peers.peers) / 2
    torch.testing.assert_close(softmax(peers(x)), mixed)
    assert 0 <= accuracy(peers(x), torch.randint(3, (9,))) <= 1
    with pytest.raises(ValueError, match="at least two"):
        Peers(MLP(4, 3))
    with pytest.raises(ValueError, match="labels"):
        Trainer(peers, Mutual(peers), device="cpu", progress=False).fit([x])
    assert forward_kl(peers(x), peers(x)).abs().max() < 1e-6
