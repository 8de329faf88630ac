"""What a transformer is made of: norm, attention, feed-forward, and the block that adds them up.

Letters: B sequences, T positions, S keys, D width, H heads of size d; G query heads share one head
of keys.
"""

import functools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..softmax import at_least_float32
from .cache import Cache
from .config import Config

Rotation = tuple[Tensor, Tensor]  # cosines and sines, from `angles`


def angles(
    positions: Tensor, size: int, base: float, factors: tuple[float, ...] | None = None
) -> tuple[Tensor, Tensor]:
    """Cosines and sines (B, 1, T, d / 2) of the angles position * base**(-2 i / d) / factor_i.

    factors: d / 2 numbers by which a model turns more slowly than it was made to, so that more
    positions fit into a circle; None: 1 (`tinykd.lm.weights.rope` has what is in use).
    """
    frequency = base ** (-torch.arange(0, size, 2, device=positions.device).float() / size)
    if factors is not None:
        frequency = frequency / _on(positions.device, factors)
    angle = positions[:, None, :, None].float() * frequency
    return angle.cos(), angle.sin()


@functools.lru_cache
def _on(device: torch.device, values: tuple[float, ...]) -> Tensor:
    """Copied to the device once, not in every step: a copy would wait for the device."""
    return torch.tensor(values, device=device)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021, arXiv 2104.09864): turn each pair (x_i, x_{i + d/2}).

    A query turned by t and a key turned by s have a product that depends on t - s alone.
    x: (B, H, T, d); cos, sin: as `angles` gives them. Same shape and type as x.
    """
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).type_as(x)


def converted(x: Tensor) -> Tensor:
    """x in autocast's type, if it is on: several layers read it, and each would convert it anew.

    A tenth of the time of a training step of SmolLM2 on a CPU. float64 stays, as under autocast.
    """
    kind = x.device.type
    if not torch.is_autocast_enabled(kind) or x.dtype == torch.float64:
        return x
    return x.to(torch.get_autocast_dtype(kind))


class RMSNorm(nn.Module):
    """x / sqrt(mean(x**2) + eps) * weight, in float32 at least (arXiv 1910.07467, eq. 4)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x: Tensor) -> Tensor:
        """Same shape and type as x."""
        y, weight = at_least_float32(x), at_least_float32(self.weight)
        return F.rms_norm(y, (x.shape[-1],), weight, self.eps).type_as(x)


class Attention(nn.Module):
    """softmax(q k^T / sqrt(d)) v: each position fetches what others hold (1706.03762, eq. 1).

    Grouped queries (arXiv 2305.13245): G query heads share one head of keys and values. Qwen3
    (arXiv 2505.09388, section 2) normalises each q and k before it is turned.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads, self.kv_heads = config.heads, config.kv_heads or config.heads
        self.size = config.head_size or config.width // config.heads
        self.query = _linear(config, "query", config.width, self.heads * self.size)
        self.key = _linear(config, "key", config.width, self.kv_heads * self.size)
        self.value = _linear(config, "value", config.width, self.kv_heads * self.size)
        self.output = _linear(config, "output", self.heads * self.size, config.width)
        self.query_norm, self.key_norm = (
            RMSNorm(self.size, config.norm_eps) if config.qk_norm else nn.Identity()
            for _ in range(2)
        )
        self.scores = nn.Identity()  # q k^T / sqrt(d), (B, H, T, S): here for Capture to look at

    def forward(
        self,
        x: Tensor,
        rotation: tuple[Tensor, Tensor],
        mask: Tensor | None,
        cache: Cache | None,
        n: int,
    ) -> Tensor:
        """(B, T, D) -> (B, T, D). mask: True where t may look at s; None: s <= t."""
        q, k, v = (
            project(x).unflatten(-1, (-1, self.size)).transpose(1, 2)  # (B, H, T, d)
            for project in (self.query, self.key, self.value)
        )
        q, k = rotate(self.query_norm(q), *rotation), rotate(self.key_norm(k), *rotation)
        if cache is not None:
            k, v = cache.append(n, k, v)
        watched, alone = bool(self.scores._forward_hooks), q.shape[2] == 1
        if alone and not watched:  # one new token: the G heads of a group are queries of one head
            q = q.view(len(q), self.kv_heads, -1, self.size)  # (B, H / G, G, d)
        else:
            k, v = (x.repeat_interleave(self.heads // self.kv_heads, 1) for x in (k, v))
        # Measured on a CPU: PyTorch's fused kernel takes twice as long for a single query, and its
        # backward in bfloat16 three times as long, as the same written out.
        half = q.device.type == "cpu" and q.dtype == torch.bfloat16 and torch.is_grad_enabled()
        if watched or alone or half:
            mixed = self._written_out(q, k, v, mask)
        else:
            mixed = F.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None)
        mixed = mixed.reshape(len(x), self.heads, -1, self.size)
        return self.output(mixed.transpose(1, 2).flatten(2))

    def _written_out(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        scores = self.scores(q @ k.transpose(-1, -2) / math.sqrt(self.size))
        if mask is None:
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
        unseen = torch.zeros(mask.shape, dtype=q.dtype, device=q.device)
        return torch.softmax(scores + unseen.masked_fill(~mask, -math.inf), -1).type_as(v) @ v


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate x) * up x) (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        hidden = config.hidden or 0
        self.gate = _linear(config, "gate", config.width, hidden)
        self.up = _linear(config, "up", config.width, hidden)
        self.down = _linear(config, "down", hidden, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D), each position by itself."""
        return self.down(F.silu(self.gate(x)) * self.up(x))


def _linear(config: Config, name: str, inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=name in config.biases)


class Block(nn.Module):
    """Attention, then feed-forward, each added to the stream that runs past it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.width, config.norm_eps)
        self.attention = Attention(config)
        self.feed_forward_norm = RMSNorm(config.width, config.norm_eps)
        self.feed_forward = FeedForward(config)

    def forward(
        self,
        x: Tensor,
        rotation: tuple[Tensor, Tensor],
        mask: Tensor | None,
        cache: Cache | None,
        n: int,
    ) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        y = converted(self.attention_norm(x))
        x = x + self.attention(y, rotation, mask, cache, n)
        return x + self.feed_forward(converted(self.feed_forward_norm(x)))
