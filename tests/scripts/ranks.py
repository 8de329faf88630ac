"""What several processes have to do together: share data, draw their own noise, stop as one."""

import os
import resource
import signal
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from several import shard
from torch import nn
from torch.optim import SGD

from tinykd import MLP, Batches, HardLabels, Trainer
from tinykd.data import SentenceBatches
from tinykd.files import load, save
from tinykd.lm import Config, OnPolicy, SequenceBatches, Transformer
from tinykd.training import shards

CONFIG = Config(vocab=11, width=8, layers=1, heads=2)


def trainer(model, **settings):
    settings = {"device": "cpu", "progress": False, **settings}
    return Trainer(model, HardLabels(), None, lambda ps: SGD(ps, 0.1), **settings)


def sources():
    """What each source of batches gives this rank: the numbers of its samples, or its prompts."""
    ids = [[n % 7 + 1] * (n % 5 + 1) for n in range(12)]
    examples = [(row, [3, 0]) for row in ids]
    prompts = [[n + 1] for n in range(8)]
    made = {
        "Batches": Batches(torch.randn(12, 2), torch.zeros(12).long(), size=4),
        "SequenceBatches": SequenceBatches(examples, tokens=28),
        "SentenceBatches": SentenceBatches(ids, torch.zeros(12), size=4),
    }
    seen = {name: [b["index"].tolist() for b in source] for name, source in made.items()}
    written = list(OnPolicy(Transformer(CONFIG), prompts, size=4, max_new=2))
    seen["OnPolicy"] = [batch["input_ids"][:, 0].tolist() for batch in written]
    return seen


def data():
    torch.manual_seed(1)
    return Batches(torch.randn(24, 4), torch.randint(3, (24,)), size=6)


def unused():
    class Idle(MLP):
        def __init__(self):
            super().__init__(4, 3)
            self.idle = nn.Linear(2, 2)

    trainer(Idle()).fit(data())


def nothing():
    trainer(MLP(4, 3)).fit([] if dist.get_rank() else list(data()))


def noisy(folder, stop=False, resume=False):
    """Dropout: each rank draws its own masks. With `stop`, rank 1 alone hears a Ctrl-C.

    Rank 1 has two batches an epoch, rank 0 four: when it is stopped, it had none left.
    """
    torch.manual_seed(0)
    model = MLP(4, 16, 3, dropout=0.5)
    torch.manual_seed(7 + dist.get_rank())

    def interrupt(t):
        if stop and dist.get_rank() == 1 and t.step == 7:
            os.kill(os.getpid(), signal.SIGINT)

    own = trainer(model, checkpoint=folder / "noisy.ckpt", callbacks=[interrupt])
    if resume:
        torch.manual_seed(99)  # a new process knows nothing of the old one's noise
    own.fit(list(data())[: 4 - 2 * dist.get_rank()], epochs=3, resume=resume)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def no_room(folder, how, room):
    """Process 0 alone may write no large file any more: whatever it says, both must stop."""
    torch.manual_seed(0)
    free = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill(t):
        if dist.get_rank() == 0 and t.step == 7:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, free[1]))

    path = folder / f"{how.__name__} {room}" / "run.ckpt"
    own = trainer(how(MLP(4, 99, 3)), checkpoint=path, checkpoint_every=3, callbacks=[fill])
    try:
        own.fit(data(), epochs=3)
    except OSError as error:
        shards.read(path, state := load(path))
        return str(error), state["step"], sorted(p.name[:15] for p in path.parent.iterdir())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, free)


def copies(model):
    return model


def elsewhere(folder):
    """A checkpoint that one process alone can see."""
    path = folder / f"own{dist.get_rank()}.ckpt"
    if dist.get_rank() == 0:
        save(path, {"step": 3})
    trainer(MLP(4, 3), checkpoint=path).fit(data(), resume=True)


def stopping_early():
    """The ranks see different values, and stop after the same epoch."""
    values = ([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0])[dist.get_rank()]
    seen = iter(values)
    own = trainer(MLP(4, 3))
    history = own.fit(data(), validate=lambda m: {"loss": next(seen)}, epochs=4, patience=2)
    return len(history)


def main(folder):
    # A rank that waits for one that has stopped does not wait for half an hour.
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    result = {"sources": sources(), "early": stopping_early()}
    attempts = {"unused": unused, "elsewhere": lambda: elsewhere(folder), "nothing": nothing}
    for name, attempt in attempts.items():
        try:
            attempt()
        except ValueError as error:
            result[name] = str(error)
    for how, room in ((copies, 1000), (shard, 1000), (shard, 10_000)):  # for no shard; for those
        result[f"no room, {how.__name__} {room}"] = no_room(folder, how, room)
    result["whole"] = noisy(folder)
    dist.barrier()
    if dist.get_rank() == 0:
        (folder / "noisy.ckpt").unlink()
    dist.barrier()
    try:
        noisy(folder, stop=True)
    except KeyboardInterrupt as error:
        result["stopped"] = str(error)
    dist.barrier()
    result["resumed"] = noisy(folder, resume=True)
    torch.save(result, folder / f"rank{dist.get_rank()}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
