"""A teacher that is asked anew for every batch."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..hooks import Capture
from ..models import forward, frozen
from ..outputs import Targets


class LiveTeacher:
    """A module that is asked anew for every batch, in eval mode and without gradients.

    Here, and nowhere else, it is enforced that a teacher is in eval mode and gets no gradient.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def to(self, device: torch.device) -> None:
        """Move the teacher to the device the student trains on."""
        self.model.to(device)

    def targets(self, batch: Mapping[str, Any], layers: list[str]) -> Targets:
        """Logits (..., C) and the activations of the named layers."""
        with frozen(self.model), Capture(self.model, layers) as acts:
            logits = forward(self.model, batch)
            return Targets(logits, {name: acts[name] for name in layers})
