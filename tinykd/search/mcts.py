"""Monte Carlo tree search with PUCT (AlphaGo Zero), for many positions side by side.

One simulation, at each of the roots:

    select    from the root down, at every node the move with the largest
              Q(a) + c P(a) sqrt(sum_b N(b)) / (1 + N(a)),   Q = W / N, and 0 where N = 0
    expand    the first move that has no node behind it yet gets one, with P and v of `evaluate`
    back up   from there to the root: v <- g + v where the player who made the move is on the move
              again, v <- -v where not; N += 1, W += v

Silver et al. 2017, "Mastering the game of Go without human knowledge", Nature 550, 354, Methods.
The search itself draws no random number. All values are in boxes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .dots_and_boxes import DotsAndBoxes
from .perfect_play import worth

Evaluate = Callable[[np.ndarray], tuple[Any, np.ndarray]]  # (B,) -> P (B, edges), v (B,)


class Found(NamedTuple):
    """What a search found at its roots: visits N (B, edges), and their mean value in boxes (B,)."""

    visits: np.ndarray
    value: np.ndarray


def puct(visits: np.ndarray, total: np.ndarray, prior: np.ndarray, c: float) -> np.ndarray:
    """Q + c P sqrt(sum N) / (1 + N) of every move: what selection maximises, among free edges.

    visits N, total W, prior P: (..., edges). Returns (..., edges). c: in boxes.
    """
    q = total / np.maximum(visits, 1)
    return q + c * prior * np.sqrt(visits.sum(-1, keepdims=True)) / (1 + visits)


def search(
    game: DotsAndBoxes, roots: np.ndarray, evaluate: Evaluate, simulations: int, c: float = 4.0,
    watch: Callable[[int, np.ndarray], Any] | None = None,
) -> Found:  # fmt: skip
    """Search each root with so many simulations. roots: (B,).

    evaluate(positions) gives P, shares of the free edges, and v in boxes for who is to move.
    watch(n, visits) is called after simulation n with the roots' visits so far, (B, edges).
    Raises ValueError for fewer than one simulation, or a root where the game is over.
    """
    roots = np.asarray(roots)
    if simulations < 1 or (roots == game.full).any():
        raise ValueError("a search needs a simulation, and positions in which there is a move")
    shape = (len(roots), simulations + 1, game.edges)  # a node for the root, and one a simulation
    prior, total = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    visits, child = np.zeros(shape, np.int32), np.full(shape, -1, np.int32)
    position = np.full(shape[:2], game.full)
    position[:, 0], prior[:, 0] = roots, evaluate(roots)[0]
    for new in range(1, simulations + 1):
        tree, node, path = np.arange(len(roots)), np.zeros(len(roots), int), []
        while len(tree):  # the searches that are still on their way down
            here = position[tree, node]
            score = puct(visits[tree, node], total[tree, node], prior[tree, node], c)
            move = np.where(game.drawn(here), -np.inf, score).argmax(-1)
            after, gain = game.play(here, move)
            path.append((tree, node, move, gain))
            below = child[tree, node, move]
            ends = below < 0  # nobody has been there yet, or the game is over there
            position[tree[ends], new] = after[ends]
            opens = ends & (after < game.full)
            child[tree[opens], node[opens], move[opens]] = new
            tree, node = tree[~ends], below[~ends]
        value, alive = np.zeros(len(roots)), np.flatnonzero(position[:, new] < game.full)
        if len(alive):
            prior[alive, new], value[alive] = evaluate(position[alive, new])
        for tree, node, move, gain in reversed(path):
            value[tree] = worth(value[tree], gain)
            visits[tree, node, move] += 1
            total[tree, node, move] += value[tree]
        if watch is not None:
            watch(new, visits[:, 0])
    return Found(visits[:, 0], total[:, 0].sum(-1) / simulations)


def playouts(game: DotsAndBoxes, rng: np.random.Generator) -> Evaluate:
    """The evaluation of who knows one rule of thumb: v from one quick game, all free edges alike.

    In the quick game both players take a box where there is one, and draw any free edge otherwise.
    """

    def evaluate(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        here, edges = np.array(positions), np.arange(game.edges)
        free = ~game.drawn(here)
        wish = rng.random(free.shape)  # a random order of the edges, but boxes come first
        v, side = np.zeros(len(here)), np.ones(len(here))
        for _ in range(int(free.sum(-1).max(initial=0))):
            after, gain = game.play(here[:, None], edges)
            move = np.where(game.drawn(here), -1, wish + (gain > 0)).argmax(-1)[:, None]
            gain = np.take_along_axis(gain, move, -1)[:, 0]
            gain = np.where(here == game.full, 0, gain)  # who is done waits for the others
            here = np.take_along_axis(after, move, -1)[:, 0]
            v += side * gain
            side = np.where(gain > 0, side, -side)
        return free / np.maximum(free.sum(-1, keepdims=True), 1), v

    return evaluate


def look_ahead(game: DotsAndBoxes, evaluate: Evaluate, positions: np.ndarray) -> np.ndarray:
    """What each move is worth by v alone, one step on: Q (B, edges), -inf where it is drawn.

    It asks for as many evaluations as there are moves, and for no policy.
    """
    positions = np.asarray(positions)
    after, gain = game.play(positions[:, None], np.arange(game.edges))
    v = evaluate(after.reshape(-1))[1].reshape(after.shape)
    q = worth(np.where(after == game.full, 0, v), gain)
    return np.where(game.drawn(positions), -np.inf, q)


def visit_targets(visits: np.ndarray, T: float = 1.0) -> np.ndarray:
    """Soft targets from counts: N**(1/T) / sum N**(1/T), which is softmax(log N / T). (..., edges).

    T = 1: the shares themselves; T -> 0: the move that was visited most. A move without a visit
    gets 0. Finite for any T above 0; raises ValueError for another.
    """
    if not T > 0:
        raise ValueError(f"temperature must be above 0, got T={T}")
    shares = (visits / visits.max(-1, keepdims=True)) ** (1 / T)
    return shares / shares.sum(-1, keepdims=True)
