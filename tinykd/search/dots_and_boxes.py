"""Dots and Boxes, for one position or for many at once.

    +---+   +        Two players take turns in drawing an edge between two neighbouring dots. Who
    |   |            draws the fourth edge of a box owns it and moves again. When all edges are
    +---+---+        drawn the game is over; the points are one's own boxes minus the other's.

A position is one whole number: bit e is 1 where edge e is drawn. Who owns what so far, and whose
turn it is, makes no difference to what is best from here on, so neither is part of it. Edges are
numbered row by row, the horizontal ones first.
"""

import numpy as np

NOTHING = 1 << 30  # the edges of a box that is never complete


class DotsAndBoxes:
    """The board of rows x columns boxes: its edges, its moves and its mirror images.

    Positions come as ints, or as integer arrays of any shape (...). `edges`, `boxes`: how many.
    `lines`: of every edge its two dots, ((row, column), (row, column)). `box_edges`: (boxes, 4), of
    every box the edges above, below, left and right. `full`: the position where the game is over.

    Raises ValueError for a board without a box, or with more than 24 edges: a table of all its
    positions would not fit into memory.
    """

    def __init__(self, rows: int = 2, columns: int = 3) -> None:
        across, down = (rows + 1) * columns, rows * (columns + 1)
        if min(rows, columns) < 1 or across + down > 24:
            raise ValueError(f"{rows} x {columns} boxes: at least one, and at most 24 edges")
        self.rows, self.columns = rows, columns
        self.boxes, self.edges = rows * columns, across + down
        self.full = 2**self.edges - 1
        self.lines = [((r, c), (r, c + 1)) for r in range(rows + 1) for c in range(columns)]
        self.lines += [((r, c), (r + 1, c)) for r in range(rows) for c in range(columns + 1)]
        number = {line: e for e, line in enumerate(self.lines)}
        self.box_edges = np.array([
            [number[(r, c), (r, c + 1)], number[(r + 1, c), (r + 1, c + 1)],
             number[(r, c), (r + 1, c)], number[(r, c + 1), (r + 1, c + 1)]]
            for r in range(rows) for c in range(columns)
        ])  # fmt: skip
        masks = (1 << self.box_edges).sum(1)
        beside = [masks[(self.box_edges == e).any(1)].tolist() for e in range(self.edges)]
        self._one, self._other = np.array([[*own, NOTHING][:2] for own in beside]).T
        self._maps = self._mirror_maps(number)

    def drawn(self, positions: np.ndarray | int) -> np.ndarray:
        """Which edges are drawn: bool, (..., edges)."""
        return (np.asarray(positions)[..., None] >> np.arange(self.edges) & 1).astype(bool)

    def play(
        self, positions: np.ndarray | int, moves: np.ndarray | int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw an edge: the new positions (...), and how many boxes that completed (...): 0, 1, 2.

        Who completed none hands the turn over; after one or two it is the same player's again.
        """
        moves = np.asarray(moves)
        after = np.asarray(positions) | (1 << moves)
        one, other = self._one[moves], self._other[moves]
        return after, ((after & one) == one).astype(int) + ((after & other) == other)

    def mirrored(self, positions: np.ndarray | int) -> np.ndarray:
        """The position and its images upside down, left to right, and both at once: (4, ...)."""
        drawn = self.drawn(positions)
        return np.stack([drawn[..., where] @ (1 << np.arange(self.edges)) for where in self._maps])

    def text(self, position: int) -> str:
        """The board in letters; an edge that is free shows its number."""
        drawn, name = self.drawn(position), []
        for e, ((r, _), (s, _)) in enumerate(self.lines):
            name.append(f"{e:^3d}" if not drawn[e] else "---" if r == s else " | ")
        rows, across = [], (self.rows + 1) * self.columns
        for r in range(self.rows + 1):
            rows.append(" +" + "+".join(name[r * self.columns :][: self.columns]) + "+")
            if r < self.rows:
                first = across + r * (self.columns + 1)
                rows.append(" ".join(name[first : first + self.columns + 1]))
        return "\n".join(rows)

    def _mirror_maps(self, number: dict) -> np.ndarray:
        """(4, edges): edge e of an image is this edge of the position itself."""
        found = []
        for over, across in ((0, 0), (1, 0), (0, 1), (1, 1)):

            def image(dot: tuple[int, int], over: int = over, across: int = across) -> tuple:
                r, c = dot
                return (self.rows - r if over else r, self.columns - c if across else c)

            found.append([number[tuple(sorted(map(image, line)))] for line in self.lines])
        return np.array(found)
