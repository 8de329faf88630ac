"""Our own files: one safetensors file, with the model's shape as JSON in its metadata."""

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import torch

from ...files import atomic
from ..config import Config
from ..transformer import Classifier, Transformer


def save(
    model: Transformer | Classifier, path: str | Path, dtype: torch.dtype | None = None
) -> None:
    """Write a model of ours as one safetensors file that `load` reads back; all or nothing.

    dtype: torch.bfloat16 halves the file, at a relative error of at most 2**-8.
    Raises ValueError for a model that is not what its config says, such as one with adapters.
    """
    from safetensors.torch import save_file

    classes = model.head.out_features if isinstance(model, Classifier) else 0
    body = model.body if isinstance(model, Classifier) else model
    config = replace(body.config, tied=body.head is None)
    state = {k: v.detach().to("cpu", dtype).contiguous() for k, v in model.state_dict().items()}
    with torch.device("meta"):
        wanted = _model(config, classes).state_dict()
    for name in sorted(state.keys() | wanted.keys()):
        shapes = [tuple(x[name].shape) if name in x else None for x in (state, wanted)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{name} has shape {shapes[0]}, and {shapes[1]} in a plain model of this config: "
                "it could not be read back (merge_lora or save_lora, if these are adapters)"
            )
    metadata = {"config": json.dumps(asdict(config)), "classes": str(classes)}
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
    config = json.loads(metadata["config"])
    if strange := sorted(config.keys() - {field.name for field in fields(Config)}):
        raise ValueError(f"{path} has settings this tinykd does not know: {', '.join(strange)}")
    model = _model(Config(**config), int(metadata["classes"]))
    model.load_state_dict(state)
    return model


def _model(config: Config, classes: int) -> Transformer | Classifier:
    return Classifier(config, classes) if classes else Transformer(config)
