"""A shared space for two kinds of things, such as images and sentences about them.

Each side has an encoder of its own; what belongs together is to lie in one direction
(CLIP: Radford et al. 2021, arXiv 2103.00020).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .softmax import at_least_float32


def similarities(a: Tensor, b: Tensor, tau: float = 0.07) -> Tensor:
    """cos(a_i, b_j) / tau: logits of each thing on the left over those on the right.

    a: (N, D). b: (K, D). Returns (N, K). Its softmax says which b belongs to a_i: with the
    sentences of classes as b, that is a classifier. Raises ValueError for other shapes, tau <= 0.
    """
    if a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"a {tuple(a.shape)} and b {tuple(b.shape)} must be (N, D) and (K, D)")
    if not tau > 0:
        raise ValueError(f"tau must be above 0, got {tau}")
    a, b = (F.normalize(at_least_float32(x), dim=1) for x in (a, b))
    return a @ b.T / tau


def clip_loss(a: Tensor, b: Tensor, tau: float = 0.07) -> Tensor:
    """Which belongs to which? (-log softmax_j(s_ij) - log softmax_j(s_ji)) / 2 at j = i.

    s = similarities(a, b, tau): a_i looks for its partner among the b of the batch, and b_i for its
    among the a (arXiv 2103.00020, figure 3). Gradients flow into both sides, where
    `features.contrastive` has a teacher that stays as it is.
    a, b: (B, D), row i of one belongs to row i of the other. Returns (B,), in nats. Two pairs of a
    batch that mean the same are told apart all the same. Raises ValueError as `similarities`, and
    for different numbers of rows.
    """
    if len(a) != len(b):
        raise ValueError(f"pairs, row by row: {len(a)} rows of a, {len(b)} of b")
    s, own = similarities(a, b, tau), torch.arange(len(a), device=a.device)
    there = F.cross_entropy(s, own, reduction="none")
    back = F.cross_entropy(s.T, own, reduction="none")
    return (there + back) / 2


clip_loss.couples_samples = True  # type: ignore[attr-defined]


class ByDescription(nn.Module):
    """A classifier whose classes are descriptions: similarities of encoder(x) to fixed vectors.

    encoder: gives (B, D). descriptions: (K, D), from a text encoder, not trained. Logits (B, K).
    Other descriptions make another classifier of the same encoder: `ByDescription(encoder, more)`.
    """

    descriptions: Tensor

    def __init__(self, encoder: nn.Module, descriptions: Tensor, tau: float = 0.07) -> None:
        super().__init__()
        self.encoder, self.tau = encoder, tau
        self.register_buffer("descriptions", descriptions.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K)."""
        return similarities(self.encoder(x), self.descriptions, self.tau)
