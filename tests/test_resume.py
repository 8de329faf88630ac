"""A run that was stopped and goes on is the same run, to the last bit."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tinykd import files

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parent / "scripts"
spec = importlib.util.spec_from_file_location("runs", SCRIPTS / "runs.py")
runs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runs)

STEPS = {1: 14, 2: 8}  # two epochs of 7 batches


class Stopped(BaseException):
    pass


def stop_at(step):
    def callback(trainer):
        if trainer.step == step:
            raise Stopped

    return callback


def validate(model):
    """Draws from the dice, as a validation may."""
    return torch.rand(()).item()


def whole(folder, epochs=2, **settings):
    trainer, batches = runs.run(folder, **settings)
    trainer.fit(batches, validate=validate, epochs=epochs)
    return runs.final(trainer)


CASES = {
    "batches, jitter": {},
    "accumulated": {"accumulate": 2, "checkpoint_every": 3},
    "momentum": {"optimizer": "momentum", "checkpoint_every": 4},
    "shuffling loader": {"kind": "loader"},
    "loader with a generator": {"kind": "generator", "checkpoint_every": 5},
    "sampler with a generator": {"kind": "sampler"},
    "cached teacher": {"cached": True, "kind": "loader"},
    "bf16": {"precision": "bf16", "checkpoint_every": 2},
}


@pytest.mark.parametrize("case", CASES)
def test_stopped_at_any_step_and_resumed_it_is_the_same_run(tmp_path, case):
    """Pitfall 25: every step is a kill point; weights, optimizer, history, dice are bit-identical.

    With dropout, augmentation, schedules of rate, weight and temperature, and a hint regressor.
    """
    settings = {"checkpoint_every": 1, **CASES[case]}
    expected = whole(tmp_path, **settings)
    for step in range(1, STEPS[settings.get("accumulate", 1)] + 1):
        (tmp_path / "run.ckpt").unlink(missing_ok=True)
        trainer, batches = runs.run(tmp_path, **settings)
        trainer.callbacks.append(stop_at(step))
        with pytest.raises(Stopped):
            trainer.fit(batches, validate=validate, epochs=2)
        trainer, batches = runs.run(tmp_path, **settings)
        if (tmp_path / "run.ckpt").exists():  # which brings its own dice
            torch.manual_seed(step)
            np.random.seed(step)
        trainer.fit(batches, validate=validate, epochs=2, resume=True)
        assert torch.equal(runs.final(trainer), expected), f"stopped at step {step}"


def test_workers_that_augment_are_the_same_run(tmp_path):
    """Pitfall 25: worker processes of a loader get the seeds they had."""
    settings = {"kind": "workers", "checkpoint_every": 1}
    expected = whole(tmp_path, epochs=1, **settings)
    (tmp_path / "run.ckpt").unlink()
    trainer, batches = runs.run(tmp_path, **settings)
    trainer.callbacks.append(stop_at(4))
    with pytest.raises(Stopped):
        trainer.fit(batches, validate=validate)
    trainer, batches = runs.run(tmp_path, **settings)
    trainer.fit(batches, validate=validate, resume=True)
    assert torch.equal(runs.final(trainer), expected)


def test_killed_again_and_again_it_is_the_same_run(script):
    """Pitfall 25: SIGKILL at random moments, also while a checkpoint is being written."""
    done = script("kill_and_resume.py", 20)
    assert done.stdout.count("every bit the same") == 2, done.stdout


@pytest.fixture
def little_disk(tmp_path):
    """A folder on a disk of its own, of 300 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_said_and_the_last_checkpoint_stays(tmp_path, little_disk):
    """Pitfall 36: nothing half-written, and when there is room again the run is the same."""
    expected = whole(tmp_path, checkpoint_every=2)

    def fill(trainer):
        if trainer.step == 5:
            free = shutil.disk_usage(little_disk).free
            (little_disk / "filler").write_bytes(bytes(free - 20_000))

    trainer, batches = runs.run(little_disk, checkpoint_every=2)
    trainer.callbacks.append(fill)
    with pytest.raises(OSError, match=r"run.ckpt could not be written .*before is still there"):
        trainer.fit(batches, validate=validate, epochs=2)
    assert sorted(p.name for p in little_disk.iterdir()) == ["filler", "run.ckpt"]
    assert files.load(little_disk / "run.ckpt")["step"] == 4
    (little_disk / "filler").unlink()
    trainer, batches = runs.run(little_disk, checkpoint_every=2)
    trainer.fit(batches, validate=validate, epochs=2, resume=True)
    assert torch.equal(runs.final(trainer), expected)


def test_what_the_killed_have_left_goes_when_the_run_goes_on(tmp_path):
    trainer, batches = runs.run(tmp_path, scheduled=False)
    trainer.fit(batches)
    others = [tmp_path / ".other.ckpt.7.part", tmp_path / "run.ckpt.part"]
    for file in (tmp_path / ".run.ckpt.99.part", *others):
        file.write_bytes(b"half")
    trainer, batches = runs.run(tmp_path, scheduled=False)
    trainer.fit(batches, epochs=2, resume=True)
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "run.ckpt", *others])


def test_one_of_several_processes_does_not_wait_to_save_when_its_validation_fails(tmp_path):
    """The others may never get to where they would save with it."""

    def broken(model):
        raise ArithmeticError

    trainer, batches = runs.run(tmp_path)
    trainer.world = 2
    with pytest.raises(ArithmeticError):
        trainer.fit(batches, validate=broken)
    assert not (tmp_path / "run.ckpt").exists()


def test_resuming_a_finished_run_changes_nothing_and_more_epochs_go_on(tmp_path):
    trainer, batches = runs.run(tmp_path, scheduled=False)
    history = trainer.fit(batches, epochs=2)
    end = runs.final(trainer)
    again, batches = runs.run(tmp_path, scheduled=False)
    assert again.fit(batches, epochs=2, resume=True) == history
    assert torch.equal(runs.final(again), end)
    assert [r["epoch"] for r in again.fit(batches, epochs=3, resume=True)] == [1, 2, 3]


def test_early_stop_survives_a_restart(tmp_path):
    values = [3.0, 2.0, 2.5, 2.6, 1.0]
    for epochs in (1, 2, 3, 5, 5):
        trainer, batches = runs.run(tmp_path, scheduled=False)
        trainer.fit(
            *(batches, lambda model, t=trainer: values[t.epoch]),
            epochs=epochs,
            patience=2,
            mode="min",
            resume=True,
        )
    assert [r["validate"] for r in trainer.history] == values[:4]


def test_callbacks_with_a_state_are_kept(tmp_path):
    class Counter:
        seen = 0

        def __call__(self, trainer):
            self.seen += 1

        def state_dict(self):
            return {"seen": self.seen}

        def load_state_dict(self, state):
            self.seen = state["seen"]

    for epochs in (1, 3):
        trainer, batches = runs.run(tmp_path, scheduled=False)
        trainer.callbacks.append(counter := Counter())
        trainer.fit(batches, epochs=epochs, resume=True)
    assert counter.seen == 21


@pytest.mark.parametrize("where", ["somewhere", "nowhere"])
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path, child_env, where):
    (tmp_path / "temporary").mkdir()
    process = subprocess.Popen(
        [sys.executable, str(SCRIPTS / "long_run.py"), str(tmp_path), where],
        cwd=tmp_path,
        env=child_env | {"TMPDIR": str(tmp_path / "temporary")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line == "step 3\n":
            break
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=60)[1]
    left = [path.name for path in tmp_path.iterdir()]
    assert sorted(left) == (["run.ckpt", "temporary"] if where == "somewhere" else ["temporary"])
    found = [tmp_path / "run.ckpt", *(tmp_path / "temporary").glob("interrupted-*.ckpt")]
    name = str(found[0] if where == "somewhere" else found[1])
    said = err.splitlines()[-1]
    assert "Interrupted" in said
    step = int(said.split("stopped after step ")[1].split(";")[0])
    assert f'checkpoint="{name}").fit(..., resume=True)' in said
    trainer, batches = runs.run(tmp_path)
    trainer.checkpoint = tmp_path / name
    trainer.callbacks.append(stop_at(step + 1))
    with pytest.raises(Stopped):
        trainer.fit(batches, epochs=10_000, resume=True)


def test_ctrl_c_during_the_last_validation_is_not_swallowed(tmp_path):
    trainer, batches = runs.run(tmp_path)

    def interrupted(model):
        os.kill(os.getpid(), signal.SIGINT)
        return 0.0

    before = signal.getsignal(signal.SIGINT)  # a background job of a shell ignores it
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(batches, validate=interrupted)
    assert signal.getsignal(signal.SIGINT) is before
    assert len(trainer.fit(batches, resume=True)) == 1


def test_a_second_ctrl_c_does_not_wait(tmp_path):
    trainer, batches = runs.run(tmp_path)

    def twice(t):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("went on")

    trainer.callbacks.append(twice)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(batches)


def test_resume_without_a_file_starts_from_the_beginning(tmp_path):
    trainer, batches = runs.run(tmp_path)
    trainer.fit(batches, resume=True)
    assert trainer.step == 7
