"""What matters in a transformer: heads, units, channels, blocks, by what they do on some batches.

    importance(model, batches)["heads"].topk(2).indices

and `prune_transformer` cuts the others off.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..batch import as_bools
from ..lm.transformer import Transformer, keep_layers
from ..models import frozen
from .prune_transformer import STREAM_NORMS, layer_name


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
        if layer_name(name) in STREAM_NORMS:
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
