"""From noise to images in many steps, and the same map in few: flow matching and its students."""

from .digits import Judge, small_digits
from .fewer_steps import Consistency, TwoIntoOne, consistency_target, halving, two_into_one
from .matching import FlowBatches, FlowMatching, MatchVelocity, flow_matching, on_the_line
from .network import FlowNet
from .sampling import Guided, euler, guided

__all__ = [
    "Consistency",
    "FlowBatches",
    "FlowMatching",
    "FlowNet",
    "Guided",
    "Judge",
    "MatchVelocity",
    "TwoIntoOne",
    "consistency_target",
    "euler",
    "flow_matching",
    "guided",
    "halving",
    "on_the_line",
    "small_digits",
    "two_into_one",
]
