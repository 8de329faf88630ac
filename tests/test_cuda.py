"""What only a GPU can show; skipped only where there is none."""

import math
import warnings

import pytest
import torch
from torch import nn
from torch.optim import SGD

import tinykd.training.trainer
from tinykd import (
    MLP,
    Batches,
    CachedTeacher,
    HardLabels,
    Hint,
    SoftTargets,
    Trainer,
    cosine,
    cross_entropy,
    forward_kl,
    jsd,
    linear,
    reverse_kl,
)
from tinykd.batch import to_device
from tinykd.device import best_device

pytestmark = pytest.mark.cuda


def pieces(dropout=0.0, cached=None):
    torch.manual_seed(0)
    x, y = torch.rand(120, 16), torch.randint(3, (120,))
    student, teacher = MLP(16, 32, 3, dropout=dropout), MLP(16, 48, 3)
    objective = linear(0.9, 0.5) * SoftTargets(T=4) + 0.1 * HardLabels(label_smoothing=0.1)
    if cached:
        teacher = CachedTeacher.write(cached / "t", teacher, x)
    else:
        objective = objective + 5 * Hint("layers.0", "layers.0", nn.Linear(32, 48))
    return student, objective, teacher, Batches(x, y, size=10)


def fit(device, precision="float32", epochs=3, **settings):
    student, objective, teacher, batches = pieces()
    trainer = Trainer(
        *(student, objective, teacher, lambda ps: SGD(ps, 0.05, momentum=0.9)),
        device=device,
        precision=precision,
        progress=False,
        schedule=cosine(1, 0),
        **settings,
    )
    history = trainer.fit(batches, validate=batches, epochs=epochs)
    weights = torch.cat([p.detach().flatten().cpu() for p in trainer.net.parameters()])
    return weights, history


def test_the_gpu_is_chosen_and_follows_the_cpu():
    assert best_device().type == "cuda"
    gpu, history = fit(None)
    cpu, expected = fit("cpu")
    torch.testing.assert_close(gpu, cpu, rtol=1e-2, atol=1e-3)
    assert history[-1]["loss"] == pytest.approx(expected[-1]["loss"], rel=1e-2)
    assert history[-1]["val_loss"] == pytest.approx(expected[-1]["val_loss"], rel=1e-2)


def test_bf16_autocast_follows_float32():
    half, history = fit("cuda", "bf16")
    full, expected = fit("cuda")
    assert half.dtype == torch.float32
    assert not torch.equal(half, full)
    torch.testing.assert_close(half, full, rtol=0, atol=5e-2)
    assert history[-1]["loss"] == pytest.approx(expected[-1]["loss"], rel=5e-2)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("optimizer", [None, lambda ps: SGD(ps, 0.05, momentum=0.9)])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_step_never_synchronises(tmp_path, monkeypatch, cached, optimizer, precision):
    """Pitfall 27: CUDA itself raises where the host would wait within a step."""
    monkeypatch.setattr(tinykd.training.trainer, "READ_EVERY", 10**9)
    student, objective, teacher, batches = pieces(dropout=0.5, cached=tmp_path if cached else None)
    trainer = Trainer(
        *(student, objective, teacher, optimizer),
        device="cuda",
        precision=precision,
        clip=1.0,
        accumulate=2,
        progress=False,
    )
    trainer.fit(batches)  # the first steps set things up: streams, handles, optimizer state
    update, steps = trainer._update, []

    def watched(group):
        torch.cuda.set_sync_debug_mode("error")
        try:
            update(group)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        steps.append(trainer.step)

    monkeypatch.setattr(trainer, "_update", watched)
    trainer.fit(batches)
    assert steps == [1, 2, 3, 4, 5, 6]


def test_copies_are_pinned_and_not_waited_for():
    """Pitfall 27: a batch goes over without a synchronisation, the index stays behind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.cuda.set_sync_debug_mode("error")
        try:
            batch = to_device(
                {"inputs": torch.rand(8, 4), "labels": torch.arange(8), "index": torch.arange(8)},
                torch.device("cuda"),
            )
        finally:
            torch.cuda.set_sync_debug_mode("default")
    torch.cuda.synchronize()
    assert batch["inputs"].is_cuda
    assert batch["labels"].tolist() == list(range(8))
    assert batch["index"].device.type == "cpu"


def test_nan_is_found_at_a_look_and_never_saved(tmp_path):
    student, objective, teacher, batches = pieces()
    trainer = Trainer(
        *(student, objective, teacher),
        device="cuda",
        progress=False,
        checkpoint=tmp_path / "c",
        checkpoint_every=4,
    )
    batches.shuffle = False
    batches.inputs[65] = math.nan
    with pytest.raises(tinykd.NonFiniteLoss) as error:
        trainer.fit(batches)
    assert (error.value.step, error.value.batch) == (6, 6)
    saved = tinykd.files.load(tmp_path / "c")
    assert saved["step"] == 4
    assert all(torch.isfinite(v).all() for v in saved["parts"]["net"].values())


def test_a_stopped_run_goes_on(tmp_path):
    """Pitfall 25: with dropout from the GPU's own dice, as close as the GPU's arithmetic is."""
    settings = {"checkpoint": tmp_path / "c", "checkpoint_every": 5}
    expected, _ = fit("cuda", **settings)
    (tmp_path / "c").unlink()

    class Stopped(BaseException):
        pass

    def stop(trainer):
        if trainer.step == 17:
            raise Stopped

    with pytest.raises(Stopped):
        fit("cuda", callbacks=[stop], **settings)
    student, objective, teacher, batches = pieces()
    trainer = Trainer(
        *(student, objective, teacher, lambda ps: SGD(ps, 0.05, momentum=0.9)),
        device="cuda",
        progress=False,
        schedule=cosine(1, 0),
        **settings,
    )
    trainer.fit(batches, validate=batches, epochs=3, resume=True)
    weights = torch.cat([p.detach().flatten().cpu() for p in trainer.net.parameters()])
    torch.testing.assert_close(weights, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("f", [forward_kl, reverse_kl, jsd])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_losses_in_half_precision(f, dtype):
    """Pitfall 9: on the GPU too: half in, float32 inside, finite gradients at T = 50."""
    s, t = (torch.randn(2, 64, 1000, device="cuda") * 5).to(dtype)
    s.requires_grad_()
    value = f(s, t, 50.0)
    value.sum().backward()
    exact = f(s.detach().double().cpu(), t.double().cpu(), 50.0)
    assert torch.isfinite(s.grad).all()
    torch.testing.assert_close(value.detach().double().cpu(), exact, rtol=1e-2, atol=1e-4)


def test_cross_entropy_with_ignored_labels():
    logits, labels = torch.randn(32, 10, device="cuda"), torch.randint(10, (32,), device="cuda")
    labels[::3] = -100
    ours = cross_entropy(logits, labels, 0.1)
    expected = nn.functional.cross_entropy(logits, labels, label_smoothing=0.1, reduction="none")
    torch.testing.assert_close(ours, expected)
