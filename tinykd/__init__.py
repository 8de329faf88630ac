"""tinykd: knowledge distillation, small enough to read and real enough to use."""

import os

from .batch import next_token_labels
from .continual import WithoutForgetting, forgetting, learning, without_forgetting
from .contrast import ByDescription, clip_loss, similarities
from .data import (
    Batches,
    ClassGaussians,
    Source,
    disturb,
    jitter,
    load_mnist,
    load_mnist1d,
    load_sentences,
    mixed,
    mixup,
    strokes,
)
from .device import best_device, best_precision
from .features import Hint, Jacobian, cka, input_gradient, linear_probe
from .hooks import Capture
from .losses import (
    cross_entropy,
    decoupled_kl,
    forward_kl,
    jsd,
    reverse_kl,
    skew_kl,
    skew_reverse_kl,
    soft_labels_kl,
)
from .metrics import (
    Reliability,
    accuracy,
    agreement,
    attack_success,
    calibration_error,
    cue_gap,
    evaluate,
    fingerprint_p_value,
    fit_temperature,
    frechet_distance,
    inherited_share,
    knowledge_moved,
    mean_interval,
    membership_auc,
    nearest_distance,
    negative_log_likelihood,
    paired_verdict,
    reliability,
)
from .models import MLP, ConvNet, MobileNet, ResNet, forward, frozen, max_norm, predict
from .objective import Objective, Term
from .outputs import Outputs, Targets
from .robust import Adversarial, fgsm, into_ball, pgd, random_search, withstands
from .sample_weights import Weighted, uncertainty_weights
from .schedules import cosine, linear, steps, warm_up
from .side_by_side import SideBySide, SideBySideBatches
from .softmax import entropy, log_softmax, softmax
from .teachers import (
    CachedTeacher,
    Ensemble,
    KnownLogits,
    LiveTeacher,
    MovingAverage,
    Mutual,
    Peers,
    Teacher,
    confidence,
    ema_update,
    ensemble_logits,
)
from .terms import HardLabels, SoftLabels, SoftTargets
from .training import Callback, NonFiniteLoss, Trainer, load_student

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "Adversarial",
    "Batches",
    "ByDescription",
    "CachedTeacher",
    "Callback",
    "Capture",
    "ClassGaussians",
    "ConvNet",
    "Ensemble",
    "HardLabels",
    "Hint",
    "Jacobian",
    "KnownLogits",
    "LiveTeacher",
    "MobileNet",
    "MovingAverage",
    "Mutual",
    "NonFiniteLoss",
    "Objective",
    "Outputs",
    "Peers",
    "Reliability",
    "ResNet",
    "SideBySide",
    "SideBySideBatches",
    "SoftLabels",
    "SoftTargets",
    "Source",
    "Targets",
    "Teacher",
    "Term",
    "Trainer",
    "Weighted",
    "WithoutForgetting",
    "accuracy",
    "agreement",
    "attack_success",
    "best_device",
    "best_precision",
    "calibration_error",
    "cka",
    "clip_loss",
    "confidence",
    "cosine",
    "cross_entropy",
    "cue_gap",
    "decoupled_kl",
    "disturb",
    "ema_update",
    "ensemble_logits",
    "entropy",
    "evaluate",
    "fgsm",
    "fingerprint_p_value",
    "fit_temperature",
    "forgetting",
    "forward",
    "forward_kl",
    "frechet_distance",
    "frozen",
    "inherited_share",
    "input_gradient",
    "into_ball",
    "jitter",
    "jsd",
    "knowledge_moved",
    "learning",
    "linear",
    "linear_probe",
    "load_mnist",
    "load_mnist1d",
    "load_sentences",
    "load_student",
    "log_softmax",
    "max_norm",
    "mean_interval",
    "membership_auc",
    "mixed",
    "mixup",
    "nearest_distance",
    "negative_log_likelihood",
    "next_token_labels",
    "paired_verdict",
    "pgd",
    "predict",
    "random_search",
    "reliability",
    "reverse_kl",
    "scale",
    "similarities",
    "skew_kl",
    "skew_reverse_kl",
    "soft_labels_kl",
    "softmax",
    "steps",
    "strokes",
    "uncertainty_weights",
    "warm_up",
    "without_forgetting",
    "withstands",
]


def scale() -> str:
    """How much work a lesson may do: "smoke", "default" or "full", from TINYKD_SCALE.

    Raises ValueError for any other value.
    """
    value = os.environ.get("TINYKD_SCALE", "default")
    if value not in ("smoke", "default", "full"):
        raise ValueError(f'TINYKD_SCALE must be "smoke", "default" or "full", got {value!r}')
    return value
