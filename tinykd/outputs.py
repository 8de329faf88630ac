"""What a term reads: the batch, what the student says of it, and what the teachers say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Logits(Protocol):
    """What a forward gives: a Tensor (..., C), or what stands for one (lm.LazyLogits, lm.TopK)."""

    @property
    def shape(self) -> torch.Size:
        """(..., C)."""


class Targets(NamedTuple):
    """What a teacher says of one batch: its logits, and activations by layer name."""

    logits: Any  # Logits, or None from a teacher that has activations only
    layers: Mapping[str, Tensor]


@dataclass
class Outputs:
    """What a forward pass leaves behind for the terms. Logits: (..., C).

    `teacher` and `teacher_layers` are those of the term's own teacher; `teachers` holds all that
    were asked, by name, under None where there is one without a name. `scale`: what each term's sum
    is going to be multiplied with, (K,), where that is known: a gradient can be made at once then.
    """

    batch: Mapping[str, Any]
    student: Any  # Logits
    teacher: Any = None  # Logits, None without a teacher
    student_layers: Mapping[str, Tensor] = field(default_factory=dict)
    teacher_layers: Mapping[str, Tensor] = field(default_factory=dict)
    progress: float = 0.0
    teachers: Mapping[str | None, Targets] = field(default_factory=dict)
    scale: Tensor | None = None
