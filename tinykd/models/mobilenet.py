"""A MobileNet-style network: convolutions taken apart into depthwise and pointwise ones."""

import itertools

from torch import Tensor, nn

from .convnet import CONVOLUTION, NORM, _convolution, _with_channels

POOL = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d}


class MobileNet(nn.Module):
    """A small MobileNet (Howard et al. 2017, arXiv 1704.04861): a stem, separable blocks, a head.

    MobileNet(1, 8, 16, 32, 10) takes images (B, 28, 28) or (B, 1, 28, 28): 1 channel in, a stem of
    8 that halves the picture, a block to 16 and one to 32 channels, 10 classes; every block but the
    first halves the picture. dims=1 takes signals. The blocks' outputs are those of "blocks.0",
    "blocks.1" ... Raises ValueError for fewer than four sizes or other dims than 1 and 2.
    """

    def __init__(self, *sizes: int, dims: int = 2) -> None:
        super().__init__()
        if len(sizes) < 4 or dims not in CONVOLUTION:
            raise ValueError(
                "a MobileNet needs channels in, those of a stem and of at least one block, and "
                f"classes, on 1 or 2 dims; got {sizes}, dims={dims}"
            )
        self.dims = dims
        first = sizes[1]
        self.stem = nn.Sequential(
            _convolution(sizes[0], first, dims, stride=2), NORM[dims](first), nn.ReLU()
        )
        self.blocks = nn.ModuleList(
            Separable(a, b, dims, stride=1 if n == 0 else 2)
            for n, (a, b) in enumerate(itertools.pairwise(sizes[1:-1]))
        )
        self.pool = POOL[dims](1)
        self.head = nn.Linear(sizes[-2], sizes[-1])

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes)."""
        x = self.stem(_with_channels(x, self.dims))
        for block in self.blocks:
            x = block(x)
        return self.head(self.pool(x).flatten(1))


class Separable(nn.Module):
    """A convolution of width 3 from a to b channels in two steps, batch norm and ReLU after each.

    depthwise: one filter for each channel, which looks at places and not at other channels, 9 a
    weights. pointwise: a 1-convolution, which mixes channels at each place, a b weights. A full
    convolution has 9 a b.
    """

    def __init__(self, a: int, b: int, dims: int, stride: int = 1) -> None:
        super().__init__()
        conv, norm = CONVOLUTION[dims], NORM[dims]
        self.depthwise = nn.Sequential(
            conv(a, a, 3, stride, padding=1, groups=a, bias=False), norm(a), nn.ReLU()
        )
        self.pointwise = nn.Sequential(conv(a, b, 1, bias=False), norm(b), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """(B, a, ...) to (B, b, ...)."""
        return self.pointwise(self.depthwise(x))
