"""Which device to train on, and who else trains."""

import os

import torch
import torch.distributed as dist


def best_device() -> torch.device:
    """CUDA if there is one (the one torchrun assigned), else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def best_precision(device: str | torch.device | None = None) -> str:
    """ "bf16" where the device multiplies bfloat16 in hardware, else "float32"; for `Trainer`.

    A processor without such instructions takes its matrix products apart: with torch 2.13 on AVX2
    the product of a gradient and a weight took 400 times as long as in float32.
    """
    kind = torch.device(device or best_device()).type
    if kind == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    known = kind == "cpu" and torch.backends.mkldnn.is_available()
    return "bf16" if known and torch.ops.mkldnn._is_mkldnn_bf16_supported() else "float32"


def join_process_group(device: torch.device) -> int:
    """Number of processes that train together; joins them if torchrun started this one.

    Started again by `--max-restarts` on one machine, they meet under another name: the store that
    they meet in still has the addresses of those that died. (On several machines the counts of
    restarts may differ, and the meeting is left to torch.)
    """
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        backend = "nccl" if device.type == "cuda" else "gloo"
        life = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        if life == "0" or os.environ.get("GROUP_WORLD_SIZE") != "1":
            dist.init_process_group(backend)
        else:
            store, rank, world = next(dist.rendezvous("env://"))
            store = dist.PrefixStore(f"life {life}", store)
            dist.init_process_group(backend, store=store, rank=rank, world_size=world)
    return rank_and_ranks()[1]


def rank_and_ranks() -> tuple[int, int]:
    """Which process this is of how many that train together: (0, 1) where nobody else does."""
    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(), dist.get_world_size()
