"""How strong a choice of moves is, and how much search that is worth."""

import math
from collections.abc import Sequence

import numpy as np

from .perfect_play import points_lost


def strength(q: np.ndarray, moves: np.ndarray) -> dict[str, float]:
    """ "accuracy", the share of optimal moves, and "lost", the boxes lost a move.

    q: (B, edges), the values of the moves under perfect play. moves: (B,), the moves chosen.
    """
    lost = points_lost(q, moves)
    return {"accuracy": float((lost == 0).mean()), "lost": float(lost.mean())}


def strength_at_random(q: np.ndarray) -> dict[str, float]:
    """The expected `strength` of a player who draws any free edge. q: (B, edges)."""
    free, best = np.isfinite(q), q.max(-1, keepdims=True)
    number = free.sum(-1)
    lost = np.where(free, best - q, 0).sum(-1) / number
    return {"accuracy": float(((q == best).sum(-1) / number).mean()), "lost": float(lost.mean())}


def worth_in_simulations(
    simulations: Sequence[float], curve: Sequence[float], value: float
) -> float:
    """The fewest simulations at which a search is as strong as `value`.

    curve: the strength at each of `simulations` (rising numbers), larger is better; between two of
    them the strength changes in a straight line with log N. Returns simulations[0] where the curve
    begins at `value` or above it, and infinity where it stays below.
    """
    if curve[0] >= value:
        return float(simulations[0])
    for i in range(1, len(curve)):
        if curve[i] >= value:
            share = (value - curve[i - 1]) / (curve[i] - curve[i - 1])
            a, b = math.log(simulations[i - 1]), math.log(simulations[i])
            return math.exp(a + share * (b - a))
    return math.inf
