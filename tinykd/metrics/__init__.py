"""What to report about a student: right answers, calibration, fidelity, and how sure to be."""

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
from .intervals import mean_interval, paired_verdict, wilson

__all__ = [
    "Reliability",
    "accuracy",
    "agreement",
    "calibration_error",
    "evaluate",
    "fit_temperature",
    "frechet_distance",
    "knowledge_moved",
    "mean_interval",
    "nearest_distance",
    "negative_log_likelihood",
    "paired_verdict",
    "reliability",
    "wilson",
]
