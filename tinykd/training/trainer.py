"""The one training loop: an MLP, a feature student or a language model, on any device.

    Trainer(student, objective, teacher=teacher).fit(train, validate=held_out, epochs=20)

What differs between a teacher, a student and an on-policy student is the objective and where the
batches come from; neither is the loop's business.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from ..batch import as_batch, refuse_unshifted, to_device
from ..device import best_device, join_process_group, rank_and_ranks
from ..models.sharded import reshard
from ..objective import Objective, Term, as_objective
from ..outputs import Targets
from ..progress import Bar, Interruptible, bar
from ..schedules import Schedule
from ..teachers import Teachers
from .arguments import check_settings, check_validation, refuse_coupled, warn_if_slow
from .best import Best
from .feed import Feed
from .history import READ_EVERY, EpochLosses
from .learning_rate import LearningRate
from .modes import train_mode
from .parallel import Together, as_one, shard_terms
from .resumable import Resumable
from .step import Step, backward, gradient_norm, make_optimizer, refuse_uncovered, refuse_unused
from .validation import validated


class Callback(Protocol):
    """Called after each optimizer step. Its state_dict() goes into the checkpoint if it has one."""

    def __call__(self, trainer: "Trainer", /) -> Any:
        """Look at the trainer: step, epoch, history, model, optimizer."""


class Trainer(Resumable):
    """Minimise an objective over batches.

    model: any module that maps inputs to logits (..., C), or to an object with `.logits`.
    objective: a term or a weighted sum of terms.
    teacher: a module (eval mode and no gradients are seen to), a CachedTeacher or any `Teacher`,
    several of them by name, {"a": ..., "b": ...}, or None.
    optimizer: an instance, a factory over parameters (`lambda ps: SGD(ps, 0.1)`), or None: AdamW.
    schedule: a number or a function of progress in [0, 1] that multiplies the learning rate; or
    a torch LRScheduler of `optimizer`, stepped once a step. Left out, nobody touches the rate.
    device: "cuda", "mps", "cpu" ...; None takes the first of these that is there.
    precision: "float32", or "bf16" for autocast, validation too; losses are float32 either way.
    `best_precision()` says which is the fast one here.
    accumulate: batches per optimizer step; the gradient is that of one large batch.
    clip: largest allowed gradient norm.
    checkpoint: file to save to after every epoch, and every `checkpoint_every` steps.
    callbacks: see `Callback`.

    Runs under torchrun unchanged, on copies of the model (DDP); one that `fully_shard` has sharded
    is taken as it is (FSDP2). Raises ValueError for an optimizer that misses trainable parameters,
    for a term whose teacher is not there, for a term that couples samples under accumulation or on
    several processes, or for a model that is sharded in part.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Term | Objective,
        teacher: Any = None,
        optimizer: torch.optim.Optimizer | Callable[..., torch.optim.Optimizer] | None = None,
        *,
        schedule: Schedule | torch.optim.lr_scheduler.LRScheduler = 1.0,
        device: str | torch.device | None = None,
        precision: str = "float32",
        accumulate: int = 1,
        clip: float | None = None,
        checkpoint: str | Path | None = None,
        checkpoint_every: int | None = None,
        callbacks: Iterable[Callback] = (),
        progress: bool = True,
    ) -> None:
        check_settings(precision, accumulate, clip, checkpoint, checkpoint_every)
        self.model, self.objective = model, as_objective(objective)
        self.device = torch.device(device) if device else best_device()
        self.teachers = Teachers(teacher, self.objective)
        self.precision, self.accumulate, self.clip = precision, accumulate, clip
        self.callbacks, self.show_progress = list(callbacks), progress
        self.checkpoint = Path(checkpoint).expanduser() if checkpoint else None
        self.checkpoint_every = checkpoint_every
        warn_if_slow(precision, self.device)
        self.teachers.to(self.device)
        self.world = join_process_group(self.device)
        self.together = Together()
        shard_terms(model, self.objective)  # before the optimizer, which is to hold the shards
        self.net = Step(model, self.objective, self._autocast).to(self.device)
        self.optimizer = make_optimizer(optimizer, self.net)
        self.learning_rate = LearningRate(self.optimizer, schedule)
        refuse_coupled(self.objective, self.world, accumulate)
        self._parallel = as_one(self.net)
        self._saved: Path | None = None  # a checkpoint that this trainer has written
        self._given: dict[str, Any] | None = None  # what load_state_dict was given

    def fit(
        self,
        batches: Iterable,
        validate: Iterable | Callable[[nn.Module], Any] | None = None,
        epochs: int = 1,
        patience: int | None = None,
        resume: bool = False,
        monitor: str | None = None,
        mode: str | None = None,
    ) -> list[dict[str, float]]:
        """Train for `epochs` epochs; returns the history, one record per epoch.

        batches: any iterable of (inputs, labels) or of mappings (see `tinykd.batch`).
        validate: batches (gives val_loss and val_accuracy), or a function of the model that returns
        a number or a dict. patience: stop after this many epochs in a row without a better value of
        `monitor`, the first one if None; mode says whether "min" or "max" is better, and may be
        left out where the name tells (val_loss, val_accuracy). The best weights come back at the
        end. resume: go on from the checkpoint if there is one; on the CPU the result is
        bit-identical to a run that never stopped, and another objective, teacher, order of data ...
        is refused. Without it, a checkpoint of another run is not overwritten.

        A model in eval mode is put in train mode; in one that is in train mode, layers in eval mode
        stay so (a frozen BatchNorm). Afterwards every module is in the mode it came in.

        Raises ValueError for empty or one-shot batches, NonFiniteLoss for a NaN or infinite loss or
        gradient. Ctrl-C finishes the step, saves, and raises a KeyboardInterrupt that says how to
        go on.
        """
        check_validation(validate, epochs, patience, monitor or mode)
        self.epochs, self.validate = epochs, validate
        self.step, self.epoch = 0, 0
        self.history: list[dict[str, float]] = []
        self.best = Best(monitor, mode, patience) if patience is not None else None
        self.losses = EpochLosses(self.objective.names())
        self.feed = Feed(batches, epochs, compare=self.checkpoint is not None)
        self.batches_per_epoch = self.together.longest(self.feed.length)  # one progress for all
        rng = self._begin(resume)
        modes = train_mode(self.model, self.objective, self.teachers)
        with modes as self._train_mode, Interruptible() as self._interrupt, self._bar() as advance:
            while self.epoch < epochs and not (self.best and self.best.stalled):
                self._run_epoch(rng, advance)
                self._end_epoch()
                self._stop_if_asked()
                rng = None
        if self.best:
            self.best.restore(self.net)
            if self.best.stalled and rank_and_ranks()[0] == 0:
                print(f"stopped after epoch {self.epoch}: {self.best.words()}")
        return self.history

    def progress(self) -> float:
        """How much of the training is done, in [0, 1]; NaN where batches has no length."""
        if self.batches_per_epoch is None:
            return math.nan
        # A source may cut an epoch into another number of batches than it said at first.
        whole = self.epochs * math.ceil(self.batches_per_epoch / self.accumulate)
        return min(1.0, self.step / whole)

    @property
    def batch(self) -> int:
        """Batches of this epoch that are used up."""
        return self.feed.used

    def _bar(self) -> contextlib.AbstractContextManager[Bar]:
        """One bar for all epochs: where each is over within a second, there is something to see."""
        each = self.batches_per_epoch
        done = self.epoch * (each or 0) + self.feed.used
        visible = self.show_progress and rank_and_ranks()[0] == 0
        return bar("training", each and each * self.epochs, done, visible)

    def _run_epoch(self, rng: dict | None, advance: Bar) -> None:
        reshard(self.net)
        refuse_uncovered(self.optimizer, self.net)  # a callback, or the caller, may have added some
        self._trainable = [p for p in self.net.parameters() if p.requires_grad]
        stream = self.feed.stream(self.epoch, rng)
        self._started = time.perf_counter()
        label = f"epoch {self.epoch + 1}/{self.epochs}"
        while group := self._take(stream):
            if self.step == 0:
                refuse_unshifted(as_batch(group[0]))
            for batch in group if self.device.type != "cpu" else ():
                self.teachers.check(as_batch(batch))  # on the CPU they do it when asked
            self._update([to_device(batch, self.device) for batch in group])
            advance(len(group), f"loss {self.losses.latest:.4f}", label)
            self._stop_if_asked()
            if self.checkpoint_every and self.step % self.checkpoint_every == 0:
                self._save()
        advance.wipe()
        self.feed.refuse_empty()

    def _take(self, stream: Iterator[Any]) -> list[Any]:
        group = self.feed.take(stream, self.accumulate)
        return self.together.even(group, self.feed.last)

    def _update(self, group: list[dict[str, Any]]) -> None:
        """One optimizer step on the batches of `group`, as if they were one."""
        self._train_mode()  # a callback may have forgotten it in eval mode
        progress = self.progress()
        self.learning_rate.set(progress)
        self.optimizer.zero_grad(set_to_none=True)
        totals = backward(self._parallel, self.objective, group, self._ask, progress)
        if self.step == 0 and self.world > 1:
            refuse_unused(self.net)
        norm = gradient_norm(self._trainable)
        first = max(0, self.feed.used - len(group))
        self.losses.add(self.step, first, *totals, norm)
        cpu = self.device.type == "cpu"
        if cpu or (self.step + 1) % READ_EVERY == 0:
            # Free on the CPU, and a NaN never reaches the weights; elsewhere it may be older.
            self.losses.read(self.epoch, group if cpu else ())
        if self.clip is not None:
            nn.utils.clip_grads_with_norm_(self._trainable, self.clip, norm)
        self.optimizer.step()
        self.learning_rate.advance()
        self.step += 1
        for callback in self.callbacks:
            callback(self)

    def _ask(self, batch: dict[str, Any]) -> dict[str | None, Targets]:
        with self._autocast():
            return self.teachers.targets(batch, self.device)

    def _autocast(self) -> contextlib.AbstractContextManager:
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _end_epoch(self) -> None:
        self.losses.read(self.epoch)
        record: dict[str, float] = {"epoch": self.epoch + 1, "step": self.step}
        record |= self.losses.record() | {"lr": self.optimizer.param_groups[0]["lr"]}
        record |= {"seconds": time.perf_counter() - self._started}
        try:
            values = validated(self.model, self.validate, self.device, self._autocast)
            if self.best:
                self.best.update(self.epoch + 1, values, self.net)
        except BaseException:
            if self.checkpoint is not None and self.world == 1:  # the others may not get here
                self._save()  # the epoch's training is done and must not be lost with it
            raise
        # A validation that is called "loss" as well must not take the training loss's place.
        values = {f"val_{k}" if k in record else k: value for k, value in values.items()}
        self.history.append(record | values)
        self.epoch += 1
        self.losses = EpochLosses(self.objective.names())
        self.feed.end_epoch()
        if self.checkpoint is not None:
            self._save()
