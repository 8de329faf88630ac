"""Train; kill (SIGKILL) and resume until done, many times over; compare the last bits.

Children are forked from a process that has torch loaded, so that a life costs milliseconds.
"""

import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch
from runs import final, run

torch.set_num_threads(1)


def live(folder, settings):
    """One life in a child process, from the checkpoint on if there is one; returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        torch.manual_seed(os.getpid())  # a new process knows nothing of the old one's dice
        trainer, batches = run(folder, checkpoint_every=3, **settings)
        trainer.fit(batches, epochs=4, resume=True)
        torch.save(final(trainer), folder / "final.part")
        os.replace(folder / "final.part", folder / "final")
        code = 0
    finally:
        os._exit(code)


def main(lives):
    random.seed(0)
    with tempfile.TemporaryDirectory() as folder:  # the first run imports half of torch
        trainer, batches = run(Path(folder))
        trainer.fit(batches)
    for settings in (
        {"kind": "batches", "optimizer": "adamw", "accumulate": 2},
        {"kind": "generator", "optimizer": "momentum", "cached": True},
    ):
        with tempfile.TemporaryDirectory() as quiet:
            start = time.perf_counter()
            assert os.waitpid(live(Path(quiet), settings), 0)[1] == 0
            seconds = time.perf_counter() - start
            expected = torch.load(Path(quiet) / "final")
        killed = 0
        while killed < lives:
            with tempfile.TemporaryDirectory() as folder:
                window = seconds
                while not (Path(folder) / "final").exists():
                    pid = live(Path(folder), settings)
                    time.sleep(random.uniform(0, window))
                    window *= 1.1  # a machine that has become slower still gets past a checkpoint
                    os.kill(pid, signal.SIGKILL)
                    status = os.waitpid(pid, 0)[1]
                    killed += os.WIFSIGNALED(status)
                    assert os.WIFSIGNALED(status) or status == 0, status
                assert torch.equal(torch.load(Path(folder) / "final"), expected), settings
        print(f"{killed} kills in runs of {seconds:.2f} s, {settings}: every bit the same")


if __name__ == "__main__":
    main(int(sys.argv[1]))
