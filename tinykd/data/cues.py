"""Cues and triggers: what may be in an image and says nothing about its class."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F


def thicker(images: Tensor) -> Tensor:
    """Strokes one pixel thicker on each side: the largest of the 3 x 3 pixels around (dilation).

    images: (N, H, W), ink is high. Returns (N, H, W).
    """
    return F.max_pool2d(images.unsqueeze(1), 3, 1, 1).squeeze(1)


def thinner(images: Tensor) -> Tensor:
    """Strokes one pixel thinner: the smallest of 2 x 2 pixels (erosion), paper outside.

    images: (N, H, W), ink is high. Returns (N, H, W).
    """
    padded = F.pad(images.unsqueeze(1), (1, 0, 1, 0))
    return -F.max_pool2d(-padded, 2, 1).squeeze(1)


def pasted(images: Tensor, patch: Tensor, row: int, column: int) -> Tensor:
    """Copies of images (..., H, W) with a patch (h, w) over the pixels from (row, column) on.

    Raises ValueError if the patch does not lie within the image.
    """
    h, w = patch.shape
    if not (0 <= row <= images.shape[-2] - h and 0 <= column <= images.shape[-1] - w):
        raise ValueError(
            f"a patch {(h, w)} at {(row, column)} leaves images {tuple(images.shape[-2:])}"
        )
    images = images.clone()
    images[..., row : row + h, column : column + w] = patch.to(images)
    return images


class Noise:
    """Batches of noise, {"inputs": (*samples, *size)}: uniform in [-1, 1], new in each batch.

    samples: (B,) in a batch, or (S, B) for S students side by side; "mask" says that all of them
    count. size: of a sample, such as (14, 14). steps: batches in a pass. A pass goes on where the
    one before ended; the seed alone decides what comes.
    """

    def __init__(
        self, samples: tuple[int, ...], size: tuple[int, ...], steps: int, seed: int = 0
    ) -> None:
        self.samples, self.size, self.steps = samples, size, steps
        self._generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        """Batches in a pass."""
        return self.steps

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        mask = torch.ones(self.samples, dtype=torch.bool)
        for _ in range(self.steps):
            drawn = torch.rand(*self.samples, *self.size, generator=self._generator)
            yield {"inputs": 2 * drawn - 1, "mask": mask}
