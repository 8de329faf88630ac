"""Two processes train; one of them is killed (SIGKILL), both start again; the last bits compared.

    kill_a_rank.py FOLDER KILLS          forks the two, so that a life costs milliseconds
    torchrun --max-restarts=1 ... kill_a_rank.py FOLDER    torchrun starts them again

After each death the checkpoint must be whole, and of no earlier step than before.
"""

import os
import random
import shutil
import signal
import sys
import time
import traceback
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint
import torch.distributed.fsdp
from runs import run
from several import shard

from tinykd import files
from tinykd.training import shards

torch.set_num_threads(1)


def train(folder, rank, settings, callback=lambda trainer: None):
    """One life of one process, from the checkpoint on if there is one."""
    trainer, batches = run(folder, checkpoint_every=2, **settings)
    torch.manual_seed(7 + rank)  # each draws its own noise
    trainer.callbacks.append(callback)
    trainer.fit(batches, epochs=3, resume=True)
    tensors = [*trainer.net.state_dict().values()]
    tensors += [x for kept in trainer.optimizer.state.values() for x in kept.values()]
    tensors = [x.to_local() if hasattr(x, "to_local") else x for x in tensors]
    tensors.append(torch.tensor([r[k] for r in trainer.history for k in ("loss", "lr", "step")]))
    file = folder / f"final{rank}"
    with files.atomic(file) as part:
        torch.save(torch.cat([x.detach().double().flatten() for x in tensors]), part)


def live(folder, settings, life):
    """Two processes of one life; returns their pids."""
    pids = []
    for rank in (0, 1):
        if pid := os.fork():
            pids.append(pid)
            continue
        code = 1
        try:
            os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2"}
            log = os.open(folder / f"said{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 2)  # what the survivor says of the dead
            meeting = f"file://{folder}/meeting{life}"
            long = timedelta(seconds=60)
            dist.init_process_group(
                "gloo", init_method=meeting, rank=rank, world_size=2, timeout=long
            )
            train(folder, rank, settings)
            dist.barrier()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pids


def ended(pids):
    """Wait for both; returns how many were killed or failed."""
    return sum(os.waitpid(pid, 0)[1] != 0 for pid in pids)


def saved_step(folder):
    """Read the checkpoint as a resumed run would; -1 where there is none yet."""
    file = folder / "run.ckpt"
    if not file.exists():
        return -1
    state = files.load(file)
    shards.read(file, state)
    return state["step"]


def finals(folder):
    return [torch.load(folder / f"final{rank}") for rank in (0, 1)]


def kill_until_done(folder, settings, seconds):
    """Returns the number of kills that a run took."""
    kills, window, step = 0, seconds, -1
    while not all((folder / f"final{rank}").exists() for rank in (0, 1)):
        pids = live(folder, settings, kills)
        time.sleep(random.uniform(0, window))
        window *= 1.1  # a machine that has become slower still gets past a checkpoint
        victim = random.choice(pids)
        os.kill(victim, signal.SIGKILL)
        time.sleep(random.choice([0, 0.02]))  # the other notices, or does not
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        kills += ended(pids) > 0
        before, step = step, saved_step(folder)
        assert step >= before, f"a checkpoint of step {before} was lost: step {step} is there"
    left = [*folder.glob(".run.ckpt.*.part")]
    left += [*folder.glob("run.ckpt.shards-*")][1:]
    assert not left, f"left behind: {left}"
    return kills


def main(folder, kills):
    random.seed(0)
    trainer, batches = run(folder)  # the first run imports half of torch
    trainer.fit(batches)
    (folder / "run.ckpt").unlink()
    for how, settings in (("copies", {}), ("sharded", {"shard": shard})):
        quiet = folder / how
        quiet.mkdir()
        start = time.perf_counter()
        assert ended(live(quiet, settings, 0)) == 0
        seconds = time.perf_counter() - start
        expected, killed = finals(quiet), 0
        while killed < kills:
            disturbed = folder / "disturbed"
            disturbed.mkdir()
            killed += kill_until_done(disturbed, settings, seconds)
            for ours, theirs in zip(finals(disturbed), expected, strict=True):
                assert torch.equal(ours, theirs), how
            shutil.rmtree(disturbed)
        print(f"{how}: {killed} kills in runs of {seconds:.2f} s, every bit the same", flush=True)


def under_torchrun(folder):
    """The first life of process 1 ends at step 9, between two checkpoints."""
    rank = int(os.environ["RANK"])

    def die(trainer):
        if rank == 1 and trainer.step == 9 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            os.kill(os.getpid(), signal.SIGKILL)

    train(folder, rank, {}, die)


if __name__ == "__main__":
    if "WORLD_SIZE" in os.environ:
        under_torchrun(Path(sys.argv[1]))
    else:
        main(Path(sys.argv[1]), int(sys.argv[2]))
