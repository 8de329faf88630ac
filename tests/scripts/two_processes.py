"""The same training in one process or, under torchrun, in several; writes what came out."""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.optim import SGD

from tinykd import MLP, Batches, HardLabels, Hint, NonFiniteLoss, SoftTargets, Term, Trainer


class Coupled(Term):
    couples_samples = True


def train(accumulate=1, poison=False):
    torch.manual_seed(0)
    x, y = torch.randn(36, 4), torch.randint(3, (36,))
    y[:9] = -100  # shares with unequal numbers of labels
    student, teacher, regressor = MLP(4, 8, 3), MLP(4, 9, 3), nn.Linear(8, 9)
    torch.manual_seed(int(os.environ.get("RANK", 0)))
    objective = 0.7 * SoftTargets(T=2) + 0.3 * HardLabels()
    objective = objective + 0.5 * Hint("layers.0", "layers.0", regressor)
    trainer = Trainer(
        *(student, objective, teacher, lambda ps: SGD(ps, 0.1, momentum=0.9)),
        accumulate=accumulate,
        clip=1.0 if accumulate > 1 else None,
        device="cpu",
        progress=False,
    )
    batches, held_out = Batches(x, y, size=8), Batches(x[:20], y[:20], size=7, shuffle=False)
    if poison and dist.get_rank() == 1:
        batches.inputs[int(batches.inputs.shape[0]) - 1] = float("nan")
        batches.shuffle = False
    history = trainer.fit(batches, validate=held_out, epochs=2)
    weights = torch.cat([p.detach().flatten() for p in trainer.net.parameters()])
    grads = [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in trainer.net.parameters()]
    for record in history:
        del record["seconds"]
    return {"weights": weights, "grads": grads, "history": history}


def main(folder):
    result = {"plain": train(), "accumulated": train(accumulate=2)}
    if dist.is_initialized():
        for name, attempt in {
            "coupled": lambda: Trainer(MLP(4, 3), Coupled(), device="cpu"),
            "nan": lambda: train(poison=True),
        }.items():
            try:
                attempt()
            except (ValueError, NonFiniteLoss) as error:
                result[name] = f"{type(error).__name__}: {error}"
        torch.save(result, folder / f"rank{dist.get_rank()}.pt")
        dist.destroy_process_group()
    else:
        torch.save(result, folder / "alone.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
