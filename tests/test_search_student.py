"""What learns from a search: the net, the loss of its value, its batches; and a match with it."""

import math
import sys

import numpy as np
import pytest
import torch

from tinykd import HardLabels, Outputs, SoftLabels, Trainer
from tinykd.plots import COLORS
from tinykd.search import (
    BoardBatches,
    DotsAndBoxes,
    Match,
    Played,
    PolicyValueNet,
    Value,
    asked,
    board,
    learn,
    play_against,
    search,
)

GAME = DotsAndBoxes(2, 3)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return PolicyValueNet(GAME, 16)


@pytest.fixture
def positions():
    return np.random.default_rng(0).choice(GAME.full, 40, replace=False)


def shares(positions, seed=0):
    free = np.random.default_rng(seed).random((len(positions), 17)) * ~GAME.drawn(positions)
    return free / free.sum(-1, keepdims=True)


def test_drawn_edges_are_masked_classes(net, positions):
    drawn = torch.from_numpy(GAME.drawn(positions)).float()
    logits, v = net.both(drawn)
    assert torch.equal(torch.isneginf(logits), drawn.bool())
    assert torch.equal(logits, net(drawn))
    assert v.shape == (40,)
    p, value = asked(GAME, net)(positions)
    assert np.allclose(p.sum(-1), 1)
    assert (p[GAME.drawn(positions)] == 0).all()
    assert np.allclose(value, v.detach())


def test_the_body_sees_how_many_edges_each_box_has(net):
    """A first layer that looks at these counts alone tells boxes of three edges from others."""
    first = net.body[0]
    assert first.in_features == 17 + 5 * 6
    with torch.no_grad():
        first.weight.zero_()
        first.bias.zero_()
        first.weight[0, 17 + 5 * np.arange(6) + 3] = 1
    three = sum(1 << int(e) for e in GAME.box_edges[0][:3])
    drawn = torch.from_numpy(GAME.drawn(np.array([0, three, GAME.full]))).float()
    seen = []
    net.body[1].register_forward_hook(lambda layer, inputs, output: seen.append(output[:, 0]))
    net(drawn)
    assert seen[0].tolist() == [0, 1, 0]


def test_the_value_term_is_the_squared_error_in_value_and_gradient():
    rng = np.random.default_rng(0)
    v = torch.tensor(rng.normal(size=5), requires_grad=True)
    z = torch.tensor(rng.normal(size=5))
    batch = {"outcome": z, "mask": torch.tensor([True, True, False, True, True])}
    out = Outputs(batch=batch, student=torch.zeros(5, 3), student_layers={"value": v})
    loss = (1.0 * Value())(out)
    loss.backward()
    keep = [0, 1, 3, 4]
    errors = (v - z).detach()[keep].tolist()
    assert loss.item() == pytest.approx(sum(e**2 for e in errors) / 4, rel=1e-5)
    expected = [2 * e / 4 for e in errors]
    assert np.allclose(v.grad[keep], expected, rtol=1e-5)
    assert v.grad[2] == 0


def test_garbage_at_a_masked_position_reaches_nothing():
    v = torch.tensor([1.0, 2.0], requires_grad=True)
    batch = {"outcome": torch.tensor([0.0, math.nan]), "mask": torch.tensor([True, False])}
    out = Outputs(batch=batch, student=torch.zeros(2, 3), student_layers={"value": v})
    (1.0 * Value())(out).backward()
    assert v.grad.tolist() == [2, 0]


def test_values_of_another_shape_are_refused():
    out = Outputs(
        batch={"outcome": torch.zeros(4)},
        student=torch.zeros(4, 3),
        student_layers={"value": torch.zeros(4, 1)},
    )
    with pytest.raises(ValueError, match="shapes differ"):
        Value().per_position(out)


def test_one_step_is_that_of_a_loop_by_hand(net, positions):
    policy, outcome = shares(positions), np.random.default_rng(1).normal(size=40)
    drawn = torch.from_numpy(GAME.drawn(positions)).float()
    logits, v = net.both(drawn)
    y = torch.from_numpy(policy).float()
    log_q = torch.log_softmax(logits, -1).masked_fill(y == 0, 0)
    z = torch.tensor(outcome).float()
    loss = -(y * log_q).sum(-1).mean() + 0.1 * ((v - z) ** 2).mean()
    wanted = torch.autograd.grad(loss, list(net.parameters()))
    before = [p.detach().clone() for p in net.parameters()]
    batches = BoardBatches(GAME, positions, policy, outcome, size=40)
    sgd = lambda parameters: torch.optim.SGD(parameters, 1.0)  # noqa: E731
    objective = SoftLabels() + 0.1 * Value()
    Trainer(net, objective, optimizer=sgd, device="cpu", progress=False).fit(batches)
    for old, new, slope in zip(before, net.parameters(), wanted, strict=True):
        assert torch.allclose(old - slope, new, atol=1e-6)


def test_batches_keep_what_belongs_together(positions):
    policy, outcome = shares(positions), np.arange(40.0)
    batches = BoardBatches(GAME, positions, policy, outcome, size=16, seed=3)
    seen = []
    for batch in batches:
        for i, n in enumerate(batch["index"].tolist()):
            assert batch["outcome"][i] == n
            assert np.array_equal(batch["inputs"][i].bool(), GAME.drawn(positions[n]))
            assert np.allclose(batch["labels"][i], policy[n])
            seen.append(n)
    assert sorted(seen) == list(range(40))
    assert seen != list(range(40))
    other = BoardBatches(GAME, positions, policy, outcome, size=16, seed=4)
    assert torch.cat([batch["index"] for batch in other]).tolist() != seen
    assert other.settings() != batches.settings()
    hard = next(iter(BoardBatches(GAME, positions, policy.argmax(-1), outcome)))
    assert hard["labels"].dtype == torch.int64


@pytest.mark.parametrize("lengths", [(3, 2, 3), (3, 3, 2), (0, 0, 0)])
def test_unlike_lengths_are_refused(lengths):
    a, b, c = lengths
    with pytest.raises(ValueError, match="as many"):
        BoardBatches(GAME, np.arange(a), np.zeros(b, int), np.zeros(c))


def test_a_student_learns_what_it_is_told(positions):
    """Both kinds of targets are learned by heart, and so is the outcome; twice gives one net."""
    policy, outcome = shares(positions), np.random.default_rng(1).normal(size=40)
    played = Played(positions, policy, policy.argmax(-1), outcome)
    nets = [
        learn(GAME, played, told, terms + 0.1 * Value(), seed=1, epochs=300)
        for told, terms in ((policy, SoftLabels()), (played.moves, HardLabels()))
    ]
    for net in nets:
        p, v = asked(GAME, net)(positions)
        assert np.array_equal(p.argmax(-1), played.moves)
        assert np.abs(v - outcome).mean() < 0.1
    assert np.abs(asked(GAME, nets[0])(positions)[0] - policy).max() < 0.1
    twice = [learn(GAME, played, policy, SoftLabels() + Value(), seed=5, epochs=2) for _ in "ab"]
    assert all(map(torch.equal, twice[0].state_dict().values(), twice[1].state_dict().values()))
    still = learn(GAME, played, policy, SoftLabels(), seed=5, units=(8,), epochs=1, rate=0.0)
    torch.manual_seed(5)
    fresh = PolicyValueNet(GAME, 8)
    assert all(map(torch.equal, still.state_dict().values(), fresh.state_dict().values()))


def test_a_net_guides_a_search(net):
    found = search(GAME, np.array([0, 7]), asked(GAME, net), 20)
    assert (found.visits.sum(-1) == 20).all()


# --------------------------------------------------------------------------------------- a match


def first_free(position):
    return (~GAME.drawn(position)).astype(float)


def test_a_match_keeps_score_and_turns():
    """1 x 1 box: three edges complete nothing, so the fourth is the other's."""
    match = Match(DotsAndBoxes(1, 1), lambda s: np.array([0.1, 0.2, 0.3, 0.4]) * ~GAME.drawn(s)[:4])
    match.play(0)
    assert match.position == 0b1001
    match.play(1)
    assert match.over
    assert match.points == {"you": 0, "it": 1}
    assert match.owners == ["it"]
    assert "It wins" in repr(match)
    match.restart()
    assert (match.position, match.points["it"], match.over) == (0, 0, False)
    assert match.owners == [""]


def test_who_completes_a_box_moves_again():
    match = Match(GAME, first_free)
    for edge in GAME.box_edges[0][:3].tolist():
        match.position |= 1 << edge
    match.play(int(GAME.box_edges[0][3]))
    assert match.points == {"you": 1, "it": 0}
    assert "it drew" not in match.said


def nearly_over(*free):
    """A match of 1 x 2 boxes in which these edges alone are free; "it" draws the first of them."""
    game = DotsAndBoxes(1, 2)

    def policy(position):
        assert position != game.full, "nobody has a move there"
        return (~game.drawn(position)).astype(float)

    match = Match(game, policy)
    match.position = game.full - sum(1 << edge for edge in free)
    return match


def test_it_moves_again_after_a_box_and_every_box_keeps_its_owner():
    match = nearly_over(0, 4, 1)  # edges 0 and 4 are of the left box, edge 1 is of the right one
    match.play(4)
    assert match.said == "You drew 4; it drew 0, 1. It wins."
    assert (match.points, match.owners) == ({"you": 0, "it": 2}, ["it", "it"])
    match = nearly_over(0, 1)
    match.play(1)
    assert (match.points, match.owners) == ({"you": 1, "it": 0}, ["", "you"])
    match.play(0)
    assert match.said == "You drew 0. You win."
    assert "Boxes: you 2, it 0." in repr(match)
    match = nearly_over(0, 1)
    match.play(1)
    match._draw(0, "it")
    assert match.owners == ["it", "you"]
    match = nearly_over(0)
    match.points["it"] = 1
    assert match.play(0).said == "You drew 0. A draw."


def test_an_edge_that_is_not_free_changes_nothing():
    match = Match(GAME, first_free)
    match.play(3)
    before = match.position
    for edge in (3, -1, 17):
        match.play(edge)
        assert match.position == before
        assert match.said == f"Edge {edge} is not free."


def test_every_edge_has_a_button_that_draws_it(monkeypatch):
    widgets, shown = pytest.importorskip("ipywidgets"), []
    monkeypatch.setattr("IPython.display.display", shown.append)
    match = play_against(GAME, first_free)
    grid, said, hints, again = shown[0].children
    buttons = [cell for cell in grid.children if isinstance(cell, widgets.Button)]
    assert len(buttons) == 17
    numbers = {button.tooltip: button for button in buttons}
    hints.value = True
    assert numbers["edge 5"].description == "100"
    numbers["edge 5"].click()
    assert match.position == 1 << 5 | 1 << 0
    assert numbers["edge 5"].disabled
    assert "You drew 5" in said.value
    assert numbers["edge 5"].description == ""
    again.click()
    assert match.position == 0
    assert not numbers["edge 5"].disabled


def test_the_page_of_a_match_shows_whose_box_it_is(monkeypatch):
    pytest.importorskip("ipywidgets")
    shown, game = [], DotsAndBoxes(3, 2)

    def policy(position):
        assert position != game.full, "nobody has a move there"
        return (~game.drawn(position)).astype(float)

    monkeypatch.setattr("IPython.display.display", shown.append)
    match = play_against(game, policy)
    grid, said, hints, again = shown[0].children
    buttons = {cell.tooltip: cell for cell in grid.children if hasattr(cell, "tooltip")}
    hints.value = True
    lowest_on_the_right = 5 * 5 + 3  # of 7 rows of 5
    match.position = game.full - (1 << 7)  # all but the edge below it
    buttons["edge 7"].click()
    named = [n for n, cell in enumerate(grid.children) if "you" in getattr(cell, "value", "")]
    assert lowest_on_the_right in named
    assert "Boxes: you 1, it 0." in said.value
    again.click()
    assert not any("you" in getattr(cell, "value", "") for cell in grid.children)


def test_a_board_is_drawn_as_it_stands():
    figure = pytest.importorskip("matplotlib.figure")
    game = DotsAndBoxes(1, 2)
    policy = np.array([0.0, 0.6, 0.04, 0.003, 0.3, 0.0, 0.057])
    axes = figure.Figure().add_subplot()
    assert board(axes, game, 0b0100001, policy, best=[1], title="a title") is axes
    lines = [(line.get_color(), *map(list, line.get_data())) for line in axes.lines]
    black = [(x, y) for color, x, y in lines if color == "black"][:-1]  # the last are the dots
    assert black == [([0, 1], [0, 0]), ([1, 1], [0, -1])]
    widths = {
        tuple(zip(*map(list, line.get_data()), strict=True)): line.get_linewidth()
        for line in axes.lines
        if line.get_color() == COLORS[0]
    }
    ends = {e: tuple((c, -r) for r, c in game.lines[e]) for e in (1, 2, 4, 6)}
    assert widths == {ends[e]: pytest.approx(1 + 13 * policy[e]) for e in ends}
    rings = [line.get_data() for line in axes.lines if line.get_markeredgecolor() == COLORS[5]]
    assert [(list(x), list(y)) for x, y in rings] == [([1.5], [0])]
    words = {one.get_text(): one.xy for one in axes.texts}
    assert words == {"60": (1.5, 0), "30": (0, -0.5), "6": (2, -0.5)}
    assert axes.get_title() == "a title"


def test_without_widgets_it_prints(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    match = play_against(GAME, first_free)
    said = capsys.readouterr().out
    assert "match.play(edge)" in said
    assert "+ 0 + 1 + 2 +" in said
    assert match.play(5).position == 1 << 5 | 1 << 0
