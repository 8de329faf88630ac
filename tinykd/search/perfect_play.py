"""Perfect play: what every position is worth, so that strength is a number and not an opinion.

    V(s) = max over the moves a of Q(s, a),  Q = g + V(s')  if a completed g > 0 boxes,
                                             Q =   - V(s')  if it completed none: the other is next

V: boxes that the player to move will still win minus those that the other will, if neither makes a
mistake. A move adds an edge, so V of a position needs positions with one edge more only: backwards
from the full board, where V = 0.
"""

import numpy as np

from .dots_and_boxes import DotsAndBoxes


def solve(game: DotsAndBoxes) -> np.ndarray:
    """V of every position, in boxes: int8, (2**edges,).

    2 x 3 boxes (131,072 positions) take a moment; 3 x 3 (16.8 million) half a minute and 1 GB.
    """
    drawn = np.zeros(1, np.uint8)
    for _ in range(game.edges):
        drawn = np.concatenate([drawn, drawn + 1])  # how many edges each position has
    values = np.zeros(game.full + 1, np.int8)
    for count in range(game.edges - 1, -1, -1):
        positions = np.flatnonzero(drawn == count)
        best = np.full(len(positions), -game.boxes, np.int8)
        for edge in range(game.edges):
            free = positions >> edge & 1 == 0
            after, gain = game.play(positions[free], edge)
            best[free] = np.maximum(best[free], worth(values[after], gain))
        values[positions] = best
    return values


def worth(value: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """What a move is worth to the player who makes it, in boxes: g + v if g > 0, else -v. (...).

    value: of the position behind it, for whoever is to move there. gain: boxes it completed.
    """
    return gain + np.where(gain > 0, value, -value)


def move_values(game: DotsAndBoxes, values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Q of every move under perfect play, in boxes: float, (..., edges); -inf where it is drawn."""
    positions = np.asarray(positions)
    after, gain = game.play(positions[..., None], np.arange(game.edges))
    return np.where(game.drawn(positions), -np.inf, worth(values[after], gain))


def points_lost(q: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """max_a Q(a) - Q(move), in boxes: 0 for an optimal move. q: (..., edges), moves: (...)."""
    return q.max(-1) - np.take_along_axis(q, np.asarray(moves)[..., None], -1)[..., 0]


def is_held_out(game: DotsAndBoxes, positions: np.ndarray) -> np.ndarray:
    """Whether a position is set apart for judging, and must not be learned from: bool, (...).

    A fifth of them all, always the same. A position and its mirror images are on the same side.
    """
    smallest = game.mirrored(positions).min(0).astype(np.uint64)
    mixed = smallest * np.uint64(2654435761) % np.uint64(2**32)  # Knuth's multiplicative hash
    return (mixed >> np.uint64(8)) % np.uint64(5) == 0


def positions_to_judge(
    game: DotsAndBoxes, values: np.ndarray, count: int, seed: int, fewest: int = 2, most: int = 11
) -> np.ndarray:
    """Held-out positions in which at least one move is a mistake: (count,).

    They come from games in which every move is perfect or random, with equal chances, and have
    `fewest` to `most` edges. No two are alike, nor mirror images. Raises ValueError where there are
    not so many.
    """
    rng, found = np.random.default_rng(seed), dict[int, None]()
    for _ in range(100):
        position = np.zeros(500, np.int64)
        for made in range(most + 1):
            q = move_values(game, values, position)
            free, best = np.isfinite(q), q == q.max(-1, keepdims=True)
            if made >= fewest:
                good = (free & ~best).any(-1) & is_held_out(game, position)
                for one in position[good & (rng.random(len(position)) < 0.2)].tolist():
                    found[min(game.mirrored(one).tolist())] = None
            careful = rng.random((len(position), 1)) < 0.5
            wish = rng.random(q.shape) + (careful & best)
            position = game.play(position, np.where(free, wish, -1).argmax(-1))[0]
        if len(found) >= 2 * count:
            return rng.permutation(list(found))[:count]
    raise ValueError(f"{count} positions are wanted, and {len(found) // 2} were found")
