"""CKA and linear probes, against what they are by definition."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tinykd import cka, knowledge_moved, linear_probe


@pytest.mark.parametrize("samples", [20, 400])
def test_cka_is_its_formula(samples):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(samples, 30)), rng.normal(size=(samples, 40))
    y[:, :10] += x[:, :10]
    k, m = ((z - z.mean(0)) @ (z - z.mean(0)).T for z in (x, y))
    expected = np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m))
    assert cka(torch.tensor(x), torch.tensor(y)) == pytest.approx(expected, rel=1e-9)


def test_cka_knows_a_rotation_and_not_a_stretch():
    torch.manual_seed(0)
    x = torch.randn(300, 5)
    rotation = torch.linalg.qr(torch.randn(5, 5))[0]
    assert cka(x, -3 * x @ rotation + 7) == pytest.approx(1, abs=1e-6)
    assert cka(x, x * torch.tensor([1.0, 1, 1, 1, 30])) < 0.6
    assert cka(x, torch.randn(300, 5)) < 0.1
    assert cka(x.view(300, 5, 1), x) == pytest.approx(1)
    assert np.isnan(cka(x, torch.ones(300, 2)))
    with pytest.raises(ValueError, match="300 and 200"):
        cka(x, x[:200])


def test_a_probe_reads_what_is_there_and_touches_nothing():
    torch.manual_seed(0)
    labels = torch.arange(600) % 3
    x = torch.randn(600, 7)
    x[:, 2] += 4 * labels
    x.requires_grad_()
    found = linear_probe((x[:300], labels[:300]), (x[300:], labels[300:]))
    assert 0.85 < found <= 1
    assert found == linear_probe((x[:300], labels[:300]), (x[300:], labels[300:]))
    assert linear_probe((1000 * x[:300], labels[:300]), (1000 * x[300:], labels[300:])) == (
        pytest.approx(found, abs=0.01)
    )
    assert x.grad is None
    noise = linear_probe((x[:300, 3:], labels[:300]), (x[300:, 3:], labels[300:]))
    assert noise < 0.45
    with torch.no_grad():
        assert linear_probe((x[:300], labels[:300]), (x[300:], labels[300:])) == found
    with pytest.raises(ValueError, match="300 activations, 299 labels"):
        linear_probe((x[:300], labels[:299]), (x[300:], labels[300:]))


def test_a_probe_is_the_optimum():
    """Plain gradient descent on the stated objective, penalty and all, gets as many right."""
    torch.manual_seed(0)
    labels = (torch.arange(600) % 3 == 0).long()  # unlike many: small weights say "0" of all
    x = torch.randn(600, 3).double()
    x[:, 0] += labels
    z = (x - x.mean(0)) / x.std(0)
    found = []
    for penalty in (0.02, 0.3, 1.0):
        weight, bias = torch.zeros(2, 3).double(), torch.zeros(2).double()
        for _ in range(3000):
            residual = (torch.softmax(z @ weight.T + bias, 1) - F.one_hot(labels)) / 600
            weight -= 0.5 * (residual.T @ z + penalty * weight)
            bias -= 0.5 * residual.sum(0)
        right = ((z @ weight.T + bias).argmax(1) == labels).double().mean().item()
        assert linear_probe((x, labels), (x, labels), penalty=penalty) == pytest.approx(right)
        found.append(right)
    assert len(set(found)) == 3  # the penalty decides


def test_knowledge_moved_is_the_share_that_is_gone():
    torch.manual_seed(0)
    teacher, labels_only, student = torch.randn(3, 60, 4).double().unbind()
    groups = torch.arange(60) % 3

    def gap(z, where):
        p, log_q = torch.softmax(teacher, -1)[where], torch.log_softmax(z, -1)[where]
        return (p * (p.log() - log_q)).sum(-1).mean()

    every = torch.ones(60).bool()
    expected = 1 - gap(student, every) / gap(labels_only, every)
    assert knowledge_moved(student, labels_only, teacher).item() == pytest.approx(expected.item())
    assert knowledge_moved(teacher, labels_only, teacher).item() == pytest.approx(1)
    assert knowledge_moved(labels_only, labels_only, teacher).item() == pytest.approx(0)
    parts = knowledge_moved(student, labels_only, teacher, groups)
    for g in range(3):
        where = groups == g
        assert parts[g].item() == pytest.approx(
            (1 - gap(student, where) / gap(labels_only, where)).item()
        )
    assert parts.shape == (3,)
    gaps = knowledge_moved(student, labels_only, teacher, 2 * groups)
    assert torch.equal(gaps[::2], parts)
    assert gaps[1::2].isnan().all()
    rounded = knowledge_moved(*(z.float() for z in (student, labels_only, teacher)))
    assert rounded.dtype == torch.float64
    assert rounded.item() == pytest.approx(expected.item(), rel=1e-6)
    with pytest.raises(ValueError, match=r"\(60, 4\).*\(60, 3\)|\(60, 3\).*\(60, 4\)"):
        knowledge_moved(student, labels_only, teacher[:, :3])
    with pytest.raises(ValueError, match="groups"):
        knowledge_moved(student, labels_only, teacher, groups[:5])
