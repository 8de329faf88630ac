"""Which device and precision are chosen, and how processes meet: with machines that are made up."""

import os
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist

from tinykd import device


def machine(monkeypatch, cuda=False, mps=False, bf16=False):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: bf16 or including_emulation,
    )


def test_the_fastest_device_is_taken_and_torchrun_says_which(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    machine(monkeypatch)
    assert device.best_device() == torch.device("cpu")
    machine(monkeypatch, mps=True)
    assert device.best_device() == torch.device("mps")
    machine(monkeypatch, cuda=True, mps=True)
    assert device.best_device() == torch.device("cuda", 0)
    monkeypatch.setenv("RANK", "11")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert device.best_device() == torch.device("cuda", 3)


def test_bf16_is_for_what_multiplies_it_in_hardware(monkeypatch):
    machine(monkeypatch, cuda=True)
    assert device.best_precision() == "float32", "emulated is no hardware"
    machine(monkeypatch, cuda=True, bf16=True)
    assert device.best_precision() == device.best_precision("cuda:1") == "bf16"
    fast = SimpleNamespace(mkldnn=SimpleNamespace(_is_mkldnn_bf16_supported=lambda: True))
    monkeypatch.setattr(torch, "ops", fast)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    assert device.best_precision("cpu") == "bf16"
    assert device.best_precision("mps") == "float32", "the processor's instructions are not its"
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert device.best_precision("cpu") == "float32"


@pytest.fixture
def met(monkeypatch):
    """How the processes met: the arguments of torch's call, and the name of the store."""
    found = []
    monkeypatch.setattr(dist, "is_initialized", lambda: bool(found))
    monkeypatch.setattr(
        dist, "init_process_group", lambda backend, **more: found.append((backend, more))
    )
    monkeypatch.setattr(dist, "rendezvous", lambda where: iter([("a store", 1, 2)]))
    monkeypatch.setattr(dist, "PrefixStore", lambda prefix, store: (prefix, store))
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda one: found.append(one))
    for name in ("WORLD_SIZE", "TORCHELASTIC_RESTART_COUNT", "GROUP_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    return found


CPU, GPU = torch.device("cpu"), torch.device("cuda", 1)


def test_who_is_alone_meets_nobody(met, monkeypatch):
    assert device.join_process_group(CPU) == 1
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert device.join_process_group(CPU) == 1
    assert device.rank_and_ranks() == (0, 1)
    assert met == []


def test_processes_of_torchrun_meet_once(met, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert device.join_process_group(CPU) == device.join_process_group(CPU) == 2
    assert device.rank_and_ranks() == (1, 2)
    assert met == [("gloo", {})]


def test_each_process_has_a_gpu_of_its_own_before_they_meet(monkeypatch):
    done = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("TORCHELASTIC_RESTART_COUNT", raising=False)
    monkeypatch.setattr(torch.cuda, "set_device", done.append)
    monkeypatch.setattr(dist, "init_process_group", lambda backend: done.append(backend))
    device.join_process_group(GPU)
    assert done == [GPU, "nccl"]


@pytest.mark.parametrize(
    ("lives", "machines", "anew"), [("0", "1", False), ("2", "1", True), ("2", "3", False)]
)
def test_started_again_on_one_machine_they_meet_under_another_name(
    met, monkeypatch, lives, machines, anew
):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", lives)
    monkeypatch.setenv("GROUP_WORLD_SIZE", machines)
    device.join_process_group(CPU)
    store = {"store": (f"life {lives}", "a store"), "rank": 1, "world_size": 2}
    assert met == [("gloo", store if anew else {})]
    assert os.environ["WORLD_SIZE"] == "2"
