"""Attacks: against steps written out, inside of the ball and the box, and without traces."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tinykd
from tinykd import MLP, cross_entropy, fgsm, into_ball, pgd, random_search, withstands
from tinykd.robust import margin


def net_and_inputs(seed=0, samples=6, inputs=8, classes=3):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, classes)).double().eval()
    x = (torch.rand(samples, inputs).double() * 1.6 - 0.3).clamp(0, 1)
    return net, x, torch.randint(classes, (samples,))


def by_hand(net, x, y, eps, rate, steps, start):
    """One sample at a time, one number at a time, the gradient by central differences."""
    found = []
    for one, label, first in zip(x, y, start, strict=True):

        def loss(z, label=label):
            return F.cross_entropy(net(z.unsqueeze(0)), label.unsqueeze(0)).item()

        def nearest(value, centre):
            return min(max(min(max(value, centre - eps), centre + eps), 0.0), 1.0)

        z = torch.tensor([nearest(float(a + b), float(a)) for a, b in zip(one, first, strict=True)])
        z = z.double()
        for _ in range(steps):
            slopes = []
            for i in range(len(z)):
                step = torch.zeros_like(z)
                step[i] = 1e-5
                slopes.append(loss(z + step) - loss(z - step))
            z = torch.tensor(
                [nearest(float(v) + rate * math.copysign(1, s), float(c))
                 for v, s, c in zip(z, slopes, one, strict=True)]
            ).double()  # fmt: skip
        found.append(z)
    return torch.stack(found)


@pytest.mark.parametrize(("eps", "rate", "steps"), [(0.1, 0.3, 1), (0.3, 0.05, 5), (0.2, 0.1, 7)])
def test_pgd_is_the_steps_written_out(eps, rate, steps):
    net, x, y = net_and_inputs()
    start = (torch.rand_like(x) * 2 - 1) * eps
    moved = pgd(net, x, lambda z: cross_entropy(z, y), eps, steps, rate, start)
    torch.testing.assert_close(moved, by_hand(net, x, y, eps, rate, steps, start))


@pytest.mark.parametrize("steps", [1, 4])
def test_steps_are_so_long_that_they_can_cross_the_ball(steps):
    """Left out, the rate is 2.5 eps / steps; and none are no attack."""
    net, x, y = net_and_inputs()
    start = (torch.rand_like(x) * 2 - 1) * 0.2
    moved = pgd(net, x, lambda z: cross_entropy(z, y), 0.2, steps, start=start)
    rate = 2.5 * 0.2 / steps
    torch.testing.assert_close(moved, by_hand(net, x, y, 0.2, rate, steps, start))
    still = pgd(net, x, lambda z: cross_entropy(z, y), 0.2, 0, start=start.requires_grad_())
    assert torch.equal(still, into_ball(x + start, x, 0.2))
    assert not still.requires_grad


def test_fgsm_is_one_step_from_the_input_itself():
    net, x, y = net_and_inputs()
    expected = by_hand(net, x, y, 0.2, 0.2, 1, torch.zeros_like(x))
    torch.testing.assert_close(fgsm(net, x, y, 0.2), expected)


def test_into_ball_is_the_nearest_point():
    x, moved = torch.tensor([0.05, 0.5, 0.95, 0.5]), torch.tensor([-1.0, 0.9, 2.0, 0.55])
    torch.testing.assert_close(into_ball(moved, x, 0.1), torch.tensor([0.0, 0.6, 1.0, 0.55]))


def test_attacks_stay_in_the_ball_and_raise_the_loss():
    net, x, y = net_and_inputs(samples=50)
    torch.manual_seed(1)
    for moved in (
        pgd(net, x, lambda z: cross_entropy(z, y), 0.1),
        fgsm(net, x, y, 0.1),
        random_search(net, x, y, 0.1, tries=50),
    ):
        assert (moved - x).abs().max() <= 0.1 + 1e-12
        assert moved.min() >= 0
        assert moved.max() <= 1
        assert not moved.requires_grad
        assert cross_entropy(net(moved), y).mean() > cross_entropy(net(x), y).mean() + 0.02


def test_an_attack_leaves_no_trace():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(), nn.ReLU(),
                        nn.Linear(5, 3)).train()  # fmt: skip
    net[3].eval()
    before = {name: x.clone() for name, x in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    x, y = torch.rand(7, 2, 2), torch.randint(3, (7,))
    kept = x.clone()
    attacks = [lambda m, x, y: fgsm(m, x, y, 0.1), lambda m, x, y: random_search(m, x, y, 0.1, 5)]
    withstands(net, x, y, [*attacks, lambda m, x, y: pgd(m, x, lambda z: -z[:, 0], 0.1, 3)])
    assert all(p.grad is None for p in net.parameters())
    assert modes == [module.training for module in net.modules()]
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    torch.testing.assert_close(x, kept, rtol=0, atol=0)


def test_pgd_works_where_gradients_are_off():
    net, x, y = net_and_inputs()
    start = torch.zeros_like(x)
    with torch.no_grad():
        off = pgd(net, x, lambda z: cross_entropy(z, y), 0.1, 3, start=start)
    torch.testing.assert_close(off, pgd(net, x, lambda z: cross_entropy(z, y), 0.1, 3, start=start))


def test_random_search_needs_no_gradient():
    """A net behind rounding has no gradient: PGD stands still, a search does not."""
    torch.manual_seed(0)
    inner = MLP(8, 20, 3).eval()

    class Rounded(nn.Module):
        def forward(self, x):
            return inner((x * 20).round() / 20)

    net, x = Rounded(), torch.rand(200, 8)
    y = net(x).argmax(1)
    blind = pgd(net, x, lambda z: cross_entropy(z, y), 0.2, 10, start=torch.zeros_like(x))
    assert torch.equal(blind, x)
    found = withstands(net, x, y, [lambda m, x, y: random_search(m, x, y, 0.2, 100)])
    assert found.double().mean() < 0.6


def test_margin_is_the_lead_of_the_right_class():
    z = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, -1.0]])
    torch.testing.assert_close(margin(z, torch.tensor([0, 2])), torch.tensor([1.0, -6.0]))


def test_withstands_asks_for_every_attack_and_for_the_clean_input():
    net = nn.Identity()
    x, y = torch.eye(4), torch.tensor([0, 1, 2, 0])  # the last one is wrong to begin with

    def turns(i):
        def attack(model, x, labels):
            moved = x.clone()
            moved[i] = moved[i].roll(1)
            moved[3] = x[0]  # right, by chance
            return moved

        return attack

    assert withstands(net, x, y).tolist() == [True, True, True, False]
    assert withstands(net, x, y, [turns(0), turns(2)]).tolist() == [False, True, False, False]


def test_what_is_no_picture_is_refused():
    net, x, y = net_and_inputs()
    with pytest.raises(ValueError, match=r"inside of \[0, 1\]"):
        fgsm(net, 2 * x, y, 0.1)
    with pytest.raises(ValueError, match="0 or more"):
        pgd(net, x, lambda z: z[:, 0], -0.1)
    with pytest.raises(ValueError, match="steps=-1"):
        pgd(net, x, lambda z: z[:, 0], 0.1, -1)
    with pytest.raises(ValueError, match=r"these lie in \[-0\.5, "):
        random_search(net, x.clone().index_fill_(0, torch.tensor(0), -0.5), y, 0.1)


class Fixed:
    """A teacher that notes what it is asked about."""

    def __init__(self, model):
        self.model, self.asked = model, []

    def to(self, device):
        pass

    def targets(self, batch, layers):
        self.asked.append(batch["inputs"])
        with torch.no_grad():
            return tinykd.Targets(self.model(batch["inputs"]), {})


def test_adversarial_training_is_the_loss_at_the_worst_input():
    """The term is the cross-entropy at PGD's input, and its gradient that of the student there."""
    torch.manual_seed(0)
    student, x, y = MLP(6, 8, 3).double(), torch.rand(5, 6).double(), torch.randint(3, (5,))
    term = tinykd.Adversarial(tinykd.HardLabels(), student, eps=0.2, steps=4, rate=0.1)
    out = tinykd.Outputs({"inputs": x, "labels": y}, student(x))
    torch.manual_seed(7)
    found = term.per_position(out)
    torch.manual_seed(7)
    moved = pgd(student, x, lambda z: cross_entropy(z, y), 0.2, 4, 0.1)
    expected = F.cross_entropy(student(moved), y, reduction="none")
    torch.testing.assert_close(found, expected)
    slopes = [torch.autograd.grad(v.sum(), list(student.parameters())) for v in (found, expected)]
    for ours, theirs in zip(*slopes, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_robust_soft_targets_ask_the_teacher_about_the_clean_input():
    torch.manual_seed(0)
    student, teacher, x = MLP(6, 8, 3), Fixed(MLP(6, 8, 3).eval()), torch.rand(10, 6)
    soft = tinykd.SoftTargets(T=1)
    objective = 5 / 6 * tinykd.Adversarial(soft, student, 0.1) + 1 / 6 * soft
    before = [p.clone() for p in student.parameters()]
    trainer = tinykd.Trainer(student, objective, teacher, progress=False, device="cpu")
    trainer.fit([{"inputs": x, "index": torch.arange(10)}])
    assert all(torch.equal(asked, x) for asked in teacher.asked)
    assert all((a != b).any() for a, b in zip(before, student.parameters(), strict=True))


def test_adversarial_training_makes_a_net_that_stands_firmer():
    torch.manual_seed(0)
    y = torch.randint(2, (400,))
    x = torch.rand(400, 10)
    x[:, 0] = 0.25 + 0.5 * y  # firm, and a bit of it in all the others
    x[:, 1:] = (x[:, 1:] + 0.05 * (2 * y - 1).unsqueeze(1)).clamp(0, 1)
    left = []
    for hard in (lambda m: 1.0 * tinykd.HardLabels(),
                 lambda m: 1.0 * tinykd.Adversarial(tinykd.HardLabels(), m, 0.1, 3)):  # fmt: skip
        torch.manual_seed(1)
        net = MLP(10, 2)
        adam = lambda ps: torch.optim.Adam(ps, 5e-2)  # noqa: E731
        tinykd.Trainer(net, hard(net), optimizer=adam, progress=False, device="cpu").fit(
            tinykd.Batches(x, y, size=50), epochs=10
        )
        left.append(withstands(net, x, y, [lambda m, x, y: fgsm(m, x, y, 0.1)]).double().mean())
    assert left[1] >= left[0]
    assert left[1] > 0.9
