"""Convolutional networks for small images and signals: a plain one and a residual one."""

import itertools

from torch import Tensor, nn
from torch.nn import functional as F

CONVOLUTION = {1: nn.Conv1d, 2: nn.Conv2d}
NORM = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}


class ConvNet(nn.Module):
    """Convolutions of width 3 that halve the picture, its mean over places, a linear layer.

    ConvNet(1, 16, 32, 10) takes images (B, 28, 28) or (B, 1, 28, 28): 1 channel in, two blocks of
    16 and 32 channels, 10 classes. dims=1 takes signals (B, L) or (B, 1, L). Each block is
    convolution, batch norm, ReLU; their outputs are those of "blocks.0", "blocks.1" ..., of shape
    (B, channels, ...). Raises ValueError for fewer than three sizes or other dims than 1 and 2.
    """

    def __init__(self, *sizes: int, dims: int = 2) -> None:
        super().__init__()
        if len(sizes) < 3 or dims not in CONVOLUTION:
            raise ValueError(
                "a ConvNet needs channels in, those of at least one block, and classes, on 1 or 2 "
                f"dims; got {sizes}, dims={dims}"
            )
        self.dims = dims
        self.blocks = nn.ModuleList(
            nn.Sequential(_convolution(a, b, dims, stride=2), NORM[dims](b), nn.ReLU())
            for a, b in itertools.pairwise(sizes[:-1])
        )
        self.head = nn.Linear(sizes[-2], sizes[-1])

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes)."""
        x = _with_channels(x, self.dims)
        for block in self.blocks:
            x = block(x)
        return self.head(x.flatten(2).mean(-1))


class ResNet(nn.Module):
    """A small residual network (He et al. 2015, arXiv 1512.03385): x + f(x), block after block.

    ResNet(1, 16, 32, 64, 10) takes images (B, 28, 28) or (B, 1, 28, 28): a stem of 16 channels,
    a stage for each size, 10 classes; every stage but the first halves the picture. depth: blocks
    in a stage. dims=1 takes signals. The stages' outputs are those of "stages.0", "stages.1" ...
    Raises ValueError as ConvNet does.
    """

    def __init__(self, *sizes: int, depth: int = 1, dims: int = 2) -> None:
        super().__init__()
        if len(sizes) < 3 or dims not in CONVOLUTION or depth < 1:
            raise ValueError(
                "a ResNet needs channels in, those of at least one stage, and classes, on 1 or 2 "
                f"dims, and a depth of 1 or more; got {sizes}, dims={dims}, depth={depth}"
            )
        self.dims = dims
        first, widths = sizes[1], sizes[1:-1]
        self.stem = nn.Sequential(_convolution(sizes[0], first, dims), NORM[dims](first), nn.ReLU())
        stages = []
        for n, (a, b) in enumerate(zip([first, *widths], widths, strict=False)):
            blocks = [Residual(a, b, dims, stride=1 if n == 0 else 2)]
            blocks += [Residual(b, b, dims) for _ in range(depth - 1)]
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.head = nn.Linear(widths[-1], sizes[-1])

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes)."""
        x = self.stem(_with_channels(x, self.dims))
        for stage in self.stages:
            x = stage(x)
        return self.head(x.flatten(2).mean(-1))


class Residual(nn.Module):
    """relu(skip(x) + f(x)), f two convolutions; skip is a 1-convolution where the shape changes."""

    def __init__(self, a: int, b: int, dims: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Sequential(_convolution(a, b, dims, stride), NORM[dims](b), nn.ReLU())
        self.second = nn.Sequential(_convolution(b, b, dims), NORM[dims](b))
        same = a == b and stride == 1
        self.skip = nn.Identity() if same else CONVOLUTION[dims](a, b, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, a, ...) to (B, b, ...)."""
        return F.relu(self.skip(x) + self.second(self.first(x)))


def _convolution(a: int, b: int, dims: int, stride: int = 1) -> nn.Module:
    return CONVOLUTION[dims](a, b, 3, stride, padding=1, bias=False)


def _with_channels(x: Tensor, dims: int) -> Tensor:
    return x.unsqueeze(1) if x.dim() == dims + 1 else x
