"""From noise to images along the velocities of a model, with guidance towards a class.

A model here is anything that is called as model(x, t, y): images (B, D), times (B,), classes (B,).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Velocity = Callable[[Tensor, Tensor, Tensor], Tensor]


@torch.no_grad()
def euler(model: Velocity, x: Tensor, y: Tensor, steps: int) -> Tensor:
    """Images (B, D) from noise x (B, D) of the classes y (B,), in equal steps from t = 0 to 1.

        x <- x + h v(x, t, y),   t = 0, h, 2 h, ... 1 - h,   h = 1 / steps

    Euler's method: the model is asked `steps` times. x is left as it is. Raises ValueError for
    fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"at least one step, got {steps}")
    for n in range(steps):
        t = x.new_full((len(x),), n / steps)
        x = x + model(x, t, y) / steps
    return x


def guided(model: Velocity, x: Tensor, t: Tensor, y: Tensor, w: float, nobody: int = 10) -> Tensor:
    """v_u + w (v_c - v_u), (B, D): v_c for the classes y, v_u for the number that says "no class".

    Classifier-free guidance: w = 1 is v_c, 0 is v_u, above 1 leads further towards what makes the
    class. Two evaluations of the model. Ho and Salimans 2022 (arXiv 2207.12598), their equation 6
    with our w as their w + 1.
    """
    told, untold = model(x, t, y), model(x, t, torch.full_like(y, nobody))
    return untold + w * (told - untold)


class Guided(nn.Module):
    """A model's guided self, called as the model is: two evaluations at every step."""

    def __init__(self, model: nn.Module, w: float, nobody: int = 10) -> None:
        super().__init__()
        self.model, self.w, self.nobody = model, w, nobody

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """The guided velocity (B, D)."""
        return guided(self.model, x, t, y, self.w, self.nobody)
