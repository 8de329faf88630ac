"""Where soft targets come from: a model that is asked anew, or what it once said, on disk."""

from .cached import CachedTeacher
from .fingerprint import fingerprint
from .live import LiveTeacher
from .store import Stored
from .teacher import Targets, Teacher, Teachers

__all__ = [
    "CachedTeacher",
    "LiveTeacher",
    "Stored",
    "Targets",
    "Teacher",
    "Teachers",
    "fingerprint",
]
