"""The shape of a transformer, in one record."""

import math
from dataclasses import dataclass

# The linear layers of a block.
ATTENTION = ("query", "key", "value", "output")
FEED_FORWARD = ("gate", "up", "down")


@dataclass
class Config:
    """Shape of a transformer: of Llama's kind, with what Qwen2 and Qwen3 add.

    hidden: width inside the feed-forward, default 8/3 of `width`. head_size: default width / heads.
    biases: layers of a block that add one, by name: "query" (key, value, output, gate, up, down).
    qk_norm: RMSNorm over each head's query and key. rope_factors: see `angles`.
    tokens: how many of the `vocab` rows the tokenizer uses. Vocabularies are padded to round
    numbers (Qwen2.5: 151,936 rows, 151,665 tokens); the rows behind stay, but logits have `tokens`
    columns alone: no probability on what is no token, and models of one tokenizer fit together.

    Raises ValueError where heads do not divide the width, key heads the heads, or a value does not
    fit the others.
    """

    vocab: int
    width: int
    layers: int
    heads: int
    kv_heads: int | None = None
    hidden: int | None = None
    rope_base: float = 10_000.0
    norm_eps: float = 1e-5
    causal: bool = True
    tied: bool = True
    head_size: int | None = None
    biases: tuple[str, ...] = ()
    qk_norm: bool = False
    rope_factors: tuple[float, ...] | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        self.kv_heads = self.kv_heads or self.heads
        self.hidden = self.hidden or 8 * math.ceil(self.width / 3)
        if self.head_size is None and self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} must be an even multiple of {self.heads} heads")
        self.head_size = size = self.head_size or self.width // self.heads
        self.biases = tuple(self.biases)  # JSON knows lists alone
        self.rope_factors = self.rope_factors and tuple(self.rope_factors)
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads {self.kv_heads} must divide {self.heads} heads")
        if size % 2 or len(self.rope_factors or range(size // 2)) != size // 2:
            raise ValueError(
                f"head_size {size} must be even, with half as many rope_factors, got "
                f"{self.rope_factors}"
            )
        if strange := set(self.biases) - {*ATTENTION, *FEED_FORWARD}:
            raise ValueError(f"no layer of a block is called {sorted(strange)}: biases are of them")
        if self.tokens is not None and not 0 < self.tokens <= self.vocab:
            raise ValueError(
                f"tokens {self.tokens} must be in [1, {self.vocab}], the rows there are"
            )
