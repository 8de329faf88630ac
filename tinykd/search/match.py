"""A game between a reader and whatever gives a policy: with buttons, or in letters."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .dots_and_boxes import DotsAndBoxes

Policy = Callable[[int], np.ndarray]  # a position -> shares of the moves, (edges,)


class Match:
    """The reader against `policy`, which plays its most probable move. The reader begins.

    `position`, `points` {"you": ..., "it": ...}, `owners` (one a box, "" while it is open) and
    `said`, what happened last, are its whole state. `play(edge)` is the reader's move, with all
    that the other answers.
    """

    def __init__(self, game: DotsAndBoxes, policy: Policy) -> None:
        self.game, self.policy = game, policy
        self.restart()

    def restart(self) -> None:
        """An empty board."""
        self.position, self.points = 0, {"you": 0, "it": 0}
        self.owners, self.said = [""] * self.game.boxes, "You begin."

    @property
    def over(self) -> bool:
        """Whether all edges are drawn."""
        return self.position == self.game.full

    def play(self, edge: int) -> "Match":
        """Draw an edge, and let the other draw until it is your move again; returns itself.

        An edge that is drawn already, or none at all, changes nothing but `said`.
        """
        if not 0 <= edge < self.game.edges or self.game.drawn(self.position)[edge]:
            self.said = f"Edge {edge} is not free."
            return self
        answers = []
        if not self._draw(edge, "you"):
            while not self.over:
                move = int(np.argmax(self.policy(self.position)))
                answers.append(move)
                if not self._draw(move, "it"):
                    break
        its = f"; it drew {', '.join(map(str, answers))}" if answers else ""
        self.said = f"You drew {edge}{its}."
        if self.over:
            you, it = self.points.values()
            self.said += f" {'You win' if you > it else 'It wins' if it > you else 'A draw'}."
        return self

    def _draw(self, edge: int, who: str) -> bool:
        """Whether the player stays on the move."""
        after, gain = self.game.play(self.position, edge)
        self.position = int(after)
        self.points[who] += int(gain)
        complete = self.game.drawn(self.position)[self.game.box_edges].all(-1)
        self.owners = [
            old or (who if c else "") for old, c in zip(self.owners, complete, strict=True)
        ]
        return bool(gain)

    def __repr__(self) -> str:
        points = ", ".join(f"{who} {n}" for who, n in self.points.items())
        return f"{self.game.text(self.position)}\n{self.said} Boxes: {points}."


def play_against(game: DotsAndBoxes, policy: Policy) -> Match:
    """Show a match in a notebook, one button an edge; without ipywidgets print it.

    Returns the match: match.play(5) draws edge 5 in either case, and what it returns prints itself.
    """
    match = Match(game, policy)
    try:
        from IPython.display import display
        from ipywidgets import HTML, Button, Checkbox, GridBox, Layout, VBox
    except ImportError:
        print(f"{match!r}\nYour move: match.play(edge), with the number of a free edge.")
        return match
    said, hints = HTML(), Checkbox(description="show its policy, in percent", indent=False)
    again = Button(description="new game")
    size = {"width": "44px", "height": "34px", "padding": "0px"}
    edges = [Button(layout=Layout(**size)) for _ in game.lines]
    boxes = [HTML() for _ in range(game.boxes)]

    def refresh(_: Any = None) -> None:
        drawn = game.drawn(match.position)
        shares = policy(match.position) if hints.value and not match.over else None
        for e, button in enumerate(edges):
            button.disabled = bool(drawn[e])
            button.style.button_color = "#000000" if drawn[e] else "#dddddd"
            button.description = "" if drawn[e] or shares is None else f"{100 * shares[e]:.0f}"
            button.tooltip = f"edge {e}"
        for box, owner in zip(boxes, match.owners, strict=True):
            box.value = f"<center>{owner}</center>"
        said.value = f"{match.said} Boxes: you {match.points['you']}, it {match.points['it']}."

    def drawer(edge: int) -> Callable[[Any], None]:
        def clicked(_: Any) -> None:
            match.play(edge)
            refresh()

        return clicked

    def restart(_: Any) -> None:
        match.restart()
        refresh()

    for e, button in enumerate(edges):
        button.on_click(drawer(e))
    again.on_click(restart)
    hints.observe(refresh, "value")
    grid = [cell or HTML("<center>●</center>") for cell in _in_rows(game, edges, boxes)]
    columns = f"repeat({2 * game.columns + 1}, 46px)"
    refresh()
    display(VBox([GridBox(grid, layout=Layout(grid_template_columns=columns)), said, hints, again]))
    return match


def _in_rows(game: DotsAndBoxes, edges: list[Any], boxes: list[Any]) -> list[Any]:
    """What stands on each place of the board, row by row; None where the dots are."""
    cells = {(r + s, c + d): edge for ((r, c), (s, d)), edge in zip(game.lines, edges, strict=True)}
    for n, box in enumerate(boxes):
        cells[2 * (n // game.columns) + 1, 2 * (n % game.columns) + 1] = box
    rows, columns = range(2 * game.rows + 1), range(2 * game.columns + 1)
    return [cells.get((r, c)) for r in rows for c in columns]
