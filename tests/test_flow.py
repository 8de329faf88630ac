"""Flow matching, Euler's steps, guidance, the targets of fewer steps: against loops in float64."""

import copy

import pytest
import torch
from torch import nn

import tinykd
from tinykd import MLP, MovingAverage, Trainer
from tinykd.flow import (
    Consistency,
    FlowBatches,
    FlowMatching,
    FlowNet,
    Guided,
    Judge,
    MatchVelocity,
    TwoIntoOne,
    consistency_target,
    euler,
    flow_matching,
    guided,
    halving,
    on_the_line,
    small_digits,
    two_into_one,
)


class Wind(nn.Module):
    """tanh(x A + t b + c_y)."""

    def __init__(self, size=3, classes=4):
        super().__init__()
        shapes = (size, size), (1, size), (classes + 1, size)
        self.a, self.b, self.c = (nn.Parameter(torch.randn(s, dtype=torch.float64)) for s in shapes)

    def forward(self, x, t, y):
        assert t.shape == y.shape == x.shape[:1]
        return torch.tanh(x @ self.a + t.unsqueeze(1) * self.b + self.c[y])


@pytest.fixture
def wind():
    torch.manual_seed(0)
    return Wind()


def some(count=5, size=3):
    x = torch.randn(count, size, dtype=torch.float64)
    return x, torch.rand(count).double() * 0.5, torch.arange(count) % 4


def test_a_line_is_written_out():
    x0, t, _ = some()
    x1, velocity = torch.randn_like(x0), torch.randn_like(x0).requires_grad_()
    point, target = on_the_line(x0, x1, t)
    loss = flow_matching(velocity, target)
    slopes = torch.autograd.grad(loss.sum(), velocity)[0]
    for i in range(5):
        total = 0.0
        for d in range(3):
            assert point[i, d] == pytest.approx(float((1 - t[i]) * x0[i, d] + t[i] * x1[i, d]))
            difference = float(velocity.detach()[i, d] - (x1[i, d] - x0[i, d]))
            assert slopes[i, d] == pytest.approx(2 * difference / 3)
            total += difference**2 / 3
        assert loss[i].item() == pytest.approx(total)


def test_the_target_is_a_constant_and_halves_are_computed_whole():
    a, b = torch.randn(4, 6, requires_grad=True), torch.randn(4, 6, requires_grad=True)
    flow_matching(a, b).sum().backward()
    assert b.grad is None
    for x, y in ((a.bfloat16(), b), (a, b.bfloat16()), (a.bfloat16(), b.bfloat16())):
        found = flow_matching(x, y)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, flow_matching(x.double(), y.double()).float())


def test_euler_walks_and_leaves_the_noise(wind):
    x, _, y = some()
    before, place = x.clone(), x
    for n in range(4):
        place = place + 0.25 * wind(place, torch.full((5,), n / 4).double(), y)
    found = euler(wind, x, y, 4)
    torch.testing.assert_close(found, place.detach())
    assert not found.requires_grad
    assert torch.equal(x, before)
    with pytest.raises(ValueError, match="at least one"):
        euler(wind, x, y, 0)


def test_euler_gets_nearer_with_more_steps():
    """dx/dt = -x, whose end is x0 / e."""
    x = torch.ones(2, 3, dtype=torch.float64)
    errors = [
        float((euler(lambda x, t, y: -x, x, None, n) - x / torch.e).abs().max()) for n in (4, 8, 16)
    ]
    assert errors[0] > 1.8 * errors[1] > 3.2 * errors[2]


def test_guidance_is_a_line_through_both_velocities(wind):
    x, t, y = some()
    told, untold = wind(x, t, y), wind(x, t, torch.full_like(y, 4))
    for w in (0.0, 1.0, 2.5):
        found = guided(wind, x, t, y, w, nobody=4)
        torch.testing.assert_close(found, w * told + (1 - w) * untold)
        torch.testing.assert_close(Guided(wind, w, nobody=4)(x, t, y), found)


def test_one_step_lands_where_two_do(wind):
    x, t, y = some()
    h = 0.4
    near = x + h / 2 * wind(x, t, y)
    far = near + h / 2 * wind(near, t + h / 2, y)
    torch.testing.assert_close(x + h * two_into_one(wind, x, t, h, y), far)


def test_the_consistency_target_lands_where_the_neighbour_says(wind):
    torch.manual_seed(1)
    average, (x, t, y) = Wind(), some()
    h = 0.25
    found = consistency_target(wind, average, x, t, h, y)
    near = x + h * wind(x, t, y)
    end = near + (1 - t - h).unsqueeze(1) * average(near, t + h, y)
    torch.testing.assert_close(x + (1 - t).unsqueeze(1) * found, end)
    last = torch.full_like(t, 0.75)  # the end is the teacher's own, whatever the average says
    found = consistency_target(wind, average, x, last, h, y)
    torch.testing.assert_close(found, wind(x, last, y))
    with pytest.raises(ValueError, match="leave"):
        consistency_target(wind, average, x, last + 0.1, h, y)


def test_teachers_have_the_targets_and_no_gradient():
    torch.manual_seed(0)
    net, average = FlowNet(6, 16, classes=4), FlowNet(6, 16, classes=4)
    for module in (net, average):
        nn.init.normal_(module.leave.weight)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    batch = {"x": torch.randn(5, 6), "t": torch.tensor([0, 0.25, 0.5, 0.75, 0.0])}
    batch["y"] = torch.arange(5) % 4
    x, t, y = batch.values()
    for teacher, expected in (
        (TwoIntoOne(net, 4), two_into_one(net, x, t, 0.25, y)),
        (Consistency(net, average, 4), consistency_target(net, average, x, t, 0.25, y)),
    ):
        found = teacher.targets(batch, []).logits
        torch.testing.assert_close(found, expected.detach())
        assert not found.requires_grad
        assert isinstance(teacher, tinykd.Teacher)
        teacher.to(torch.device("meta"))  # all that it asks moves with it
        assert {p.device.type for p in net.parameters()} == {"meta"}
        net.to_empty(device="cpu").load_state_dict(state)
    assert {p.device.type for p in average.parameters()} == {"meta"}


def test_batches_are_lines_and_times_are_those_asked_for():
    torch.manual_seed(0)
    images, kinds = torch.randn(40, 6), torch.arange(40) % 4
    noise, times = torch.randn(40, 6), torch.tensor([0.0, 0.5])
    batches = FlowBatches(images, kinds, 20, noise=noise, times=times)
    seen = list(batches)
    assert len(seen) == 2
    for batch in seen:
        assert set(batch["t"].tolist()) == {0.0, 0.5}
        x1 = batch["x"] + (1 - batch["t"]).unsqueeze(1) * batch["labels"]
        rows = torch.cdist(x1, images).argmin(1)
        torch.testing.assert_close(x1, images[rows])
        torch.testing.assert_close(x1 - batch["labels"], noise[rows])
        assert torch.equal(batch["y"], kinds[rows])
    new = FlowBatches(images, kinds, 40, drop=0.5, nobody=4)
    first, second = next(iter(new)), next(iter(new))
    assert 5 < (first["y"] == 4).sum() < 35
    assert first["t"].unique().numel() > 30
    assert first["t"].min() >= 0
    assert first["t"].max() < 1
    assert not torch.equal(first["t"].sort()[0], second["t"].sort()[0])
    with pytest.raises(ValueError, match="noise"):
        FlowBatches(images, kinds, 20, noise=noise[:3])
    with pytest.raises(ValueError, match="share"):
        FlowBatches(images, kinds, 20, drop=2)


def test_terms_are_the_losses():
    torch.manual_seed(0)
    student, teacher, target = (torch.randn(5, 6) for _ in range(3))
    batch = {"t": torch.rand(5), "labels": target}
    out = tinykd.Outputs(batch, student, teacher)
    torch.testing.assert_close(FlowMatching().per_position(out), flow_matching(student, target))
    plain = MatchVelocity().per_position(out)
    torch.testing.assert_close(plain, flow_matching(student, teacher))
    weighted = MatchVelocity(lambda t: (1 - t) ** 2).per_position(out)
    torch.testing.assert_close(weighted, (1 - batch["t"]) ** 2 * plain)


def test_a_flow_learns_and_one_step_follows_it():
    """Four points on a circle, one a class: the flow finds them, and so does one step."""
    torch.manual_seed(0)
    angle = torch.arange(4) * torch.pi / 2
    points, kinds = torch.stack([angle.cos(), angle.sin()], 1).repeat(100, 1), torch.arange(400) % 4
    net = FlowNet(2, 32, 1, classes=4)
    adam = lambda ps: torch.optim.Adam(ps, 1e-2)  # noqa: E731
    how = {"optimizer": adam, "device": "cpu", "progress": False}
    batches = FlowBatches(points, kinds, 100, drop=0.1, nobody=4)
    history = Trainer(net, FlowMatching(), **how).fit(batches, epochs=30)
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    noise, y = torch.randn(200, 2), torch.arange(200) % 4
    walked = euler(net, noise, y, 8)
    assert (walked - points[:200]).norm(dim=1).mean() < 0.3
    student = copy.deepcopy(net)
    average = MovingAverage(student, 0.9)
    before = copy.deepcopy(net.state_dict())
    batches = FlowBatches(points, kinds, 100, times=torch.arange(4) / 4)
    Trainer(
        student, MatchVelocity(lambda t: (1 - t) ** 2), Consistency(net, average.model, 4),
        callbacks=[average], **how,
    ).fit(batches, epochs=5)  # fmt: skip
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert any(not torch.equal(before[k], v) for k, v in student.state_dict().items())
    assert (euler(student, noise, y, 1) - points[:200]).norm(dim=1).mean() < 0.4


def test_halving_goes_down_to_one_step():
    log = []

    def train(new, teacher, n):
        log.append((n, teacher))
        with torch.no_grad():
            new.weight += n

    student, teacher = nn.Linear(1, 1), nn.Linear(1, 1)
    start = student.weight.item()
    found = halving(student, teacher, 8, train)
    assert [n for n, _ in log] == [4, 2, 1] == list(found)
    assert [one for _, one in log] == [teacher, found[4], found[2]]
    assert [found[n].weight.item() - start for n in (4, 2, 1)] == pytest.approx([4, 6, 7])
    assert student.weight.item() == start
    assert list(halving(student, teacher, 2, train)) == [1]
    for steps in (1, 6):
        with pytest.raises(ValueError, match="power of 2"):
            halving(student, teacher, steps, train)


def test_a_net_is_its_formula():
    """h = W x + c, blocks h <- h + B relu(A h + c), relu, linear; c = time + class: one by one."""
    torch.manual_seed(0)
    net = FlowNet(6, 7, 2, classes=4).double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.4)
    x, t, y = torch.randn(5, 6).double(), torch.rand(5).double(), torch.tensor([0, 3, 4, 1, 1])
    found = net(x, t, y)
    for i in range(5):
        waves = [f(t[i] * k * torch.pi / 2) for f in (torch.sin, torch.cos) for k in range(1, 17)]
        c = net.time.weight @ torch.stack(waves) + net.time.bias + net.kind.weight[y[i]]
        h = net.enter.weight @ x[i] + net.enter.bias + c
        for a, b in zip(net.into, net.back, strict=True):
            h = h + b.weight @ (a.weight @ h + a.bias + c).relu() + b.bias
        torch.testing.assert_close(found[i], net.leave.weight @ h.relu() + net.leave.bias)
    assert net(x.float().double(), t.float(), y).dtype == torch.float64  # times of another type


def test_small_digits_are_means_of_squares_from_minus_one_to_one(monkeypatch):
    torch.manual_seed(0)
    images, labels = torch.rand(3, 28, 28), torch.tensor([4, 0, 9])
    asked = []
    monkeypatch.setattr(
        "tinykd.flow.digits.load_mnist", lambda split: asked.append(split) or (images, labels)
    )
    found, same = small_digits("test")
    assert asked == ["test"]
    assert found.shape == (3, 196)
    assert torch.equal(same, labels)
    for n, row, column in ((0, 0, 0), (1, 13, 2), (2, 5, 13)):
        square = images[n, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        assert found[n, 14 * row + column].item() == pytest.approx(2 * square.mean().item() - 1)


def test_a_net_tells_times_and_classes_apart_and_starts_at_zero():
    torch.manual_seed(0)
    net = FlowNet(6, 16, classes=4)
    x, t, y = torch.randn(5, 6), torch.rand(5), torch.arange(5)
    assert net(x, t, y).abs().max() == 0
    nn.init.normal_(net.leave.weight)
    one = net(x, t, y)
    assert (net(x, t + 0.1, y) - one).abs().max() > 1e-3
    assert (net(x, t, y.roll(1)) - one).abs().max() > 1e-3


def test_the_judge_looks_at_the_last_hidden_layer():
    torch.manual_seed(0)
    model, real = MLP(6, 8, 4, 3), torch.randn(50, 6)
    judge = Judge(model, real)
    cut = real.clamp(-1, 1)
    hidden = model.layers[1](model.layers[0](cut).relu()).relu()
    torch.testing.assert_close(judge.features(real), hidden.detach())
    assert judge.distance(real) == pytest.approx(0, abs=1e-6)
    assert judge.distance(real[:20] + 0.5) > 0
    with torch.no_grad():
        read = model(cut).argmax(1)
    assert judge.as_asked(real, read) == 1
    assert judge.as_asked(real, (read + 1) % 3) == 0
