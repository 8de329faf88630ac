"""What to report about a student: right answers, calibration, fidelity, what else came across."""

from .calibration import (
    Reliability,
    calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
)
from .evaluate import accuracy, evaluate
from .fidelity import agreement, knowledge_moved
from .frechet import frechet_distance, nearest_distance
from .inheritance import (
    attack_success,
    cue_gap,
    fingerprint_p_value,
    inherited_share,
    membership_auc,
)
from .intervals import mean_interval, paired_verdict, wilson
from .ranks import rank_correlation

__all__ = [
    "Reliability",
    "accuracy",
    "agreement",
    "attack_success",
    "calibration_error",
    "cue_gap",
    "evaluate",
    "fingerprint_p_value",
    "fit_temperature",
    "frechet_distance",
    "inherited_share",
    "knowledge_moved",
    "mean_interval",
    "membership_auc",
    "nearest_distance",
    "negative_log_likelihood",
    "paired_verdict",
    "rank_correlation",
    "reliability",
    "wilson",
]
