"""Prune a transformer: what matters in it, by its activations on a few batches, and the cut.

    found = importance(model, batches)
    small = cut_transformer(
        model, heads=found["heads"].topk(2).indices, units=found["units"].topk(128).indices
    )

Then distil, the model that was cut being the teacher: Minitron (Muralidharan et al. 2024, arXiv
2407.14679), in small. `small` is a Transformer like any other, and its Config says its shape.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..batch import as_bools
from ..lm.transformer import Transformer, keep_layers
from ..models import frozen

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


def importance(model: Transformer, batches: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """How much each part does, by means over all real positions of the batches; float64.

        heads     (L, K)  |o|_2 of what a head fetches, before the output layer; of grouped queries,
                          of all G heads that share one head of keys and values
        units     (L, H)  |a| of what a hidden unit of the feed-forward hands on, silu(gate) * up
        channels  (D,)    |x| of a channel of the stream behind a norm, summed over all norms
        layers    (L,)    1 - cos(x_in, x_out) of a block: what it changes in the stream's direction

    The first three are those of Minitron, section 2.2, by a mean over positions; the last is block
    influence (Men et al. 2024, ShortGPT, arXiv 2403.03853, eq. 1). Nothing has to be trained, and
    no gradient is asked for. batches: with "input_ids" (B, T) and, where there is padding,
    "attention_mask". Raises ValueError for no batches.
    """
    sums: dict[str, list[Tensor]] = {}
    real, positions = torch.empty(0), 0  # (B, T) of the batch at work; how many in all

    def add(name: str, values: Tensor) -> None:
        sums.setdefault(name, []).append(values[real].double().sum(0))

    with _watching(model, add), frozen(model):
        for batch in batches:
            ids, mask = batch["input_ids"], batch.get("attention_mask")
            real = as_bools(torch.ones_like(ids) if mask is None else mask, "attention_mask")
            positions += int(real.sum())
            model(ids, mask)
    if not positions:
        raise ValueError("no batches: there is nothing to measure on")
    means = {name: torch.stack(each).sum(0) / positions for name, each in sums.items()}
    return {"channels": means["channels"]} | {
        name: torch.stack([means[f"{name} {n}"] for n in range(len(model.blocks))])
        for name in ("heads", "units", "layers")
    }


@contextlib.contextmanager
def _watching(model: Transformer, add: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Whatever the model reads in the block: add("units 2", what they do at each position)."""
    hooks = []
    for n, block in enumerate(model.blocks):
        attention: Any = block.attention

        def fetched(layer: Any, given: Any, n: int = n, groups: int = attention.kv_heads) -> None:
            add(f"heads {n}", given[0].unflatten(-1, (groups, -1)).norm(dim=-1))

        def handed_on(layer: Any, given: Any, n: int = n) -> None:
            add(f"units {n}", given[0].abs())

        def changed(layer: Any, given: Any, x: Tensor, n: int = n) -> None:
            add(f"layers {n}", 1 - F.cosine_similarity(given[0], x, -1))

        hooks.append(attention.output.register_forward_pre_hook(fetched))
        hooks.append(block.feed_forward.down.register_forward_pre_hook(handed_on))  # type: ignore
        hooks.append(block.register_forward_hook(changed))

    def behind(layer: Any, given: Any, x: Tensor) -> None:
        add("channels", x.abs())

    for name, module in model.named_modules():
        if _layer(name) in STREAM_NORMS:
            hooks.append(module.register_forward_hook(behind))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def loss_without(model: Transformer, loss: Callable[[Transformer], float]) -> Tensor:
    """loss(model without block n) - loss(model) for every block, (L,): the other rank of layers.

    loss: of a model, on held-out batches; L + 1 passes over these.
    """
    layers = range(len(model.blocks))
    without = [loss(keep_layers(model, [m for m in layers if m != n])) for n in layers]
    return torch.tensor(without) - loss(model)


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
        whole, (rows, columns) = given[theirs], CUTS[_layer(name)]
        kept = whole[parts[n][rows]] if rows else whole
        if columns and kept.dim() == 2:  # a bias has rows alone
            kept = kept[:, parts[n][columns]]
        new.copy_(kept).requires_grad_(whole.requires_grad)
        if _layer(name) in STREAM_NORMS:
            new.mul_(ratio**0.5)
    return small.train(model.training)


def _layer(name: str) -> str:
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
