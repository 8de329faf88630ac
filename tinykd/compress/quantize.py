"""Whole numbers in place of real ones, and training that knows of it.

    q = clamp(round(x / scale) + zero, low, high),     x is about (q - zero) scale

Weights: one scale for each output channel, zero = 0, low = -high. What flows between layers: one
scale and one zero for each layer (Jacob et al. 2018, arXiv 1712.05877). Scales are learned with the
weights, from the same formula (Esser et al. 2020, arXiv 1902.08153), as their logarithms.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..models import frozen
from .batch_norm import folded
from .prune import LAYERS

POOLS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)


def quantize(x: Tensor, scale: Tensor, zero: int, low: int, high: int) -> Tensor:
    """clamp(round(x / scale) + zero, low, high), halves to the even one, as int32."""
    return (torch.round(x / scale) + zero).clamp(low, high).int()


def fake_quantize(x: Tensor, scale: Tensor, zero: int, low: int, high: int) -> Tensor:
    """x as it comes back from whole numbers, differentiable: the straight-through estimator.

    Rounding counts as the identity in the backward pass (Bengio et al. 2013, arXiv 1308.3432), the
    clamp as what it is. So the gradient in x is 1 inside the range and 0 outside; the one in scale
    is round(x / scale) - x / scale inside, and low - zero or high - zero outside.
    """
    steps = x / scale
    steps = steps + (torch.round(steps) - steps).detach()
    return (steps.clamp(low - zero, high - zero)) * scale


def signed(bits: int) -> tuple[int, int]:
    """Smallest and largest whole number of so many bits: -128 and 127 of 8."""
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def scale_and_zero(smallest: float, largest: float, bits: int = 8) -> tuple[float, int]:
    """Scale and zero with which [smallest, largest] fills all 2**bits numbers; 0 is met exactly.

    The range is widened to hold 0, which padding and ReLU need.
    """
    smallest, largest = min(smallest, 0.0), max(largest, 0.0)
    scale = (largest - smallest) / (2**bits - 1) or 1.0
    return scale, round(signed(bits)[0] - smallest / scale)


def weight_limit(bits: int) -> int:
    """The largest |q| of a weight: 2**(bits - 1) - 1, and 63 of 8 bits.

    Processors without VNNI (AVX2 alone) add up two products at a time in 16 bits. 255 * 127 twice
    is too much for these, 255 * 63 twice is not, so a bit is left free ("reduced range").
    """
    return 63 if bits == 8 else signed(bits)[1]


def weight_scale(weight: Tensor, bits: int = 8) -> Tensor:
    """max |w| / weight_limit(bits) of each output channel, shape (out, 1, ...)."""
    largest = weight.detach().abs().flatten(1).amax(1).clamp_min(1e-8)
    return largest.view(-1, *[1] * (weight.dim() - 1)) / weight_limit(bits)


class Rounded(nn.Module):
    """What flows through comes back from whole numbers; at first it only watches the range."""

    def __init__(self, bits: int = 8) -> None:
        super().__init__()
        self.bits, self.watching = bits, True
        self.range = [math.inf, -math.inf]
        self.zero = 0
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """x, rounded."""
        if self.watching:
            low, high = x.aminmax()
            self.range = [min(self.range[0], float(low)), max(self.range[1], float(high))]
            return x
        return fake_quantize(x, self.log_scale.exp(), self.zero, *signed(self.bits))

    def settle(self) -> None:
        """Take scale and zero from the range that was seen, and round from now on."""
        scale, self.zero = scale_and_zero(self.range[0], self.range[1], self.bits)
        self.log_scale.data.fill_(math.log(scale))
        self.watching = False


class Quantized(nn.Module):
    """A linear or convolutional layer with rounded inputs and rounded weights."""

    def __init__(self, layer: nn.Module, bits: int = 8) -> None:
        super().__init__()
        self.layer, self.bits = layer, bits
        self.input = Rounded(bits)
        self.log_scale = nn.Parameter(weight_scale(layer.weight, bits).log())  # type: ignore

    def weight(self) -> Tensor:
        """The rounded weights."""
        high = weight_limit(self.bits)
        return fake_quantize(self.layer.weight, self.log_scale.exp(), 0, -high, high)  # type: ignore

    def forward(self, x: Tensor) -> Tensor:
        """layer(x), all its factors whole numbers times a scale; the bias is not rounded."""
        layer: Any = self.layer
        x, w, b = self.input(x), self.weight(), layer.bias
        if self.input.watching:
            w = layer.weight
        if isinstance(layer, nn.Linear):
            return nn.functional.linear(x, w, b)
        return layer._conv_forward(x, w, b)


def quantized(model: nn.Module, inputs: Tensor, bits: int = 8) -> nn.Module:
    """A copy that computes with numbers of `bits` bits: batch norms folded, layers `Quantized`.

    inputs: a few hundred samples, which show the ranges of what flows between layers. The copy can
    be used as it is (quantisation after training) or trained on (quantisation-aware training): its
    weights and scales are parameters. `to_onnx` writes the numbers of 8 bits as whole ones.
    Raises ValueError for bits outside 2 to 8.
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"bits is {bits}: 2 to 8 are meant")
    model = folded(model)
    _replace(model, bits)
    with frozen(model):
        model(inputs)
    for module in model.modules():
        if isinstance(module, Rounded):
            module.settle()
    return model


def _replace(module: nn.Module, bits: int) -> None:
    for name, child in module.named_children():
        if isinstance(child, LAYERS):
            setattr(module, name, Quantized(child, bits))
        elif isinstance(child, POOLS):
            setattr(module, name, nn.Sequential(Rounded(bits), child))
        else:
            _replace(child, bits)
