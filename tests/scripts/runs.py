"""Runs that draw from every random number generator there is, to be stopped and gone on with."""

import torch
from torch import nn
from torch.optim import SGD, AdamW
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from tinykd import (
    MLP,
    Batches,
    CachedTeacher,
    HardLabels,
    Hint,
    SoftTargets,
    Trainer,
    cosine,
    jitter,
    linear,
)


class Indexed(TensorDataset):
    def __getitem__(self, i):
        x, y = super().__getitem__(i)
        return {"inputs": x + 0.01 * torch.randn(x.shape), "labels": y, "index": i}


def source(kind, x, y):
    if kind == "batches":
        return Batches(x, y, size=7, augment=jitter)
    own = torch.Generator().manual_seed(5)
    settings = {
        "loader": {"shuffle": True},
        "generator": {"shuffle": True, "generator": own},
        "sampler": {"sampler": RandomSampler(x, generator=own)},
        "workers": {"shuffle": True, "num_workers": 1},
    }[kind]
    return DataLoader(Indexed(x, y), batch_size=7, **settings)


def run(
    folder,
    kind="batches",
    optimizer="adamw",
    cached=False,
    scheduled=True,
    shard=lambda model: model,
    **settings,
):
    """A trainer and its batches, from the same beginning each time. 46 samples, 7 batches."""
    torch.manual_seed(0)
    x, y = torch.rand(46, 4, 4), torch.randint(3, (46,))
    teacher, student = MLP(16, 9, 3), MLP(16, 8, 3, dropout=0.3, input_dropout=0.1)
    objective = linear(0.7, 0.4) * SoftTargets(T=linear(8, 1)) + HardLabels(label_smoothing=0.1)
    if not scheduled:
        objective = 0.5 * SoftTargets(T=4) + HardLabels()
    if cached:
        CachedTeacher.write(folder / "teacher", teacher, x)
        teacher = CachedTeacher(folder / "teacher", recognise=False)  # the loaders add noise
    else:
        objective = objective + 5 * Hint("layers.0", "layers.0", nn.Linear(8, 9))
    factories = {
        "adamw": lambda ps: AdamW(ps, 0.01),
        "momentum": lambda ps: SGD(ps, 0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    }
    trainer = Trainer(
        *(shard(student), objective, teacher, factories[optimizer]),
        schedule=cosine(1, 0.1) if scheduled else 1.0,
        device="cpu",
        clip=1.0,
        checkpoint=folder / "run.ckpt",
        progress=False,
        **settings,
    )
    return trainer, source(kind, x, y)


def final(trainer):
    """Everything that must be the same to the last bit, as one tensor."""
    optimizer = [
        torch.as_tensor(value, dtype=torch.float64).flatten()
        for state in trainer.optimizer.state.values()
        for _, value in sorted(state.items())
        if value is not None
    ]
    net = [p.detach().double().flatten() for p in trainer.net.state_dict().values()]
    kept = ("loss", "SoftTargets", "HardLabels", "lr", "step")
    history = torch.tensor([[r[k] for k in kept] for r in trainer.history], dtype=torch.float64)
    return torch.cat([*net, *optimizer, history.flatten(), torch.rand(3).double()])
