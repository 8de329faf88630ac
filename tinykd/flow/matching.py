"""Flow matching: a network learns the velocity on straight lines from noise to data.

    x_t = (1 - t) x0 + t x1,      target x1 - x0,      x0 noise, x1 data, t in [0, 1]

Lipman et al. 2022 (arXiv 2210.02747), their equation 23 with sigma_min = 0; the straight line is
that of rectified flow (Liu et al. 2022, arXiv 2209.03003). A batch of it is a mapping

    x       (B, D)   x_t, what the model sees          t  (B,)  the time
    y       (B,)     the class, or "no class"          labels  (B, D)  the velocity x1 - x0

and a model is called as model(x=x, t=t, y=y).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data import Batches
from ..data.source import as_index
from ..objective import Term
from ..outputs import Outputs
from ..softmax import at_least_float32


def on_the_line(x0: Tensor, x1: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The point (1 - t) x0 + t x1 and the velocity x1 - x0. x0, x1: (B, D), t: (B,)."""
    t = t.unsqueeze(1)
    return (1 - t) * x0 + t * x1, x1 - x0


def flow_matching(velocity: Tensor, target: Tensor) -> Tensor:
    """Mean over the D numbers of (velocity - target)^2: (..., D), (..., D) -> (...).

    The target is a constant. Not zero at its best: many pairs (x0, x1) pass through one point, and
    the network learns the mean of their velocities.
    """
    difference = at_least_float32(velocity) - at_least_float32(target.detach())
    return difference.square().mean(-1)


class FlowBatches(Batches):
    """Batches for flow matching (see this file's head), each with its own noise and times.

    Args:
        images: (N, D), the x1.
        kinds: (N,), their classes.
        noise: (N, D), the x0 of each image, for pairs that a teacher has made; None draws new noise
            for each batch.
        times: (K,), times to draw from, such as those at which a sampler asks; None: all of [0, 1).
        drop, nobody: the share of classes that are replaced by `nobody`, the number that says "no
            class". Without that a network cannot be guided.

    Noise, times and what is dropped come from torch's global generator. Raises ValueError for noise
    of another shape than the images, or a share outside [0, 1].
    """

    def __init__(
        self,
        images: Tensor,
        kinds: Tensor,
        size: int = 128,
        noise: Tensor | None = None,
        times: Tensor | None = None,
        drop: float = 0.0,
        nobody: int = 10,
        seed: int = 0,
    ) -> None:
        super().__init__(images, kinds, size, seed=seed, drop_last=True)
        if noise is not None and noise.shape != images.shape:
            raise ValueError(f"noise {tuple(noise.shape)} for images {tuple(images.shape)}")
        if not 0 <= drop <= 1:
            raise ValueError(f"drop is a share, in [0, 1], got {drop}")
        self.noise, self.times, self.drop, self.nobody = noise, times, drop, nobody

    def settings(self) -> dict[str, Any]:
        """Those of Batches, and what is drawn."""
        times = None if self.times is None else self.times.tolist()
        own = {"pairs": self.noise is not None, "times": times, "drop": self.drop}
        return super().settings() | own

    def batch(self, index: np.ndarray) -> dict[str, Any]:
        """The samples with these numbers, each somewhere on its line."""
        rows = as_index(index)
        x1, y, count = self.inputs[rows], self.labels[rows], len(rows)  # type: ignore[index]
        x0 = torch.randn_like(x1) if self.noise is None else self.noise[rows]
        if self.times is None:
            t = torch.rand(count)
        else:
            t = self.times[torch.randint(len(self.times), (count,))]
        if self.drop:
            y = y.masked_fill(torch.rand(count) < self.drop, self.nobody)
        x, velocity = on_the_line(x0, x1, t)
        return {"x": x, "t": t, "y": y, "labels": velocity}


class FlowMatching(Term):
    """The velocity that the data say: `flow_matching` with batch["labels"], the x1 - x0."""

    def per_position(self, out: Outputs) -> Tensor:
        """One value for each sample."""
        return flow_matching(out.student, out.batch["labels"])


class MatchVelocity(Term):
    """The velocity that a teacher says: w(t) times the mean square of the difference.

    weight: a function of the times (B,), 1 if left out. (1 - t)^2 compares not the velocities, but
    where a single step to the end would land.
    """

    needs_teacher = True

    def __init__(self, weight: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.weight = weight

    def per_position(self, out: Outputs) -> Tensor:
        """One value for each sample."""
        values = flow_matching(out.student, out.teacher)
        return values if self.weight is None else self.weight(out.batch["t"]) * values
