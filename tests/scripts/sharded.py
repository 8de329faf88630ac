"""A sharded run that is stopped and goes on, in as many processes or in another number of them.

sharded.py FOLDER begin              one process: whole, and two runs that are broken off
torchrun ... sharded.py FOLDER two   goes on with those; whole, broken off, gone on with
sharded.py FOLDER end                one process goes on with what two had begun
"""

import os
import shutil
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from several import RANK, SENTENCES, WORLD, shard, whole
from torch import nn
from torch.optim import SGD, AdamW

from tinykd import MLP, HardLabels, SoftTargets, Trainer, cosine, load_student
from tinykd.lm import Config, HiddenStates, SequenceBatches, Transformer

STOP, SAVED = 8, 7  # in the middle of the second of three epochs


class Stopped(BaseException):
    pass


def model(width=8):
    return Transformer(Config(vocab=11, width=width, layers=2, heads=2))


def train(path, kind, stop=None, resume=False):
    """Losses by step from where it begins, the weights at the end, and what early stopping saw."""
    torch.manual_seed(0)
    student, teacher, regressor = model(), model(16), nn.Linear(8, 16)
    if resume:
        with torch.no_grad():
            for p in (*student.parameters(), *regressor.parameters()):
                p.zero_()  # whatever is not in the checkpoint is lost
    if kind == "sharded":
        student, teacher = shard(student), shard(teacher)
    hidden = HiddenStates("blocks.1", "blocks.1", regressor)
    trainer = Trainer(
        *(student, SoftTargets(T=2) + 0.3 * hidden + HardLabels(), teacher),
        lambda ps: AdamW(ps, lr=0.01, eps=1e-3),
        schedule=cosine(1, 0.1),
        clip=0.5,
        device="cpu",
        progress=False,
        checkpoint=path,
        checkpoint_every=SAVED,
    )
    losses, last = [], {}

    def note(t):
        losses.append(t.losses.latest)
        last["weights"] = torch.cat([whole(p.detach()).flatten() for p in t.net.parameters()])
        if t.step == stop:
            raise Stopped

    trainer.callbacks.append(note)
    data = SequenceBatches(SENTENCES, size=5)
    worse = iter([1.0, 2.0, 3.0][1 if resume else 0 :])  # the first epoch is the best one
    fit = {"validate": lambda m: next(worse), "mode": "min", "patience": 5, "epochs": 3}
    try:
        trainer.fit(data, resume=resume, **fit)
    except Stopped:
        return None
    state = trainer.net.state_dict()
    weights = torch.cat([whole(state[name]).flatten() for name in sorted(state)])
    saved = load_student(path, model()).state_dict()
    out = torch.cat(
        [saved[n.removeprefix("model.")].flatten() for n in sorted(state) if n[0] == "m"]
    )
    names = sorted(p.name.split("-")[0] for p in path.parent.iterdir())
    found = {"losses": torch.tensor(losses), "last": last["weights"], "best": weights}
    return {**found, "student": out, "files": names}


def begun(folder, name):
    (folder / name).mkdir(exist_ok=True)
    return folder / name / "run.ckpt"


def copied(folder, name, new):
    if RANK == 0:
        shutil.copytree(folder / name, folder / new)
    if dist.is_initialized():
        dist.barrier()
    return folder / new / "run.ckpt"


def refused():
    from torch.distributed.fsdp import fully_shard

    settings = {"device": "cpu", "progress": False}
    plain, halfway = MLP(4, 8, 3), MLP(4, 8, 3)
    before = SGD(plain.parameters(), 0.1)
    shard(plain)
    fully_shard(halfway.layers[0])
    for student, optimizer in ((plain, before), (halfway, None)):
        try:
            Trainer(student, HardLabels(), optimizer=optimizer, **settings)
        except ValueError as error:
            yield str(error)


def main(folder, phase):
    if phase == "begin":
        result = {"whole": train(begun(folder, "alone"), "plain")}
        train(begun(folder, "plain1"), "plain", stop=STOP)
    else:
        result = {}
    where = {"MASTER_ADDR": "127.0.0.1", "RANK": "0", "WORLD_SIZE": "1"}
    if WORLD == 1:
        if phase == "end":
            result["2 to 1 plain"] = train(copied(folder, "sharded2", "a"), "plain", resume=True)
        os.environ.update(where)
        dist.init_process_group(
            "gloo", init_method=f"file://{folder}/{phase}", rank=0, world_size=1
        )
    else:
        dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    if phase == "begin":
        train(begun(folder, "sharded1"), "sharded", stop=STOP)
    elif phase == "two":
        result["whole"] = train(begun(folder, "whole2"), "sharded")
        train(begun(folder, "sharded2"), "sharded", stop=STOP)
        result["2 to 2"] = train(copied(folder, "sharded2", "b"), "sharded", resume=True)
        result["1 to 2"] = train(copied(folder, "sharded1", "c"), "sharded", resume=True)
        result["1 plain to 2"] = train(copied(folder, "plain1", "d"), "sharded", resume=True)
        result["refused"] = list(refused())
    else:
        result["2 to 1"] = train(copied(folder, "sharded2", "e"), "sharded", resume=True)
    torch.save(result, folder / f"{phase}{RANK}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
