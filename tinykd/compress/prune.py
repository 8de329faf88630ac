"""Pruning: weights that become 0 (smaller, not faster) and units that are cut out (both).

Masks are held by torch.nn.utils.prune: the layer keeps `weight_orig` and computes with
`weight_orig * weight_mask`, so that a pruned weight gets no gradient and stays 0 in training.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from ..models.convnet import ConvNet, Residual
from ..models.mlp import MLP

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)


def magnitude_masks(weights: Sequence[Tensor], share: float) -> list[Tensor]:
    """True for the weights that stay when the `share` of all with the smallest |w| goes.

    weights: tensors of any shapes, ranked together. Returns a bool tensor for each. Exactly
    round(share * N) of the N weights are False (Han et al. 2015, arXiv 1506.02626).
    Raises ValueError for a share outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}: the part of the weights that goes, in [0, 1]")
    size = torch.cat([w.detach().abs().flatten() for w in weights])  # (N,)
    stays = torch.ones(len(size), dtype=torch.bool, device=size.device)
    stays[size.argsort()[: round(share * len(size))]] = False
    parts = stays.split([w.numel() for w in weights])
    return [part.view_as(w) for part, w in zip(parts, weights, strict=True)]


def prunable(model: nn.Module) -> list[Any]:
    """The linear and convolutional layers of a model, in order."""
    return [layer for layer in model.modules() if isinstance(layer, LAYERS)]


def prune_weights(model: nn.Module, share: float) -> None:
    """Set the `share` of all weights with the smallest |w| to 0, in place, and hold them there.

    Ranked over all linear and convolutional layers together; biases and norms stay. What was pruned
    before is 0, and so goes first: call it again with a larger share to go on.
    """
    layers = prunable(model)
    masks = magnitude_masks([layer.weight for layer in layers], share)
    for layer, mask in zip(layers, masks, strict=True):
        if prune.is_pruned(layer):
            prune.remove(layer, "weight")
        prune.custom_from_mask(layer, "weight", mask)


def make_permanent(model: nn.Module) -> None:
    """Turn masked weights into plain ones that hold zeros, in place: for saving and exporting."""
    for layer in prunable(model):
        if prune.is_pruned(layer):
            prune.remove(layer, "weight")


def sparsity(model: nn.Module) -> float:
    """Share of the weights of linear and convolutional layers that are 0, in [0, 1]."""
    weights = [layer.weight for layer in prunable(model)]
    return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)


def cubic(final: float) -> Callable[[float], float]:
    """Share pruned at progress p in [0, 1]: final (1 - (1 - p)^3), fast first and slow at the end.

    Zhu and Gupta 2017, arXiv 1710.01878, equation 1, from 0.
    """
    return lambda progress: final * (1 - (1 - progress) ** 3)


class GradualPruning:
    """A callback for `Trainer`: `prune_weights` with a rising share, 20 times in `steps` steps.

    Trainer(model, ..., callbacks=[GradualPruning(0.95, steps=200)]). After `steps` steps the share
    is reached, and stays. Call `make_permanent(model)` when training is over.
    """

    def __init__(self, share: float, steps: int) -> None:
        self.share, self.steps = cubic(share), steps

    def __call__(self, trainer: Any) -> None:
        """After a step: prune, if it is time."""
        every = max(1, self.steps // 20)
        if trainer.step <= self.steps and (trainer.step % every == 0 or trainer.step == self.steps):
            prune_weights(trainer.model, self.share(trainer.step / self.steps))


def unit_norms(layer: nn.Module) -> Tensor:
    """Sum of |w| of what comes into each unit or channel, (out,) (Li et al. 2016, 1608.08710)."""
    return layer.weight.detach().abs().flatten(1).sum(1)  # type: ignore[operator]


@torch.no_grad()
def cut_units(
    first: nn.Module, second: nn.Module, keep: Tensor, norm: nn.Module | None = None
) -> None:
    """Keep the units `keep` between two layers, in place; all others leave no trace.

    first makes the units: its rows w[keep] and biases. norm: a batch norm in between. second reads
    them: its columns w[:, keep]. keep: (k,) indices. Of two layers nothing else may read the units
    (no skip connection), and there must be no flatten between convolution and linear layer.
    Raises ValueError where the layers do not fit.
    """
    units = len(first.weight)  # type: ignore[arg-type]
    if second.weight.shape[1] != units:  # type: ignore[index]
        raise ValueError(
            f"{units} units come out of the first layer, and the second one reads "
            f"{second.weight.shape[1]}"  # type: ignore[index]
        )
    _select(first, keep, "weight", "bias")
    _select(norm, keep, "weight", "bias", "running_mean", "running_var")
    second.weight = nn.Parameter(second.weight[:, keep])  # type: ignore[index]
    for layer, name in ((first, "out"), (second, "in"), (norm, "num")):
        for ending in ("_features", "_channels"):
            if hasattr(layer, name + ending):
                setattr(layer, name + ending, len(keep))


def slimmer(
    model: nn.Module, share: float, score: Callable[[nn.Module], Tensor] = unit_norms
) -> nn.Module:
    """A copy of an MLP, ConvNet or ResNet in which the `share` of inner units is cut out.

    In every hidden layer (of a residual block: between its two convolutions) the units with the
    smallest score(layer) go; at least one stays. Raises ValueError for a model of which it is not
    known what reads what: `cut_units` is for those.
    """
    if not 0 <= share < 1:
        raise ValueError(f"share is {share}: the part of the units that goes, in [0, 1)")
    model = copy.deepcopy(model)
    pairs = list(neighbours(model))
    if not pairs:
        raise ValueError(f"{type(model).__name__} has no layers that slimmer knows: use cut_units")
    scores = [score(first) for first, _, _ in pairs]  # of the whole model, before anything is cut
    for (first, norm, second), points in zip(pairs, scores, strict=True):
        stay = max(1, len(points) - round(share * len(points)))
        cut_units(first, second, points.topk(stay).indices.sort().values, norm)
    return model


def neighbours(model: nn.Module) -> Iterator[tuple[nn.Module, nn.Module | None, nn.Module]]:
    """(layer, its batch norm or None, the only layer that reads it), wherever that is known."""
    for module in model.modules():
        if isinstance(module, MLP):
            for first, second in zip(module.layers, module.layers[1:], strict=False):
                yield first, None, second
        elif isinstance(module, ConvNet):
            readers = [block[0] for block in module.blocks[1:]] + [module.head]  # type: ignore
            for block, second in zip(module.blocks, readers, strict=True):
                yield block[0], block[1], second  # type: ignore[index]
        elif isinstance(module, Residual):
            yield module.first[0], module.first[1], module.second[0]


def _select(layer: nn.Module | None, keep: Tensor, *names: str) -> None:
    for name in names:
        value = getattr(layer, name, None)
        if isinstance(value, nn.Parameter):
            setattr(layer, name, nn.Parameter(value[keep]))
        elif value is not None:
            setattr(layer, name, value[keep])
