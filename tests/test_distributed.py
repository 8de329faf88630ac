"""Two processes are one: gloo over the loopback interface, started by torchrun."""

import os
import pickle
import shutil

import pytest
import torch

from tinykd import load_student

pytestmark = pytest.mark.slow


@pytest.fixture
def two(script, child_env):
    """Run a file of tests/scripts in two processes, which find each other on this machine."""
    child_env["GLOO_SOCKET_IFNAME"] = "lo"

    def run(name, *args, options=()):
        # standalone: torchrun keeps the port that it has found, and no other job gets it meanwhile
        torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
        return script(name, *args, launcher=(*torchrun, *options))

    return run


def test_two_processes_equal_one_in_every_step(tmp_path, script, two):
    """Pitfalls 15, 21, 22, 24: loss and gradient of each step, the weights at the end.

    On copies (DDP) and sharded (FSDP2): regressors, live, cached and several teachers, chunked
    losses, on-policy samples, accumulation, clipping, the best weights; a process without a valid
    position, one that runs out of batches.
    """
    script("several.py", tmp_path)
    two("several.py", tmp_path)
    alone = torch.load(tmp_path / "alone.pt")
    assert len(alone["hint"]["history"]) == 3  # stopped early, at the best weights of the first
    for kind in ("copies0", "copies1", "sharded0", "sharded1"):
        found = torch.load(tmp_path / f"{kind}.pt")
        for case, expected in alone.items():
            what = f"{kind}, {case}: "
            for key in ("losses", "grads", "weights"):
                torch.testing.assert_close(
                    *(found[case][key], expected[key]),
                    rtol=1e-4,
                    atol=2e-6,
                    msg=lambda m, w=what + key: f"{w}: {m}",
                )
            pairs = zip(found[case]["history"], expected["history"], strict=True)
            assert all(ours == pytest.approx(theirs, rel=1e-4) for ours, theirs in pairs), what
            share = found[case]["share"]
            assert share == 1 if "copies" in kind else 0.4 < share < 0.6, what


def test_a_sharded_run_goes_on_in_any_number_of_processes(tmp_path, script, two):
    """Pitfall 25: saved by two, gone on with by one, and the other way; regressors, AdamW, best.

    In as many processes it is bit-identical; in others it has the same curve.
    """
    script("sharded.py", tmp_path, "begin")
    two("sharded.py", tmp_path, "two")
    script("sharded.py", tmp_path, "end")
    alone = torch.load(tmp_path / "begin0.pt")["whole"]
    whole = torch.load(tmp_path / "two0.pt")["whole"]
    for name in ("two0", "two1", "end0"):
        runs = torch.load(tmp_path / f"{name}.pt")
        if refused := runs.pop("refused", None):
            assert "does not hold" in refused[0]
            assert "fully_shard(model)" in refused[1]
        for case, run in runs.items():
            for key in ("losses", "last", "best", "student"):
                expected = alone[key][-len(run[key]) :]
                torch.testing.assert_close(
                    *(run[key], expected),
                    rtol=1e-4,
                    atol=2e-6,
                    msg=lambda m, w=(name, case, key): f"{w}: {m}",
                )
                if case == "2 to 2":
                    assert torch.equal(run[key], whole[key][-len(run[key]) :])
            assert len(run["losses"]) == (15 if case == "whole" else 8)
            plain = case.endswith("plain")
            assert run["files"] == ["run.ckpt"] + ([] if plain else ["run.ckpt.shards"]), case
    refuse_shards_that_hold_a_program_or_are_gone(tmp_path / "sharded2" / "run.ckpt")


def refuse_shards_that_hold_a_program_or_are_gone(file):
    (folder,) = file.parent.glob("run.ckpt.shards-*")
    (folder / ".metadata").write_bytes(pickle.dumps(print))
    with pytest.raises(ValueError, match="builtins.print is none of what describes tensors"):
        load_student(file, torch.nn.Identity())
    shutil.rmtree(folder)
    with pytest.raises(ValueError, match="the shards of .* cannot be read"):
        load_student(file, torch.nn.Identity())


def test_two_processes_equal_one(tmp_path, script, two):
    """Pitfalls 15, 21, 22, 24, with hint regressors, unequal label counts, clipping, accumulation.

    The gradient of all processes is that of one, sums and counts are divided once; validation and
    history are those of all the data; a NaN in one process stops both; coupled terms are refused.
    """
    two("two_processes.py", tmp_path)
    script("two_processes.py", tmp_path)
    alone, *ranks = (torch.load(tmp_path / f"{name}.pt") for name in ("alone", "rank0", "rank1"))
    for run in ("plain", "accumulated"):
        assert torch.equal(ranks[0][run]["weights"], ranks[1][run]["weights"])
        for rank in ranks:
            torch.testing.assert_close(rank[run]["weights"], alone[run]["weights"])
            assert all(rank[run]["grads"])
            for ours, expected in zip(rank[run]["history"], alone[run]["history"], strict=True):
                assert ours == pytest.approx(expected, rel=1e-4)
    for rank in ranks:
        assert "Coupled" in rank["coupled"]
        assert rank["nan"].startswith("NonFiniteLoss: SoftTargets is nan at step 4")


def test_killed_again_and_again_two_processes_are_the_same_run(tmp_path, script, two):
    """Pitfall 25: SIGKILL of one of two at random moments, on copies and sharded; torchrun too.

    No checkpoint is lost, none half written, and at the end every bit is that of a quiet run.
    TINYKD_KILLS=100 (make soak) kills as often of either kind.
    """
    kills = int(os.environ.get("TINYKD_KILLS", 2))
    done = script("kill_a_rank.py", tmp_path, kills, timeout=300 + 20 * kills)
    assert done.stdout.count("every bit the same") == 2, done.stdout
    print(done.stdout)
    again = tmp_path / "again"
    again.mkdir()
    two("kill_a_rank.py", again, options=("--max-restarts=1",))
    for rank in ("final0", "final1"):
        assert torch.equal(torch.load(again / rank), torch.load(tmp_path / "copies" / rank))


def test_ranks_share_the_data_draw_their_own_noise_and_stop_as_one(tmp_path, two):
    """Pitfalls 35, 40: sources share themselves out, one Ctrl-C stops all, a resume is the same."""
    two("ranks.py", tmp_path)
    ranks = [torch.load(tmp_path / f"rank{n}.pt") for n in (0, 1)]
    for name, shares in ranks[0]["sources"].items():
        ours, theirs = ([n for batch in rank["sources"][name] for n in batch] for rank in ranks)
        everyone = list(range(1, 9)) if name == "OnPolicy" else list(range(12))
        assert sorted(ours + theirs) == everyone, name
        pairs = zip(shares, ranks[1]["sources"][name], strict=True)
        assert all(len(a) - len(b) in (0, 1) for a, b in pairs), name
    for rank in ranks:
        assert rank["early"] == 3
        assert "2 trainable parameters got no gradient" in rank["unused"]
        assert "idle.weight" in rank["unused"]
        assert "process 1 of 2 has no batch" in rank["nothing"]
        assert "process 0 that of step 3, process 1 none" in rank["elsewhere"]
        for how in ("copies 1000", "shard 1000", "shard 10000"):  # one's disk is full, both say so
            said, step, left = rank[f"no room, {how}"]
            assert "could not be written" in said
            assert "what was saved before is still there" in said
            assert step == 6, how
            assert left == ["run.ckpt", "run.ckpt.shards"][: 1 + how.startswith("shard")]
        assert "stopped after step 7" in rank["stopped"]
        assert torch.equal(rank["resumed"], rank["whole"])
    assert torch.equal(ranks[0]["whole"], ranks[1]["whole"])
