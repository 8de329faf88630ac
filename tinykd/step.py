"""The gradients of one optimizer step: sums over micro-batches and processes, divided once.

Averages of averages weigh a position by the size of the batch it happened to be in. So terms give
sums, the counts are added up over everything that makes one step, and each term is divided by its
own count a single time. 1 x 8, 4 x 2 and 2 processes x 4 samples give the same gradient.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .hooks import Capture
from .models import forward
from .objective import Objective, Outputs
from .softmax import at_least_float32


class Step(nn.Module):
    """Student and regressors as one module: under DDP every gradient goes through its forward."""

    def __init__(self, model: nn.Module, objective: Objective, autocast: Callable) -> None:
        super().__init__()
        self.model, self.objective, self.autocast = model, objective, autocast

    def forward(
        self, batch: dict, teacher: Tensor | None, teacher_layers: dict, progress: float
    ) -> Tensor:
        """The sum of each term over this batch, shape (K,)."""
        names = self.objective.layers("student")
        with Capture(self.model, names) as acts, self.autocast():
            logits = forward(self.model, batch)
            layers = {name: at_least_float32(acts[name]) for name in names}
        out = Outputs(batch, logits, teacher, layers, teacher_layers, progress)
        return self.objective.sums(out)


def backward(
    net: nn.Module,
    objective: Objective,
    group: list[dict[str, Any]],
    targets: Callable[[dict], tuple[Tensor | None, dict]],
    progress: float,
) -> tuple[Tensor, Tensor]:
    """Leave the gradient of the objective over all batches of `group` in the parameters.

    net: a Step, or DDP around one. Returns each term's sum and count over all processes, shape (K,)
    both, still on the device: a NaN in one process is seen, and stops the run, in all of them.
    """
    world = dist.get_world_size() if dist.is_initialized() else 1
    counts = torch.stack([objective.counts(batch) for batch in group]).sum(0)
    if world > 1:
        dist.all_reduce(counts)
    weights = torch.tensor(objective.weights_at(progress)).to(counts.device, non_blocking=True)
    scale = world * weights / counts.clamp_min(1)  # DDP takes the mean over processes, we the sum
    sums = torch.zeros_like(counts)
    for batch in group:
        synchronise_later = world > 1 and batch is not group[-1]
        with net.no_sync() if synchronise_later else contextlib.nullcontext():  # type: ignore
            batch_sums = net(batch, *targets(batch), progress)
            (batch_sums * scale).sum().backward()
        sums += batch_sums.detach()
    if world > 1:
        dist.all_reduce(sums)
    return sums, counts


def make_optimizer(optimizer: Any, net: nn.Module) -> torch.optim.Optimizer:
    """An optimizer over all that is trainable: an instance, a factory, or None for AdamW.

    Raises ValueError if it misses a trainable parameter of the student or of a regressor.
    """
    trainable = {name: p for name, p in net.named_parameters() if p.requires_grad}
    if not isinstance(optimizer, torch.optim.Optimizer):
        optimizer = (optimizer or torch.optim.AdamW)(trainable.values())
    covered = {id(p) for group in optimizer.param_groups for p in group["params"]}
    missing = [name for name, p in trainable.items() if id(p) not in covered]
    if missing:
        raise ValueError(
            f"the optimizer does not hold {missing}: pass a factory and use all it is given "
            "(lambda ps: SGD(ps, 0.1)), regressors too, or freeze them with requires_grad_(False)"
        )
    return optimizer
