"""A writer of shards that another process kills; or two readers that train as one."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

from tinykd import SoftTargets, Trainer
from tinykd.lm import (
    Config,
    SequenceBatches,
    TopKShards,
    TopKTeacher,
    Transformer,
    topk_kl,
    write_shard,
)

SIZE, VOCABULARY = 3, 23


def examples():
    dice = np.random.default_rng(0)
    sizes = dice.integers(1, 6, size=(10, 2))
    return [tuple(dice.integers(2, VOCABULARY, size=n).tolist() for n in pair) for pair in sizes]


def model(layers=2, seed=0):
    torch.manual_seed(seed)
    return Transformer(Config(VOCABULARY, 16, layers, heads=2))


def write(url, numbers, k=6, seed=0, slow=None):
    teacher = model(seed=seed)
    if slow is not None:
        teacher.register_forward_hook(lambda *_: slow())
    for n in numbers:
        rows = SequenceBatches(examples()[n * SIZE : (n + 1) * SIZE], size=1, shuffle=False)
        write_shard(
            url,
            n,
            lambda path, rows=rows: TopKTeacher.write(path, teacher, rows, k, progress=False),
        )


def train(teacher):
    student = model(layers=1, seed=3)
    Trainer(
        *(student, 1.0 * SoftTargets(divergence=topk_kl), teacher),
        lambda ps: torch.optim.SGD(ps, 0.1),
        device="cpu",
        progress=False,
    ).fit(SequenceBatches(examples(), size=4), epochs=2)
    return torch.cat([p.detach().flatten() for p in student.parameters()])


def main(what, folder):
    if what == "write":  # a sample takes a moment, and what has begun is said
        print("begun", flush=True)
        write(folder, range(4), slow=lambda: time.sleep(0.3))
        return
    weights = train(TopKShards(f"file://{folder}/shards"))
    rank = os.environ.get("RANK", "alone")
    torch.save(weights, folder / f"{rank}.pt")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
