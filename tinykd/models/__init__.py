"""Models small enough to read, and how to ask any model."""

from .call import forward, frozen, predict
from .mlp import MLP, max_norm

__all__ = ["MLP", "forward", "frozen", "max_norm", "predict"]
