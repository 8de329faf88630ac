"""Models small enough to read, and how to ask any model for its logits."""

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .softmax import at_least_float32

# What the trainer's own parts read from a batch of named tensors.
NOT_FOR_THE_MODEL = ("labels", "mask", "index", "augmented")


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
        for layer in self.layers[:-1]:
            x = F.dropout(F.relu(layer(x)), self.dropout, self.training)
        return self.layers[-1](x)


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


def forward(model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
    """Logits of a model for a batch: model(inputs), or model(**rest) where there is no "inputs".

    Models that return an object with `.logits` (Hugging Face) are unpacked. A batch's "keep" (N,)
    names the flat positions whose logits (N, C) are wanted: a model that has `picks_positions`
    computes no others, from any other they are picked afterwards.
    """
    if "inputs" in batch:
        output = model(batch["inputs"])
        return getattr(output, "logits", output)
    own = {k: v for k, v in batch.items() if k not in NOT_FOR_THE_MODEL}
    keep = None if getattr(model, "picks_positions", False) else own.pop("keep", None)
    output = model(**own)
    logits = getattr(output, "logits", output)
    return logits if keep is None else logits.flatten(0, -2)[keep]


def predict(model: nn.Module, inputs: Tensor, batch_size: int = 1000) -> Tensor:
    """Logits of a model for all inputs, in eval mode and without gradients; the mode comes back.

    inputs: (N, ...). Returns (N, ...) on the CPU, float32 at least.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with frozen(model):
        chunks = [
            at_least_float32(forward(model, {"inputs": chunk.to(device)})).cpu()
            for chunk in inputs.split(batch_size)
        ]
    return torch.cat(chunks)


@contextlib.contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients for the length of a block; then every mode comes back."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
