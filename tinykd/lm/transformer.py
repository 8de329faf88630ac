"""A transformer, small enough to read and real enough to be SmolLM2.

    x = embed(tokens)                                               (B, T, D)
    x = x + attention(norm(x));  x = x + feed_forward(norm(x))      in every block
    logits = norm(x) @ embed.T                                      (B, T, V)

The decoder of Llama (Touvron et al. 2023, arXiv 2302.13971): RMSNorm, rotary positions, grouped
queries, SwiGLU, tied embeddings; with biases on query, key and value it is Qwen2, with a norm on
query and key Qwen3 (see `Config`). `causal=False` makes it an encoder, for `Classifier`.
"""

import copy
import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..batch import as_bools
from .cache import Cache
from .config import Config
from .layers import Block, RMSNorm, angles


class Transformer(nn.Module):
    """Tokens to logits of the next token at every position.

    Layer names for Capture: "embed", "blocks.2" (what leaves block 2), "norm",
    "blocks.2.attention.scores".
    """

    picks_positions = True  # knows what to do with `positions`

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.width, config.norm_eps)
        self.head = None if config.tied else nn.Linear(config.width, config.vocab, bias=False)
        self._start()

    @property
    def sees_no_padding(self) -> bool:
        """True where padding on the right cannot reach a real position, even without a mask."""
        return self.config.causal

    @property
    def head_weight(self) -> Tensor:
        """The vectors that score the words, (V, D): the embedding itself where they are tied.

        V is `config.tokens`, where that is given: what is no token is not scored.
        """
        weight = self.embed.weight if self.head is None else self.head.weight
        tokens = self.config.tokens or len(weight)
        return weight if tokens == len(weight) else weight[:tokens]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Logits (B, T, V) of the token after each position.

        input_ids: (B, T). attention_mask: (B, T), 1 or True for real tokens, 0 for padding, which
        may stand on either side. positions: flat positions of B * T; then logits are
        (len(positions), V) and the head, the costly part of a small model with many words, runs at
        these alone.
        """
        x = self.hidden(input_ids, attention_mask, cache)
        if positions is not None:
            x = x.flatten(0, 1)[positions]
        return F.linear(x, self.head_weight)

    def hidden(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, cache: Cache | None = None
    ) -> Tensor:
        """What the head reads: (B, T, D), after the last norm. Raises ValueError for other ids."""
        mask, positions = self._visible(input_ids, attention_mask, cache)
        try:
            x = self.embed(input_ids)
        except IndexError as error:  # on the CPU, where it is cheaper to look when it is too late
            wrong = input_ids[(input_ids < 0) | (input_ids >= self.config.vocab)]
            raise ValueError(
                f"a batch has the id {wrong[0].item()}: the model's ids are 0 to "
                f"{self.config.vocab - 1}"
            ) from error
        config = self.config
        cos, sin = angles(positions, config.head_size or 0, config.rope_base, config.rope_factors)
        rotation = (cos.type_as(x), sin.type_as(x))
        for n, block in enumerate(self.blocks):
            x = block(x, rotation, mask, cache, n)
        if cache is not None:
            cache.length += input_ids.shape[1]
        return self.norm(x)

    def _visible(
        self, input_ids: Tensor, attention_mask: Tensor | None, cache: Cache | None
    ) -> tuple[Tensor | None, Tensor]:
        """Who may look at whom (B, 1, T, S), None for the plain causal case; positions (B, T)."""
        real = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        real = as_bools(real, "attention_mask")
        if real.shape != input_ids.shape:
            raise ValueError(
                f"attention_mask {tuple(real.shape)} must have the shape of input_ids "
                f"{tuple(input_ids.shape)}"
            )
        before = 0
        if cache is not None:
            before = cache.length
            cache.expect(real)
            real = cache.real
        end = before + input_ids.shape[1]
        positions = (real.cumsum(1) - 1).clamp_min(0)[:, before:end]
        if attention_mask is None and cache is None:
            return None if self.config.causal else real[:, None, None], positions
        every = torch.ones(input_ids.shape[1], real.shape[1], dtype=torch.bool, device=real.device)
        within = every.tril(before) if self.config.causal else every
        # Padding sees itself: a softmax over nothing would be NaN.
        return (within & real[:, None, None]) | every.tril(before).triu(before), positions

    @torch.no_grad()
    def _start(self) -> None:
        for name, weight in self.named_parameters():
            if weight.dim() == 2 and not weight.is_meta:
                into_stream = name.endswith(("output.weight", "down.weight"))
                depth = math.sqrt(2 * self.config.layers) if into_stream else 1.0
                nn.init.normal_(weight, std=weight.shape[1] ** -0.5 / depth)
            elif name.endswith(".bias"):
                nn.init.zeros_(weight)


class Classifier(nn.Module):
    """An encoder and a linear layer on the mean of its real positions: logits (B, classes)."""

    def __init__(self, config: Config, classes: int) -> None:
        super().__init__()
        self.body = Transformer(config)
        self.head = nn.Linear(config.width, classes)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """input_ids, attention_mask: (B, T) -> logits (B, classes)."""
        x = self.body.hidden(input_ids, attention_mask)
        if attention_mask is None:
            return self.head(x.mean(1))
        real = attention_mask.unsqueeze(-1).type_as(x)
        return self.head((x * real).sum(1) / real.sum(1).clamp_min(1))


M = TypeVar("M", Transformer, Classifier)


def keep_layers(model: M, layers: Sequence[int]) -> M:
    """A copy of `model` with these blocks alone, in this order: how DistilBERT's student starts.

    Raises IndexError for a block that is not there (a negative number counts from the end).
    """
    student = copy.deepcopy(model)
    body = student.body if isinstance(student, Classifier) else student
    body.blocks = nn.ModuleList(body.blocks[n] for n in layers)
    body.config.layers = len(body.blocks)
    return student
