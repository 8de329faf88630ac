"""A model whose parameters are spread over processes by `torch.distributed.fsdp.fully_shard`.

Each process holds a part of every parameter, a DTensor. A forward gathers the whole ones, one block
after the other, so that all processes have to take part in each.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, cast

from torch import Tensor, nn


def is_sharded(x: Any) -> bool:
    """Whether a tensor, or a module, is spread over processes."""
    if not isinstance(x, nn.Module):
        return hasattr(x, "device_mesh")  # importing DTensor takes longer than importing tinykd
    return bool(_fsdp_modules(x)) or any(map(is_sharded, x.parameters()))


def whole(x: Tensor) -> Tensor:
    """All of a tensor, in every process."""
    return cast(Any, x).full_tensor() if is_sharded(x) else x


def reshard(net: nn.Module) -> None:
    """Let go of whole parameters that a forward without backward has left, as validation does.

    Until then `net.parameters()` are not those that the optimizer holds.
    """
    for module in _fsdp_modules(net):
        module.reshard()


@contextlib.contextmanager
def unsharded(model: nn.Module) -> Iterator[None]:
    """Whole parameters in every process for the length of a block, if the model is sharded.

    Within it a process may call the model as often as it likes: nobody waits for anybody. For
    sampling, where each writes texts of other lengths. Needs the memory of all weights, but neither
    of gradients nor of an optimizer. Afterwards blocks give their weights back after each forward.
    """
    root, *rest = _fsdp_modules(model) or [None]
    for module in [root, *rest] if root is not None else ():
        module.set_reshard_after_forward(False, recurse=False)
        module.unshard()
    try:
        yield
    finally:
        reshard(model)
        for module in rest:
            module.set_reshard_after_forward(True, recurse=False)


def _fsdp_modules(net: nn.Module) -> list[Any]:
    fsdp = sys.modules.get("torch.distributed.fsdp")  # not there: nobody can have used it
    return [] if fsdp is None else [m for m in net.modules() if isinstance(m, fsdp.FSDPModule)]
