"""Cut a transformer: what stays of each layer, by numbers that `importance` may have chosen.

    found = importance(model, batches)
    small = cut_transformer(
        model, heads=found["heads"].topk(2).indices, units=found["units"].topk(128).indices
    )

Then distil, the model that was cut being the teacher: Minitron (Muralidharan et al. 2024, arXiv
2407.14679), in small. `small` is a Transformer like any other, and its Config says its shape.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..lm.transformer import Transformer

Indices = Sequence[int] | Tensor  # (n,): of one list
OfBlocks = Sequence[Indices] | Tensor  # (L, n): a list for each block of the model

STREAM_NORMS = ("attention_norm", "feed_forward_norm", "norm")
# What the rows of each layer's weight are, and its columns; None: nothing that is cut.
CUTS: dict[str, tuple[str | None, str | None]] = {
    "embed": (None, "channels"),
    "query": ("queries", "channels"),
    "key": ("keys", "channels"),
    "value": ("keys", "channels"),
    "output": ("channels", "queries"),
    "gate": ("units", "channels"),
    "up": ("units", "channels"),
    "down": ("channels", "units"),
    "head": (None, "channels"),
    **dict.fromkeys(STREAM_NORMS, ("channels", None)),
    **dict.fromkeys(("query_norm", "key_norm"), (None, None)),
}


@torch.no_grad()
def cut_transformer(
    model: Transformer,
    *,
    heads: OfBlocks | None = None,
    units: OfBlocks | None = None,
    channels: Indices | None = None,
    layers: Indices | None = None,
) -> Transformer:
    """A smaller Transformer of the parts that stay; its logits are those of `model` with 0 for the
    output of all others.

    heads, units: for each block of `model` the numbers of what stays, equally many in every block;
    with grouped queries a head is one of keys and values with the G query heads that share it.
    channels: of the stream, for the whole model. layers: blocks. None: all of them. Their order
    does not matter, but for that of the layers.

    Channels at 0 still count in the mean of an RMSNorm over all D: with n left,

        x / sqrt(sum(x**2) / D + eps)  =  sqrt(D / n) * x / sqrt(sum(x**2) / n + eps D / n),

    so the norms' weights grow by sqrt(D / n) and `norm_eps` by D / n. Nothing is shared with
    `model`. Raises ValueError for counts that differ from block to block, numbers that are not
    there or come twice, channels of a model with `qk_norm`, whose eps must stay, and a model with
    adapters.
    """
    old = model.config
    size, groups, hidden = old.head_size or 0, old.kv_heads or 0, old.hidden or 0
    if channels is not None and old.qk_norm:
        raise ValueError("channels of a model with qk_norm: its norms of heads share norm_eps")
    stay_layers = _indices(range(old.layers) if layers is None else layers, old.layers, "layers")
    stay_heads = _rows(heads, old.layers, groups, "heads")
    stay_units = _rows(units, old.layers, hidden, "units")
    stay = _indices(range(old.width) if channels is None else channels, old.width, "channels")
    per_group, ratio = old.heads // groups, old.width / len(stay)
    config = dataclasses.replace(
        old,
        width=len(stay),
        layers=len(stay_layers),
        heads=len(stay_heads[0]) * per_group,
        kv_heads=len(stay_heads[0]),
        hidden=len(stay_units[0]),
        norm_eps=old.norm_eps * ratio,
    )
    parts = [  # of each block of the big one, what stays of what CUTS names
        {
            "channels": stay,
            "units": own_units,
            "keys": _spread(own_heads, size),
            "queries": _spread(own_heads, per_group * size),
        }
        for own_heads, own_units in zip(stay_heads, stay_units, strict=True)
    ]
    small = Transformer(config).to(model.embed.weight)
    given = dict(model.named_parameters())
    for name, new in small.named_parameters():
        n, theirs = _in_big_one(name, stay_layers)
        if theirs not in given:
            raise ValueError(
                f"the model has no {theirs}: if it has adapters, merge_lora them first"
            )
        new.copy_(_kept(name, given[theirs], parts[n])).requires_grad_(given[theirs].requires_grad)
        if layer_name(name) in STREAM_NORMS:
            new.mul_(ratio**0.5)
    return small.train(model.training)


def _kept(name: str, whole: Tensor, part: dict[str, Tensor]) -> Tensor:
    """Of this parameter's rows and columns those that stay. part: what CUTS names, of its block."""
    rows, columns = CUTS[layer_name(name)]
    kept = whole[part[rows]] if rows else whole
    return kept[:, part[columns]] if columns and kept.dim() == 2 else kept  # a bias has rows alone


def layer_name(name: str) -> str:
    """What CUTS calls the layer: "query", of "blocks.2.attention.query" and of its weight."""
    return name.removesuffix(".weight").removesuffix(".bias").rpartition(".")[2]


def _in_big_one(name: str, stay_layers: Tensor) -> tuple[int, str]:
    """The number of the block that this weight comes from (0 outside of blocks), and its name."""
    if not name.startswith("blocks."):
        return 0, name
    _, number, inside = name.split(".", 2)
    n = int(stay_layers[int(number)])
    return n, f"blocks.{n}.{inside}"


def _spread(heads: Tensor, size: int) -> Tensor:
    """Numbers of the rows of these heads, `size` rows each."""
    return (heads[:, None] * size + torch.arange(size)).flatten()


def _indices(given: Any, count: int, name: str) -> Tensor:
    numbers = torch.as_tensor(given, dtype=torch.long).cpu()
    if numbers.dim() != 1 or not len(numbers) or len(numbers.unique()) < len(numbers):
        raise ValueError(f"{name} are numbers, at least one and each once, got {given}")
    if numbers.min() < 0 or numbers.max() >= count:
        raise ValueError(f"{name} {numbers.tolist()}: there are {count}, from 0 on")
    return numbers if name == "layers" else numbers.sort().values


def _rows(given: OfBlocks | None, layers: int, count: int, name: str) -> list[Tensor]:
    if given is None:
        return [torch.arange(count)] * layers
    rows = [_indices(row, count, name) for row in given]
    if len(rows) != layers or len({len(row) for row in rows}) != 1:
        raise ValueError(
            f"{name}: a list for each of {layers} blocks, all as long, got {[len(r) for r in rows]}"
        )
    return rows
