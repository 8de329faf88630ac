"""Fully connected networks, and the weight constraint they were trained with."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MLP(nn.Module):
    """Fully connected ReLU network: x -> relu(W1 x + b1) -> ... -> logits.

    MLP(784, 1200, 1200, 10) takes (B, ...) inputs of 784 numbers each and gives logits (B, 10).
    dropout acts on hidden units, input_dropout on inputs (Hinton et al. 2012, arXiv 1207.0580).
    The linear layers are in `layers`. Raises ValueError for fewer than two sizes.
    """

    def __init__(self, *sizes: int, dropout: float = 0.0, input_dropout: float = 0.0) -> None:
        super().__init__()
        if len(sizes) < 2:
            raise ValueError(f"an MLP needs at least an input and an output size, got {sizes}")
        layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
        self.layers = nn.ModuleList(layers)
        self.dropout, self.input_dropout = dropout, input_dropout
        for layer in layers:
            # He et al. 2015 (arXiv 1502.01852): keeps the size of activations from layer to layer
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes)."""
        x = F.dropout(x.flatten(1), self.input_dropout, self.training)
        *hidden, last = self.layers
        for layer in hidden:
            x = F.dropout(F.relu(layer(x)), self.dropout, self.training)
        return last(x)


@torch.no_grad()
def max_norm(model: nn.Module, limit: float) -> None:
    """Shrink the incoming weights of every unit to a length of at most `limit`, in place.

    w <- w min(1, limit / |w|) for each row of each linear layer but the last: the weight constraint
    that lets dropout nets learn fast without running away (Hinton et al. 2012, arXiv 1207.0580).
    As a callback: Trainer(..., callbacks=[lambda trainer: max_norm(trainer.model, 3.0)]).
    """
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    for layer in layers[:-1]:
        length = layer.weight.norm(dim=1, keepdim=True)  # (units, 1)
        layer.weight.mul_(limit / length.clamp_min(limit))
