"""Two processes are one: gloo over the loopback interface, started by torchrun."""

import socket

import pytest
import torch


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
