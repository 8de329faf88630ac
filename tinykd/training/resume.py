"""Stop anywhere, go on as if nothing had happened; and refuse to go on as something else."""

import os
import zlib
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch import nn

from .. import files
from ..device import rank_and_ranks
from ..objective import Objective
from ..schedules import exact, shown
from ..teachers import LiveTeacher, Stored, Teachers, fingerprint
from . import shards
from .learning_rate import LearningRate
from .random_state import rng_state


def describe(
    objective: Objective, rate: LearningRate, teachers: Teachers, epochs: int, **plain: Any
) -> dict[str, Any]:
    """What a run is made with, in plain values: resumed, it must be the same."""
    groups = [
        {k: v for k, v in group.items() if isinstance(v, (bool, int, float, str, tuple))}
        for group in rate.optimizer.param_groups
    ]
    for group, base in zip(groups, rate.base, strict=True):
        group["lr"] = base
    found = {
        "objective": repr(objective),
        "schedule": shown(rate.schedule),
        "optimizer": f"{type(rate.optimizer).__name__} {groups}",
        **plain,
    }
    usual = vars(nn.Module())
    # What the words above leave out: digits, other values of a schedule, a term's own settings.
    details = {"schedule, all of it": rate.state_dict() or rate.schedule}
    for (weight, term), kind in zip(objective.pairs(), objective.names(), strict=True):
        own = {k: x for k, x in vars(term).items() if k not in usual and "fsdp" not in k}
        own = {"weight": weight, **own}  # how it is spread over processes is no setting
        details |= {f"{kind}.{key}": x for key, x in own.items()}
    for key, value in details.items():
        said = exact(value)
        found[key] = said if len(said) < 40 else f"(crc {zlib.crc32(said.encode()):08x})"
    if "->" in found["objective"] + found["schedule"]:  # who else knows how long the training is?
        found["epochs"] = epochs
    for name, teacher in teachers.by_name.items():
        if isinstance(teacher, LiveTeacher):
            found[f"teacher {name or ''}".strip()] = fingerprint(teacher.model)[:12]
        elif isinstance(teacher, Stored):
            found[f"teacher {name or ''}".strip()] = teacher.stamp["teacher"][:12]
    return found


def refuse_another(before: dict[str, Any], now: dict[str, Any], but: tuple[str, ...] = ()) -> None:
    """Raises ValueError for a run with other settings, `but` for these: each is named."""
    before, now = ({k: v for k, v in s.items() if k not in but} for s in (before, now))
    other = sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k))
    if other:
        differences = "; ".join(f"{k} was {before.get(k)}, is {now.get(k)}" for k in other)
        raise ValueError(
            f"this is another run than the checkpoint's: {differences}. Resume with the same, or "
            "take its student (tinykd.load_student) and begin anew"
        )


def stateful(parts: dict[str, Any], callbacks: list[Any]) -> dict[str, Any]:
    """Of these parts and callbacks those that have a state, by name.

    Raises ValueError for a callback that cannot be called.
    """
    for n, callback in enumerate(callbacks):
        if not callable(callback):
            raise ValueError(f"callbacks[{n}] is a {type(callback).__name__}, and not callable")
        parts = {**parts, f"callback {n}, {type(callback).__name__}": callback}
    return {name: part for name, part in parts.items() if hasattr(part, "state_dict")}


def refuse_unreadable(callbacks: list[Any]) -> None:
    """Raises ValueError for a callback whose state a checkpoint could not give back."""
    for n, callback in enumerate(callbacks):
        state = callback.state_dict() if hasattr(callback, "state_dict") else {}
        if odd := files.unreadable(state, f"callbacks[{n}].state_dict()"):
            raise ValueError(f"a checkpoint could not be read again: {odd}")


def load_parts(parts: dict[str, Any], states: dict[str, Any]) -> None:
    """Put each part where its state was taken. Raises ValueError for parts that do not match."""
    if parts.keys() != states.keys():
        raise ValueError(f"it holds the state of {list(states)}, this run {list(parts)}")
    for name, part in parts.items():
        part.load_state_dict(states[name])


def of_all_ranks(mine: dict[str, Any]) -> list[dict[str, Any]]:
    """Everybody's, by rank: each process has its own share of the data and its own noise."""
    ranks: list[Any] = [mine]
    if rank_and_ranks()[1] > 1:
        ranks = [None] * rank_and_ranks()[1]
        dist.all_gather_object(ranks, mine)
    return ranks


def of_rank(ranks: list[dict[str, Any]]) -> dict[str, Any]:
    """What this process goes on from; where more or fewer had saved, their place in the data.

    Its share is another one then, and is not compared; noise goes on where there was as much.
    Raises ValueError where they were not all at the same place.
    """
    rank, world = rank_and_ranks()
    if len(ranks) == world:
        return ranks[rank]
    if len(places := {mine["feed"]["used"] for mine in ranks}) > 1:
        raise ValueError(
            f"{len(ranks)} processes stopped after {sorted(places)} batches of an epoch: only as "
            "many can go on with it"
        )
    mine = ranks[rank] if rank < len(ranks) else {**ranks[0], "rng": rng_state()}
    start = mine["feed"]["start"] | ({} if rank < len(ranks) else {"rng": mine["rng"]})
    return {**mine, "feed": {**mine["feed"], "start": start, "digest": None, "before": {}}}


def found(path: Path | None, resume: bool, ours: bool) -> dict[str, Any] | None:
    """The checkpoint that a run goes on from, None where it starts from the beginning.

    ours: this trainer has written it. Raises ValueError for resume without a file, FileExistsError
    for a checkpoint of another run that would be overwritten.
    """
    if resume and path is None:
        raise ValueError("resume=True needs a file: Trainer(..., checkpoint=...)")
    if path is not None and (path.is_dir() or not os.access(_existing(path), os.W_OK)):
        raise ValueError(f"{path} cannot be written: a checkpoint is a file in a writable folder")
    if path is not None and rank_and_ranks()[0] == 0:
        files.forget_parts(path)
    if path is None or not path.exists() or (ours and not resume):
        return None
    if not resume:
        raise FileExistsError(
            f"{path} holds another run, and it would be overwritten: fit(..., resume=True) goes on "
            "with it; to begin anew delete it, or name another file"
        )
    return files.load(path)


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def load_student(path: str | Path, model: nn.Module) -> nn.Module:
    """Put the student of a trainer's checkpoint into `model`, in place; returns it.

    After early stopping that is the student of the best epoch. Raises ValueError for a file that is
    no checkpoint, RuntimeError for a model of another shape.
    """
    saved = files.load(Path(path))
    if "parts" not in saved:
        raise ValueError(f"{path} was not written by Trainer: it holds {list(saved)}")
    parts = shards.read(Path(path), saved)
    weights = parts.get("best", {}).get("weights") or parts["net"]
    own = {k.removeprefix("model."): v for k, v in weights.items() if k.startswith("model.")}
    model.load_state_dict(own)
    return model
