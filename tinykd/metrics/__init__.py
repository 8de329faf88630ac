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
from .intervals import mean_interval, paired_verdict, wilson

__all__ = [
    "Reliability",
    "accuracy",
    "agreement",
    "calibration_error",
    "evaluate",
    "fit_temperature",
    "knowledge_moved",
    "mean_interval",
    "negative_log_likelihood",
    "paired_verdict",
    "reliability",
    "wilson",
]
