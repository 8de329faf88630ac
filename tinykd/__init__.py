"""tinykd: knowledge distillation, small enough to read and real enough to use."""

import os

from .data import Batches, jitter, load_mnist
from .history import NonFiniteLoss
from .hooks import Capture
from .losses import (
    cross_entropy,
    decoupled_kl,
    forward_kl,
    jsd,
    reverse_kl,
    skew_kl,
    skew_reverse_kl,
)
from .metrics import accuracy, agreement, mean_interval
from .models import MLP, max_norm, predict
from .objective import HardLabels, Hint, Objective, SoftTargets, Term
from .schedules import cosine, linear, steps
from .sentences import load_sentences
from .softmax import entropy, log_softmax, softmax
from .teacher import CachedTeacher
from .trainer import Trainer

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "Batches",
    "CachedTeacher",
    "Capture",
    "HardLabels",
    "Hint",
    "NonFiniteLoss",
    "Objective",
    "SoftTargets",
    "Term",
    "Trainer",
    "accuracy",
    "agreement",
    "cosine",
    "cross_entropy",
    "decoupled_kl",
    "entropy",
    "forward_kl",
    "jitter",
    "jsd",
    "linear",
    "load_mnist",
    "load_sentences",
    "log_softmax",
    "max_norm",
    "mean_interval",
    "predict",
    "reverse_kl",
    "scale",
    "skew_kl",
    "skew_reverse_kl",
    "softmax",
    "steps",
]


def scale() -> str:
    """How much work a lesson may do: "smoke", "default" or "full", from TINYKD_SCALE.

    Raises ValueError for any other value.
    """
    value = os.environ.get("TINYKD_SCALE", "default")
    if value not in ("smoke", "default", "full"):
        raise ValueError(f'TINYKD_SCALE must be "smoke", "default" or "full", got {value!r}')
    return value
