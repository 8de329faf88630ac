"""Nothing of a file is left out: names of weights, settings taken one by one, what is left over."""

import math
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..config import Config
from ..transformer import Transformer

# Our name of a layer inside block N, and what GGUF and the Hub call it.
IN_BLOCK = {
    "attention_norm": ("attn_norm", "input_layernorm"),
    "attention.query": ("attn_q", "self_attn.q_proj"),
    "attention.key": ("attn_k", "self_attn.k_proj"),
    "attention.value": ("attn_v", "self_attn.v_proj"),
    "attention.output": ("attn_output", "self_attn.o_proj"),
    "attention.query_norm": ("attn_q_norm", "self_attn.q_norm"),
    "attention.key_norm": ("attn_k_norm", "self_attn.k_norm"),
    "feed_forward_norm": ("ffn_norm", "post_attention_layernorm"),
    "feed_forward.gate": ("ffn_gate", "mlp.gate_proj"),
    "feed_forward.up": ("ffn_up", "mlp.up_proj"),
    "feed_forward.down": ("ffn_down", "mlp.down_proj"),
}
OUTSIDE = {
    "embed": ("token_embd", "model.embed_tokens"),
    "norm": ("output_norm", "model.norm"),
    "head": ("output", "lm_head"),
}
GGUF, HUB = 0, 1
BLOCK = ("blk.{}.", "model.layers.{}.")


class Settings:
    """What a file says about its model. Each setting is taken once; `done` refuses what is left.

    ignore: patterns of names that count as not said.
    """

    def __init__(self, source: str | Path, said: dict[str, Any], ignore: Sequence[str]) -> None:
        self.source, self.ignore = source, ignore
        self.left = {name: value for name, value in said.items() if not _in(name, ignore)}

    def take(self, name: str, default: Any = None) -> Any:
        """The value of a setting; `default` where it is not said, or null."""
        value = self.left.pop(name, None)
        return default if value is None else value

    def number(self, name: str, default: float | None = None) -> float:
        """A number above 0. Raises ValueError for anything else, and where it must be said."""
        value = self.take(name, default)
        if type(value) not in (int, float) or not 0 < value < math.inf:
            raise ValueError(f"{self.source}: {name} must be a number above 0, got {value!r}")
        return value

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number above 0. Raises ValueError for anything else."""
        value = self.number(name, default)
        if value != int(value):
            raise ValueError(f"{self.source}: {name} must be a whole number, got {value!r}")
        return int(value)

    def expect(self, name: str, *known: Any) -> None:
        """Take a setting that may only say what the model does anyway.

        Raises ValueError if it is said and has another value.
        """
        value = self.take(name, known[0])
        if value not in known:
            refuse(self.source, "settings", {name: f"{name} = {value!r}"})

    def done(self, harmless: Iterable[str] = ()) -> None:
        """Raises ValueError for what is left, unless it is switched off or matches `harmless`."""
        refuse(
            self.source,
            "settings",
            {
                name: f"{name} = {value!r}"
                for name, value in self.left.items()
                if value and not _in(name, harmless)
            },
        )


def refuse(source: str | Path, what: str, names: dict[str, str]) -> None:
    """Raises ValueError if there are any: names, and how each is shown."""
    if names:
        first = ", ".join(f"{shown:.200}" for shown in list(names.values())[:5])
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise ValueError(
            f"{source} has {what} that are not understood: {first}{more}. Without them the model "
            f"may compute something else; if you know better, ignore=[{next(iter(names))!r}]"
        )


def layer_names(config: Config, column: int) -> dict[str, str]:
    """Our name of every layer -> its name in the file; column: GGUF or HUB."""
    names = {ours: theirs[column] for ours, theirs in OUTSIDE.items()}
    if config.tied:
        del names["head"]
    for n in range(config.layers):
        for ours, theirs in IN_BLOCK.items():
            if config.qk_norm or not ours.endswith(("query_norm", "key_norm")):
                names[f"blocks.{n}.{ours}"] = f"{BLOCK[column].format(n)}{theirs[column]}"
    return names


def build(
    source: str | Path,
    config: Config,
    column: int,
    names: Iterable[str],
    read: Callable[[str], Tensor],
    ignore: Sequence[str],
) -> Transformer:
    """A model of all weights of a file. names: the file's; read: gives one of them, as float32.

    ignore: patterns of names to leave out. Raises ValueError if there are others than the model
    has, one is missing, or one has another shape.
    """
    with torch.device("meta"):
        model = Transformer(config)
    layers, found = layer_names(config, column), set(names)
    state = {}
    for ours, empty in model.state_dict().items():
        layer, _, kind = ours.rpartition(".")  # kind: weight or bias
        theirs = f"{layers[layer]}.{kind}"
        if theirs not in found:
            raise ValueError(f"{source} has no tensor {theirs}: it is cut off, or not what it says")
        found.remove(theirs)
        state[ours] = read(theirs)
        if state[ours].shape != empty.shape:
            raise ValueError(
                f"{source}: {theirs} has shape {tuple(state[ours].shape)}, its settings say "
                f"{tuple(empty.shape)}"
            )
    refuse(source, "tensors", {name: name for name in sorted(found) if not _in(name, ignore)})
    model.load_state_dict(state, assign=True)
    return model


def _in(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
