"""Two processes are one: gloo over the loopback interface, started by torchrun."""

import socket

import pytest
import torch

pytestmark = pytest.mark.slow


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_two_processes_equal_one(tmp_path, script, child_env):
    """Pitfalls 15, 21, 22, 24, with hint regressors, unequal label counts, clipping, accumulation.

    The gradient of all processes is that of one, sums and counts are divided once; validation and
    history are those of all the data; a NaN in one process stops both; coupled terms are refused.
    """
    child_env["GLOO_SOCKET_IFNAME"] = "lo"
    torchrun = (
        *("-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"),
        f"--master-port={free_port()}",
    )
    script("two_processes.py", tmp_path, launcher=torchrun)
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


def test_ranks_share_the_data_draw_their_own_noise_and_stop_as_one(tmp_path, script, child_env):
    """Pitfalls 35, 40: sources share themselves out, one Ctrl-C stops all, a resume is the same."""
    child_env["GLOO_SOCKET_IFNAME"] = "lo"
    torchrun = (
        *("-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"),
        f"--master-port={free_port()}",
    )
    script("ranks.py", tmp_path, launcher=torchrun)
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
        assert "stopped after step 5" in rank["stopped"]
        assert torch.equal(rank["resumed"], rank["whole"])
    assert torch.equal(ranks[0]["whole"], ranks[1]["whole"])
