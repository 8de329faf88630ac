"""A picture of the board, with a policy on it."""

from typing import Any

import numpy as np

from ..plots import COLORS
from .dots_and_boxes import DotsAndBoxes


def board(
    axes: Any,
    game: DotsAndBoxes,
    position: int,
    shares: Any = None,
    best: Any = (),
    title: str = "",
) -> Any:
    """Draw a position into `axes`: drawn edges black, free ones as wide as their share.

    shares: (edges,), probabilities of the moves, written beside those of 5% or more. best: moves to
    mark with a ring, such as the optimal ones. Returns the axes.
    """
    drawn = game.drawn(position)
    for e, ((r, c), (s, d)) in enumerate(game.lines):
        middle = ((c + d) / 2, -(r + s) / 2)
        if drawn[e]:
            axes.plot([c, d], [-r, -s], color="black", linewidth=4, solid_capstyle="round")
            continue
        axes.plot([c, d], [-r, -s], color="0.85", linewidth=1, zorder=0)
        if shares is not None and shares[e] >= 0.005:
            width = 1 + 13 * float(shares[e])
            axes.plot([c, d], [-r, -s], color=COLORS[0], linewidth=width, solid_capstyle="butt")
        if e in best:
            axes.plot(*middle, "o", color="white", markeredgecolor=COLORS[5], markersize=15)
        if shares is not None and shares[e] >= 0.05:
            text = f"{100 * float(shares[e]):.0f}"
            plain = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none"}
            box = None if e in best else plain
            axes.annotate(text, middle, ha="center", va="center", fontsize=8, bbox=box)
    dots = np.array([(c, -r) for r in range(game.rows + 1) for c in range(game.columns + 1)])
    axes.plot(dots[:, 0], dots[:, 1], "o", color="black", markersize=6)
    axes.set(xlim=(-0.3, game.columns + 0.3), ylim=(-game.rows - 0.3, 0.3), aspect="equal")
    axes.axis("off")
    axes.set_title(title, fontsize=9)
    return axes
