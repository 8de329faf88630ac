"""Which device to train on, and who else trains."""

import os

import torch
import torch.distributed as dist


def best_device() -> torch.device:
    """CUDA if there is one (the one torchrun assigned), else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def join_process_group(device: torch.device) -> int:
    """Number of processes that train together; joins them if torchrun started this one."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return rank_and_ranks()[1]


def rank_and_ranks() -> tuple[int, int]:
    """Which process this is of how many that train together: (0, 1) where nobody else does."""
    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(), dist.get_world_size()
