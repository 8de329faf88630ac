"""What several processes do together: one gradient, one decision, one number of batches.

A model that fits is copied to every process (DDP). One that does not is sharded by its owner with
`torch.distributed.fsdp.fully_shard` (FSDP2), block by block, and taken as it is: each process then
holds a part of every weight, of its gradient and of the optimizer's state. Either way the gradient
is that of one process with all the data.
"""

from typing import Any, cast

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ..batch import as_batch
from ..device import rank_and_ranks
from ..models.sharded import is_sharded


def shard_terms(model: nn.Module, objective: nn.Module) -> None:
    """Where the model is sharded, shard the parameters of the terms (regressors) like it.

    Before the optimizer is made: it has to hold the shards. Raises ValueError for a model that is
    sharded in part, or otherwise than by `fully_shard` over all processes.
    """
    if not is_sharded(model):
        return
    from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

    if not isinstance(model, FSDPModule):
        raise ValueError(
            "some parameters of the model are sharded, but it is not itself: after its blocks, "
            "call torch.distributed.fsdp.fully_shard(model), which takes what they left"
        )
    whole = [n for n, p in model.named_parameters() if p.requires_grad and not is_sharded(p)]
    meshes = [cast(Any, p).device_mesh for p in model.parameters() if is_sharded(p)]
    if whole or any(mesh.size() != rank_and_ranks()[1] for mesh in meshes):
        raise ValueError(
            f"the gradient is summed over {rank_and_ranks()[1]} processes, so every trainable "
            f"parameter must be sharded over all of them: not so are {whole}, and the meshes are "
            f"{sorted({tuple(mesh.shape) for mesh in meshes})}"
        )
    if any(True for _ in objective.parameters()) and not is_sharded(objective):
        fully_shard(objective, mesh=meshes[0])
        register_fsdp_forward_method(objective, "sums")


def as_one(net: nn.Module) -> nn.Module:
    """What to call in place of `net`, so that its gradient is the mean over all processes."""
    return net if rank_and_ranks()[1] == 1 or is_sharded(net) else DistributedDataParallel(net)


class Together:
    """Decisions that all processes take alike, from numbers that each of them tells the others.

    The numbers travel between the CPUs, so that no GPU has to wait for a decision.
    """

    def __init__(self) -> None:
        self.rank, self.world = rank_and_ranks()
        self._group: Any = None
        if self.world > 1 and "cpu" not in dist.get_backend_config():
            self._group = dist.new_group(backend="gloo")

    def told(self, number: int) -> list[int]:
        """Everybody's number, by rank."""
        if self.world == 1:
            return [number]
        numbers = torch.zeros(self.world, dtype=torch.long)
        numbers[self.rank] = number
        dist.all_reduce(numbers, group=self._group)
        return numbers.tolist()

    def any(self, asked: bool) -> bool:
        """True in all processes if it is true in one of them: none may stop alone."""
        return any(self.told(asked))

    def refuse_unlike(self, saved: dict[str, Any] | None) -> None:
        """Raises ValueError, in all processes, where one found another checkpoint, or none."""
        steps = self.told(-1 if saved is None else saved["step"])
        if len(set(steps)) > 1:
            words = ("none" if step < 0 else f"that of step {step}" for step in steps)
            found = ", ".join(f"process {n} {word}" for n, word in enumerate(words))
            raise ValueError(
                f"the processes do not find the same checkpoint ({found}): it has to lie in a "
                "folder that all of them see"
            )

    def longest(self, length: int | None) -> int | None:
        """The largest of everybody's lengths, None where one does not know his."""
        lengths = self.told(-1 if length is None else length)
        return None if min(lengths) < 0 else max(lengths)

    def even(self, group: list[Any], last: Any) -> list[Any]:
        """`group` with as many batches as the largest group of all processes; [] if all are empty.

        Who has fewer repeats his `last` batch as an idle one, which counts for nothing: gradient,
        sums and counts stay those of the data, and nobody waits for a process that has run out.
        Raises ValueError, in all of them, where one has no batch to repeat (None).
        """
        if self.world == 1:
            return group
        sizes = self.told(-1 if last is None else len(group))
        if max(sizes) > 0 > min(sizes):
            raise ValueError(
                f"process {sizes.index(-1)} of {self.world} has no batch in this epoch: every "
                "process needs a share of the data, of one batch at least"
            )
        missing = max(sizes) - len(group)
        return [*group, *missing * [{**as_batch(last), "_idle": True}]] if missing > 0 else group
