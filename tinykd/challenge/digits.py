"""Digits that nobody has seen: those of a data set, turned, zoomed and moved at random."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..models.convnet import ConvNet


def distorted(
    images: Tensor,
    rng: np.random.Generator,
    degrees: float = 20.0,
    zoom: float = 0.2,
    pixels: float = 2.0,
) -> Tensor:
    """Each image turned, zoomed and moved, by bilinear interpolation, zeros moving in.

    The ink at p, counted from the middle of the new image, is that of the old one at

        R(a) p / s + d

    with a uniform in [-degrees, degrees], s in [1 - zoom, 1 + zoom], and both parts of d in
    [-pixels, pixels]: one of each for an image.

    images: (N, H, W) or (N, 1, H, W), square. rng: the only source of chance. Returns
    (N, 1, H, W). Raises ValueError for other shapes and for a zoom outside [0, 1).
    """
    size = images.shape[-1]
    if images.dim() not in (3, 4) or images.shape[-2] != size or images[0].numel() != size * size:
        raise ValueError(f"images are (N, H, H) or (N, 1, H, H), got {tuple(images.shape)}")
    if not 0 <= zoom < 1:
        raise ValueError(f"zoom is {zoom}: at least 0, below 1")
    count = len(images)
    angle = np.deg2rad(rng.uniform(-degrees, degrees, count))
    scale = rng.uniform(1 - zoom, 1 + zoom, count)
    move = rng.uniform(-pixels, pixels, (2, count)) * 2 / size  # the side is 2 long in affine_grid
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    maps = np.array([[cos, -sin, move[0]], [sin, cos, move[1]]]).transpose(2, 0, 1)
    x = images.view(count, 1, size, size).float()
    grid = F.affine_grid(torch.tensor(maps).float(), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def pooled_convnet(*channels: int) -> nn.Module:
    """A small reader of digits: means of 2 x 2 pixels, then a `ConvNet` of these channels.

    Takes (N, 1, 28, 28), gives logits (N, 10).
    """
    return nn.Sequential(nn.AvgPool2d(2), ConvNet(1, *channels, 10))
