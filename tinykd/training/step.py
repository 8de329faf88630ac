"""The gradients of one optimizer step: sums over micro-batches and processes, divided once.

Averages of averages weigh a position by the size of the batch it happened to be in. So terms give
sums, the counts are added up over everything that makes one step, and each term is divided by its
own count a single time. 1 x 8, 4 x 2 and 2 processes x 4 samples give the same gradient.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..batch import valid
from ..device import rank_and_ranks
from ..hooks import Capture
from ..models import forward
from ..models.sharded import whole
from ..objective import Objective
from ..outputs import Outputs, Targets
from ..softmax import at_least_float32

Teachers = Mapping[str | None, Targets]


class Totals(NamedTuple):
    """Of one step over all processes, (K,) each, K terms; sums and counts still on the device."""

    sums: Tensor
    counts: Tensor
    weights: list[float]


class Step(nn.Module):
    """Student and regressors as one module: under DDP every gradient goes through its forward."""

    def __init__(self, model: nn.Module, objective: Objective, autocast: Callable) -> None:
        super().__init__()
        self.model, self.objective, self.autocast = model, objective, autocast
        self.layers = objective.student_layers()

    def forward(
        self, batch: dict, teachers: Teachers, progress: float, scale: Tensor | None = None
    ) -> Tensor:
        """The sum of each term over this batch, shape (K,)."""
        with Capture(self.model, self.layers) as acts, self.autocast():
            logits = forward(self.model, batch)
            layers = {name: at_least_float32(acts[name]) for name in self.layers}
        only = teachers.get(None, Targets(None, {}))
        out = Outputs(batch, logits, only.logits, layers, only.layers, progress, teachers, scale)
        return self.objective.sums(out)


def backward(
    net: nn.Module,
    objective: Objective,
    group: list[dict[str, Any]],
    ask: Callable[[dict], Teachers],
    progress: float,
) -> Totals:
    """Leave the gradient of the objective over all batches of `group` in the parameters.

    net: a Step, sharded or not, or DDP around one. ask: what the teachers say of a batch. An idle
    batch (see `parallel`) counts for nothing. A NaN in one process is seen, and stops the run, in
    all of them.
    """
    world = rank_and_ranks()[1]
    group = [{**batch, "_valid": valid(batch)} for batch in group]
    counts = _unless_idle(objective.counts(group[0]), group[0])
    for batch in group[1:]:
        counts += _unless_idle(objective.counts(batch), batch)
    if world > 1:
        dist.all_reduce(counts)
    weights = objective.weights_at(progress)
    # DDP takes the mean over processes, we the sum.
    scale = _on(counts.device, tuple(world * w for w in weights)) / counts.clamp_min(1)
    found = []
    for batch in group:
        # Sharded, each micro-batch is reduced at once: nobody has room for a whole gradient.
        later = isinstance(net, DistributedDataParallel) and batch is not group[-1]
        with net.no_sync() if later else contextlib.nullcontext():  # type: ignore
            batch_sums = _unless_idle(net(batch, ask(batch), progress, scale), batch)
            torch.dot(batch_sums, scale.to(batch_sums.dtype)).backward()
        found.append(batch_sums.detach())
    sums = found[0] if len(found) == 1 else torch.stack(found).sum(0)
    if world > 1:
        dist.all_reduce(sums)
    return Totals(sums, counts, weights)


@functools.lru_cache(maxsize=1)
def _on(device: torch.device, weights: tuple[float, ...]) -> Tensor:
    """On the device; copied there again only when they change."""
    return torch.tensor(weights).to(device, non_blocking=True)


def _unless_idle(values: Tensor, batch: Mapping[str, Any]) -> Tensor:
    return 0 * values if "_idle" in batch else values


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Length of the whole gradient, on its device. NaN or infinite if any part of it is.

    Raises ValueError where no parameter has got one.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        raise ValueError("no parameter got a gradient: the objective does not depend on the model")
    # All in one call, as torch.nn.utils.clip_grad_norm_ does it.
    return whole(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))))


def refuse_unused(net: nn.Module) -> None:
    """Raises ValueError for trainable parameters without a gradient: DDP would wait for them."""
    unused = [n for n, p in net.named_parameters() if p.requires_grad and p.grad is None]
    if unused:
        raise ValueError(
            f"{len(unused)} trainable parameters got no gradient, and several processes have to "
            f"agree on all of them: freeze with requires_grad_(False) what no term uses, {unused}"
        )


def make_optimizer(optimizer: Any, net: nn.Module) -> torch.optim.Optimizer:
    """An optimizer over all that is trainable: an instance, a factory, or None for AdamW.

    AdamW is fused: it goes over the memory once, which on a CPU takes a quarter of the time of
    PyTorch's plain one.

    Raises ValueError if it misses a trainable parameter of the student or of a regressor.
    """
    trainable = {name: p for name, p in net.named_parameters() if p.requires_grad}
    if not trainable:
        raise ValueError("nothing is trainable: neither the model nor a term has such a parameter")
    if optimizer is not None and not callable(optimizer) and not hasattr(optimizer, "step"):
        raise ValueError(
            f"optimizer is {optimizer!r}: give an instance, or a function of the parameters, "
            "lambda ps: torch.optim.AdamW(ps, 1e-3)"
        )
    if not isinstance(optimizer, torch.optim.Optimizer):
        factory = optimizer or functools.partial(torch.optim.AdamW, fused=True)
        optimizer = factory(trainable.values())
    if isinstance(optimizer, torch.optim.LBFGS):
        raise ValueError("LBFGS evaluates the loss several times a step, and this loop once")
    refuse_uncovered(optimizer, net)
    return optimizer


def refuse_uncovered(optimizer: torch.optim.Optimizer, net: nn.Module) -> None:
    """Raises ValueError if it misses a trainable parameter of the student or of a regressor."""
    trainable = {name: p for name, p in net.named_parameters() if p.requires_grad}
    covered = {id(p) for group in optimizer.param_groups for p in group["params"]}
    missing = [name for name, p in trainable.items() if id(p) not in covered]
    if missing:
        raise ValueError(
            f"the optimizer does not hold {missing}: pass a factory and use all it is given "
            "(lambda ps: SGD(ps, 0.1)), regressors too, or freeze them with requires_grad_(False). "
            "What is added or unfrozen later (adapters, a new head) needs a new Trainer"
        )
