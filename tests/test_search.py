"""The solved game, the search and what is left of it, against plain loops over single positions."""

import math
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from tinykd.search import (
    DotsAndBoxes,
    draw,
    is_held_out,
    look_ahead,
    move_values,
    playouts,
    points_lost,
    positions_to_judge,
    puct,
    search,
    self_play,
    solve,
    strength,
    strength_at_random,
    visit_targets,
    worth_in_simulations,
)

GAME, SMALL = DotsAndBoxes(2, 3), DotsAndBoxes(1, 2)
VALUES, SMALL_VALUES = solve(GAME), solve(SMALL)
BOXES = {  # of 1 x 2 boxes, by hand: edges 0 1 above, 2 3 below, 4 5 6 from left to right
    0: {0, 2, 4, 5},
    1: {1, 3, 5, 6},
}


def boxes_of(edges):
    return sum(own <= edges for own in BOXES.values())


@cache
def by_hand(edges):
    """V of a set of drawn edges of 1 x 2 boxes."""
    best = -math.inf
    for edge in set(range(7)) - edges:
        after = edges | {edge}
        gain = boxes_of(after) - boxes_of(edges)
        best = max(best, gain + by_hand(after) if gain else -by_hand(after))
    return 0 if best == -math.inf else best


def as_set(position):
    return frozenset(e for e in range(7) if position >> e & 1)


def test_the_board_is_as_it_is_described():
    assert (GAME.edges, GAME.boxes, SMALL.edges) == (17, 6, 7)
    assert SMALL.box_edges.tolist() == [[0, 2, 4, 5], [1, 3, 5, 6]]  # above, below, left, right
    assert SMALL.text(0b0010001).splitlines() == [
        " +---+ 1 +",
        " |   5   6 ",
        " + 2 + 3 +",
    ]
    assert DotsAndBoxes(2, 1).text(0b1000000).splitlines() == [
        " + 0 +",
        " 3   4 ",
        " + 1 +",
        " 5   | ",
        " + 2 +",
    ]
    assert DotsAndBoxes(3, 3).edges == 24


@pytest.mark.parametrize("size", [(0, 2), (2, 0), (1, 8), (4, 4)])
def test_a_board_that_cannot_be_solved_is_refused(size):
    with pytest.raises(ValueError, match="at most 24 edges"):
        DotsAndBoxes(*size)


def test_a_move_completes_what_it_completes():
    for position in range(128):
        for edge in range(7):
            if position >> edge & 1:
                continue
            after, gain = SMALL.play(position, edge)
            assert after == position + 2**edge
            assert gain == boxes_of(as_set(int(after))) - boxes_of(as_set(position))


def test_every_position_is_worth_what_a_plain_recursion_says():
    assert SMALL_VALUES.tolist() == [by_hand(as_set(n)) for n in range(128)]


def test_values_of_moves_and_points_lost():
    q = move_values(SMALL, SMALL_VALUES, np.arange(127))
    assert np.array_equal(q.max(-1), SMALL_VALUES[:127])
    assert np.array_equal(np.isneginf(q), SMALL.drawn(np.arange(127)))
    assert points_lost(q, q.argmax(-1)).max() == 0
    worst = np.where(np.isfinite(q), q, 9).argmin(-1)
    lost = points_lost(q, worst)
    assert np.array_equal(lost, q.max(-1) - np.where(np.isfinite(q), q, 9).min(-1))
    said = strength(q, worst)
    assert said == {"accuracy": (lost == 0).mean(), "lost": lost.mean()}
    two = np.array([[1.0, 0.0, -np.inf], [1.0, 0.0, -np.inf]])
    assert strength(two, np.array([0, 1])) == {"accuracy": 0.5, "lost": 0.5}


def test_the_strength_of_chance_is_the_mean_over_free_edges():
    q = move_values(SMALL, SMALL_VALUES, np.arange(127))
    each = [[(max(row) - x) for x in row if x > -math.inf] for row in q.tolist()]
    said = strength_at_random(q)
    assert said["lost"] == pytest.approx(np.mean([np.mean(row) for row in each]))
    assert said["accuracy"] == pytest.approx(np.mean([np.mean(np.equal(row, 0)) for row in each]))


def test_mirror_images_are_worth_the_same_and_are_held_out_together():
    positions = np.random.default_rng(0).integers(GAME.full, size=300)
    images = GAME.mirrored(positions)
    assert np.array_equal(images[0], positions)
    assert len(np.unique(images, axis=0)) == 4
    assert (VALUES[images] == VALUES[positions]).all()
    for image in images:
        assert np.array_equal(np.sort(GAME.mirrored(image), 0), np.sort(images, 0))
    out = is_held_out(GAME, images)
    assert (out == out[0]).all()
    assert 0.15 < is_held_out(GAME, np.arange(GAME.full)).mean() < 0.25


def test_positions_to_judge_are_held_out_and_have_a_wrong_move():
    found = positions_to_judge(GAME, VALUES, 100, seed=3)
    assert len({min(GAME.mirrored(p).tolist()) for p in found}) == 100
    assert is_held_out(GAME, found).all()
    drawn = GAME.drawn(found).sum(-1)
    assert drawn.min() >= 2
    assert drawn.max() <= 11
    q = move_values(GAME, VALUES, found)
    assert (np.where(np.isfinite(q), q, 9).min(-1) < q.max(-1)).all()
    assert np.array_equal(found, positions_to_judge(GAME, VALUES, 100, seed=3))
    assert not np.array_equal(found, positions_to_judge(GAME, VALUES, 100, seed=4))
    found = positions_to_judge(GAME, VALUES, 50, seed=3, fewest=5, most=6)
    assert set(GAME.drawn(found).sum(-1)) == {5, 6}
    enough = [len(positions_to_judge(SMALL, SMALL_VALUES, n, seed=0)) for n in (1, 2, 3)]
    assert enough == [1, 2, 3]
    with pytest.raises(ValueError, match="4 positions are wanted, and 3 were found"):
        positions_to_judge(SMALL, SMALL_VALUES, 4, seed=0)


def test_what_is_held_out_is_always_the_same():
    """Of another choice, nets and results that are stored were taught what they are judged on."""
    out = np.flatnonzero(is_held_out(GAME, np.arange(GAME.full)))
    assert (len(out), out.sum()) == (26_120, 1_712_787_179)


# --------------------------------------------------------------------------------- the search


def evaluation(game, seed):
    """Priors and values that depend on the position alone, of no other rhyme or reason."""

    def evaluate(positions):
        p, v = [], []
        for position in positions:
            rng = np.random.default_rng([seed, int(position)])
            shares = rng.random(game.edges) * ~game.drawn(position)
            p.append(shares / shares.sum())
            v.append(rng.normal())
        return np.array(p), np.array(v)

    return evaluate


class Node:
    def __init__(self, game, position, evaluate):
        p, v = evaluate([position])
        self.position, self.prior, self.value = position, p[0], float(v[0])
        self.n, self.w = np.zeros(game.edges), np.zeros(game.edges)
        self.children = {}


def one_simulation(game, node, evaluate, c):
    """The value of a node after one more visit, by recursion."""
    score = [
        -math.inf
        if node.position >> a & 1
        else (node.w[a] / node.n[a] if node.n[a] else 0)
        + c * node.prior[a] * math.sqrt(node.n.sum()) / (1 + node.n[a])
        for a in range(game.edges)
    ]
    move = int(np.argmax(score))
    after, gain = (int(x) for x in game.play(node.position, move))
    if after == game.full:
        value = 0.0
    elif move in node.children:
        value = one_simulation(game, node.children[move], evaluate, c)
    else:
        node.children[move] = Node(game, after, evaluate)
        value = node.children[move].value
    value = gain + value if gain else -value
    node.n[move] += 1
    node.w[move] += value
    return value


@pytest.mark.parametrize(("game", "simulations", "c"), [(GAME, 60, 2.0), (SMALL, 150, 0.7)])
def test_searches_side_by_side_are_single_searches(game, simulations, c):
    roots = np.random.default_rng(1).choice(game.full, 12, replace=False)
    evaluate = evaluation(game, 7)
    found = search(game, roots, evaluate, simulations, c)
    for root, visits, value in zip(roots, found.visits, found.value, strict=True):
        node = Node(game, int(root), evaluate)
        values = [one_simulation(game, node, evaluate, c) for _ in range(simulations)]
        assert np.array_equal(visits, node.n)
        assert value == pytest.approx(np.mean(values), abs=1e-4)


def test_a_search_is_the_beginning_of_a_longer_one():
    roots = np.array([0, 5, 1000])
    seen = {}
    search(
        GAME,
        roots,
        evaluation(GAME, 1),
        40,
        watch=lambda n, visits: seen.update({n: visits.copy()}),
    )
    assert list(seen) == list(range(1, 41))
    for n in (1, 17, 40):
        assert np.array_equal(seen[n], search(GAME, roots, evaluation(GAME, 1), n).visits)
        assert (seen[n].sum(-1) == n).all()


def test_much_search_finds_perfect_play():
    roots = np.arange(127)
    found = search(SMALL, roots, playouts(SMALL, np.random.default_rng(0)), 3000)
    q = move_values(SMALL, SMALL_VALUES, roots)
    assert strength(q, found.visits.argmax(-1))["accuracy"] > 0.95


def test_nothing_to_search_is_refused():
    for roots, simulations in (([0, GAME.full], 5), ([0], 0)):
        with pytest.raises(ValueError, match="a search needs"):
            search(GAME, roots, evaluation(GAME, 0), simulations)


def test_puct_by_its_formula():
    rng = np.random.default_rng(0)
    n, w, p = rng.integers(4, size=(3, 5)), rng.normal(size=(3, 5)), rng.random((3, 5))
    for i in range(3):
        for a in range(5):
            q = w[i, a] / n[i, a] if n[i, a] else w[i, a]
            u = 1.5 * p[i, a] * math.sqrt(n[i].sum()) / (1 + n[i, a])
            assert puct(n, w, p, 1.5)[i, a] == pytest.approx(q + u)


def random_game(position, rng):
    """Points of the player to move; both take a box where there is one, else draw any free edge."""
    side, points = 1, 0
    while position != SMALL.full:
        free = [e for e in range(7) if not position >> e & 1]
        taking = [e for e in free if SMALL.play(position, e)[1]]
        after, gain = (int(x) for x in SMALL.play(position, int(rng.choice(taking or free))))
        points += side * gain
        side = side if gain else -side
        position = after
    return points


def test_playouts_are_quick_games():
    """The points of 3,000 playouts of a position, and of as many games played move by move."""
    rng = np.random.default_rng(5)
    for position in (0, 0b0010001, 0b0010101, 0b1000011):
        p, v = playouts(SMALL, rng)(np.full(3000, position))
        shares_at_the_end, value_there = playouts(SMALL, rng)(np.array([position, SMALL.full]))
        assert (shares_at_the_end[1] == 0).all()
        assert value_there[1] == 0
        free = ~SMALL.drawn(position)
        assert np.allclose(p, free / free.sum())
        games = [random_game(position, rng) for _ in range(3000)]
        for points in (-2, -1, 0, 1, 2):
            assert np.mean(v == points) == pytest.approx(
                np.mean(np.equal(games, points)), abs=0.045
            )


def test_looking_ahead_with_perfect_values_is_perfect():
    roots = np.arange(127)
    q = look_ahead(SMALL, lambda s: (None, SMALL_VALUES[s].astype(float)), roots)
    assert np.array_equal(q, move_values(SMALL, SMALL_VALUES, roots))
    wrong_at_the_end = look_ahead(
        SMALL, lambda s: (None, SMALL_VALUES[s] + 9.0 * (s == 127)), roots
    )
    assert np.array_equal(wrong_at_the_end, q)


# ------------------------------------------------------------------------ what is left behind


def test_visit_targets_are_a_softmax_of_log_counts():
    visits = np.array([[0, 3, 9, 1], [100, 0, 0, 0]])
    for T in (0.3, 1.0, 4.0):
        powers = [[n ** (1 / T) for n in row] for row in visits.tolist()]
        expected = [[x / sum(row) for x in row] for row in powers]
        assert np.allclose(visit_targets(visits, T), expected)
    assert np.allclose(visit_targets(np.array([[3000, 2000, 0]]), 1e-3), [[1, 0, 0]])
    for T in (0, -1, math.nan):
        with pytest.raises(ValueError, match="temperature"):
            visit_targets(visits, T)


def test_moves_are_drawn_with_their_shares():
    shares = np.tile([0.0, 0.25, 0.75, 0.0], (8000, 1))
    counts = np.bincount(draw(shares, np.random.default_rng(0)), minlength=4) / 8000
    assert np.allclose(counts, shares[0], atol=0.02)
    assert counts[0] == counts[3] == 0


def test_a_move_is_drawn_at_the_ends_of_the_dice_too():
    """The dice show 0 up to the last number below 1, and ten tenths add up to less than 1."""
    for shown, shares, move in (
        (0.0, [0.0, 0.5, 0.5], 1),
        (1 - 2**-53, [0.1] * 10, 9),
        (1 - 2**-53, [0.5, 0.5, 0.0], 1),
    ):
        dice = SimpleNamespace(random=lambda size, shown=shown: np.full(size, shown))
        assert draw(np.array([shares]), dice).tolist() == [move]


def test_the_outcome_is_what_was_won_from_there_on(monkeypatch):
    """Every game of 1 x 2 boxes is put together again from its rows."""
    monkeypatch.setattr("tinykd.search.games.is_held_out", lambda game, s: np.zeros(len(s), bool))
    rng = np.random.default_rng(2)
    played = self_play(SMALL, playouts(SMALL, rng), 1, 20, rng, opening=0)
    assert played.positions[0] == 0
    assert len(played.positions) == 7
    side, side_of, gains = 1, [], []
    for here, move in zip(played.positions, played.moves, strict=True):
        gain = int(SMALL.play(here, move)[1])
        side_of.append(side)
        gains.append(side * gain)
        side = side if gain else -side
    expected = [s * sum(gains[i:]) for i, s in enumerate(side_of)]
    assert played.outcome.tolist() == expected
    assert (played.visits.sum(-1) == 20).all()
    assert (played.visits[np.arange(7), played.moves] > 0).all()


def test_games_begin_and_go_on_as_they_are_described(monkeypatch):
    """0 to `opening` edges at random, searched with `c`, moves drawn from the shares of visits."""
    monkeypatch.setattr("tinykd.search.games.is_held_out", lambda game, s: np.zeros(len(s), bool))
    rng, evaluate = np.random.default_rng(3), evaluation(SMALL, 3)
    played = self_play(SMALL, evaluate, 60, 9, rng, opening=2, c=0.7)
    assert set(SMALL.drawn(played.positions[:60]).sum(-1)) == {0, 1, 2}
    known, which = np.unique(played.positions, return_inverse=True)
    assert np.array_equal(played.visits, search(SMALL, known, evaluate, 9, 0.7).visits[which])
    played = self_play(SMALL, evaluate, 1000, 9, rng, opening=0, c=8.0)
    assert (played.positions[:1000] == 0).all()
    shares = np.bincount(played.moves[:1000], minlength=7) / 1000
    assert np.allclose(shares, played.visits[0] / 9, atol=0.05)


def test_self_play_leaves_out_what_is_held_out():
    rng = np.random.default_rng(0)
    played = self_play(GAME, playouts(GAME, rng), 30, 4, rng)
    assert not is_held_out(GAME, played.positions).any()
    assert len({len(column) for column in played}) == 1
    assert 200 < len(played.positions) < 30 * 17
    early = GAME.drawn(played.positions).sum(-1)
    assert early.min() <= 1
    assert early.max() == 16


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.3, 10),
        (0.2, 10),
        (0.45, math.sqrt(1000)),
        (0.6, 100),
        (0.65, 200),
        (0.7, 400),
        (0.8, math.inf),
    ],
)
def test_worth_in_simulations(value, expected):
    curve = [0.3, 0.6, 0.55, 0.7]
    sims = [10, 100, 10**2.3, 400]
    if value == 0.65:
        share = (0.65 - 0.55) / 0.15
        expected = 10 ** (2.3 + share * (math.log10(400) - 2.3))
    assert worth_in_simulations(sims, curve, value) == pytest.approx(expected)


def test_a_curve_that_begins_strong_enough_is_not_read_on():
    assert worth_in_simulations([10, 100, 1000], [0.3, 0.2, 0.7], 0.3) == 10
