"""Stop anywhere, go on as if nothing had happened; and refuse to go on as something else."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import nn

from .. import files
from ..device import rank_and_ranks
from ..schedules import shown
from ..teachers import LiveTeacher, Stored, fingerprint
from .feed import settings as feed_settings
from .random_state import rng_state, set_rng_state

if TYPE_CHECKING:
    from .trainer import Trainer


def settings(trainer: "Trainer") -> dict[str, Any]:
    """What a run was made with, in plain values: resumed, it must be the same."""
    groups = [
        {k: v for k, v in group.items() if isinstance(v, (bool, int, float, str, tuple))}
        for group in trainer.optimizer.param_groups
    ]
    for group, rate in zip(groups, trainer.learning_rate.base, strict=True):
        group["lr"] = rate
    objective, schedule = repr(trainer.objective), shown(trainer.learning_rate.schedule)
    found: dict[str, Any] = {
        "objective": objective,
        "optimizer": f"{type(trainer.optimizer).__name__} {groups}",
        "schedule": schedule,
        "accumulate": trainer.accumulate,
        "clip": trainer.clip,
        "precision": trainer.precision,
        "processes": trainer.world,
    }
    if "->" in objective + schedule:  # only a schedule knows how long the training is
        found["epochs"] = trainer.epochs
    found |= {f"batches.{k}": v for k, v in feed_settings(trainer.feed.batches).items()}
    for name, teacher in trainer.teachers.by_name.items():
        if isinstance(teacher, LiveTeacher):
            found[f"teacher {name or ''}".strip()] = fingerprint(teacher.model)[:12]
        elif isinstance(teacher, Stored):
            found[f"teacher {name or ''}".strip()] = teacher.stamp["teacher"][:12]
    return found


def state(trainer: "Trainer") -> dict[str, Any]:
    """All that a run needs to go on from this step."""
    mine = {"rng": rng_state(), "feed": trainer.feed.state_dict()}
    ranks: list[Any] = [mine]
    if rank_and_ranks()[1] > 1:  # each process has its own share of the data and its own noise
        ranks = [None] * rank_and_ranks()[1]
        dist.all_gather_object(ranks, mine)
    parts = {name: part.state_dict() for name, part in _parts(trainer).items()}
    trainer.settings = trainer.settings or settings(trainer)
    own = {"step": trainer.step, "epoch": trainer.epoch, "history": trainer.history}
    return {**own, "settings": trainer.settings, "parts": parts, "ranks": ranks}


def restore(trainer: "Trainer", saved: dict[str, Any]) -> dict[str, Any]:
    """Put a trainer where `state` saw it; returns this process's generators, to be set last.

    Raises ValueError for a run that was made with other settings: each is named.
    """
    if "settings" not in saved:
        raise ValueError("this checkpoint was written by an older tinykd: begin anew")
    trainer.settings = trainer.settings or settings(trainer)
    before, now = saved["settings"], trainer.settings
    other = [k for k in before.keys() | now.keys() if before.get(k) != now.get(k)]
    if other:
        differences = "; ".join(f"{k} was {before.get(k)}, is {now.get(k)}" for k in sorted(other))
        raise ValueError(
            f"this is another run than the checkpoint's: {differences}. Resume with the same, or "
            "load the weights alone (README, 'The student out of a checkpoint') and begin anew"
        )
    parts = _parts(trainer)
    if parts.keys() != saved["parts"].keys():
        raise ValueError(f"it holds the state of {list(saved['parts'])}, this run {list(parts)}")
    for name, part in parts.items():
        part.load_state_dict(saved["parts"][name])
    trainer.step, trainer.epoch = saved["step"], saved["epoch"]
    trainer.history = saved["history"]
    mine = saved["ranks"][rank_and_ranks()[0]]
    trainer.feed.load_state_dict(mine["feed"])
    return mine["rng"]


def begin(trainer: "Trainer", resume: bool) -> dict[str, Any] | None:
    """Load the checkpoint if this run goes on with one; returns the generators, None for a new run.

    Raises FileExistsError for a checkpoint that a new run would overwrite, ValueError for a state
    that could not be saved, or for a checkpoint of another run.
    """
    path = trainer.checkpoint
    if resume and path is None:
        raise ValueError("resume=True needs a file: Trainer(..., checkpoint=...)")
    for n, callback in enumerate(trainer.callbacks):
        if not callable(callback):
            raise ValueError(f"callbacks[{n}] is a {type(callback).__name__}, and not callable")
        own = callback.state_dict() if path and hasattr(callback, "state_dict") else {}
        if odd := files.unreadable(own, f"callbacks[{n}].state_dict()"):
            raise ValueError(f"a checkpoint could not be read again: {odd}")
    if path is None or not path.exists():
        return None
    if resume:
        try:
            rng = restore(trainer, files.load(path))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        set_rng_state(rng)  # also where nothing is left to do: what follows may draw
        return rng
    if trainer._saved != path:
        raise FileExistsError(
            f"{path} holds another run, and it would be overwritten: fit(..., resume=True) goes on "
            "with it; to begin anew delete it, or name another file"
        )
    return None


def save(trainer: "Trainer", path: Path) -> None:
    """Write the checkpoint, all processes together, the first one to the disk."""
    whole = state(trainer)
    if rank_and_ranks()[0] == 0:
        files.save(path, whole)


def load_student(path: str | Path, model: nn.Module) -> nn.Module:
    """Put the student of a trainer's checkpoint into `model`, in place; returns it.

    After early stopping that is the student of the best epoch. Raises ValueError for a file that is
    no checkpoint, RuntimeError for a model of another shape.
    """
    saved = files.load(Path(path))
    if "parts" not in saved:
        raise ValueError(f"{path} was not written by Trainer: it holds {list(saved)}")
    weights = saved["parts"].get("best", {}).get("weights") or saved["parts"]["net"]
    own = {k.removeprefix("model."): v for k, v in weights.items() if k.startswith("model.")}
    model.load_state_dict(own)
    return model


def any_rank(asked: bool, device: torch.device) -> bool:
    """True in all processes if it is true in one of them: none may stop alone."""
    if rank_and_ranks()[1] == 1:
        return asked
    flag = torch.tensor(float(asked), device=device)
    dist.all_reduce(flag)
    return bool(flag)


def _parts(trainer: "Trainer") -> dict[str, Any]:
    """Student and regressors, optimizer, losses, and the callbacks that have a state."""
    own = {"net": trainer.net, "optimizer": trainer.optimizer, "losses": trainer.losses}
    own["learning_rate"] = trainer.learning_rate
    if trainer.best is not None:
        own["best"] = trainer.best
    callbacks = {f"callback{i}": callback for i, callback in enumerate(trainer.callbacks)}
    return {k: part for k, part in (own | callbacks).items() if hasattr(part, "state_dict")}
