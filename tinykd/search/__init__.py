"""Search as a teacher: a game that is solved here, a tree search, and a net that learns from it.

dots_and_boxes   the game          perfect_play   what every position is worth
mcts             the search        network        policy and value, and how they learn
games            the transfer set  judging        what a policy is worth, in simulations
picture, match   the board, drawn and played on
"""

from .dots_and_boxes import DotsAndBoxes
from .games import Played, draw, self_play
from .judging import strength, strength_at_random, worth_in_simulations
from .match import Match, play_against
from .mcts import Evaluate, Found, look_ahead, playouts, puct, search, visit_targets
from .network import BoardBatches, PolicyValueNet, Value, asked, learn
from .perfect_play import (
    is_held_out,
    move_values,
    points_lost,
    positions_to_judge,
    solve,
    worth,
)
from .picture import board

__all__ = [
    "BoardBatches",
    "DotsAndBoxes",
    "Evaluate",
    "Found",
    "Match",
    "Played",
    "PolicyValueNet",
    "Value",
    "asked",
    "board",
    "draw",
    "is_held_out",
    "learn",
    "look_ahead",
    "move_values",
    "play_against",
    "playouts",
    "points_lost",
    "positions_to_judge",
    "puct",
    "search",
    "self_play",
    "solve",
    "strength",
    "strength_at_random",
    "visit_targets",
    "worth",
    "worth_in_simulations",
]
