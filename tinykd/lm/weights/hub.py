"""A model from a folder of the Hugging Face Hub: config.json and safetensors, whole or sharded."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..config import ATTENTION, FEED_FORWARD, Config
from ..transformer import Transformer
from .rope import hub_rope
from .whole import HUB, Settings, build

CLASSES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}

# Settings without a say in the logits. Whatever is in neither this list nor the code below, and is
# not switched off, is refused by name. A list of what does matter would be shorter, but is never
# complete: it passes over what was invented after it was written (a multiplier, a soft cap).
HARMLESS = [
    "_*", "*_token_id", "bos_token", "eos_token", "pad_token", "tokenizer_class", "use_cache",
    "dtype", "torch_dtype", "torchscript", "transformers_version", "transformers.js_config",
    "is_llama_config", "unsloth_*", "gradient_checkpointing", "use_flash_attention*",
    "initializer_range", "attention_dropout",  # we train without
    "max_position_embeddings", "max_sequence_length", "model_max_length",  # none is the last
    "pretraining_tp",  # cuts matrix products into parts with the same sum
    "id2label", "label2id", "num_labels", "problem_type", "finetuning_task", "task_specific_params",
    "return_dict", "output_attentions", "output_hidden_states", "chunk_size_feed_forward",
    "do_sample", "temperature", "top_k", "top_p", "typical_p", "max_length", "min_length",
    "max_new_tokens", "num_beams", "num_beam_groups", "num_return_sequences", "length_penalty",
    "repetition_penalty", "diversity_penalty", "early_stopping", "remove_invalid_values",
]  # fmt: skip
WINDOW = ["sliding_window", "max_window_layers"]  # of Qwen, asked where use_sliding_window is on
BUFFERS = ["*.rotary_emb.inv_freq"]  # frequencies, which old files hold as well

FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def load_safetensors(
    folder: str | Path, tokens: int | None = None, ignore: Sequence[str] = ()
) -> Transformer:
    """A Llama, Qwen2 or Qwen3 from a Hub folder (config.json and *.safetensors), as float32.

    tokens: logits have this many columns (see `Config`); by default as many as the tokenizer.json
    beside the weights has ids, or all rows where there is none. A model of transformers gets the
    same ones by its own `resize_token_embeddings(tokens)`.
    ignore: settings and tensors, as patterns ("model.layers.*.extra"), to pass over.

    Raises ValueError for another architecture, for settings and tensors that are not understood,
    and for files that contradict each other; FileNotFoundError where one is missing.
    """
    folder = Path(folder)
    files = _files(folder)
    config = read_config(folder / "config.json", ignore)
    if tokens is None and (counted := _count_tokens(folder / "tokenizer.json")):
        tokens = min(counted, config.vocab)
    config = replace(config, tokens=tokens)
    with ExitStack() as stack:
        where = _open(folder, files, stack)

        def read(name: str) -> Tensor:
            value: Tensor = where[name].get_tensor(name)
            if value.dtype not in FLOATS:
                raise ValueError(
                    f"{folder}: {name} is quantised ({value.dtype}), and how is not understood"
                )
            return value.to(torch.float32, copy=True)  # not a view of a file that may change

        names, head, embed = set(where), "lm_head.weight", "model.embed_tokens.weight"
        if config.tied and {head, embed} <= names:
            # Declared tied and there twice: as transformers does, two where they differ.
            config.tied = torch.equal(read(head), read(embed))
            if config.tied:
                names.remove(head)
        return build(folder, config, HUB, names, read, [*ignore, *BUFFERS])


def read_config(path: Path, ignore: Sequence[str] = ()) -> Config:
    """Our shape of a config.json. Raises ValueError for a setting that is not understood."""
    settings = Settings(path, json.loads(path.read_text()), ignore)
    kind = settings.take("model_type")
    if kind not in CLASSES:
        raise ValueError(
            f"{path} holds a {kind!r}: only {', '.join(CLASSES)} can be read; any Hugging Face "
            "model trains through Trainer as it is"
        )
    width, heads = settings.whole("hidden_size"), settings.whole("num_attention_heads")
    size = settings.whole("head_dim", 128 if kind == "qwen3" else width // heads)
    biases: tuple[str, ...] = ATTENTION[:3] if kind == "qwen2" else ()
    if kind != "qwen2" and settings.take("attention_bias"):
        biases = ATTENTION
    if kind == "llama" and settings.take("mlp_bias"):
        biases += FEED_FORWARD
    base, factors = hub_rope(settings, size)
    config = Config(
        vocab=settings.whole("vocab_size"),
        width=width,
        layers=settings.whole("num_hidden_layers"),
        heads=heads,
        kv_heads=settings.whole("num_key_value_heads", heads),
        hidden=settings.whole("intermediate_size"),
        rope_base=base,
        norm_eps=settings.number("rms_norm_eps", 1e-6),
        tied=bool(settings.take("tie_word_embeddings", False)),  # False in all three families
        head_size=size,
        biases=biases,
        qk_norm=kind == "qwen3",
        rope_factors=factors,
    )
    settings.expect("architectures", [CLASSES[kind]])
    settings.expect("hidden_act", "silu", "swish")
    settings.expect("is_causal", True)
    settings.expect("partial_rotary_factor", 1)
    settings.expect("layer_types", ["full_attention"] * config.layers)
    settings.done(HARMLESS if kind == "llama" else HARMLESS + WINDOW)
    return config


def _files(folder: Path) -> dict[str, set[str]]:
    """The files that count, and the tensors that each must have; stale ones lie beside them.

    Those of model.safetensors.index.json, else model.safetensors, else the only one there is.
    """
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if index.exists():
        files: dict[str, set[str]] = {}
        for tensor, file in json.loads(index.read_text())["weight_map"].items():
            files.setdefault(file, set()).add(tensor)
        if single.exists() and single.name not in files:
            raise ValueError(f"{folder} holds {single.name} and an index of other files: which?")
        return files
    found = [single] if single.exists() else sorted(folder.glob("*.safetensors"))
    if not found:
        raise FileNotFoundError(f"no .safetensors file in {folder}")
    if len(found) > 1:
        raise FileNotFoundError(
            f"{folder} holds {len(found)} .safetensors files, but no {index.name} that says which "
            "belong to the model"
        )
    return {found[0].name: set()}


def _open(folder: Path, files: dict[str, set[str]], stack: ExitStack) -> dict[str, Any]:
    """Every tensor's name -> the open file it is in."""
    from safetensors import safe_open

    where: dict[str, Any] = {}
    for name, wanted in files.items():
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder} lacks {name}, which its index names")
        file = stack.enter_context(safe_open(folder / name, "pt"))
        tensors = set(file.keys())
        if lacking := sorted(wanted - tensors):
            raise ValueError(f"{folder / name} lacks {lacking[0]}, which the index says it has")
        if twice := sorted(tensors & where.keys()):
            raise ValueError(f"{folder}: {twice[0]} is in two files")
        where |= dict.fromkeys(tensors, file)
    return where


def _count_tokens(path: Path) -> int | None:
    """One more than the highest id of a tokenizer.json; None where there is none."""
    if not path.exists():
        return None
    said = json.loads(path.read_text(encoding="utf-8"))
    vocab = said["model"]["vocab"]  # words -> ids, or for Unigram a list
    ids = vocab.values() if isinstance(vocab, dict) else range(len(vocab))
    return 1 + max([*ids, *(added["id"] for added in said.get("added_tokens", []))])
