"""A small network that says in which direction a noisy image should move."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WAVES = 16  # sines and cosines that tell the network the time


class FlowNet(nn.Module):
    """Velocity of an image x at time t, given its class y: (B, D), (B,), (B,) -> (B, D).

    h = W x + c, then blocks h <- h + B relu(A h + c), then relu and a linear layer. c is a vector
    for the time (sines and cosines of pi/2, 2 pi/2, ... times t) plus one for the class. Class
    number `classes` means "no class": what the network does where nobody says which. It starts out
    saying 0 everywhere.
    """

    def __init__(self, size: int = 196, width: int = 256, blocks: int = 2, classes: int = 10):
        super().__init__()
        self.size, self.classes = size, classes
        self.enter, self.leave = nn.Linear(size, width), nn.Linear(width, size)
        self.time, self.kind = nn.Linear(2 * WAVES, width), nn.Embedding(classes + 1, width)
        self.into = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.back = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        for layer in (*self.back, self.leave):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """The velocity (B, D)."""
        angles = t.unsqueeze(1) * torch.arange(1, WAVES + 1, device=t.device) * (math.pi / 2)
        c = self.time(torch.cat([angles.sin(), angles.cos()], 1).to(x.dtype)) + self.kind(y)
        h = self.enter(x) + c
        for into, back in zip(self.into, self.back, strict=True):
            h = h + back(F.relu(into(h) + c))
        return self.leave(F.relu(h))
