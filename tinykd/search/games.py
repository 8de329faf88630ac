"""Games of a search against itself: positions, visit counts and outcomes to learn from."""

from typing import NamedTuple

import numpy as np

from .dots_and_boxes import DotsAndBoxes
from .mcts import Evaluate, search, visit_targets
from .perfect_play import is_held_out


class Played(NamedTuple):
    """What games leave behind, one row a position."""

    positions: np.ndarray  # (N,)
    visits: np.ndarray  # (N, edges): how often the search looked at each move
    moves: np.ndarray  # (N,): the move that was played
    outcome: np.ndarray  # (N,): boxes won minus lost from here on, for who is to move


def self_play(
    game: DotsAndBoxes, evaluate: Evaluate, games: int, simulations: int,
    rng: np.random.Generator, opening: int = 4, c: float = 4.0,
) -> Played:  # fmt: skip
    """So many games, side by side, both players the same search. Held-out positions are left out.

    A game begins with 0 to `opening` edges at random, so that games differ; from there every move
    is drawn from the shares of the visits, T = 1.
    """
    position = np.zeros(games, np.int64)
    length = rng.integers(opening + 1, size=games)
    for made in range(opening):
        wish = np.where(game.drawn(position), -1, rng.random((games, game.edges)))
        position = np.where(made < length, game.play(position, wish.argmax(-1))[0], position)
    side, points, number, rows = np.ones(games), np.zeros(games), np.arange(games), []
    while len(number):  # the games that still go on
        here = position[number]
        visits = search(game, here, evaluate, simulations, c).visits
        moves = draw(visit_targets(visits), rng)
        rows.append((here, visits, moves, number, side[number], points[number]))
        position[number], gain = game.play(here, moves)
        points[number] += side[number] * gain  # of the player who began
        side[number] = np.where(gain > 0, side[number], -side[number])
        number = number[position[number] < game.full]
    here, visits, moves, number, whose, before = map(np.concatenate, zip(*rows, strict=True))
    learn = ~is_held_out(game, here)
    found = (here, visits, moves, whose * (points[number] - before))
    return Played(*(column[learn] for column in found))


def draw(shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One move for each row of shares (B, edges), with these probabilities: (B,)."""
    up_to = shares.cumsum(-1)
    return (up_to <= rng.random((len(shares), 1)) * up_to[:, -1:]).sum(-1)
