"""Where lesson 12 imports `TopKTeacher` from; it is in `teachers/topk_teacher.py`."""

from .teachers.topk_teacher import TopKTeacher

__all__ = ["TopKTeacher"]
