"""A name for exactly these numbers: same fingerprint, same model or same data."""

import hashlib

import torch
from torch import Tensor, nn

from ..models.sharded import whole


def fingerprint(x: nn.Module | Tensor) -> str:
    """SHA-256 over names, shapes, types and bytes of a tensor or of a model's state.

    What a model does with its state (activations, dropout) is not in it. Raises TypeError for what
    has no state, or one that is more than tensors.
    """
    digest = hashlib.sha256()
    state = x.state_dict() if isinstance(x, nn.Module) else {"": x}
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"no fingerprint: {name or 'it'} is a {type(value).__name__}")
        value = whole(value).detach().cpu().contiguous()
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.view(-1).view(torch.uint8).numpy().data if value.numel() else b"")
    return digest.hexdigest()
