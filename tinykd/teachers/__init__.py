"""Where soft targets come from: a model that is asked anew, what it once said, several as one."""

from .cached import CachedTeacher
from .ensemble import Ensemble, confidence, ensemble_logits
from .fingerprint import fingerprint
from .known import KnownLogits
from .live import LiveTeacher
from .moving_average import MovingAverage, ema_update
from .mutual import Mutual, Peers
from .store import Stored
from .teacher import Targets, Teacher, Teachers

__all__ = [
    "CachedTeacher",
    "Ensemble",
    "KnownLogits",
    "LiveTeacher",
    "MovingAverage",
    "Mutual",
    "Peers",
    "Stored",
    "Targets",
    "Teacher",
    "Teachers",
    "confidence",
    "ema_update",
    "ensemble_logits",
    "fingerprint",
]
