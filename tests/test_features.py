"""Losses on activations: values against float64 loops, gradients against finite differences."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from tinykd import MLP, HardLabels, Hint, Jacobian, Outputs, Trainer, features, input_gradient

B, C, D, P = 5, 3, 4, 6


def huber(x):
    return 0.5 * x**2 if abs(x) < 1 else abs(x) - 0.5


def unit(x):
    return x / np.linalg.norm(x)


def oracle_hint(s, t):
    return [np.mean((s[i] - t[i]) ** 2) for i in range(B)]


def oracle_attention_transfer(s, t):
    return [sum((unit((s[i] ** 2).sum(0)) - unit((t[i] ** 2).sum(0))) ** 2) for i in range(B)]


def oracle_neuron_selectivity(s, t):
    def mean_kernel(a, b):
        return np.mean([[(unit(x) @ unit(y)) ** 2 for y in b] for x in a])

    return [
        mean_kernel(t[i], t[i]) + mean_kernel(s[i], s[i]) - 2 * mean_kernel(s[i], t[i])
        for i in range(B)
    ]


def oracle_relational_distances(s, t):
    def relative(x):
        d = {(i, j): np.linalg.norm(x[i] - x[j]) for i in range(B) for j in range(B) if i != j}
        mean = np.mean(list(d.values()))
        return {pair: value / mean for pair, value in d.items()}

    ours, theirs = relative(s), relative(t)
    return [
        np.mean([huber(ours[i, j] - theirs[i, j]) for j in range(B) if j != i]) for i in range(B)
    ]


def oracle_relational_angles(s, t):
    def cosine(x, i, j, k):
        return unit((x[i] - x[j]).ravel()) @ unit((x[k] - x[j]).ravel())

    return [
        np.mean(
            [
                huber(cosine(s, i, j, k) - cosine(t, i, j, k))
                for i in range(B)
                for k in range(B)
                if len({i, j, k}) == 3
            ]
        )
        for j in range(B)
    ]


def oracle_similarity_preserving(s, t):
    def rows(x):
        return [unit([x[i].ravel() @ x[j].ravel() for j in range(B)]) for i in range(B)]

    return [np.sum((a - b) ** 2) / B for a, b in zip(rows(s), rows(t), strict=True)]


def oracle_contrastive(s, t):
    z = np.array([[unit(a) @ unit(b) / 0.07 for b in t] for a in s])
    return [math.log(sum(math.exp(x) for x in row)) - row[i] for i, row in enumerate(z)]


def oracle_jacobian(s, t):
    return [np.sum((unit(s[i].ravel()) - unit(t[i].ravel())) ** 2) for i in range(B)]


# name: (shape of the student, shape of the teacher)
SHAPES = {
    "hint": ((B, C, P), (B, C, P)),
    "attention_transfer": ((B, C, P), (B, D, P)),
    "neuron_selectivity": ((B, C, P), (B, D, P)),
    "relational_distances": ((B, C), (B, D, P)),
    "relational_angles": ((B, C), (B, D, P)),
    "similarity_preserving": ((B, C), (B, D, P)),
    "contrastive": ((B, D), (B, D)),
    "jacobian": ((B, C, P), (B, C, P)),
}
COUPLED = {n for n in SHAPES if getattr(getattr(features, n), "couples_samples", False)}


def pair(name, seed=0):
    rng = np.random.default_rng(seed)
    return [torch.tensor(rng.normal(size=shape), requires_grad=True) for shape in SHAPES[name]]


@pytest.mark.parametrize("name", SHAPES)
def test_values_are_those_of_the_formula(name):
    s, t = pair(name)
    value = getattr(features, name)(s, t)
    expected = globals()[f"oracle_{name}"](s.detach().numpy(), t.detach().numpy())
    assert value.shape == (B,)
    np.testing.assert_allclose(value.detach().numpy(), expected, rtol=1e-10)
    half = getattr(features, name)(s.half(), t.half())
    assert half.dtype == torch.float32


@pytest.mark.parametrize("name", SHAPES)
def test_gradients_are_finite_differences_and_the_teacher_gets_none(name):
    s, t = pair(name)
    loss = getattr(features, name)
    weights = torch.linspace(0.5, 1.5, B, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: (loss(x, t) * weights).sum(), s)
    (loss(s, t) * weights).sum().backward()
    assert t.grad is None


@pytest.mark.parametrize("name", [n for n in SHAPES if n != "contrastive"])
def test_nothing_is_left_to_learn_where_both_agree(name):
    t = pair(name)[1]
    s = t.detach().clone().requires_grad_()
    value = getattr(features, name)(s, t)
    value.sum().backward()
    torch.testing.assert_close(value, torch.zeros_like(value))
    torch.testing.assert_close(s.grad, torch.zeros_like(s))


@pytest.mark.parametrize("name", ["relational_distances", "relational_angles"])
def test_relations_have_no_scale_and_survive_twins(name):
    s, t = pair(name)
    loss = getattr(features, name)
    torch.testing.assert_close(loss(7 * s + 3, t), loss(s, t))
    with torch.no_grad():
        s[1], t[1] = s[0], t[0]
    loss(s, t).sum().backward()
    assert s.grad.isfinite().all()
    assert loss(s[:1], t[:1]).tolist() == [0.0]


def test_what_changes_nothing_changes_nothing():
    s, t = pair("attention_transfer")
    torch.testing.assert_close(
        features.attention_transfer(3 * s, t), features.attention_transfer(s, t)
    )
    shuffled = s[:, [2, 0, 1]]
    torch.testing.assert_close(
        features.neuron_selectivity(shuffled, t), features.neuron_selectivity(s, t)
    )
    silent = torch.zeros_like(s, requires_grad=True)  # a layer whose units are all dead
    for loss in (features.attention_transfer, features.neuron_selectivity):
        loss(silent, t).sum().backward()
    assert silent.grad.isfinite().all()


def test_the_ones_that_couple_samples_say_so():
    for name in SHAPES:
        s, t = pair(name)
        loss = getattr(features, name)
        alone = torch.cat([loss(s[i : i + 1], t[i : i + 1]) for i in range(B)])
        assert torch.allclose(alone, loss(s, t)) == (name not in COUPLED), name
    with pytest.raises(ValueError, match="couple"):
        Trainer(
            MLP(3, 4, 2),
            Hint("layers.0", "layers.0", loss=features.relational_angles),
            teacher=MLP(3, 4, 2),
            accumulate=2,
        )


@pytest.mark.parametrize(
    ("name", "student", "teacher", "words"),
    [
        ("hint", (2, 3), (2, 4), r"\(2, 3\).*\(2, 4\)"),
        ("attention_transfer", (2, 3, 4), (2, 3, 5), r"\(2, 3, 4\).*\(2, 3, 5\)"),
        ("attention_transfer", (2, 3), (2, 3), "places"),
        ("neuron_selectivity", (2, 3, 4), (2, 3, 5), "places"),
        ("relational_distances", (2, 3), (3, 3), "2 samples"),
        ("relational_angles", (2, 3), (3, 3), "2 samples"),
        ("similarity_preserving", (2, 3), (3, 3), "2 samples"),
        ("contrastive", (2, 3), (2, 4), r"\(2, 3\).*\(2, 4\)"),
        ("contrastive", (2, 3, 4), (2, 3, 4), "flatten"),
        ("jacobian", (2, 3), (2, 4), "same inputs"),
    ],
)
def test_shapes_that_do_not_fit_are_named(name, student, teacher, words):
    with pytest.raises(ValueError, match=words):
        getattr(features, name)(torch.randn(student), torch.randn(teacher))


def test_contrastive_refuses_a_temperature_of_zero():
    with pytest.raises(ValueError, match="tau"):
        features.contrastive(torch.randn(2, 3), torch.randn(2, 3), tau=0)


@pytest.mark.parametrize(
    "loss", [features.hint, features.relational_angles, features.similarity_preserving]
)
def test_a_masked_sample_is_no_batch_mate(loss):
    """Whatever stands in it, NaN included, the others are matched as if it were not there."""
    torch.manual_seed(0)
    term = Hint("a", "a", nn.Linear(4, 4), loss=loss)
    s, t, mask = torch.randn(6, 4), torch.randn(6, 4), torch.tensor([1, 1, 0, 1, 0, 1]).bool()
    s[2], t[4] = torch.nan, torch.nan
    out = Outputs({"inputs": s, "mask": mask}, s, t, {"a": s}, {"a": t})
    values = term.per_position(out)
    torch.testing.assert_close(values[mask], loss(term.regressor(s[mask]), t[mask]))
    values[mask].sum().backward()
    assert term.regressor.weight.grad.isfinite().all()


def test_an_input_gradient_is_that_of_the_formula():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))
    x, classes = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    found = input_gradient(net, x, classes)
    assert net[1].training
    net.eval()
    for i in range(6):
        one = x[i : i + 1].clone().requires_grad_()
        net(one)[0, classes[i]].backward()
        torch.testing.assert_close(found[i], one.grad[0])


def test_a_jacobian_asks_both_in_eval_mode_and_gives_their_modes_back():
    """Whatever dropout would do to the favourite class, or to the gradients."""
    torch.manual_seed(0)
    student, teacher = (MLP(4, 64, 3, dropout=0.5) for _ in range(2))
    x, term = torch.randn(50, 4), Jacobian(student, teacher)
    out = Outputs({"inputs": x}, student(x))
    student.train()
    teacher.train()
    found = term.per_position(out)
    assert student.training
    assert teacher.training
    classes = teacher.eval()(x).argmax(-1)
    expected = features.jacobian(*(input_gradient(net, x, classes) for net in (student, teacher)))
    torch.testing.assert_close(found, expected)


def test_jacobians_are_matched_by_training():
    """The student comes closer, the teacher stays what it is, gradients are finite differences."""
    torch.manual_seed(0)
    teacher, student = (MLP(3, 8, 4).double() for _ in range(2))
    before = [p.clone() for p in teacher.parameters()]
    x = torch.randn(32, 3, dtype=torch.float64)
    term = Jacobian(student, teacher)
    assert not list(term.parameters())
    out = Outputs({"inputs": x}, student(x))
    weight = student.layers[0].weight

    def loss():
        return term.per_position(out).mean()

    (slope,) = torch.autograd.grad(loss(), weight)
    with torch.no_grad():
        weight[1, 2] += 1e-6
        up = loss()
        weight[1, 2] -= 2e-6
        down = loss()
        weight[1, 2] += 1e-6
    assert slope[1, 2].item() == pytest.approx(((up - down) / 2e-6).item(), rel=1e-4)
    start = loss().item()
    batches = [(x, torch.zeros(32).long())]
    Trainer(student, term + 0.0 * HardLabels(), progress=False, device="cpu").fit(
        batches, epochs=200
    )
    assert loss().item() < 0.5 * start
    assert all(torch.equal(a, b) for a, b in zip(before, teacher.parameters(), strict=True))
    assert all(p.grad is None for p in teacher.parameters())
