"""Inputs without any data: what a pen may leave on paper."""

import numpy as np
import torch
from torch import Tensor

BENDS = 20  # points of a curve
CHANCE = (1.0, 0.5, 0.2)  # of the first, second and third curve to be there


def strokes(count: int, rng: np.random.Generator, size: int = 14) -> Tensor:
    """Images of one to three random curves of a pen, each a cubic Bézier curve:

        path(t) = (1 - t)^3 a + 3 t (1 - t)^2 b + 3 t^2 (1 - t) c + t^3 d,    t in [0, 1]
        ink at a pixel = clip(1.6 - its distance from the path, 0, 1)

    a, b, c, d are uniform in [1.5, 11.5]^2, lengths in pixels of an image of 14 x 14; with another
    size they grow alike, apart from the soft edge of one pixel. An image has one curve with
    probability 0.4, two with 0.5, three with 0.1; where curves meet, the darker one is seen.

    count: how many images. rng: the only source of chance. Returns (count, size, size), in [0, 1].
    Raises ValueError for a count or a size below 1.
    """
    if count < 1 or size < 1:
        raise ValueError(f"{count} images of {size} x {size} pixels: both are at least 1")
    unit, t = size / 14, np.linspace(0, 1, BENDS)
    bends = np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], 1)
    row, column = np.mgrid[:size, :size].astype(np.float32)
    ink = np.zeros((count, size, size), np.float32)
    for part in np.array_split(np.arange(count), -(-count // 1000)):  # a thousand fit a cache
        for chance in CHANCE:
            corners = rng.uniform(1.5 * unit, 11.5 * unit, size=(len(part), 4, 2))
            path = np.einsum(
                "tk,mkd->tmd", bends.astype(np.float32), corners.astype(np.float32)
            )  # (t, images, 2)
            near = np.full((len(part), size, size), np.inf, np.float32)  # squared distances
            for y, x in path.transpose(0, 2, 1)[..., None, None]:
                np.minimum(near, (y - row) ** 2 + (x - column) ** 2, out=near)
            drawn = np.clip(1.6 * unit - np.sqrt(near), 0, 1)
            drawn[rng.random(len(part)) < 1 - chance] = 0
            ink[part] = np.maximum(ink[part], drawn)
    return torch.tensor(ink)
