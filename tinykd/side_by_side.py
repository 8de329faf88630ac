"""Students of one size trained at once, one a seed: as many results in a fraction of the time.

A small net keeps a processor waiting: most of a step is overhead, and that of ten nets side by side
is that of one.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .models.mlp import MLP


class SideBySide(nn.Module):
    """MLPs of one size as one module: inputs (S, B, ...) -> logits (S, B, C), net s for row s.

    A copy of the nets' weights is trained. They share no weight, so the gradient of a sum over nets
    is each net's own, and an optimizer that works number by number (SGD, Adam) does to each what it
    would do to it alone. An objective is a mean over all S B positions: train with len(nets) *
    objective, and each net's loss is the mean over its own B. (What looks at all parameters at
    once, such as clipping the norm of the gradient, couples them.)

    Raises ValueError for nets of unlike sizes, with dropout, or none at all; TypeError for what is
    no MLP.
    """

    def __init__(self, nets: Sequence[MLP]) -> None:
        super().__init__()
        if wrong := [type(net).__name__ for net in nets if not isinstance(net, MLP)]:
            raise TypeError(f"MLPs can be trained side by side, not a {wrong[0]}")
        sizes = {str([list(p.shape) for p in net.parameters()]) for net in nets}
        if len(sizes) != 1 or any(net.dropout or net.input_dropout for net in nets):
            raise ValueError(f"MLPs of one size and without dropout, got {sizes or 'none'}")
        of_layers = list(zip(*(net.layers for net in nets), strict=True))
        self.weights = nn.ParameterList(  # (S, in, out)
            torch.stack([one.weight.detach().T for one in layers]) for layers in of_layers
        )
        self.biases = nn.ParameterList(  # (S, 1, out)
            torch.stack([one.bias.detach()[None] for one in layers]) for layers in of_layers
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (S, B, C)."""
        x = x.flatten(2)
        for n, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x.relu() if n else x, weight)
        return x

    @torch.no_grad()
    def answers(self, inputs: Tensor, batch_size: int = 2000) -> Tensor:
        """Logits (S, N, C) of every net for the same inputs (N, ...)."""
        parts = inputs.split(batch_size)
        count = len(self.weights[0])
        return torch.cat([self(part.expand(count, *part.shape)) for part in parts], 1)


class SideBySideBatches:
    """Batches (S, B, ...) for students side by side: each has samples and an order of its own.

    Args:
        inputs, labels: (N, ...) and (N,), shared by all.
        rows: (S, n), the numbers of the samples that each student learns from.
        size: B. What is left of n at the end of a pass is left out.
        seeds: one a student, for the order of its samples; another in each pass.

    "index" (S, B) numbers the samples within all N. Raises ValueError where the counts do not fit.
    """

    def __init__(
        self, inputs: Tensor, labels: Tensor, rows: Tensor, size: int, seeds: Sequence[int]
    ) -> None:
        if rows.dim() != 2 or len(rows) != len(seeds):
            raise ValueError(f"rows {tuple(rows.shape)} are not a row for each of {len(seeds)}")
        if not 1 <= size <= rows.shape[1]:
            raise ValueError(f"no batch of {size} from {rows.shape[1]} samples")
        self.inputs, self.labels, self.rows, self.size = inputs, labels, rows, size
        self._rngs = [np.random.default_rng((seed, 1)) for seed in seeds]

    def __len__(self) -> int:
        """Batches in a pass."""
        return self.rows.shape[1] // self.size

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        count = self.rows.shape[1]
        order = torch.tensor(np.stack([rng.permutation(count) for rng in self._rngs]))
        rows = self.rows.gather(1, order)[:, : len(self) * self.size]
        for index in rows.split(self.size, 1):
            yield {"inputs": self.inputs[index], "labels": self.labels[index], "index": index}
