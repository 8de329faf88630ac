# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 09 · Search as teacher
#
# **What you will be able to do**
# - solve a small board game, so that the strength of a player is a number and not an opinion;
# - write a Monte Carlo tree search: selection, expansion, back-up;
# - turn what it looked at into soft targets, and say what a temperature does to them;
# - train a network on them that plays without searching, and let it guide a better search, which teaches the next network;
# - say what the student is worth *in simulations*, with an interval, and how much strength is left at one per cent of the computing.
#
# | | |
# |---|---|
# | Difficulty | 4 of 5: five functions of one to eight lines, and one loop of fifteen |
# | Importance | 4 of 5: the best-known case of a teacher that is not a network |
# | Time | an hour and three quarters of yours; 2 minutes of computing on 2 cores |
# | Needs | lessons 00 to 02 |

# %% role="setup" name="setup"
import json
import math
import time

import matplotlib.pyplot as plt
import numpy as np

import tinykd
from tinykd import HardLabels, SoftLabels, mean_interval, plots
from tinykd import search as engine
from tinykd.classroom import Checks
from tinykd.data import data_file
from tinykd.plots import COLORS
from tinykd.search import DotsAndBoxes, Value, asked, board, learn, move_values, playouts

check = Checks("09_search_as_teacher")


class Node:
    """A position in the tree of a search, and what the search knows of its moves."""

    def __init__(self, position, prior):
        self.position = position  # a whole number: bit e is 1 where edge e is drawn
        self.prior = np.asarray(prior)  # P, (edges,): how promising each move looks at first sight
        self.visits = np.zeros(len(self.prior))  # N, (edges,): how often each move was taken
        self.total = np.zeros(len(self.prior))  # W, (edges,): sum of what came of it, in boxes
        self.children = {}  # move -> the node behind it, as soon as there is one


# %% role="setup" name="specimens"
# What the checks below are fed with. You need not read it.
class Corridors:
    """The same rules in long corridors: a chain of k boxes of two edges each, k + 1 edges in a row."""

    def __init__(self, rng, *chains):
        self.edges = sum(chains) + len(chains)
        self.full = 2**self.edges - 1
        names, first, boxes = rng.permutation(self.edges), 0, []
        for length in chains:
            boxes += [(1 << names[e]) + (1 << names[e + 1]) for e in range(first, first + length)]
            first += length + 1
        self.boxes = np.array(boxes)

    def drawn(self, position):
        return (position >> np.arange(self.edges) & 1).astype(bool)

    def play(self, position, edge):
        after = position | (1 << np.asarray(edge))
        closed = [(x & self.boxes) == self.boxes for x in (after[..., None], position)]
        return after, (closed[0] & ~closed[1]).sum(-1)


class TwoBoxes(Corridors):
    """The same rules on two boxes side by side, whose seven edges are numbered in a drawn order."""

    def __init__(self, rng):
        names, self.edges, self.full = rng.permutation(7), 7, 2**7 - 1
        self.boxes = np.array([sum(1 << names[e : e + 4]) for e in (0, 3)])


def by_position(game, values):
    """V of every position, from 0 to the full board."""
    return [float(values[position]) for position in range(game.full + 1)]


def counts(rng, edges, never):
    """Visits (edges,), `never` of them 0, with totals and a prior that fit."""
    visits = rng.integers(1, 40, size=edges).astype(float)
    visits[rng.permutation(edges)[:never]] = 0
    total = visits * rng.normal(scale=1.5, size=edges)
    return visits, total, rng.dirichlet(np.ones(edges))


def a_path(rng, depth, edges=7):
    """Nodes from a root on, the moves made there, and the boxes that each move completed."""
    path = []
    for _ in range(depth):
        node = Node(0, np.ones(edges) / edges)
        node.visits = rng.integers(5, size=edges).astype(float)
        node.total = np.round(rng.normal(size=edges), 2)
        path.append((node, int(rng.integers(edges)), int(rng.choice([0, 0, 1, 2]))))
    return path


def along(path):
    """What stands in the nodes of a path."""
    return [[node.visits, node.total] for node, _, _ in path]


class FakeSearch:
    """The parts of a search that is no good, which write down how they are used."""

    def __init__(self, rng, game):
        self.rng, self.game, self.log = rng, game, []
        self.taste = rng.permutation(game.edges).tolist()
        self.salt = int(rng.integers(2**31))

    def evaluate(self, position):
        one = np.random.default_rng([self.salt, position])
        self.log.append(["evaluate", position])
        return one.dirichlet(np.ones(self.game.edges)), float(one.normal())

    def choose(self, node):
        """The free edge that was taken least, the prior deciding between them; taste a little."""
        drawn = self.game.drawn(node.position)
        wish = [
            -n - 0.01 * t + 0.9 * p
            for n, t, p in zip(node.visits, self.taste, node.prior, strict=False)
        ]
        return int(np.argmax(np.where(drawn, -np.inf, wish)))

    def back_up(self, path, value):
        for node, move, _ in path:
            node.visits[move] += 1
        steps = [[node.position, int(move), int(gain)] for node, move, gain in path]
        self.log.append(["back up", steps, float(value)])

    def left(self, edges):
        """A position in which so many edges are free."""
        taken = self.rng.permutation(self.game.edges)[edges:]
        return sum(2 ** int(e) for e in taken)


def a_curve(rng):
    """Simulations, and a strength that rises with them, but for one step down in the middle."""
    simulations = [int(n) for n in rng.integers(2, 30) * np.cumprod(rng.integers(2, 5, size=11))]
    rise = 0.3 + np.cumsum(rng.uniform(0.04, 0.08, size=11))
    rise[5:] -= 0.1
    return simulations, [float(x) for x in rise]


def on_a_curve(rng, places, ends=None):
    """A curve, and the strength at a place: 1.3 is between the points 1 and 2, nearer to 1.

    ends: also the curve cut off after so many points, and a strength that it once had.
    """
    simulations, curve = a_curve(rng)
    if ends:
        yield simulations[:ends], curve[:ends], curve[ends - 2] - 0.01
    for place in places:
        i = math.floor(place)
        yield simulations, curve, curve[i] + (place - i) * (curve[i + 1] - curve[i])


def finite(n):
    """A number as it is, infinity as -1: a check compares finite numbers."""
    return -1.0 if math.isinf(n) else float(n)


def off_the_curve(rng):
    """A student who is weaker than all, and one who is stronger."""
    simulations, curve = a_curve(rng)
    yield simulations, curve, curve[0] - 0.05
    yield simulations, curve, max(curve) + 0.05


# %% [markdown]
# ## A teacher that is no network
#
# In 2017 AlphaGo Zero (Silver et al., *Nature* 550, 354) learned to play Go without a single human game. It had one network and one search. The search asked the network at every position it looked at, and by looking ahead it found better moves than the network alone would have
# played. So the network was trained to say at once what the search had found after 1,600 looks ahead. Then it was searched with again, from a better start.
#
# That is distillation. The teacher is the student itself, *given time to think*; the soft targets are how often the search looked at each move. And it is needed: in the paper, the finished network without any search has a rating of 3,055, with search 5,185.
#
# How good is such a student really? In Go nobody knows the best move. So here we take a game that can be solved completely in less than a second, and measure everything against perfect play.
#
# ## Dots and Boxes
#
# Two players take turns in drawing an edge between two neighbouring dots. Who draws the *fourth* edge of a box owns the box **and moves again**. When all edges are drawn, each has as many points as boxes, and what counts is the difference.
#
# On 2 × 3 boxes there are 17 edges, so $2^{17} = 131{,}072$ positions. A position is one whole number: bit $e$ is 1 where edge $e$ is drawn. Who owns which box, and whose turn it is, changes nothing about what is best from now on.
#
# | call | what it gives |
# |---|---|
# | `game.edges`, `game.full` | how many edges there are; the position where all are drawn |
# | `game.drawn(position)` | which edges are drawn, bool, (edges,) |
# | `game.play(position, edge)` | the position afterwards, and the number of boxes that this edge completed: 0, 1 or 2 |

# %% role="show" name="fig-board" folded=true
game = DotsAndBoxes(2, 3)
example = 13811
figure, grid = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained")
board(grid[0], game, 0, title="position 0: nothing is drawn yet")
board(grid[1], game, example, title=f"position {example}")
for axes, position in zip(grid, (0, example), strict=True):
    for e, ((r, c), (s, d)) in enumerate(game.lines):
        if not game.drawn(position)[e]:
            place = ((c + d) / 2, -(r + s) / 2)
            axes.annotate(str(e), place, ha="center", va="center", fontsize=9)
plots.show(
    "Two boards of 2 by 3 boxes. On the left an empty one with its edges numbered from 0 to 16; "
    "on the right one with ten edges drawn, in which edge 11 would complete a box."
)

# %% [markdown]
# ## Perfect play
#
# Let $V(s)$ be what position $s$ is worth: the boxes that the player to move will still get, minus those the other will get, if neither makes a mistake. A move that completes $g$ boxes leads to a position $s'$ that is worth $V(s')$ *to whoever is to move there*. So the move is worth
#
# $$Q(s, a) = \begin{cases} g + V(s') & \text{if } g > 0\text{: you move again,}\\ -V(s') & \text{if } g = 0\text{: the other moves, and what is good for them is bad for you,}\end{cases} \qquad V(s) = \max_a Q(s, a).$$
#
# When all edges are drawn there is nothing left to win: $V = 0$. From there we go *backwards*. A move sets one bit, so $s'$ is always a larger number than $s$: if we go through the positions from the largest number down, every $V(s')$ is known when it is needed. This is called backward induction.
#
# ### Exercise 1: perfect play
#
# <details><summary>Hint: the skeleton</summary>
#
# A list of zeros, one for each position from 0 to `game.full`. One loop over `range(game.full - 1, -1, -1)`; for each position the largest worth over the edges that are free.
# </details>


# %% role="answer" name="perfect_play" library="tinykd.search.solve, tinykd.search.move_values"
def perfect_play(game):
    """V of every position, in boxes, for the player to move: a list (or array) of 2**edges numbers, by position.

    game: has .edges, .full, .drawn(position) and .play(position, edge), as in the table above.
    """
    # YOUR CODE: backwards from the full board; the best move of each position
    # BEGIN SOLUTION
    values = [0] * (game.full + 1)
    for position in range(game.full - 1, -1, -1):
        best, drawn = -math.inf, game.drawn(position)
        for edge in range(game.edges):
            if not drawn[edge]:
                after, gain = game.play(position, edge)
                best = max(best, gain + values[after] if gain > 0 else -values[after])
        values[position] = best
    return values
    # END SOLUTION


# %% role="check" name="perfect_play.end" points=1 hint="Two boxes side by side, their edges in another order. (An index in the message is the position: bit e is 1 where edge e is drawn.) Who completes a box gets it and moves again; otherwise it is the other's turn: minus V."
two = TwoBoxes(check.rng("perfect_play.end"))
check("perfect_play.end", by_position(two, check.call(perfect_play, two)))

# %% role="check" name="perfect_play.corridors" points=1 hint="The same rules in two corridors of three boxes. It may be best not to take a box: compare all moves. One edge can complete two boxes."
two = Corridors(check.rng("perfect_play.corridors"), 3, 3)
check("perfect_play.corridors", by_position(two, check.call(perfect_play, two)))

# %% role="hidden" name="perfect_play.secret" points=2 hint="Other corridors."
rng = check.rng("perfect_play.secret")
games = [Corridors(rng, 3, 3), Corridors(rng, 2, 1, 1)]
check("perfect_play.secret", [by_position(one, check.call(perfect_play, one)) for one in games])


# %% role="mutant" of="perfect_play" name="perfect_play.always_minus" loses="perfect_play.end, perfect_play.corridors, perfect_play.secret" hint="You change the sign after every move. Who completes a box moves again: V(s') is then their own."
def perfect_play(game):
    values = [0] * (game.full + 1)
    for position in range(game.full - 1, -1, -1):
        free = np.flatnonzero(~game.drawn(position))
        moves = [game.play(position, edge) for edge in free]
        values[position] = max(gain - values[after] for after, gain in moves)
    return values


# %% role="mutant" of="perfect_play" name="perfect_play.never_minus" loses="perfect_play.end, perfect_play.corridors, perfect_play.secret" hint="The sign never changes. After a move that completes nothing the other is to move, and V(s') is theirs."
def perfect_play(game):
    values = [0] * (game.full + 1)
    for position in range(game.full - 1, -1, -1):
        free = np.flatnonzero(~game.drawn(position))
        moves = [game.play(position, edge) for edge in free]
        values[position] = max(gain + values[after] for after, gain in moves)
    return values


# %% role="mutant" of="perfect_play" name="perfect_play.no_gain" loses="perfect_play.end, perfect_play.corridors, perfect_play.secret" hint="The completed boxes are nowhere added, so nobody ever gets one: g + V(s')."
def perfect_play(game):
    values = [0] * (game.full + 1)
    for position in range(game.full - 1, -1, -1):
        free = np.flatnonzero(~game.drawn(position))
        moves = [game.play(position, edge) for edge in free]
        values[position] = max(values[after] if gain else -values[after] for after, gain in moves)
    return values


# %% role="mutant" of="perfect_play" name="perfect_play.worst" loses="perfect_play.end, perfect_play.corridors, perfect_play.secret" hint="That is the smallest worth. The player to move takes the largest; the minus sign looks after the other."
def perfect_play(game):
    values = [0] * (game.full + 1)
    for position in range(game.full - 1, -1, -1):
        free = np.flatnonzero(~game.drawn(position))
        moves = [game.play(position, edge) for edge in free]
        values[position] = min(g + values[after] if g else -values[after] for after, g in moves)
    return values


# %% role="mutant" of="perfect_play" name="perfect_play.greedy" loses="perfect_play.corridors, perfect_play.secret" hint="You take a box wherever there is one. It can be better to leave it: compare the worth of all moves."
def perfect_play(game):
    values = [0] * (game.full + 1)
    for position in range(game.full - 1, -1, -1):
        free = np.flatnonzero(~game.drawn(position))
        moves = [game.play(position, edge) for edge in free]
        most = max(gain for _, gain in moves)
        values[position] = max(
            g + values[after] if g else -values[after] for after, g in moves if g == most
        )
    return values


# %% role="mutant" of="perfect_play" name="perfect_play.forwards" loses="perfect_play.end, perfect_play.corridors, perfect_play.secret" hint="You go from the empty board upwards: V of the positions behind a move is not known yet. Begin with the largest number."
def perfect_play(game):
    values = [0] * (game.full + 1)
    for position in range(game.full):
        free = np.flatnonzero(~game.drawn(position))
        moves = [game.play(position, edge) for edge in free]
        values[position] = max(g + values[after] if g else -values[after] for after, g in moves)
    return values


# %% role="mutant" of="perfect_play" name="perfect_play.never_below_zero" loses="perfect_play.end, perfect_play.corridors, perfect_play.secret" hint="The best worth starts at 0, so no position is ever bad for who is to move. Start from minus infinity."
def perfect_play(game):
    values = [0] * (game.full + 1)
    for position in range(game.full - 1, -1, -1):
        free = np.flatnonzero(~game.drawn(position))
        moves = [game.play(position, edge) for edge in free]
        worths = [g + values[after] if g else -values[after] for after, g in moves]
        values[position] = max([0, *worths])
    return values


# %% role="mutant" of="perfect_play" name="perfect_play.one_box" loses="perfect_play.end, perfect_play.corridors, perfect_play.secret" hint="An edge between two boxes can complete both: add g, not 1."
def perfect_play(game):
    values = [0] * (game.full + 1)
    for position in range(game.full - 1, -1, -1):
        free = np.flatnonzero(~game.drawn(position))
        moves = [game.play(position, edge) for edge in free]
        values[position] = max(1 + values[after] if g else -values[after] for after, g in moves)
    return values


# %% role="alternative" of="perfect_play" name="perfect_play.recursive"
def perfect_play(game):
    known = {game.full: 0}

    def value(position):
        if position not in known:
            worths = []
            for edge in range(game.edges):
                if not position >> edge & 1:
                    after, gain = game.play(position, edge)
                    worths.append(gain + value(int(after)) if gain else -value(int(after)))
            known[position] = max(worths)
        return known[position]

    return np.array([value(position) for position in range(game.full + 1)])


# %% role="alternative" of="perfect_play" name="perfect_play.all_edges_at_once"
def perfect_play(game):
    values = np.zeros(2**game.edges)
    for position in reversed(range(game.full)):
        after, gain = game.play(position, np.arange(game.edges))
        q = np.where(gain > 0, gain + values[after], -values[after])
        values[position] = q[~game.drawn(position)].max()
    return values


# %% [markdown]
# Your function, if it has passed its checks, now solves three boxes; the engine, which does the same for many positions at a time, solves all six.
#
# **What do you expect?** Is it good to begin? And on the right of the figure above, edge 11 completes a box, and edge 2 then a second one. Is it best to take them?

# %% role="show" name="solved" folded=true
scale = tinykd.scale()
start = time.perf_counter()
values = engine.solve(game)
print(f"2 x 3 boxes, {len(values):,} positions: {time.perf_counter() - start:.2f} s")
small = DotsAndBoxes(1, 3)
own_values = check.ready(perfect_play, engine.solve)(small)
print("1 x 3 boxes, the same as the engine:", bool((engine.solve(small) == own_values).all()))
print(f"the empty board is worth {values[0]:+d} boxes to the player who begins")

q = move_values(game, values, np.array([example]))[0]
print(f"position {example}: V = {values[example]:+d}; the worth of each free edge:")
print("  ".join(f"{e}: {q[e]:+.0f}" for e in np.flatnonzero(np.isfinite(q))))

# %% [markdown]
# The second player wins by two boxes. And on the right of the figure it is best *not* to take: after edges 11 and 2 one has two boxes and must open the long corridor, four boxes for the other: $2 - 4 = -2$. Edge 2 alone makes the other a present of the two boxes, which they complete with one edge; then *they* must open
# the corridor: $-2 + 4 = +2$. Whoever takes what there is to take loses four boxes here.
#
# Every other number of this lesson hangs on that table. A player's **strength** is measured on positions in which at least one move is a mistake, in two ways: the **share of optimal moves**, and the **boxes lost** a move, $V(s) - Q(s, a)$ on average.
#
# The positions to judge by come from games in which each move is perfect or random with equal chances, and they belong to a fixed fifth of all positions that are **held out**: nobody learns from them, nor from their mirror images. There are two sets: one to make choices by, one to test.

# %% role="show" name="judged"
count = {"smoke": 100, "default": 400, "full": 400}[scale]
test = engine.positions_to_judge(game, values, count, seed=1)
choosing = engine.positions_to_judge(game, values, count, seed=2)
choosing = choosing[~np.isin(choosing, game.mirrored(test))]  # none of them in both sets


def strength(moves, positions=test):
    """The share of optimal moves in percent, and the boxes lost a move."""
    said = engine.strength(move_values(game, values, positions), moves)
    return 100 * said["accuracy"], said["lost"]


def rule_of_thumb(positions):
    """Takes a box where there is one, and draws any free edge otherwise."""
    rng = np.random.default_rng(0)
    gain = game.play(positions[:, None], np.arange(game.edges))[1]
    wish = (gain > 0) + rng.random(gain.shape)
    return np.where(game.drawn(positions), -1, wish).argmax(-1)


chance = engine.strength_at_random(move_values(game, values, test))
print(f"{len(test)} positions to test on, {len(choosing)} others to choose by")
print(
    f"any free edge:  {100 * chance['accuracy']:.1f}% optimal, {chance['lost']:.2f} boxes lost a move"
)
optimal, lost = strength(rule_of_thumb(test))
print(f"takes boxes:    {optimal:.1f}% optimal, {lost:.2f} boxes lost a move")

# %% [markdown]
# ## Monte Carlo tree search
#
# Now forget the table; in Go there is none. What can one do who only knows the rules? Look ahead, but not everywhere: a search that looks *more often at what looks good*. The tree begins with the position itself. For each node and each move it keeps three numbers:
#
# - $N(a)$: how often the move was taken (`visits`);
# - $W(a)$: the sum of what came of it, in boxes, for the player who makes it (`total`). So $Q(a) = W(a)/N(a)$ is the mean;
# - $P(a)$: how promising it looks without looking ahead (`prior`). Without a network all free edges are alike.
#
# A **simulation** is one walk from the root down and back up:
#
# 1. **Select.** At each node take the move with the largest
# $$Q(a) + c\, P(a)\, \frac{\sqrt{\sum_b N(b)}}{1 + N(a)}.$$
# The first part likes what was good so far, the second what was looked at little and looks promising. $c$, in boxes, weighs them ($c = 4$ in this lesson, the best of 1, 2, 4, 8 and 16 for a search with playouts, on positions of their own). A move without a visit has $Q = 0$. The formula is called PUCT.
# 2. **Expand.** The first move that has no node behind it gets one. The position there is evaluated: a prior $P$ for its moves, and a value $v$, an estimate of $V$. Without a network one plays one quick game to the end, by chance and one rule of thumb (take a box where there is one, else draw any edge), and its result is $v$. Such a game is called a *playout*; it is the *Monte Carlo* in the name.
# 3. **Back up.** On the way back, every move of the walk is counted, and what follows from it is added to its $W$: $v$, with the boxes won on the way and the sign of whoever made the move. The next section does that exactly.
#
# After all simulations the move that was visited most is played. As the number of simulations grows, it tends to the best move; the question is how fast.
#
# ### Exercise 2: selection
# The formula, for all moves of one node. (Edges that are drawn already are ruled out afterwards; not here.)
#
# <details><summary>Hint: dividing by 0</summary>
#
# Where $N = 0$, $W$ is 0 too. So it does not matter by what you divide there, as long as it is not 0: `np.maximum(visits, 1)`.
# </details>


# %% role="answer" name="puct" library="tinykd.search.puct"
def puct(visits, total, prior, c):
    """Q + c P sqrt(sum N) / (1 + N) for every move, an array (edges,). Q = W / N, and 0 where N = 0.

    visits N, total W, prior P: arrays (edges,). c: a number, in boxes. No warnings: nothing is divided by 0.
    """
    # YOUR CODE: Q without dividing by 0, then the formula
    # BEGIN SOLUTION
    q = total / np.maximum(visits, 1)
    return q + c * prior * np.sqrt(visits.sum()) / (1 + visits)
    # END SOLUTION


# %% role="check" name="puct.values" points=1 hint="Q = W / N, plus c times P times the square root of the sum of all N, divided by 1 + N of the move itself."
rng = check.rng("puct.values")
check("puct.values", check.call(puct, *counts(rng, 7, 0), 1.5))

# %% role="check" name="puct.unvisited" points=1 hint="Some moves have no visit: Q = 0 there, not NaN, and nothing is divided by 0 on the way. And a fresh node, where no move has any: sum N = 0, so all is 0."
rng = check.rng("puct.unvisited")
visited, total, prior = counts(rng, 7, 3)
with np.errstate(divide="raise", invalid="raise"):  # 0 / 0 is no number, and warns
    found = [check.call(puct, visited, total, prior, 1.0)]
    found.append(check.call(puct, 0 * visited, 0 * total, prior, 1.0))
check("puct.unvisited", found)

# %% role="hidden" name="puct.secret" points=1 hint="Other numbers of moves, other c, few visits and many."
rng = check.rng("puct.secret")
found = [check.call(puct, *counts(rng, 17, never), c) for never, c in ((16, 2.0), (5, 0.3))]
check("puct.secret", found)


# %% role="mutant" of="puct" name="puct.at_least_one" loses="puct.unvisited" hint="At a fresh node no move has a visit, so the square root is 0. You took 1."
def puct(visits, total, prior, c):
    q = total / np.maximum(visits, 1)
    return q + c * prior * np.sqrt(max(visits.sum(), 1)) / (1 + visits)


# %% role="mutant" of="puct" name="puct.nan" loses="puct.unvisited, puct.secret" hint="0 / 0 is NaN, and NaN wins every argmax. A move without a visit has Q = 0."
def puct(visits, total, prior, c):
    with np.errstate(all="ignore"):
        return total / visits + c * prior * np.sqrt(visits.sum()) / (1 + visits)


# %% role="mutant" of="puct" name="puct.total" loses="puct.values, puct.unvisited, puct.secret" hint="You add W, the sum. Q is the mean: W / N."
def puct(visits, total, prior, c):
    return total + c * prior * np.sqrt(visits.sum()) / (1 + visits)


# %% role="mutant" of="puct" name="puct.no_root" loses="puct.values, puct.unvisited, puct.secret" hint="The square root is missing: sqrt(sum of N)."
def puct(visits, total, prior, c):
    return total / np.maximum(visits, 1) + c * prior * visits.sum() / (1 + visits)


# %% role="mutant" of="puct" name="puct.own_root" loses="puct.values, puct.unvisited, puct.secret" hint="Under the root stands the sum of all moves' visits, not the move's own."
def puct(visits, total, prior, c):
    return total / np.maximum(visits, 1) + c * prior * np.sqrt(visits) / (1 + visits)


# %% role="mutant" of="puct" name="puct.q_over_one_more" loses="puct.values, puct.unvisited, puct.secret" hint="Q is W / N; the 1 + N belongs to the second part alone."
def puct(visits, total, prior, c):
    return (total + c * prior * np.sqrt(visits.sum())) / (1 + visits)


# %% role="mutant" of="puct" name="puct.no_prior" loses="puct.values, puct.unvisited, puct.secret" hint="The prior is missing. It says where to look first."
def puct(visits, total, prior, c):
    return total / np.maximum(visits, 1) + c * np.sqrt(visits.sum()) / (1 + visits)


# %% role="mutant" of="puct" name="puct.no_one" loses="puct.values, puct.unvisited, puct.secret" hint="The denominator is 1 + N."
def puct(visits, total, prior, c):
    n = np.maximum(visits, 1)
    return total / n + c * prior * np.sqrt(visits.sum()) / n


# %% role="mutant" of="puct" name="puct.c_is_one" loses="puct.values, puct.secret" hint="c is not used. It weighs the second part."
def puct(visits, total, prior, c):
    return total / np.maximum(visits, 1) + prior * np.sqrt(visits.sum()) / (1 + visits)


# %% role="mutant" of="puct" name="puct.in_place" loses="puct.values, puct.unvisited, puct.secret" hint="`total /= ...` changes the node's own W. Write total / ..."
def puct(visits, total, prior, c):
    total /= np.maximum(visits, 1)
    return total + c * prior * np.sqrt(visits.sum()) / (1 + visits)


# %% role="alternative" of="puct" name="puct.by_loop"
def puct(visits, total, prior, c):
    everything, found = sum(visits), []
    for n, w, p in zip(visits, total, prior, strict=False):
        found.append((w / n if n else 0.0) + c * p * math.sqrt(everything) / (1 + n))
    return np.array(found)


# %% role="alternative" of="puct" name="puct.by_where"
def puct(visits, total, prior, c):
    q = np.zeros(len(visits))
    np.divide(total, visits, out=q, where=visits > 0)
    return q + c * np.asarray(prior) * visits.sum() ** 0.5 / (visits + 1)


# %% [markdown]
# ### Back up: whose value is it?
#
# At the end of the walk stands $v$: what the last position is worth *to the player who is to move there*. Go one move back. The player who made that move gets $g + v$ if they completed $g > 0$ boxes, because it is still they who move; and $-v$ if they completed none. That number is what this move was worth to its player:
# it is added to $W$. And it is also the value of the position *before* the move to whoever was to move there, so go on with it, one more move back:
#
# $$v \leftarrow \begin{cases} g + v & g > 0 \\ -v & g = 0 \end{cases} \qquad N \leftarrow N + 1, \qquad W \leftarrow W + v.$$
#
# An error here is hard to see: the search still runs, its counts look reasonable, and it plays well for the other side.
#
# ### Exercise 3: back-up
#
# <details><summary>Hint: the order in the loop</summary>
#
# `for node, move, gain in reversed(path)`. First turn `value` into what the move was worth to its player, then count and add. The same variable is the value for the next turn of the loop.
# </details>


# %% role="answer" name="back_up"
def back_up(path, value):
    """Count every move of a walk, and add what it was worth to its player. Changes the nodes; returns nothing.

    path: list of (node, move, gain), the root first: at `node` the edge `move` was drawn and completed `gain` boxes.
    node.visits and node.total are arrays (edges,). value: of the position behind the last move, in boxes, for who is to move there.
    """
    # YOUR CODE: from the last move to the first
    # BEGIN SOLUTION
    for node, move, gain in reversed(path):
        value = gain + value if gain > 0 else -value
        node.visits[move] += 1
        node.total[move] += value
    # END SOLUTION


# %% role="check" name="back_up.one" points=1 hint="A walk of one move: N of that move is one more, W is larger by g + v, or by -v where no box was completed."
rng, found = check.rng("back_up.one"), []
for _ in range(6):
    path = a_path(rng, 1)
    check.call(back_up, path, float(rng.normal()), may_change=[path])
    found.append(along(path))
check("back_up.one", found)

# %% role="check" name="back_up.walk" points=1 hint="A walk of six moves: begin with the last one, and go on with the value that you have just added."
rng = check.rng("back_up.walk")
path = a_path(rng, 6)
check.call(back_up, path, float(rng.normal()), may_change=[path])
check("back_up.walk", along(path))

# %% role="hidden" name="back_up.secret" points=1 hint="Long walks, on another board."
rng, found = check.rng("back_up.secret"), []
for depth in (9, 14):
    path = a_path(rng, depth, edges=12)
    check.call(back_up, path, float(rng.normal()), may_change=[path])
    found.append(along(path))
check("back_up.secret", found)


# %% role="mutant" of="back_up" name="back_up.always_minus" loses="back_up.one, back_up.walk, back_up.secret" hint="You change the sign at every move. Who completes a box moves again: g + v."
def back_up(path, value):
    for node, move, gain in reversed(path):
        value = gain - value
        node.visits[move] += 1
        node.total[move] += value


# %% role="mutant" of="back_up" name="back_up.never_minus" loses="back_up.one, back_up.walk, back_up.secret" hint="The sign never changes, so both players seem to want the same. After a move without a box it is -v."
def back_up(path, value):
    for node, move, gain in reversed(path):
        value = gain + value
        node.visits[move] += 1
        node.total[move] += value


# %% role="mutant" of="back_up" name="back_up.from_the_root" loses="back_up.walk, back_up.secret" hint="You begin at the root. The value belongs to the position behind the last move: begin there, reversed(path)."
def back_up(path, value):
    for node, move, gain in path:
        value = gain + value if gain > 0 else -value
        node.visits[move] += 1
        node.total[move] += value


# %% role="mutant" of="back_up" name="back_up.too_late" loses="back_up.one, back_up.walk, back_up.secret" hint="You add v before it is turned into what the move was worth to the player who made it: first the sign and the gain, then W."
def back_up(path, value):
    for node, move, gain in reversed(path):
        node.visits[move] += 1
        node.total[move] += value
        value = gain + value if gain > 0 else -value


# %% role="mutant" of="back_up" name="back_up.no_gain" loses="back_up.one, back_up.walk, back_up.secret" hint="The completed boxes are not added: g + v."
def back_up(path, value):
    for node, move, gain in reversed(path):
        value = value if gain > 0 else -value
        node.visits[move] += 1
        node.total[move] += value


# %% role="mutant" of="back_up" name="back_up.overwritten" loses="back_up.one, back_up.walk, back_up.secret" hint="W is a sum over all walks: add to it (+=), do not replace it."
def back_up(path, value):
    for node, move, gain in reversed(path):
        value = gain + value if gain > 0 else -value
        node.visits[move] += 1
        node.total[move] = value


# %% role="mutant" of="back_up" name="back_up.same_value" loses="back_up.walk, back_up.secret" hint="Every move gets the value of the last position, with its own sign and gain. Go on with the value that you have just added."
def back_up(path, value):
    for node, move, gain in path:
        node.visits[move] += 1
        node.total[move] += gain + value if gain > 0 else -value


# %% role="mutant" of="back_up" name="back_up.whole_node" loses="back_up.one, back_up.walk, back_up.secret" hint="node.visits += 1 counts all moves of the node. Only the one that was made: node.visits[move]."
def back_up(path, value):
    for node, move, gain in reversed(path):
        value = gain + value if gain > 0 else -value
        node.visits += 1
        node.total[move] += value


# %% role="alternative" of="back_up" name="back_up.recursive"
def back_up(path, value):
    if path:
        *before, (node, move, gain) = path
        v = value + gain if gain else -value
        node.visits[move] = node.visits[move] + 1
        node.total[move] = node.total[move] + v
        back_up(before, v)


# %% role="alternative" of="back_up" name="back_up.by_index"
def back_up(path, value):
    v = value
    for i in range(len(path) - 1, -1, -1):
        sign = 1 if path[i][2] else -1
        v = path[i][2] + sign * v
        path[i][0].visits[path[i][1]] += 1
        path[i][0].total[path[i][1]] += v


# %% [markdown]
# ### Exercise 4: the search
# Now the loop around them. Each simulation walks from the root: `choose(node)` says which move, `game.play` where that leads. If there is a node behind the move, the walk goes on there. If not, it ends: the position is evaluated and gets its node, `node.children[move] = Node(position, prior)`, and `back_up(path, value)`
# is called with the whole walk. Or the game is over there: then the value is 0, and there is no node and nothing to evaluate.
#
# `evaluate`, `choose` and `back_up` are given to you, as arguments. (In the cell behind the exercise they will be your own.)
#
# <details><summary>Hint: the skeleton</summary>
#
# Make the root: evaluate its position, and take the prior. Then `for _ in range(simulations):`, with `node, path = root, []` at its beginning, and in it `while True:` for the walk: choose, play, `path.append((node, move, gain))`. Three cases: over (`break`, value 0), a child is there (`node = node.children[move]`), or none (evaluate, a new node, `break`).
# </details>


# %% role="answer" name="run_search" library="tinykd.search.search"
def run_search(game, position, evaluate, simulations, choose, back_up):
    """Search `position` with so many simulations. Returns the visits of the root's moves, an array (edges,).

    evaluate(position) gives (prior (edges,), value); it is asked once for the root, whose value is not needed, and once for
    every new node, never for game.full. choose(node) gives a move; back_up(path, value) is called once at the end of each walk, with path a
    list of (node, move, gain) from the root on, and value that of the position behind the last move: 0 at game.full.
    """
    # YOUR CODE: the root; then, so many times, a walk down, a new node, and back up
    # BEGIN SOLUTION
    root = Node(position, evaluate(position)[0])
    for _ in range(simulations):
        node, path = root, []
        while True:
            move = choose(node)
            after, gain = game.play(node.position, move)
            path.append((node, move, gain))
            if after == game.full:
                value = 0.0
                break
            if move not in node.children:
                prior, value = evaluate(int(after))
                node.children[move] = Node(int(after), prior)
                break
            node = node.children[move]
        back_up(path, value)
    return root.visits
    # END SOLUTION


# %% role="check" name="run_search.first" points=1 hint="Three simulations from the beginning: the log says what was evaluated and which walks were backed up. The root is evaluated first; every walk begins at the root."
fake = FakeSearch(check.rng("run_search.first"), DotsAndBoxes(1, 2))
check.call(run_search, fake.game, 0, fake.evaluate, 3, fake.choose, fake.back_up)
check("run_search.first", fake.log)

# %% role="check" name="run_search.deeper" points=1 hint="Thirty simulations: where a node is there already the walk goes through it, and ends with the first new one. The nodes are kept from walk to walk."
fake = FakeSearch(check.rng("run_search.deeper"), DotsAndBoxes(1, 2))
visits = check.call(
    run_search, fake.game, fake.left(6), fake.evaluate, 30, fake.choose, fake.back_up
)
check("run_search.deeper", [fake.log, visits.copy()])

# %% role="check" name="run_search.end" points=1 hint="Four edges are left. Where the game is over the value is 0, and the full board is never evaluated."
fake = FakeSearch(check.rng("run_search.end"), DotsAndBoxes(1, 2))
check.call(run_search, fake.game, fake.left(4), fake.evaluate, 90, fake.choose, fake.back_up)
check("run_search.end", fake.log)

# %% role="hidden" name="run_search.secret" points=2 hint="Another board, more simulations."
rng, found = check.rng("run_search.secret"), []
for size, left, simulations in (((1, 3), 3, 20), ((2, 2), 9, 60)):
    fake = FakeSearch(rng, DotsAndBoxes(*size))
    visits = check.call(
        run_search,
        fake.game,
        fake.left(left),
        fake.evaluate,
        simulations,
        fake.choose,
        fake.back_up,
    )
    found.append([fake.log, visits.copy()])
check("run_search.secret", found)


# %% role="mutant" of="run_search" name="run_search.level_priors" loses="run_search.first, run_search.deeper, run_search.end, run_search.secret" hint="Your nodes have a prior that evaluate did not give. Each new node gets the one that came with its value."
def run_search(game, position, evaluate, simulations, choose, back_up):
    level = np.ones(game.edges) / game.edges
    evaluate(position)
    root = Node(position, level)
    for _ in range(simulations):
        node, path = root, []
        while True:
            move = choose(node)
            after, gain = game.play(node.position, move)
            path.append((node, move, gain))
            if after == game.full:
                value = 0.0
                break
            if move not in node.children:
                _, value = evaluate(int(after))
                node.children[move] = Node(int(after), level)
                break
            node = node.children[move]
        back_up(path, value)
    return root.visits


# %% role="mutant" of="run_search" name="run_search.over_evaluated" loses="run_search.end, run_search.secret" hint="You evaluate the full board. The game is over there: the value is 0, and nobody needs to be asked."
def run_search(game, position, evaluate, simulations, choose, back_up):
    root = Node(position, evaluate(position)[0])
    for _ in range(simulations):
        node, path = root, []
        while True:
            move = choose(node)
            after, gain = game.play(node.position, move)
            path.append((node, move, gain))
            if move not in node.children:
                prior, value = evaluate(int(after))
                if after != game.full:
                    node.children[move] = Node(int(after), prior)
                break
            node = node.children[move]
        back_up(path, value)
    return root.visits


# %% role="mutant" of="run_search" name="run_search.forgetful" loses="run_search.first, run_search.deeper, run_search.end, run_search.secret" hint="Your tree starts anew in every simulation, so the search learns nothing: make the root once, before the loop."
def run_search(game, position, evaluate, simulations, choose, back_up):
    visits = np.zeros(game.edges)
    for _ in range(simulations):
        node, path = Node(position, evaluate(position)[0]), []
        root = node
        while True:
            move = choose(node)
            after, gain = game.play(node.position, move)
            path.append((node, move, gain))
            if after == game.full:
                value = 0.0
                break
            if move not in node.children:
                prior, value = evaluate(int(after))
                node.children[move] = Node(int(after), prior)
                break
            node = node.children[move]
        back_up(path, value)
        visits += root.visits
    return visits


# %% role="mutant" of="run_search" name="run_search.no_children" loses="run_search.deeper, run_search.end, run_search.secret" hint="New nodes are not kept: node.children stays empty, and every walk is one move long."
def run_search(game, position, evaluate, simulations, choose, back_up):
    root = Node(position, evaluate(position)[0])
    for _ in range(simulations):
        move = choose(root)
        after, gain = game.play(position, move)
        value = 0.0 if after == game.full else evaluate(int(after))[1]
        back_up([(root, move, gain)], value)
    return root.visits


# %% role="mutant" of="run_search" name="run_search.to_the_end" loses="run_search.first, run_search.deeper, run_search.end, run_search.secret" hint="Your walk goes on after it has made a node. It ends with the first new node."
def run_search(game, position, evaluate, simulations, choose, back_up):
    root = Node(position, evaluate(position)[0])
    for _ in range(simulations):
        node, path = root, []
        while True:
            move = choose(node)
            after, gain = game.play(node.position, move)
            path.append((node, move, gain))
            if after == game.full:
                value = 0.0
                break
            if move not in node.children:
                prior, value = evaluate(int(after))
                node.children[move] = Node(int(after), prior)
            node = node.children[move]
        back_up(path, value)
    return root.visits


# %% role="mutant" of="run_search" name="run_search.goes_on" loses="run_search.first, run_search.deeper, run_search.end, run_search.secret" hint="The next walk begins where the last one ended. Every simulation begins at the root."
def run_search(game, position, evaluate, simulations, choose, back_up):
    root = node = Node(position, evaluate(position)[0])
    path = []
    for _ in range(simulations):
        while True:
            move = choose(node)
            after, gain = game.play(node.position, move)
            path.append((node, move, gain))
            if after == game.full:
                value = 0.0
                back_up(path, value)
                node, path = root, []
                break
            if move not in node.children:
                prior, value = evaluate(int(after))
                node.children[move] = Node(int(after), prior)
                node = node.children[move]
                back_up(path, value)
                break
            node = node.children[move]
    return root.visits


# %% role="mutant" of="run_search" name="run_search.shared_nodes" loses="run_search.deeper, run_search.end, run_search.secret" hint="Two walks that come to the same position by other moves share a node in yours. Here a node belongs to the way to it: a child of its parent, node.children[move]."
def run_search(game, position, evaluate, simulations, choose, back_up):
    nodes = {int(position): Node(position, evaluate(position)[0])}
    for _ in range(simulations):
        after, path, value = int(position), [], 0.0
        while after in nodes:
            node = nodes[after]
            move = choose(node)
            after, gain = game.play(node.position, move)
            path.append((node, move, gain))
        if after != game.full:
            prior, value = evaluate(int(after))
            nodes[int(after)] = Node(int(after), prior)
        back_up(path, value)
    return nodes[int(position)].visits


# %% role="mutant" of="run_search" name="run_search.one_short" loses="run_search.first, run_search.deeper, run_search.end, run_search.secret" hint="One simulation is missing. Making the root is none."
def run_search(game, position, evaluate, simulations, choose, back_up):
    root = Node(position, evaluate(position)[0])
    for _ in range(simulations - 1):
        node, path = root, []
        while True:
            move = choose(node)
            after, gain = game.play(node.position, move)
            path.append((node, move, gain))
            if after == game.full:
                value = 0.0
                break
            if move not in node.children:
                prior, value = evaluate(int(after))
                node.children[move] = Node(int(after), prior)
                break
            node = node.children[move]
        back_up(path, value)
    return root.visits


# %% role="mutant" of="run_search" name="run_search.last_move_missing" loses="run_search.first, run_search.deeper, run_search.end, run_search.secret" hint="The last move of the walk, the one to the new node, is not in the path. It is the one whose worth was just found out."
def run_search(game, position, evaluate, simulations, choose, back_up):
    root = Node(position, evaluate(position)[0])
    for _ in range(simulations):
        node, path = root, []
        while True:
            move = choose(node)
            after, gain = game.play(node.position, move)
            if after == game.full:
                value = 0.0
                break
            if move not in node.children:
                prior, value = evaluate(int(after))
                node.children[move] = Node(int(after), prior)
                break
            path.append((node, move, gain))
            node = node.children[move]
        back_up(path, value)
    return root.visits


# %% role="mutant" of="run_search" name="run_search.value_of_before" loses="run_search.first, run_search.deeper, run_search.end, run_search.secret" hint="You evaluate the position before the move. The new node is behind it: evaluate(after)."
def run_search(game, position, evaluate, simulations, choose, back_up):
    root = Node(position, evaluate(position)[0])
    for _ in range(simulations):
        node, path = root, []
        while True:
            move = choose(node)
            after, gain = game.play(node.position, move)
            path.append((node, move, gain))
            if after == game.full:
                value = 0.0
                break
            if move not in node.children:
                prior, value = evaluate(node.position)
                node.children[move] = Node(int(after), prior)
                break
            node = node.children[move]
        back_up(path, value)
    return root.visits


# %% role="mutant" of="run_search" name="run_search.gain_for_value" loses="run_search.end, run_search.secret" hint="At the full board you hand over the last boxes as the value. They are in the path already, as the gain: the value behind the last move is 0."
def run_search(game, position, evaluate, simulations, choose, back_up):
    root = Node(position, evaluate(position)[0])
    for _ in range(simulations):
        node, path = root, []
        while True:
            move = choose(node)
            after, gain = game.play(node.position, move)
            path.append((node, move, gain))
            if after == game.full:
                value = gain
                break
            if move not in node.children:
                prior, value = evaluate(int(after))
                node.children[move] = Node(int(after), prior)
                break
            node = node.children[move]
        back_up(path, value)
    return root.visits


# %% role="alternative" of="run_search" name="run_search.while_there"
def run_search(game, position, evaluate, simulations, choose, back_up):
    prior, _ = evaluate(position)
    root = Node(position, prior)
    for _ in range(simulations):
        node, path = root, []
        while node is not None:
            move = choose(node)
            after, gain = game.play(node.position, move)
            path.append((node, move, gain))
            parent, node = node, node.children.get(move)
        value = 0.0
        if after != game.full:
            prior, value = evaluate(int(after))
            parent.children[move] = Node(int(after), prior)
        back_up(path, value)
    return root.visits


# %% role="alternative" of="run_search" name="run_search.recursive"
def run_search(game, position, evaluate, simulations, choose, back_up):
    root = Node(position, evaluate(position)[0])

    def walk(node, path):
        move = choose(node)
        after, gain = (int(x) for x in game.play(node.position, move))
        path = [*path, (node, move, gain)]
        if after == game.full:
            return back_up(path, 0)
        if move in node.children:
            return walk(node.children[move], path)
        prior, value = evaluate(after)
        node.children[move] = Node(after, prior)
        back_up(path, value)

    for _ in range(simulations):
        walk(root, [])
    return np.array(root.visits)


# %% [markdown]
# You have a search. Here it is, put together, on the position of the figure above; and beside it the engine's, which does the same for hundreds of positions side by side (one walk at each, then one evaluation of all the leaves together: that is what makes it fast enough for this lesson). Both evaluate without chance here, all moves alike and $v = 0$, so
# they should agree to the last visit.

# %% role="show" name="own-search" folded=true
own_puct, own_back_up = check.ready(puct, engine.puct), back_up


def level(position):
    free = ~game.drawn(position)
    return free / free.sum(-1, keepdims=True), np.zeros(np.shape(position))


def choose(node, c=4.0):
    scores = own_puct(node.visits, node.total, node.prior, c)
    return int(np.where(game.drawn(node.position), -np.inf, scores).argmax())


try:
    start = time.perf_counter()
    yours = run_search(game, example, level, 200, choose, own_back_up)
    print(f"your search: {1000 * (time.perf_counter() - start):.0f} ms for one position")
except NotImplementedError:
    print("your search is not written yet; the engine's:")
    yours = engine.search(game, np.array([example]), level, 200).visits[0]
start = time.perf_counter()
theirs = engine.search(game, np.full(100, example), level, 200).visits
print(f"the engine's: {1000 * (time.perf_counter() - start):.0f} ms for 100 positions")
print("edge       " + "".join(f"{e:5d}" for e in np.flatnonzero(np.isfinite(q))))
print("worth      " + "".join(f"{q[e]:+5.0f}" for e in np.flatnonzero(np.isfinite(q))))
for name, n in (("yours", yours), ("the engine", theirs[0])):
    print(f"{name:11s}" + "".join(f"{n[e]:5.0f}" for e in np.flatnonzero(np.isfinite(q))))

# %% [markdown]
# The same counts to the last visit. And with these 200 simulations both would take the box with edge 11, the mistake of four boxes: with $v = 0$ everywhere the search believes in what it can see, and the end of the game, where the four boxes are lost, is seven moves away.
#
# How strong is a search with playouts for an evaluation?
#
# **What do you expect?** From 4 to 512 simulations a move: how many of the moves are optimal? Is it a straight line over $\log N$?

# %% role="show" name="curve"
most = {"smoke": 32, "default": 512, "full": 1024}[scale]
SIMULATIONS = [4 * 2**n for n in range(9) if 4 * 2**n <= most]


def strength_after(evaluate, simulations):
    """The strength of one search after each of these numbers of simulations, on the test."""
    found = {}

    def watch(n, visits):
        if n in simulations:
            found[n] = strength(visits.argmax(-1))

    engine.search(game, test, evaluate, max(simulations), watch=watch)
    return found


plain = strength_after(playouts(game, np.random.default_rng(0)), SIMULATIONS)
for n, (optimal, lost) in plain.items():
    print(f"{n:5d} simulations: {optimal:5.1f}% optimal, {lost:.2f} boxes lost a move")

# %% [markdown]
# **What we saw.** No straight line. Over our eight seeds, whose mean curve is drawn further down, 4 simulations find 39.6% of the optimal moves, 8 find 52.3%, and up to 32 nothing more is gained (53.2%). From there to 256 (73.9%) every doubling adds six to eight points, and then less and less (512: 78.4%). And with 64 simulations it is still *weaker* than the rule of thumb that its own playouts follow. One quick game behind each new node is a noisy opinion, and a handful of them for each move is not enough to tell moves apart. Such a search is a
# poor player. Is it a poor teacher?
#
# ## Counts are soft targets
#
# The search leaves more behind than a move. It has looked at all of them, and the counts say how they compare: two good moves have large counts both, a blunder was dropped soon. Divided by their sum they are probabilities, and a network can be trained towards them. At a temperature $T$:
#
# $$\pi(a) = \frac{N(a)^{1/T}}{\sum_b N(b)^{1/T}} = \mathrm{softmax}\big(\tfrac1T \log N\big)(a).$$
#
# So the logarithms of the counts are the teacher's *logits*, and $T$ is the temperature of lesson 01: $T = 1$ the shares as they are, $T \to 0$ all on the move that was visited most, $T \to \infty$ level, among the moves that were visited at all.
#
# ### Exercise 5: targets from counts
# Small $T$ means large powers: $3000^{1/0.05}$ is $10^{69}$, and at $T = 0.01$ it does not fit into a computer's number. Lesson 01 had the remedy: take the largest out first.
#
# <details><summary>Hint</summary>
#
# Dividing all counts of a row by the same number changes nothing: it falls out of the fraction. Divide by the row's largest, `visits.max(-1, keepdims=True)`; then the powers are between 0 and 1.
# </details>


# %% role="answer" name="visit_targets" library="tinykd.search.visit_targets"
def visit_targets(visits, T):
    """N**(1/T) / sum of N**(1/T), for every row: (..., edges). 0 where N = 0; finite for every T above 0, without warnings.

    visits: an array (..., edges) of NumPy, each row with at least one visit. Returns such an array.
    """
    # YOUR CODE
    # BEGIN SOLUTION
    shares = (visits / visits.max(-1, keepdims=True)) ** (1 / T)
    return shares / shares.sum(-1, keepdims=True)
    # END SOLUTION


# %% role="check" name="visit_targets.values" points=1 hint="The power is 1/T, and each row is divided by its own sum."
rng = check.rng("visit_targets.values")
visits = rng.integers(1, 60, size=(3, 7))
check("visit_targets.values", [check.call(visit_targets, visits, T) for T in (1.0, 2.5)])

# %% role="check" name="visit_targets.unvisited" points=1 hint="Moves without a visit have the target 0, at any temperature, without log(0) or 0 / 0 on the way. Here are two times two positions, (2, 2, edges): the moves are the last axis."
rng = check.rng("visit_targets.unvisited")
visits = rng.integers(1, 60, size=(2, 2, 7)) * rng.permutation([1, 0, 0, 1, 1, 1, 0])
with np.errstate(divide="raise", invalid="raise"):  # log(0) and 0 / 0 warn
    found = [check.call(visit_targets, visits, T) for T in (0.7, 4.0)]
check("visit_targets.unvisited", found)

# %% role="check" name="visit_targets.cold" points=1 hint="Thousands of visits at T = 0.002: the power itself is infinite, and that of a share is 0. Divide by the largest count first, of each row its own."
rng = check.rng("visit_targets.cold")
visits = rng.permuted(np.tile(np.arange(7), (3, 1)), axis=1) * [[20], [20], [1]]
visits = visits + [[3000], [3000], [1]]  # the third row holds 1 to 7
check("visit_targets.cold", check.call(visit_targets, visits, 0.002))

# %% role="hidden" name="visit_targets.secret" points=1 hint="One position alone, many at a time, hot and cold."
rng, found = check.rng("visit_targets.secret"), []
for shape, T in (((17,), 0.5), ((2, 3, 5), 1.7), ((4, 9), 0.008)):
    visits = rng.permuted(np.broadcast_to(np.arange(shape[-1]) * 31, shape), axis=-1) * 40
    found.append(check.call(visit_targets, visits, T))
check("visit_targets.secret", found)


# %% role="mutant" of="visit_targets" name="visit_targets.one_maximum" loses="visit_targets.cold" hint="You divided by the largest count of all rows together, so that a row of small counts becomes 0 / 0. Each row has its own: max(-1, keepdims=True)."
def visit_targets(visits, T):
    shares = (visits / visits.max()) ** (1 / T)
    return shares / shares.sum(-1, keepdims=True)


# %% role="mutant" of="visit_targets" name="visit_targets.of_shares" loses="visit_targets.cold" hint="The power of a small share is 0, for all moves at once. Divide by the row's largest count, not by its sum, before the power."
def visit_targets(visits, T):
    shares = (visits / visits.sum(-1, keepdims=True)) ** (1 / T)
    return shares / shares.sum(-1, keepdims=True)


# %% role="mutant" of="visit_targets" name="visit_targets.power_T" loses="visit_targets.values, visit_targets.unvisited, visit_targets.cold, visit_targets.secret" hint="You raise to the power T: a warm target would be sharper than a cold one. The power is 1/T."
def visit_targets(visits, T):
    shares = (visits / visits.max(-1, keepdims=True)) ** T
    return shares / shares.sum(-1, keepdims=True)


# %% role="mutant" of="visit_targets" name="visit_targets.softmax" loses="visit_targets.values, visit_targets.unvisited, visit_targets.cold, visit_targets.secret" hint="That is a softmax of the counts themselves. The logits are their logarithms."
def visit_targets(visits, T):
    shares = np.exp((visits - visits.max(-1, keepdims=True)) / T)
    return shares / shares.sum(-1, keepdims=True)


# %% role="mutant" of="visit_targets" name="visit_targets.not_normalised" loses="visit_targets.values, visit_targets.unvisited, visit_targets.cold, visit_targets.secret" hint="The row's largest is 1 now, but the targets must sum to 1."
def visit_targets(visits, T):
    return (visits / visits.max(-1, keepdims=True)) ** (1 / T)


# %% role="mutant" of="visit_targets" name="visit_targets.after_the_sum" loses="visit_targets.values, visit_targets.unvisited, visit_targets.cold, visit_targets.secret" hint="You normalise first and take the power afterwards, so the sum is not 1: divide by the sum of the powers."
def visit_targets(visits, T):
    return (visits / visits.sum(-1, keepdims=True)) ** (1 / T)


# %% role="mutant" of="visit_targets" name="visit_targets.overflow" loses="visit_targets.cold, visit_targets.secret" hint="The powers are infinite here, and infinity by infinity is NaN. Divide by the row's largest count first."
def visit_targets(visits, T):
    with np.errstate(all="ignore"):
        shares = visits.astype(float) ** (1 / T)
        return shares / shares.sum(-1, keepdims=True)


# %% role="mutant" of="visit_targets" name="visit_targets.all_rows" loses="visit_targets.values, visit_targets.unvisited, visit_targets.cold, visit_targets.secret" hint="You divide by the sum over everything. Every position has a distribution of its own: the sum over the last axis."
def visit_targets(visits, T):
    shares = (visits / visits.max()) ** (1 / T)
    return shares / shares.sum()


# %% role="mutant" of="visit_targets" name="visit_targets.one_more" loses="visit_targets.values, visit_targets.unvisited, visit_targets.cold, visit_targets.secret" hint="You add 1 to every count: moves that nobody looked at get a share, even edges that are drawn already."
def visit_targets(visits, T):
    shares = ((visits + 1) / (visits + 1).max(-1, keepdims=True)) ** (1 / T)
    return shares / shares.sum(-1, keepdims=True)


# %% role="mutant" of="visit_targets" name="visit_targets.no_T" loses="visit_targets.values, visit_targets.unvisited, visit_targets.cold, visit_targets.secret" hint="T makes no difference: take the counts to the power 1/T."
def visit_targets(visits, T):
    return visits / visits.sum(-1, keepdims=True)


# %% role="alternative" of="visit_targets" name="visit_targets.by_logits"
def visit_targets(visits, T):
    log_n = np.where(visits > 0, np.log(np.maximum(visits, 1)), -np.inf) / T
    shares = np.exp(log_n - log_n.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


# %% role="alternative" of="visit_targets" name="visit_targets.row_by_row"
def visit_targets(visits, T):
    if visits.ndim > 1:
        return np.stack([visit_targets(row, T) for row in visits])
    powers = np.array([(n / max(visits)) ** (1 / T) for n in visits])
    return powers / sum(powers)


# %% [markdown]
# Let the search play against itself. 300 games side by side, each begins with up to four random edges, so that they differ, then 64 simulations a move, and the move is drawn from the shares. What is left of every position: the counts, the move that was played, and the *outcome*, the boxes won minus lost from there to the end, for who is to move.
# Held-out positions are left out.
#
# The figure shows one of these positions: free edges as wide as their share, with the percentage where it is 5 or more; rings mark the optimal moves.

# %% role="show" name="games"
targets = check.ready(visit_targets, engine.visit_targets)
GAMES, LOOKS = {"smoke": (20, 8), "default": (300, 64), "full": (300, 64)}[scale]
start = time.perf_counter()
rng = np.random.default_rng(0)
played = engine.self_play(game, playouts(game, rng), GAMES, LOOKS, rng)
print(f"{GAMES} games, {time.perf_counter() - start:.1f} s: {len(played.positions)} positions")
lost = engine.points_lost(move_values(game, values, played.positions), played.moves)
print(f"boxes lost a move, by the table that no player knows: {lost.mean():.2f}")

# One position of these games: the move that was played, and the counts at three temperatures.
free = (~game.drawn(played.positions)).sum(-1)
ideals = move_values(game, values, played.positions)
good = (ideals == ideals.max(-1, keepdims=True)).sum(-1)
sharp = played.visits.max(-1) / played.visits.sum(-1)
telling = (free >= 8) & (good >= 2) & (good <= 4) & (sharp < 0.5)
row = int(np.flatnonzero(telling)[0] if telling.any() else sharp.argmin())
here, n = int(played.positions[row]), played.visits[row]
ideal = move_values(game, values, np.array([here]))[0]
best = np.flatnonzero(ideal == ideal.max())
figure, grid = plt.subplots(1, 4, figsize=(11, 2.6), layout="constrained")
move = played.moves[row]
board(grid[0], game, here, np.eye(game.edges)[move], best, f"the move played: edge {move}")
for axes, T in zip(grid[1:], (0.25, 1.0, 2.0), strict=False):
    board(axes, game, here, targets(n[None], T)[0], best, f"counts, T = {T:g}")
plots.show(
    "Four boards of the same position. On the first the move that was played carries everything; on the "
    "others the visit counts at three temperatures, sharper at 0.25 and flatter at 2. Rings mark the "
    "optimal moves."
)
print("edge   " + "".join(f"{e:5d}" for e in np.flatnonzero(np.isfinite(ideal))))
print("visits " + "".join(f"{n[e]:5d}" for e in np.flatnonzero(np.isfinite(ideal))))
print("worth  " + "".join(f"{ideal[e]:+5.0f}" for e in np.flatnonzero(np.isfinite(ideal))))

# %% [markdown]
# In our run, the move that was drawn here got few of the visits, and it is a mistake; the largest count is on an optimal move. A hard label says the one, the counts say the other.
#
# ## A student that does not search
#
# The student is a network with one body and two **heads**: the *policy*, a logit for each edge (drawn edges are masked), and the *value* $v$, in boxes. It sees which edges are drawn, and how many each box has; the rules it is not told. It learns both at once:
#
# $$\text{loss} = \mathrm{KL}(\pi \,\|\, p) + w\,(v - z)^2,$$
#
# with $p$ its policy, $\pi$ the search's targets, $z$ the outcome of the game. (AlphaGo Zero has the cross-entropy in place of the KL, whose gradient is the same, $w = 1$ with outcomes of ±1, and weight decay.) In the engine: `SoftLabels() + 0.1 * Value()`; `engine.learn` is a `Trainer` around it, with Adam.
#
# What it is compared with has the same network, positions, steps and seed:
#
# - **labels**: the move that was played, as a hard label (and the outcome);
# - **the most visited move**, as a hard label;
# - **counts** at three temperatures; $T = 1$ was fixed beforehand as "soft targets";
# - **the outcome alone**: only the value is trained. Such a net has no policy; it plays the move with the best $g + v$ or $-v$, one step ahead. That takes an evaluation for each move instead of one, and the rules of the game.
#
# **What do you expect?** Sort the six. And does the flatter target do better than the sharper one, or the other way round?

# %% role="show" name="students"
seeds, epochs = {"smoke": (2, 1), "default": (3, 10), "full": (5, 15)}[scale]
TOLD = {
    "labels: the move played": lambda d: d.moves,
    "the most visited move": lambda d: d.visits.argmax(-1),
    "soft targets, T = 0.5": lambda d: targets(d.visits, 0.5),
    "soft targets": lambda d: targets(d.visits, 1.0),
    "soft targets, T = 2": lambda d: targets(d.visits, 2.0),
}


def student_of(played, policy, seed):
    """A student's policy and value, learned from counts (shares) or from moves (whole numbers)."""
    hard = policy.ndim == 1
    objective = (HardLabels() if hard else SoftLabels()) + 0.1 * Value()
    return learn(game, played, policy, objective, seed, epochs=epochs)


def plays(net, positions=test):
    """The move that the student plays at each position: its most probable one."""
    return asked(game, net)(positions)[0].argmax(-1)


def plays_by_value(net, positions=test):
    """The move after which the student's value is best, one step ahead."""
    return engine.look_ahead(game, asked(game, net), positions).argmax(-1)


quick = {name: [] for name in (*TOLD, "the outcome alone")}
for seed in range(seeds):
    start = time.perf_counter()
    for name, told in TOLD.items():
        student = student_of(played, told(played), seed)
        quick[name].append(strength(plays(student)))
    blind = learn(game, played, targets(played.visits, 1.0), 1.0 * Value(), seed, epochs=epochs)
    quick["the outcome alone"].append(strength(plays_by_value(blind)))
    line = ", ".join(f"{each[-1][0]:.1f}" for each in quick.values())
    print(f"seed {seed}: {line}% optimal ({time.perf_counter() - start:.0f} s)")
print()
for name, each in quick.items():
    optimal, lost = np.mean(each, 0)
    gap, half = mean_interval(
        [a[0] - b[0] for a, b in zip(each, quick["soft targets"], strict=False)]
    )
    line = f"{name:26s}{optimal:5.1f}% optimal, {lost:.2f} boxes lost"
    print(line + ("" if name == "soft targets" else f"; to soft targets {gap:+5.1f} ± {half:.1f}"))

# %% [markdown]
# Before we look at more seeds, one more tool.
#
# ## What is it worth?
#
# A share of optimal moves says little. A search's strength grows with its simulations, and the student has some point on that curve: **as strong as a search with so many simulations**, at the price of one evaluation. To read it off, the curve is measured at some $N$ and drawn with straight lines between them over $\log N$.
#
# ### Exercise 6: a strength in simulations
# Find the fewest simulations at which the curve reaches the student's strength. The curve is measured, so it may have a step down; then the first crossing counts.
#
# <details><summary>Hint: between two points</summary>
#
# If the curve goes from $y_1$ at $N_1$ to $y_2 \ge y$ at $N_2$, the student's $y$ is reached after the share $t = (y - y_1)/(y_2 - y_1)$ of the way, and $\log N = \log N_1 + t\,(\log N_2 - \log N_1)$.
# </details>


# %% role="answer" name="simulations_worth" library="tinykd.search.worth_in_simulations"
def simulations_worth(simulations, curve, value):
    """The fewest simulations at which a search is as strong as `value`, a float.

    simulations: list of rising numbers. curve: the strength at each of them, larger is better. Between two neighbours it changes in a straight line
    with log N. Returns simulations[0] if the curve begins at `value` or above it, and math.inf if it never gets there.
    """
    # YOUR CODE: the two ends, then the first pair of neighbours between which the curve gets there
    # BEGIN SOLUTION
    if curve[0] >= value:
        return float(simulations[0])
    for i in range(1, len(curve)):
        if curve[i] >= value:
            t = (value - curve[i - 1]) / (curve[i] - curve[i - 1])
            a, b = math.log(simulations[i - 1]), math.log(simulations[i])
            return math.exp(a + t * (b - a))
    return math.inf
    # END SOLUTION


# %% role="check" name="simulations_worth.between" points=1 hint="Four strengths, each between two measured points: straight lines over log N, then back from log N to N."
given = on_a_curve(check.rng("simulations_worth.between"), (0.3, 1.7, 0.6, 1.2))
check("simulations_worth.between", [check.call(simulations_worth, *one) for one in given])

# %% role="check" name="simulations_worth.ends" points=1 hint="A student weaker than the weakest search: simulations[0]. One that is stronger than all of them: math.inf. (Infinity is shown as -1.)"
given = off_the_curve(check.rng("simulations_worth.ends"))
check("simulations_worth.ends", [finite(check.call(simulations_worth, *one)) for one in given])

# %% role="check" name="simulations_worth.step" points=1 hint="The curve has a step down in its middle, and comes up again. The first crossing counts. Then a strength that is exactly that of the point before the step, and a curve that ends with the step down."
given = on_a_curve(check.rng("simulations_worth.step"), (3.7, 3.9, 8.5, 4.0), ends=6)
check("simulations_worth.step", [check.call(simulations_worth, *one) for one in given])

# %% role="hidden" name="simulations_worth.secret" points=1 hint="Other curves, all cases."
rng, found = check.rng("simulations_worth.secret"), []
for _ in range(3):
    for one in (*on_a_curve(rng, (0.4, 2.8, 3.8, 9.3)), *off_the_curve(rng)):
        found.append(finite(check.call(simulations_worth, *one)))
check("simulations_worth.secret", found)


# %% role="mutant" of="simulations_worth" name="simulations_worth.inside" loses="simulations_worth.step" hint="A strength that is exactly a measured one lies in no gap of yours: the curve gets there at curve[i] >= value."
def simulations_worth(simulations, curve, value):
    if curve[0] >= value:
        return float(simulations[0])
    for i in range(1, len(curve)):
        if curve[i - 1] < value < curve[i]:
            t = (value - curve[i - 1]) / (curve[i] - curve[i - 1])
            a, b = math.log(simulations[i - 1]), math.log(simulations[i])
            return math.exp(a + t * (b - a))
    return math.inf


# %% role="mutant" of="simulations_worth" name="simulations_worth.above" loses="simulations_worth.step" hint="You ask for more than the student's strength. The curve reaches it where it is equal: >=."
def simulations_worth(simulations, curve, value):
    if curve[0] > value:
        return float(simulations[0])
    for i in range(1, len(curve)):
        if curve[i] > value:
            t = (value - curve[i - 1]) / (curve[i] - curve[i - 1])
            a, b = math.log(simulations[i - 1]), math.log(simulations[i])
            return math.exp(a + t * (b - a))
    return math.inf


# %% role="mutant" of="simulations_worth" name="simulations_worth.by_the_end" loses="simulations_worth.step" hint="You took the last point for the highest. A curve that was measured may get there and come down again."
def simulations_worth(simulations, curve, value):
    if curve[0] >= value:
        return float(simulations[0])
    if curve[-1] < value:
        return math.inf
    for i in range(1, len(curve)):
        if curve[i] >= value:
            t = (value - curve[i - 1]) / (curve[i] - curve[i - 1])
            a, b = math.log(simulations[i - 1]), math.log(simulations[i])
            return math.exp(a + t * (b - a))
    return math.inf


# %% role="mutant" of="simulations_worth" name="simulations_worth.straight_in_N" loses="simulations_worth.between, simulations_worth.step, simulations_worth.secret" hint="Your lines are straight in N. They are straight in log N: interpolate the logarithms, then take exp."
def simulations_worth(simulations, curve, value):
    if curve[0] >= value:
        return float(simulations[0])
    for i in range(1, len(curve)):
        if curve[i] >= value:
            t = (value - curve[i - 1]) / (curve[i] - curve[i - 1])
            return simulations[i - 1] + t * (simulations[i] - simulations[i - 1])
    return math.inf


# %% role="mutant" of="simulations_worth" name="simulations_worth.log" loses="simulations_worth.between, simulations_worth.step, simulations_worth.secret" hint="That is log N. Take exp of it."
def simulations_worth(simulations, curve, value):
    if curve[0] >= value:
        return float(simulations[0])
    for i in range(1, len(curve)):
        if curve[i] >= value:
            t = (value - curve[i - 1]) / (curve[i] - curve[i - 1])
            a, b = math.log(simulations[i - 1]), math.log(simulations[i])
            return a + t * (b - a)
    return math.inf


# %% role="mutant" of="simulations_worth" name="simulations_worth.next_point" loses="simulations_worth.between, simulations_worth.step, simulations_worth.secret" hint="You return the first measured N that is strong enough. The strength is reached somewhere between it and the one before."
def simulations_worth(simulations, curve, value):
    for n, y in zip(simulations, curve, strict=False):
        if y >= value:
            return float(n)
    return math.inf


# %% role="mutant" of="simulations_worth" name="simulations_worth.interp" loses="simulations_worth.ends, simulations_worth.step, simulations_worth.secret" hint="np.interp returns the last N for a student who is stronger than all of them. Such a one is worth more than was measured: math.inf."
def simulations_worth(simulations, curve, value):
    rising = np.maximum.accumulate(curve)
    return float(np.exp(np.interp(value, rising, np.log(simulations))))


# %% role="mutant" of="simulations_worth" name="simulations_worth.last_crossing" loses="simulations_worth.step, simulations_worth.secret" hint="You take the last crossing. The fewest simulations that are strong enough are at the first one."
def simulations_worth(simulations, curve, value):
    found = math.inf if curve[0] < value else float(simulations[0])
    for i in range(1, len(curve)):
        if curve[i - 1] < value <= curve[i]:
            t = (value - curve[i - 1]) / (curve[i] - curve[i - 1])
            a, b = math.log(simulations[i - 1]), math.log(simulations[i])
            found = math.exp(a + t * (b - a))
    return found


# %% role="mutant" of="simulations_worth" name="simulations_worth.wrong_end" loses="simulations_worth.between, simulations_worth.step, simulations_worth.secret" hint="The share of the way is measured from the lower point: (y - y1) / (y2 - y1)."
def simulations_worth(simulations, curve, value):
    if curve[0] >= value:
        return float(simulations[0])
    for i in range(1, len(curve)):
        if curve[i] >= value:
            t = (curve[i] - value) / (curve[i] - curve[i - 1])
            a, b = math.log(simulations[i - 1]), math.log(simulations[i])
            return math.exp(a + t * (b - a))
    return math.inf


# %% role="mutant" of="simulations_worth" name="simulations_worth.extrapolated" loses="simulations_worth.ends, simulations_worth.secret" hint="Beyond the last point nothing was measured: math.inf, not a line drawn on."
def simulations_worth(simulations, curve, value):
    if curve[0] >= value:
        return float(simulations[0])
    for i in range(1, len(curve)):
        if curve[i] >= value or i == len(curve) - 1:
            t = (value - curve[i - 1]) / (curve[i] - curve[i - 1])
            a, b = math.log(simulations[i - 1]), math.log(simulations[i])
            return math.exp(a + t * (b - a))


# %% role="mutant" of="simulations_worth" name="simulations_worth.halfway" loses="simulations_worth.between, simulations_worth.step, simulations_worth.secret" hint="You return the middle of the two points, whatever the student's strength is between them."
def simulations_worth(simulations, curve, value):
    if curve[0] >= value:
        return float(simulations[0])
    for i in range(1, len(curve)):
        if curve[i] >= value:
            return math.sqrt(simulations[i - 1] * simulations[i])
    return math.inf


# %% role="alternative" of="simulations_worth" name="simulations_worth.by_interp"
def simulations_worth(simulations, curve, value):
    strong = [i for i, y in enumerate(curve) if y >= value]
    if not strong:
        return math.inf
    i = strong[0]
    if i == 0:
        return float(simulations[0])
    return float(2 ** np.interp(value, curve[i - 1 : i + 1], np.log2(simulations[i - 1 : i + 1])))


# %% role="alternative" of="simulations_worth" name="simulations_worth.geometric"
def simulations_worth(simulations, curve, value):
    before = None
    for n, y in zip(simulations, curve, strict=False):
        if y >= value:
            if before is None:
                return n
            m, x = before
            t = (value - x) / (y - x)
            return m ** (1 - t) * n**t
        before = n, y
    return float("inf")


# %% [markdown]
# ### Six students
# Back to the six kinds of student. The games were the same for all of yours; only their starts differed, and the test is one set of 400 positions. Ours: eight seeds, each with games and test positions of its own, and 15 epochs instead of 10.

# %% role="show" name="results" folded=true
stored = json.loads(data_file("results/search_as_teacher.json").read_text())


def runs(setting, method, key="accuracy"):
    """Of our runs, by seed; accuracy in percent."""
    times = 100 if key == "accuracy" else 1
    chosen = [r for r in stored["runs"] if (r["setting"], r["method"]) == (setting, method)]
    return {r["seed"]: times * r[key] for r in chosen}


def against(mine, theirs):
    """Mean difference and half its 95% interval, paired by seed, and what follows."""
    gap, half = mean_interval([mine[s] - theirs[s] for s in sorted(mine.keys() & theirs.keys())])
    word = "undecided" if abs(gap) <= half else "better" if gap > 0 else "worse"
    return f"{gap:+5.1f} ± {half:4.1f}  {word}"


def table(setting, methods, rival="soft targets"):
    print(f"{'':42s}{'optimal':>8s}{'boxes lost':>11s}   points to {rival!r}")
    for method in methods:
        mine, boxes = runs(setting, method), runs(setting, method, "lost")
        line = (
            f"{method:42s}{np.mean(list(mine.values())):7.1f}%{np.mean(list(boxes.values())):11.2f}"
        )
        print(line if method == rival else f"{line}   {against(mine, runs(setting, rival))}")


print(f"our {len(stored['seconds'])} seeds, one round of 300 games:")
table(
    "one round",
    [
        "chance",
        "takes a box, or else chance",
        "labels",
        "the most visited move",
        *(f"soft targets, T = {T:g}" for T in (0.25, 0.5)),
        "soft targets",
        "soft targets, T = 2",
    ],
)
print("\nonly where there is no box to take:")
for method in ("chance", "labels", "the most visited move", "soft targets"):
    quiet = {seed: 100 * x for seed, x in runs("one round", method, "quiet").items()}
    rival = {seed: 100 * x for seed, x in runs("one round", "soft targets", "quiet").items()}
    line = f"{method:42s}{np.mean(list(quiet.values())):7.1f}%"
    print(line if method == "soft targets" else f"{line}{'':14s}{against(quiet, rival)}")
print("\nnot by a policy, but by a value, one move ahead:")
table("one round", ["the outcome alone", "soft targets, by its value one move ahead"])

# %% [markdown]
# **What we saw** (the numbers are those of our eight seeds).
#
# - **Counts beat the most visited move**, by 4.7 ± 1.5 points, with the same network, positions, steps and seeds. The second and third thoughts of a search are worth keeping, as those of a teacher of digits are.
# - **The move that was played** is a hard label too, and better chosen: it ends 2.5 ± 1.9 points below the counts. (We had planned five seeds. At four this line was undecided, and we took eight: read its interval with that in mind.) It was *drawn* from the counts, so over many positions its mean *is* the soft target, and what it lacks is only certainty about each single one. The most visited move is the same for every draw: what it throws away, no number of positions brings back. Where there is no box to take, counts and moves played are not told apart (1.0 ± 4.1, undecided); the most visited move is left behind there too (7.8 ± 3.0).
# - **Sharper is worse**: against $T = 1$, $T = 0.25$ loses 3.2 ± 1.6 points and $T = 0.5$ loses 1.6 ± 1.3. $T = 2$ is level with it (0.9 ± 1.1, undecided). A likely reason: 64 looks are few, which of two good moves got two more of them is largely luck, and a flatter target believes less in it.
# - **The outcome alone** is far behind, 15.0 ± 5.3 points, although it may look one move ahead. One number a game is little to learn from; a distribution over all moves at every position is much.
# - **The rule of thumb** is beaten, by 5.2 ± 2.2 points. Nobody told the student the rules: that a box with three edges is there to be taken, it had to find in the counts.
#
# ### In simulations
# **What do you expect?** The teacher looked 64 times at each move. What is its student worth: less than 64 simulations, about 64, or more?

# %% role="show" name="worth" folded=true
worth = check.ready(simulations_worth, engine.worth_in_simulations)
of_seed = {}
for r in stored["curve"]:
    of_seed.setdefault(r["seed"], {})[r["simulations"]] = r
all_sims = sorted({r["simulations"] for r in stored["curve"]})


def curve_of(seed, key="accuracy"):
    """Our curve of a seed, larger is better: the share of optimal moves, or minus the boxes lost."""
    times = 100 if key == "accuracy" else -1
    return [times * of_seed[seed][n][key] for n in all_sims]


def in_simulations(strengths, key="accuracy"):
    """Mean over seeds of log N, and its interval, as words."""
    found = [worth(all_sims, curve_of(seed, key), y) for seed, y in strengths.items()]
    beyond = sum(map(math.isinf, found))
    if beyond:
        low = min(found)
        low = "all" if math.isinf(low) else f"the others from {low:.0f} on"
        return f"more than {all_sims[-1]} in {beyond} of {len(found)} seeds, {low}"
    mean, half = mean_interval([math.log(n) for n in found])
    low, high = math.exp(mean - half), math.exp(mean + half)
    return f"{math.exp(mean):.0f} simulations, 95% interval {low:.0f} to {high:.0f}"


by_round = {}
for r in stored["rounds"]:
    by_round.setdefault((r["method"], r["round"]), {})[r["seed"]] = r
mean_curve = np.mean([curve_of(seed) for seed in of_seed], 0)
figure, axes = plt.subplots(figsize=(8, 3.8), layout="constrained")
for seed in of_seed:
    axes.plot(all_sims, curve_of(seed), color=COLORS[0], alpha=0.25, linewidth=1)
axes.plot(
    all_sims, mean_curve, color=COLORS[0], marker="o", label="search with playouts, our seeds"
)
axes.plot(plain.keys(), [y for y, _ in plain.values()], "s", color=COLORS[1], label="yours")
lines = {"labels": (COLORS[5], ":"), "soft targets": (COLORS[2], "--")}
for method, (colour, style) in lines.items():
    level_of = np.mean(list(runs("one round", method).values()))
    axes.axhline(level_of, color=colour, linestyle=style, label=f"student, {method}")
axes.set(xscale="log", xlabel="simulations a move", ylabel="optimal moves, %")
axes.set_xticks(all_sims, all_sims)
axes.minorticks_off()
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, fontsize=9)
plots.show(
    "The share of optimal moves of a search over its simulations, on a logarithmic axis: level from "
    "8 to 32 simulations, then rising, more slowly from 256 on. With two levels: the student of the "
    "moves played lower, the student of the visit counts higher."
)
teacher = {seed: 100 * of_seed[seed][64]["accuracy"] for seed in of_seed}
print(f"the teacher, 64 simulations: {np.mean(list(teacher.values())):.1f}% optimal;")
print(
    f"its student of the counts, in points: {against(runs('one round', 'soft targets'), teacher)}"
)
for method in ("labels", "the most visited move", "soft targets"):
    print(f"{method}, by optimal moves:\n    {in_simulations(runs('one round', method))}")
    boxes = {seed: -y for seed, y in runs("one round", method, "lost").items()}
    print(f"    by boxes lost: {in_simulations(boxes, 'lost')}")

# %% [markdown]
# **What we saw.** The student is worth about 264 simulations by its share of optimal moves, with a 95% interval from 192 to 362, and about 207 (151 to 282) by the boxes it loses: several times the 64 of its teacher, whom it leaves 14.9 ± 2.6 points behind. It has never seen a better move than that teacher's.
#
# It is lesson 07's answer again, in a clearer case. Our reading (no cell tests it): many of the teacher's errors at one position are luck, a few noisy playouts. Luck has no pattern that goes through thousands of positions, and what a small network learns is what the counts have in common. The student is an *average over positions*, where a search averages over playouts of one.
#
# The interval is wide, and that is honest: the curve is flat, so a point more or less in strength moves the answer by dozens of simulations. "Worth so many simulations" without an interval says little. And by which strength you measure makes a difference too.
#
# ## Search, student, better search
#
# Now the step that makes it more than compression. The student has a policy and a value; a search needs just these two: let it evaluate, in place of playouts. That search is a better teacher than the first. Play again, learn from its counts, and so on: `search → student → better search`. (Found at the same time by Anthony, Tian and Barber,
# [arXiv 1705.08439](https://arxiv.org/abs/1705.08439), who call it *expert iteration*.)
#
# **What do you expect?** Three rounds, 300 games and 64 simulations a move in each. Where does the student end, and where the search that it guides? And what if the same number of games were all played in the first round?

# %% role="show" name="rounds"
ROUNDS = 3
evaluate, own_rounds, data = playouts(game, rng), [], played
for n in range(1, ROUNDS + 1):
    start = time.perf_counter()
    if n > 1:
        data = engine.self_play(game, evaluate, GAMES, LOOKS, rng)
    student = student_of(data, targets(data.visits, 1.0), seed=0)
    evaluate = asked(game, student)
    guided = strength_after(evaluate, [16, 64, 100] if scale != "smoke" else [4, 8])
    own_rounds.append((strength(plays(student)), guided))
    print(
        f"round {n}: the student {own_rounds[-1][0][0]:.1f}% optimal, guiding a search of {LOOKS} "
        f"looks {guided[LOOKS][0]:.1f}% ({time.perf_counter() - start:.0f} s)"
    )

# %% role="show" name="fig-rounds" folded=true
figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
steps = range(1, ROUNDS + 1)
for method, colour in (("labels", COLORS[5]), ("soft targets", COLORS[2])):
    for what, style in (("alone", "-"), ("guiding 64 simulations", "--")):
        points, halves = [], []
        for n in steps:
            rows = by_round[method, n].values()
            look = [r if what == "alone" else r["guided"][1] for r in rows]
            mean, half = mean_interval([100 * r["accuracy"] for r in look])
            points.append(mean)
            halves.append(half)
        shift = 0.02 if method == "labels" else -0.02
        at = [n + shift for n in steps]
        axes.errorbar(at, points, halves, color=colour, linestyle=style, marker="o", capsize=3,
                      label=f"{method}, {what}")  # fmt: skip
axes.plot(steps, [alone[0] for alone, _ in own_rounds], "s", color=COLORS[1], label="yours, alone")
same = list(runs("three rounds", "one round of three times the games").values())
axes.axhline(np.mean(same), color="black", linestyle=":", label="one round, three times the games")
axes.set(xlabel="round", ylabel="optimal moves, %", xticks=list(steps))
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), handlelength=4)
plots.show(
    "The share of optimal moves over three rounds. Students of visit counts rise and lie above "
    "students of moves; each guides a search that is better than it is alone, most of all in the first "
    "round; one round of three times the games stays below the third round."
)
table("three rounds", ["labels", "soft targets", "one round of three times the games"])
alone = {n: {s: 100 * r["accuracy"] for s, r in by_round["soft targets", n].items()} for n in steps}
for n in steps[1:]:
    print(f"soft targets, round {n} to round {n - 1}: {against(alone[n], alone[n - 1])}")
for n in steps:
    print(f"round {n}: worth {in_simulations(alone[n])}")

# %% [markdown]
# **What we saw.** A search guided by the first student is better than it, and teaches a better one: the second round gains 5.9 ± 1.7 points. The third adds nothing that our seeds could show (−0.1 ± 1.3, undecided). After three rounds the student alone is worth about 654 simulations with playouts (481 to 888).
#
# It is not the larger number of games: three times the games in *one* round, at the same cost in simulations, end 6.7 ± 2.2 points lower. What counts is that the teacher gets better.
#
# Where students learn from the moves played, three rounds end 1.9 ± 1.9 points below the counts, an interval that only just leaves out 0. The loop works with them as well: whatever the targets are, the search puts something in that the network did not have.
#
# ## One per cent of the computing, ninety per cent of the strength?
#
# So it is often said of such students. Here both sides can be counted. The last student answers with **one** evaluation; a search of 100 simulations that it guides asks the same network 101 times. And strength has two fixed points: chance, and no mistake at all. Let the share kept be
#
# $$\frac{\text{strength of the student} - \text{chance}}{\text{strength of the search} - \text{chance}},$$
#
# with the share of optimal moves, with the boxes lost (where less is better), and with the optimal moves in those positions alone in which there is no box to take, the harder half.
#
# **What do you expect?** More than 90 per cent, or less? In all three?

# %% role="show" name="one-per-cent" folded=true
for key, name in (
    ("accuracy", "optimal moves"),
    ("lost", "boxes lost a move"),
    ("quiet", "optimal moves, no box to take"),
):
    kept = []
    for r in stored["compute"]:
        above = [r[who][key] - r["chance"][key] for who in ("alone", "search")]
        kept.append(100 * above[0] / above[1])
    mean, half = mean_interval(kept)
    levels = [
        np.mean([r[who][key] for r in stored["compute"]]) for who in ("chance", "alone", "search")
    ]
    line = "chance {:.2f}, the student {:.2f}, the search {:.2f}".format(*levels)
    print(f"{name}: {line}\n    kept at 1/101 of the evaluations: {mean:.0f} ± {half:.0f}%")

# %% [markdown]
# **What we saw.** At about 1% of the evaluations the student keeps 95 ± 2% of the strength by optimal moves, and 95 ± 1% by boxes lost. So the saying holds here, against the search that this student guides. But look at the third line: where there is no box to take it keeps 79 ± 8%. A share of strength depends on what is counted as strength, and on how many of the positions are easy.
#
# And in Go the gap is larger: there the search is worth 2,000 rating points to the same network. What a network can say at once, and what takes looking ahead, is a property of the game as well.
#
# ## Play against it
#
# Here is your last student's policy on an empty board and on three test positions. Rings mark the optimal moves.

# %% role="show" name="fig-policy" folded=true
places = [0, *test[:3].tolist()]
figure, grid = plt.subplots(1, 4, figsize=(11, 2.4), layout="constrained")
for axes, position in zip(grid, places, strict=False):
    ideal = move_values(game, values, np.array([position]))[0]
    shares = asked(game, student)(np.array([position]))[0][0]
    move = shares.argmax()
    words = f"plays {move}: " + (
        "optimal" if ideal[move] == ideal.max() else f"loses {ideal.max() - ideal[move]:.0f}"
    )
    board(axes, game, position, shares, np.flatnonzero(ideal == ideal.max()), words)
plots.show(
    "Four boards with the student's policy: free edges drawn as wide as they are probable, with their "
    "percentage, and rings around the optimal moves."
)

# %% [markdown]
# Now you. A click on a grey bar draws that edge. (Where buttons are missing, the board is printed, and `match.play(5)` draws edge 5.) You begin, and by the table the second player wins by two boxes, if nobody errs. Both of you will.

# %% role="show" name="play"
match = engine.play_against(game, lambda position: asked(game, student)(np.array([position]))[0][0])

# %% [markdown]
# ## Your own experiments
#
# 1. **Change the number of looks.** Give the first teacher 16 simulations a move and four times the games, or 256 and a quarter of them: the same computing. Which student is better, and why? Do counts or moves suffer more from a teacher who looks only 16 times? (The cell below begins with 16 simulations and twice the games, which is quicker.)
# 2. **Let it play three boxes by three.** `DotsAndBoxes(3, 3)` has 24 edges and 16.8 million positions; `engine.solve` takes about half a minute and a gigabyte. The same network and the same number of games: what is the student worth there? What would you change first?

# %% role="show" name="experiment"
looks, count = (4, 40) if scale == "smoke" else (16, 600)
rng_now = np.random.default_rng(5)
data_now = engine.self_play(game, playouts(game, rng_now), count, looks, rng_now)
print(f"{count} games with {looks} simulations a move: {len(data_now.positions)} positions")
for name, policy in (("counts", targets(data_now.visits, 1.0)), ("moves", data_now.moves)):
    optimal, lost = strength(plays(student_of(data_now, policy, seed=0), choosing), choosing)
    print(f"student of the {name}: {optimal:.1f}% optimal, {lost:.2f} boxes lost a move")

# %% [markdown]
# ## What we saw
# - A search is a teacher like any other: its visit counts are soft targets, the logarithms of the counts its logits, with a temperature as in lesson 01.
# - In the back-up, whose value it is decides everything. The sign changes with the player, not with the move.
# - The counts teach more than the most visited move; against a move *drawn* from the counts the gain is smaller (2.5 ± 1.9 against 4.7 ± 1.5 points).
# - A student can be stronger than the search it learned from: it averages over positions. What it is worth in simulations has a wide interval; say it with one.
# - A better teacher is worth more than more lessons from the same one: search, student, better search. Here it ended after two rounds.
# - About 95% of the strength at 1% of the evaluations, here, and less where it is hard. Where perfect play is known such a sentence can be checked; elsewhere ask how it was measured.
#
# In the engine: `tinykd.search` has the game, perfect play, the search, `SoftLabels() + 0.1 * Value()` for the student, and `play_against`. Each of its files fits on two screens.
#
# ## Further reading
# - Silver et al., *Mastering the game of Go without human knowledge*, Nature 550, 2017: AlphaGo Zero. Silver et al., *Mastering Chess and Shogi by Self-Play with a General Reinforcement Learning Algorithm*, 2017 ([arXiv 1712.01815](https://arxiv.org/abs/1712.01815)): AlphaZero.
# - Anthony, Tian, Barber, *Thinking Fast and Slow with Deep Learning and Tree Search*, 2017 ([arXiv 1705.08439](https://arxiv.org/abs/1705.08439)): expert iteration, with counts against moves as targets.
# - Grill et al., *Monte-Carlo Tree Search as Regularized Policy Optimization*, 2020 ([arXiv 2007.12509](https://arxiv.org/abs/2007.12509)): what the visit counts approximate, and what to use in their place when there are few.
# - Barker, Korf, *Solving Dots-And-Boxes*, AAAI 2012: the game on 4 × 5 boxes. Berlekamp, *The Dots and Boxes Game*, 2000: how people play it well, and why one should not always take the last box.
#
# Check your notebook with `.venv/bin/tinykd check lessons/09_search_as_teacher.ipynb`.
