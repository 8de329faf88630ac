"""A name for exactly these numbers: same fingerprint, same model or same data."""

import hashlib

import torch
from torch import Tensor, nn


def fingerprint(x: nn.Module | Tensor) -> str:
    """SHA-256 over names, shapes, types and bytes of a tensor or of a model's state."""
    digest = hashlib.sha256()
    state = x.state_dict() if isinstance(x, nn.Module) else {"": x}
    for name, value in state.items():
        value = value.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.view(-1).view(torch.uint8).numpy().data if value.numel() else b"")
    return digest.hexdigest()
