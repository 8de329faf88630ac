"""Batch norm, folded into the layer before it: at inference it is a factor and a shift."""

import copy

import torch
from torch import Tensor, nn

from .prune import LAYERS

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def fold_batch_norm(weight: Tensor, bias: Tensor | None, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of the one layer that does what a layer and its batch norm do in eval mode.

    norm(y) = gamma (y - mean) / sqrt(var + eps) + beta with y = W x + b, so
        W' = gamma / sqrt(var + eps) W,    b' = gamma / sqrt(var + eps) (b - mean) + beta.

    weight: (out, ...). bias: (out,) or None. Returns new tensors.
    """
    factor = (norm.running_var + norm.eps).rsqrt()  # type: ignore[operator]
    if norm.affine:
        factor = factor * norm.weight  # type: ignore[operator]
    shift = -norm.running_mean if bias is None else bias - norm.running_mean  # type: ignore
    folded = weight * factor.view(-1, *[1] * (weight.dim() - 1))
    return folded, factor * shift + (norm.bias if norm.affine else 0)  # type: ignore[operator]


@torch.no_grad()
def folded(model: nn.Module) -> nn.Module:
    """A copy in eval mode without the batch norms that follow a layer inside an nn.Sequential.

    Such a pair becomes one layer with a bias, and nn.Identity() stands where the norm was. A norm
    elsewhere stays as it is.
    """
    model = copy.deepcopy(model).eval()
    for block in model.modules():
        if not isinstance(block, nn.Sequential):
            continue
        for n in range(len(block) - 1):
            layer, norm = block[n], block[n + 1]
            if isinstance(layer, LAYERS) and isinstance(norm, NORMS):
                weight, bias = fold_batch_norm(layer.weight, layer.bias, norm)
                layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
                block[n + 1] = nn.Identity()
    return model
