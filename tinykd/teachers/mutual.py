"""Students that teach each other: deep mutual learning (Zhang et al. 2017, arXiv 1706.00384)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..losses import cross_entropy, forward_kl
from ..objective import Term
from ..outputs import Outputs
from ..schedules import Schedule, at, refuse_learnable
from .ensemble import ensemble_logits, stacked_logits


class Peers(nn.Module):
    """Networks that learn side by side; as one model, they are their ensemble.

        peers = Peers(a, b)
        Trainer(peers, Mutual(peers)).fit(batches)      # trains a and b

    Its logits are those of the mean probability; each peer alone is in `peers`. Raises ValueError
    for fewer than two.
    """

    def __init__(self, *peers: nn.Module) -> None:
        super().__init__()
        if len(peers) < 2:
            raise ValueError(f"peers teach each other: at least two, got {len(peers)}")
        self.peers = nn.ModuleList(peers)

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        """Logits (..., C) of the peers' mean probability."""
        return ensemble_logits(stacked_logits(self.peers, inputs, named))


class Mutual(Term):
    """Peers learn from labels and each other: sum_i (CE_i + weight mean_(j != i) KL(p_j || p_i)).

    peers: the model that is trained. T: temperature of the divergence, T**2 inside. weight: of the
    divergence; 0 trains the peers independently. The targets p_j are constants: no peer is changed
    so as to be easier to imitate. All peers take their step at the same time; the paper takes them
    in turn.
    """

    def __init__(self, peers: Peers, T: Schedule = 1.0, weight: float = 1.0) -> None:
        super().__init__()
        refuse_learnable(T, "T")
        self.T, self.weight = T, weight
        self.student_layers = tuple(f"peers.{n}" for n in range(len(peers.peers)))

    def per_position(self, out: Outputs) -> Tensor:
        """Summed over the peers, at every position."""
        T, labels = at(self.T, out.progress), out.batch["labels"]
        logits = [out.student_layers[name] for name in self.student_layers]
        total = torch.zeros_like(labels, dtype=torch.float32)
        for i, mine in enumerate(logits):
            others = [z.detach() for j, z in enumerate(logits) if j != i]
            pulled = torch.stack([forward_kl(mine, z, T) for z in others]).mean(0)
            total = total + cross_entropy(mine, labels) + self.weight * pulled
        return total

    def valid(self, batch: Mapping[str, Any]) -> Tensor:
        """Positions that are labelled and not masked. Raises ValueError without labels."""
        if "labels" not in batch:
            raise ValueError("Mutual needs class indices as labels, and the batch has none")
        return super().valid(batch)
