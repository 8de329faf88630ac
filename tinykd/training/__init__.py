"""The one training loop and what it is made of."""

from .history import NonFiniteLoss
from .resume import load_student
from .trainer import Callback, Trainer

__all__ = ["Callback", "NonFiniteLoss", "Trainer", "load_student"]
