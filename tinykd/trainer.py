"""The one training loop: an MLP, a feature student or a language model, on any device.

    Trainer(student, objective, teacher=teacher).fit(train, validate=held_out, epochs=20)

What differs between a teacher, a student and an on-policy student is the objective and where the
batches come from; neither is the loop's business.
"""

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from . import checkpoint as files
from .device import best_device, is_first_process, join_process_group, moved, to_device
from .history import LOOK_EVERY, EpochLosses
from .metrics import evaluate
from .models import frozen
from .objective import Objective, Term, as_objective
from .progress import Interrupted, Interruptible, bar
from .schedules import Schedule, at
from .step import Step, backward, make_optimizer
from .teacher import as_teacher


class Trainer:
    """Minimise an objective over batches.

    model: any module that maps inputs to logits (..., C), or to an object with `.logits`.
    objective: a term or a weighted sum of terms.
    teacher: a module (eval mode and no gradients are seen to), a CachedTeacher, or None.
    optimizer: an instance, a factory over parameters (`lambda ps: SGD(ps, 0.1)`), or None: AdamW.
    schedule: a number or a function of progress in [0, 1] that multiplies the learning rate.
    device: "cuda", "mps", "cpu" ...; None takes the first of these that is there.
    precision: "float32", or "bf16" for autocast; losses are float32 either way.
    accumulate: batches per optimizer step; the gradient is that of one large batch.
    clip: largest allowed gradient norm.
    checkpoint: file to save to after every epoch, and every `checkpoint_every` steps.
    callbacks: f(trainer) after each optimizer step; its state_dict() is kept if it has one.

    Runs under torchrun unchanged (DDP). Raises ValueError for an optimizer that misses trainable
    parameters, or for a term that couples samples under accumulation or on several processes.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Term | Objective,
        teacher: Any = None,
        optimizer: torch.optim.Optimizer | Callable[..., torch.optim.Optimizer] | None = None,
        *,
        schedule: Schedule = 1.0,
        device: str | torch.device | None = None,
        precision: str = "float32",
        accumulate: int = 1,
        clip: float | None = None,
        checkpoint: str | Path | None = None,
        checkpoint_every: int | None = None,
        callbacks: Iterable[Callable[["Trainer"], None]] = (),
        progress: bool = True,
    ) -> None:
        if precision not in ("float32", "bf16"):
            raise ValueError(f'precision must be "float32" or "bf16", got {precision!r}')
        if accumulate < 1:
            raise ValueError(f"accumulate must be at least 1, got {accumulate}")
        if checkpoint_every is not None and (checkpoint is None or checkpoint_every < 1):
            raise ValueError(
                f"checkpoint_every={checkpoint_every} must be at least 1 and needs a file, "
                f"got checkpoint={checkpoint!r}"
            )
        self.model, self.objective = model, as_objective(objective)
        self.device = torch.device(device) if device else best_device()
        self.teacher = as_teacher(teacher)
        self.schedule, self.precision, self.accumulate = schedule, precision, accumulate
        self.clip, self.callbacks, self.show_progress = clip, list(callbacks), progress
        self.checkpoint = Path(checkpoint) if checkpoint else None
        self.checkpoint_every = checkpoint_every
        if self.teacher is not None:
            self.teacher.to(self.device)
        self.net = Step(model, self.objective, self._autocast).to(self.device)
        self.optimizer = make_optimizer(optimizer, self.net)
        self.base_lrs = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.world = join_process_group(self.device)
        coupled = [type(term).__name__ for term in self.objective.terms if term.couples_samples]
        if coupled and (self.world > 1 or accumulate > 1):
            raise ValueError(f"{coupled} couple the samples of a batch, so a batch must stay whole")
        self._parallel = DistributedDataParallel(self.net) if self.world > 1 else self.net

    def fit(
        self,
        batches: Iterable,
        validate: Iterable | Callable[[nn.Module], Any] | None = None,
        epochs: int = 1,
        patience: int | None = None,
        resume: bool = False,
    ) -> list[dict[str, float]]:
        """Train for `epochs` epochs; returns the history, one record per epoch.

        batches: any iterable of (inputs, labels) or of mappings with "inputs", "labels", and, where
        needed, "index" (cached teachers) and "mask" (True where a position counts).
        validate: batches (gives val_loss and val_accuracy), or a function of the model that returns
        a number or a dict. patience: stop after this many epochs in a row in which the first
        validation value was no lower than the best before. resume: go on from the checkpoint if
        there is one; on the CPU the result is bit-identical to a run that never stopped.

        Raises ValueError for empty or one-shot batches, NonFiniteLoss for a NaN or infinite loss.
        Ctrl-C finishes the step, saves, and raises a KeyboardInterrupt that says how to go on.
        """
        if epochs > 1 and hasattr(batches, "__next__"):
            raise ValueError("batches runs only once, but epochs > 1: give a list or a loader")
        self.batches_per_epoch = _length(batches)
        self.epochs = epochs
        self.step, self.epoch, self.batch = 0, 0, 0  # batch: how many of this epoch are used up
        self.history: list[dict[str, float]] = []
        self.watched: list[float] = []  # the first validation value of every epoch
        self.losses = EpochLosses(self.objective.names(), self.device)
        self.epoch_start, dice = files.source_state(batches), None
        if resume:
            if self.checkpoint is None:
                raise ValueError("resume=True needs a file: Trainer(..., checkpoint=...)")
            dice = files.load_run(self.checkpoint, self)
            if dice is not None:  # also where nothing is left to do: what follows may draw
                files.set_rng_state(dice)
        self.net.train()
        with Interruptible() as self._interrupt:
            while self.epoch < epochs and not _stalled(self.watched, patience):
                self._run_epoch(batches, dice)
                self._end_epoch(batches, validate)
                self._stop_if_asked()
                dice = None
        return self.history

    def progress(self) -> float:
        """How much of the training is done, in [0, 1]; NaN where batches has no length."""
        if self.batches_per_epoch is None:
            return math.nan
        # A source may cut an epoch into another number of batches than it said at first.
        whole = self.epochs * math.ceil(self.batches_per_epoch / self.accumulate)
        return min(1.0, self.step / whole)

    def _run_epoch(self, batches: Iterable, dice: dict | None) -> None:
        shuffled: tuple[Any, Any] = (batches, getattr(batches, "sampler", None))
        for part in shuffled:
            if hasattr(part, "set_epoch"):
                part.set_epoch(self.epoch)
        if dice is not None:  # resumed: draw the used batches again, then go on with today's dice
            files.set_source_state(batches, self.epoch_start)
        stream = iter(batches)
        for _ in range(self.batch):
            next(stream)
        if dice is not None and self.batch:  # at batch 0 they were noted before iter() drew
            files.set_rng_state(dice)
        self._started = time.perf_counter()
        label = f"epoch {self.epoch + 1}/{self.epochs}"
        visible = self.show_progress and is_first_process()
        with bar(label, self.batches_per_epoch, self.batch, visible) as advance:
            while group := list(itertools.islice(stream, self.accumulate)):
                self._update([to_device(batch, self.device) for batch in group])
                advance(len(group), f"loss {self.losses.latest:.4f}")
                self._stop_if_asked()
                if self.checkpoint_every and self.step % self.checkpoint_every == 0:
                    self._save()
        if self.batch == 0:
            raise ValueError("batches is empty: there is nothing to train on")

    def _update(self, group: list[dict[str, Any]]) -> None:
        """One optimizer step on the batches of `group`, as if they were one."""
        progress = self.progress()
        for param_group, lr in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            param_group["lr"] = lr * at(self.schedule, progress)
        self.optimizer.zero_grad(set_to_none=True)
        sums, counts = backward(self._parallel, self.objective, group, self._targets, progress)
        self.losses.add(self.step, self.batch, sums, counts)
        if self.device.type == "cpu" or (self.step + 1) % LOOK_EVERY == 0:
            self._look()  # free on the CPU: there a NaN stops the run before it hurts the weights
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.net.parameters(), self.clip)
        self.optimizer.step()
        self.step, self.batch = self.step + 1, self.batch + len(group)
        for callback in self.callbacks:
            callback(self)

    def _targets(self, batch: dict[str, Any]) -> tuple[Tensor | None, dict[str, Tensor]]:
        if self.teacher is None:
            return None, {}
        with self._autocast():
            logits, layers = self.teacher.targets(batch, self.objective.layers("teacher"))
        return moved(logits, self.device), layers

    def _autocast(self) -> contextlib.AbstractContextManager:
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"
        )

    def _look(self) -> None:
        self.losses.look(self.objective.weights_at(self.progress()), self.epoch)

    def _stop_if_asked(self) -> None:
        if self._interrupt.asked:
            self.checkpoint = self.checkpoint or Path("interrupted.ckpt")
            self._save()
            raise Interrupted(
                f"stopped after step {self.step}; saved in {self.checkpoint}. Go on with "
                f'Trainer(..., checkpoint="{self.checkpoint}").fit(..., resume=True)'
            )

    def _end_epoch(self, batches: Iterable, validate: Any) -> None:
        self._look()
        record: dict[str, float] = {"epoch": self.epoch + 1, "step": self.step}
        record |= self.losses.record(self.objective.weights_at(self.progress()))
        record |= {"lr": self.optimizer.param_groups[0]["lr"]}
        record |= {"seconds": time.perf_counter() - self._started}
        validation = self._validate(validate)
        self.watched += list(validation.values())[:1]
        self.history.append(record | validation)
        self.epoch, self.batch = self.epoch + 1, 0
        self.losses = EpochLosses(self.objective.names(), self.device)
        self.epoch_start = files.source_state(batches)
        if self.checkpoint is not None:
            self._save()

    def _validate(self, validate: Any) -> dict[str, float]:
        if validate is None:
            return {}
        if not callable(validate):
            return evaluate(self.model, validate, self.device)
        with frozen(self.model):
            result = validate(self.model)
        named = result.items() if hasattr(result, "items") else [("validate", result)]
        return {name: float(value) for name, value in named}

    def _save(self) -> None:
        self._look()
        if is_first_process():
            assert self.checkpoint is not None
            files.save_run(self.checkpoint, self)


def _length(batches: Any) -> int | None:
    try:
        return len(batches)
    except TypeError:  # a DataLoader over a stream has a __len__ that raises
        return None


def _stalled(watched: list[float], patience: int | None) -> bool:
    """True if the best validation value is `patience` or more epochs old."""
    return (
        bool(watched)
        and patience is not None
        and (len(watched) - 1 - watched.index(min(watched)) >= patience)
    )
