"""The same trainings alone, on copies in two processes (DDP), and sharded over them (FSDP2).

    several.py FOLDER                one process: alone.pt
    torchrun ... several.py FOLDER   every process: copies0.pt, sharded0.pt, ...

Each case makes a trainer and its batches; step by step, loss and whole gradient are written down.
"""

import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.optim import SGD, AdamW

from tinykd import MLP, Batches, CachedTeacher, HardLabels, Hint, SoftTargets, Trainer, linear
from tinykd.lm import Chunked, Config, Headless, OnPolicy, SequenceBatches, Transformer

RANK, WORLD = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
ADAMW = {"lr": 0.01, "eps": 1e-3}  # a gradient of rounding errors alone must not move a weight
SENTENCES = [([1 + n % 4, 2], [3 + n % 5] * (1 + n % 7) + [0]) for n in range(23)]


def shard(model):
    """Block by block, as one would a model that does not fit."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    inner = model.model if isinstance(model, Headless) else model
    for block in getattr(inner, "blocks", ()):
        fully_shard(block, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def whole(x):
    return x.full_tensor() if hasattr(x, "full_tensor") else x


def images(count=30):
    x, y = torch.randn(count, 4), torch.randint(3, (count,))
    y[::4] = -100  # shares with unequal numbers of labels
    return x, y


def hint(shard, folder):
    """Regressors, clipping, accumulation, the best weights back; the last batch is of two."""
    x, y = images()
    student, teacher, regressor = MLP(4, 8, 3), MLP(4, 9, 3), nn.Linear(8, 9)
    objective = linear(0.7, 0.4) * SoftTargets(T=2) + 0.5 * Hint("layers.0", "layers.0", regressor)
    trainer = Trainer(
        *(shard(student), objective + HardLabels(), teacher),
        lambda ps: SGD(ps, 0.5, momentum=0.9),
        accumulate=2,
        clip=0.3,
        device="cpu",
        progress=False,
    )
    wrong = Batches(x[:20], (y[:20] + 1) % 3, size=6, shuffle=False)  # best before it has learned
    fit = {"validate": wrong, "patience": 2, "epochs": 6}
    return trainer, Batches(x, y, size=7), fit


def language(shard, folder, layers=2, objective=None, wrap=lambda model: model):
    student = Transformer(Config(vocab=11, width=8, layers=layers, heads=2))
    teacher = Transformer(Config(vocab=11, width=16, layers=3, heads=2))
    trainer = Trainer(
        *(shard(wrap(student)), objective or SoftTargets(T=2) + HardLabels()),
        *(shard(wrap(teacher)), lambda ps: AdamW(ps, **ADAMW)),
        clip=0.5,
        device="cpu",
        progress=False,
    )
    return trainer, SequenceBatches(SENTENCES, tokens=50), {"epochs": 2}


def chunked(shard, folder):
    objective = Chunked(SoftTargets(T=2) + HardLabels(), size=3)
    return language(shard, folder, objective=objective, wrap=Headless)


def on_policy(shard, folder):
    """Greedy: what is drawn is the student's choice, and no matter of who draws."""
    trainer, batches, fit = language(shard, folder)
    prompts = [[1 + n % 5] * (1 + n % 3) for n in range(12)]
    own = {"fraction": 0.6, "size": 5, "max_new": 6, "temperature": 0, "eos": 0}
    return trainer, OnPolicy(trainer.model, prompts, batches, **own), fit


def cached(shard, folder):
    x, y = images()
    cache = CachedTeacher.write(folder / f"cache{RANK}", MLP(4, 9, 3), x, layers=["layers.0"])
    objective = SoftTargets(T=2) + Hint("layers.0", "layers.0", nn.Linear(8, 9)) + HardLabels()
    student = shard(MLP(4, 8, 3))
    trainer = Trainer(student, objective, cache, lambda ps: SGD(ps, 0.1), **PLAIN)
    return trainer, Batches(x, y, size=8), {"epochs": 2}


def several(shard, folder):
    """A live and a cached teacher; labels of one term alone."""
    x, y = images()
    y[3] = -1
    cache = CachedTeacher.write(folder / f"second{RANK}", MLP(4, 6, 3), x)
    terms = SoftTargets(teacher="live") + 0.5 * SoftTargets(T=3, teacher="cached")
    teachers = {"live": MLP(4, 9, 3), "cached": cache}
    student, terms = shard(MLP(4, 8, 3)), terms + HardLabels(ignore_index=-1)
    trainer = Trainer(student, terms, teachers, lambda ps: SGD(ps, 0.1), **PLAIN)
    return trainer, Batches(x, y, size=8), {"epochs": 2}


def one_has_nothing(shard, folder):
    """No position of one process counts in the second batch, none of the other in the third."""
    shares = [[images(6) for _ in range(3)] for _ in range(2)]
    shares[1][1][1][:] = -100
    shares[0][2][1][:] = -100
    return by_hand(shard, shares, accumulate=1)


def one_runs_out(shard, folder):
    """Five batches here and three there, two at a time."""
    shares = [[images(6) for _ in range(5)], [images(5) for _ in range(3)]]
    return by_hand(shard, shares, accumulate=2)


def by_hand(shard, shares, accumulate):
    if WORLD == 1:
        batches = [[*map(torch.cat, zip(a, b, strict=True))] for a, b in zip(*shares, strict=False)]
        batches += shares[0][len(batches) :]
    else:
        batches = shares[RANK]
    objective = SoftTargets(T=2) + HardLabels() + Hint("layers.0", "layers.0", nn.Linear(8, 9))
    objective = linear(1.0, 0.5) * objective
    trainer = Trainer(
        *(shard(MLP(4, 8, 3)), objective, MLP(4, 9, 3), lambda ps: SGD(ps, 0.1, momentum=0.9)),
        **{**PLAIN, "accumulate": accumulate},
    )
    return trainer, batches, {"epochs": 2}


PLAIN = {"device": "cpu", "progress": False}
CASES = [hint, language, chunked, on_policy, cached, several, one_has_nothing, one_runs_out]


def followed(case, shard, folder):
    torch.manual_seed(0)
    trainer, batches, fit = case(shard, folder)
    losses, grads = [], []

    def note(t):
        losses.append(t.losses.latest)
        grads.append(torch.cat([whole(p.grad).flatten() for p in t.net.parameters()]))

    trainer.callbacks.append(note)
    history = trainer.fit(batches, **fit)
    state = trainer.net.state_dict()
    weights = torch.cat([whole(state[name]).flatten() for name in sorted(state)])
    share = sum(
        p.to_local().numel() if hasattr(p, "to_local") else p.numel() for p in state.values()
    )
    for record in history:
        del record["seconds"]
    found = {"losses": torch.tensor(losses), "grads": torch.stack(grads), "weights": weights}
    return {**found, "history": history, "share": share / len(weights)}


def main(folder):
    if WORLD == 1:
        torch.save(
            {c.__name__: followed(c, lambda m: m, folder) for c in CASES}, folder / "alone.pt"
        )
        return
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    for kind, how in (("copies", lambda model: model), ("sharded", shard)):
        found = {case.__name__: followed(case, how, folder) for case in CASES}
        torch.save(found, folder / f"{kind}{RANK}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
