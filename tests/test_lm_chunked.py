"""Losses over a linear head in chunks: the dense path is the oracle, value and gradient."""

import functools

import pytest
import torch
from torch.nn import functional as F

from tinykd import (
    HardLabels,
    Hint,
    SoftTargets,
    Trainer,
    cross_entropy,
    forward_kl,
    jsd,
    reverse_kl,
)
from tinykd.lm import Config, SequenceBatches, Transformer
from tinykd.lm.chunked import Chunked, Headless, LazyLogits, chunked
from tinykd.lm.topk import top_k, topk_kl
from tinykd.objective import as_objective
from tinykd.outputs import Outputs

N, D, V = 11, 6, 17


def make(dtype=torch.float64):
    hidden = torch.randn(N, D, dtype=dtype, requires_grad=True)
    weight = torch.randn(V, D, dtype=dtype, requires_grad=True)
    return LazyLogits(hidden, weight)


def gradients(head, value):
    return torch.autograd.grad(value, tuple(head))


LOSSES = {
    "cross entropy": lambda s, t, y: cross_entropy(s, y),
    "forward": lambda s, t, y: forward_kl(s, t, 2.0),
    "reverse": lambda s, t, y: reverse_kl(s, t, 2.0),
    "jsd": lambda s, t, y: jsd(s, t, 2.0),
    "mixed": lambda s, t, y: 0.9 * forward_kl(s, t, 2.0) + 0.1 * cross_entropy(s, y),
}


@pytest.mark.parametrize("size", [1, 3, 4, 10, 11, 12, 100])
@pytest.mark.parametrize("name", LOSSES)
def test_values_and_gradients_are_the_dense_ones(name, size):
    """Pitfall 16: odd sizes, a chunk of one, one chunk of all; every position weighed anew."""
    student, teacher, labels = make(), make(), torch.randint(V, (N,))
    labels[2] = -100
    weigh = torch.randn(N, dtype=torch.float64)  # what comes from above need not be uniform
    dense = LOSSES[name](F.linear(*student), F.linear(*teacher), labels)
    ours = chunked(LOSSES[name], student, teacher, labels, size=size)
    torch.testing.assert_close(ours, dense)
    torch.testing.assert_close(
        gradients(student, (ours * weigh).sum()), gradients(student, (dense * weigh).sum())
    )


def test_gradients_agree_with_finite_differences():
    student, labels = make(), torch.randint(V, (N,))
    assert torch.autograd.gradcheck(
        lambda *head: chunked(cross_entropy, LazyLogits(*head), labels, size=4), tuple(student)
    )


def test_the_teacher_is_a_constant_and_padding_weighs_nothing():
    """Pitfalls 7, 12: no gradient into the teacher, none from positions left out."""
    student, teacher = make(), make()
    value = chunked(forward_kl, student, teacher, size=3)
    (value * (torch.arange(N) < 5)).sum().backward()
    assert teacher.hidden.grad is None
    assert teacher.weight.grad is None
    assert (student.hidden.grad[5:] == 0).all()
    assert (student.hidden.grad[:5] != 0).any(1).all()


def test_half_precision_logits_float32_losses():
    """Pitfall 9: bf16 hidden states: the loss is float32, the weight's gradient within 2%."""
    exact = make(torch.float32)
    half = LazyLogits(exact.hidden.detach().bfloat16().requires_grad_(), exact.weight)
    labels = torch.randint(V, (N,))
    dense = cross_entropy(F.linear(half.hidden, half.weight.bfloat16()), labels)
    ours = chunked(cross_entropy, half, labels, size=4)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, dense)
    a, b = gradients(half, ours.sum()), gradients(half, dense.sum())
    assert [x.dtype for x in a] == [torch.bfloat16, torch.float32]
    assert (a[1] - b[1]).norm() < 0.02 * b[1].norm()
    torch.testing.assert_close(a[0], b[0], rtol=0.02, atol=0.02)


def examples():
    dice = torch.Generator().manual_seed(0)
    sizes = torch.randint(1, 6, (8, 2), generator=dice).tolist()
    return [tuple(torch.randint(V, (n,), generator=dice).tolist() for n in pair) for pair in sizes]


def model(seed, layers=1):
    torch.manual_seed(seed)
    return Transformer(Config(V, 16, layers, heads=2))


def trained(objective, wrap, teacher, precision="float32"):
    student = model(1)
    records = Trainer(
        wrap(student),
        objective,
        teacher,
        lambda ps: torch.optim.SGD(ps, 0.1),
        device="cpu",
        precision=precision,
        accumulate=2,
        progress=False,
    ).fit(SequenceBatches(examples(), size=3), epochs=2)
    losses = [{k: v for k, v in r.items() if k != "seconds"} for r in records]
    return losses, list(student.state_dict().values())


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_training_run_is_the_dense_one(size):
    """Pitfalls 15, 16: through Trainer, two terms, accumulation: same records, same weights."""
    objective = 0.9 * SoftTargets(T=2) + 0.1 * HardLabels()
    dense = trained(objective, lambda x: x, model(2, 2))
    ours = trained(Chunked(objective, size), Headless, Headless(model(2, 2)))
    torch.testing.assert_close(ours, dense, rtol=1e-4, atol=1e-6)


def test_autocast_is_that_of_the_dense_path():
    objective = 0.5 * SoftTargets(T=2) + 0.5 * HardLabels()
    dense = trained(objective, lambda x: x, model(2), "bf16")
    ours = trained(Chunked(objective, 4), Headless, Headless(model(2)), "bf16")
    assert ours[0][-1]["loss"] == pytest.approx(dense[0][-1]["loss"], rel=0.01)


def test_topk_targets_and_masks_go_through_it():
    """Pitfalls 12, 17: TopK is cut with its positions; a mask removes them."""
    student, teacher = make(), torch.randn(N, V, dtype=torch.float64)
    targets, mask = top_k(teacher, 3, 2.0), torch.arange(N) % 3 > 0
    out = Outputs({"mask": mask}, student, targets)
    term = SoftTargets(T=2.0, divergence=topk_kl)
    dense = topk_kl(F.linear(*student), targets, 2.0)[mask].sum()
    torch.testing.assert_close(Chunked(term, 4).sums(out), dense[None])
    flat = Outputs({"mask": mask}, F.linear(*student), targets)
    torch.testing.assert_close(as_objective(term).sums(flat), dense[None])


def test_sums_and_multiples_stay_chunked():
    """Whichever side it stands on, with the weights where they belong."""
    head, labels = make(), torch.randint(V, (N,))
    out = Outputs({"labels": labels}, head, make())
    soft, hard = SoftTargets(T=2.0), HardLabels()
    wanted = Chunked(0.9 * soft + 0.1 * hard, 4)
    for made in (
        Chunked(0.9 * soft, 4) + 0.1 * hard,
        0.9 * soft + 0.1 * Chunked(hard, 4),
        0.5 * (Chunked(1.8 * soft, 4) + 0.2 * hard),
    ):
        assert isinstance(made, Chunked)
        assert made.weights_at(0.0) == pytest.approx([0.9, 0.1])
        torch.testing.assert_close(made.sums(out), wanted.sums(out))


def test_wrong_input_is_named():
    head = make()
    cases = [
        (lambda: chunked(cross_entropy, head, torch.zeros(N + 1), size=4), "11 positions.* 12"),
        (lambda: chunked(cross_entropy, head, size=0), "got 0"),
        (lambda: Chunked(HardLabels(), size=0), "got 0"),
        (lambda: Chunked(HardLabels() + Hint("norm", "norm")), "norm"),
        (
            lambda: Chunked(HardLabels()).sums(
                Outputs({"labels": torch.zeros(N)}, F.linear(*head))
            ),
            "Headless",
        ),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()


@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize("factor", [1.0, -0.3])
def test_a_gradient_made_at_once_is_the_dense_one(size, factor):
    """Pitfall 16: two terms of unlike counts, a loss that is multiplied afterwards."""
    student, teacher, labels = make(), make(), torch.randint(V, (N,))
    labels[2] = 3
    objective = 0.9 * SoftTargets(T=2) + 0.1 * HardLabels(ignore_index=3)
    out = Outputs({"labels": labels}, F.linear(*student), F.linear(*teacher))
    dense = factor * objective(out)
    lazy = Outputs({"labels": labels}, student, teacher)
    ours = factor * Chunked(objective, size)(lazy)
    torch.testing.assert_close(ours, dense)
    torch.testing.assert_close(gradients(student, ours), gradients(student, dense))
    out.student = F.linear(*student)
    sums = Chunked(objective, size).sums(Outputs({"labels": labels}, student, teacher))
    expected = objective.sums(out)
    torch.testing.assert_close(sums, expected)  # no scale is known: any will do
    weigh = torch.tensor([3.0, -1.0], dtype=torch.float64)
    a, b = (gradients(student, x @ weigh) for x in (sums, expected))
    torch.testing.assert_close(a, b)
    lazy.scale = torch.tensor([0.1, 0.2])
    with pytest.raises(ValueError, match="times"):
        gradients(student, Chunked(objective, size).sums(lazy) @ weigh)


def test_a_frozen_head_gets_no_gradient():
    student, labels = make(), torch.randint(V, (N,))
    head = LazyLogits(student.hidden, student.weight.detach())
    Chunked(HardLabels(), 4)(Outputs({"labels": labels}, head)).backward()
    expected = F.cross_entropy(F.linear(*head), labels)
    torch.testing.assert_close(head.hidden.grad, gradients(student[:1], expected)[0])


def test_compiled_chunks_are_one_graph_and_give_the_same(monkeypatch):
    """A whole chunk is traced once, not once a step, and never breaks off; the last one is odd."""
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    whole = functools.partial(torch.compile, backend=backend, fullgraph=True)
    monkeypatch.setattr(torch, "compile", whole)
    objective = 0.9 * SoftTargets(T=2) + 0.1 * HardLabels()
    compiled, plain = Chunked(objective, 8, compile=True), Chunked(objective, 8)
    for rows, progress in [(20, 0.1), (21, 0.2), (22, 0.3), (23, 0.4), (30, 0.5)]:
        hidden = torch.randn(rows, D, requires_grad=True)
        student = LazyLogits(hidden, torch.randn(V, D, requires_grad=True))
        teacher = LazyLogits(torch.randn(rows, D), torch.randn(V, D))
        labels = torch.randint(V, (rows,))
        labels[3] = -100
        out = Outputs({"labels": labels}, student, teacher, progress=progress)
        a, b = compiled(out), plain(out)
        torch.testing.assert_close(a, b)
        torch.testing.assert_close(gradients(student, a), gradients(student, b))
        if rows == 21:
            known = len(graphs)
    assert len(graphs) == known <= 3
