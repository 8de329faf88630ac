"""What a Trainer keeps of a run, writes to its checkpoint, and goes on from."""

import os
import tempfile
from pathlib import Path
from typing import Any

from .. import files
from ..device import rank_and_ranks
from ..models.sharded import is_sharded
from ..progress import Interrupted
from . import resume as resuming
from . import shards
from .parallel import Together
from .random_state import rng_state, set_rng_state


class Resumable:
    """The part of `Trainer` that stops and goes on; the loop itself is in `trainer`."""

    # What the loop counts and owns.
    step: int
    epoch: int
    epochs: int
    history: list[dict[str, float]]
    checkpoint: Path | None
    callbacks: list[Any]
    net: Any
    objective: Any
    optimizer: Any
    teachers: Any
    learning_rate: Any
    losses: Any
    best: Any
    feed: Any
    device: Any
    together: Together
    world: int
    _interrupt: Any
    _described: dict[str, Any]
    _given: dict[str, Any] | None
    _saved: Path | None

    def state_dict(self) -> dict[str, Any]:
        """All that a run needs to go on from here, random number generators included.

        Its tensors are those of the run, as in torch: deepcopy what is to stay. Raises ValueError
        before `fit`, when there is no run yet.
        """
        if not hasattr(self, "feed"):
            raise ValueError("there is no run yet: state_dict() is of one that fit has begun")
        self.losses.read(self.epoch)
        mine = {"rng": rng_state(), "feed": self.feed.state_dict()}
        return {
            "step": self.step,
            "epoch": self.epoch,
            "history": self.history,
            "settings": self._settings(),
            "parts": {name: part.state_dict() for name, part in self._parts().items()},
            "ranks": resuming.of_all_ranks(mine),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The next `fit` goes on from this state; student and optimizer have theirs at once.

        Raises ValueError, in `fit`, for the state of another run.
        """
        self.net.load_state_dict(state["parts"]["net"])
        self.optimizer.load_state_dict(state["parts"]["optimizer"])
        self._given = state

    def _begin(self, resume: bool) -> dict[str, Any] | None:
        """Start anew (None), or go on from a checkpoint or from what load_state_dict was given.

        Returns the generators' state to go on with. Raises ValueError for the state of another run,
        and for callbacks whose state could not be saved.
        """
        self._described = {}
        self._parts()  # whatever is wrong with a callback is said before the training
        if self.checkpoint:
            resuming.refuse_unreadable(self.callbacks)
            self._settings()  # before a step or a scheduler changes what they say
        saved = resuming.found(self.checkpoint, resume, ours=self._saved == self.checkpoint)
        self.together.refuse_unlike(saved)
        saved, self._given = self._given or saved, None
        if saved is None:
            return None
        try:
            return self._restore(saved)
        except ValueError as error:
            raise ValueError(f"{self.checkpoint or 'load_state_dict'}: {error}") from error

    def _restore(self, state: dict[str, Any]) -> dict[str, Any]:
        """Returns the generators' state, which they have now, to go on with after skipping."""
        sharded = is_sharded(self.net)
        other_world = ("world",) if sharded or "shards" in state else ()
        resuming.refuse_another(state.get("settings", {}), self._settings(), but=other_world)
        parts = state["parts"]
        if self.checkpoint is not None:
            parts = shards.read(self.checkpoint, state, like=next(self.net.parameters()))
        if sharded:
            shards.distribute(parts, self.net, self.optimizer)
        resuming.load_parts(self._parts(), parts)
        self.step, self.epoch, self.history = state["step"], state["epoch"], state["history"]
        mine = resuming.of_rank(state["ranks"])
        self.feed.load_state_dict(mine["feed"])
        set_rng_state(mine["rng"])  # also where nothing is left to do: what follows may draw
        return mine["rng"]

    def _parts(self) -> dict[str, Any]:
        parts = {"net": self.net, "optimizer": self.optimizer, "losses": self.losses}
        parts |= {"learning_rate": self.learning_rate, "best": self.best}
        return resuming.stateful(parts, self.callbacks)

    def _settings(self) -> dict[str, Any]:
        if not self._described:  # once a run, where it is needed: hashing a teacher takes time
            names = ("accumulate", "clip", "precision", "world")
            plain = {name: getattr(self, name) for name in names} | self.feed.settings()
            if self.best:
                plain["monitor"] = f"{self.best.monitor} {self.best.mode}"
            parts = (self.objective, self.learning_rate, self.teachers)
            self._described = resuming.describe(*parts, epochs=self.epochs, **plain)
        return self._described

    def _stop_if_asked(self) -> None:
        if self.together.any(self._interrupt.asked):
            anew = f"delete {self.checkpoint}" if self.checkpoint else "run it again"
            self.checkpoint = self.checkpoint or _unasked()
            self._save()
            raise Interrupted(
                f"stopped after step {self.step}; saved in {self.checkpoint}. Go on with "
                f'Trainer(..., checkpoint="{self.checkpoint}").fit(..., resume=True), or {anew} '
                "to start anew"
            )

    def _save(self) -> None:
        assert self.checkpoint is not None
        state = self.state_dict()  # all processes together, the first one writes
        failed: Exception | None = None
        try:
            if is_sharded(self.net):
                shards.save(self.checkpoint, state)
            elif rank_and_ranks()[0] == 0:
                files.save(self.checkpoint, state)
                shards.forget(self.checkpoint)
        except (OSError, ValueError) as error:
            failed = error
        if self.together.any(failed is not None):
            raise failed or files.not_written(self.checkpoint, "by another process")
        self._saved = self.checkpoint


def _unasked() -> Path:
    """A new file for what nobody asked to save: never in the folder that one happens to work in."""
    if rank_and_ranks()[0]:
        return Path("the file that process 0 names")
    handle, name = tempfile.mkstemp(prefix="interrupted-", suffix=".ckpt")
    os.close(handle)
    return Path(name)
