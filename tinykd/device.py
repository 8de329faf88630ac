"""Where tensors live and who else is training: devices and processes."""

import os
from typing import Any

import torch
import torch.distributed as dist


def best_device() -> torch.device:
    """CUDA if there is one (the one torchrun assigned), else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def to_device(batch: Any, device: torch.device) -> dict[str, Any]:
    """A batch as a mapping, its tensors on `device`; copies to a GPU are pinned and not waited for.

    (inputs, labels) becomes {"inputs": inputs, "labels": labels}. "index" stays where it is: the
    CPU looks rows up by it, and fetching it back would wait for the GPU. Raises ValueError for
    anything that is neither a pair nor a mapping.
    """
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        batch = {"inputs": batch[0], "labels": batch[1]}
    if not hasattr(batch, "items"):
        raise ValueError(f"a batch is (inputs, labels) or a mapping, got {type(batch).__name__}")
    return {k: v if k == "index" else moved(v, device) for k, v in batch.items()}


def moved(value: Any, device: torch.device) -> Any:
    """A tensor on `device`, copied there without waiting; anything else as it is."""
    if not isinstance(value, torch.Tensor) or value.device == device:
        return value
    if device.type == "cuda" and value.device.type == "cpu":
        value = value.pin_memory()
    return value.to(device, non_blocking=True)


def join_process_group(device: torch.device) -> int:
    """Number of processes that train together; joins them if torchrun started this one."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first_process() -> bool:
    """True for the one process that shows progress and writes files."""
    return not dist.is_initialized() or dist.get_rank() == 0
