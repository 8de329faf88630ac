"""What people bring: data, files and habits that public code silently gets wrong (pitfalls 30-40).

One section a kind. Whatever is wrong is refused in words, or does what its user meant.
"""

import collections
import functools
import math
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, TensorDataset

import tinykd
from tinykd import (
    MLP,
    Batches,
    CachedTeacher,
    Capture,
    HardLabels,
    Hint,
    NonFiniteLoss,
    SoftLabels,
    SoftTargets,
    Term,
    Trainer,
    evaluate,
    linear,
    load_student,
    next_token_labels,
    predict,
)
from tinykd.lm import Chunked, Config, Headless, HiddenStates, Transformer


def sgd(parameters):
    return SGD(parameters, 0.1)


def fit(model, objective, batches, teacher=None, epochs=1, resume=False, **settings):
    """A short run; what `fit` takes is told from what the trainer takes by its name."""
    own = {k: settings.pop(k) for k in ("validate", "patience", "monitor", "mode") if k in settings}
    settings.setdefault("optimizer", sgd)
    trainer = Trainer(model, objective, teacher, **{"device": "cpu", "progress": False, **settings})
    trainer.fit(batches, epochs=epochs, resume=resume, **own)
    return trainer


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def samples(n=12, width=4, classes=3):
    torch.manual_seed(1)
    return torch.randn(n, width), torch.randint(classes, (n,))


# ---- 1. Masked is absent ----


class PerPosition(nn.Module):
    """Logits (B, T, 3) of inputs (B, T, 4)."""

    def __init__(self, poison=None):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.poison = nn.Linear(4, 3), poison

    def forward(self, x):
        z = self.layer(x)
        return z if self.poison is None else z.masked_fill(self.poison[..., None], math.nan)


def by_position():
    torch.manual_seed(2)
    x, y = torch.randn(5, 6, 4), torch.randint(3, (5, 6))
    mask = torch.rand(5, 6) < 0.6
    return x, y, mask


@pytest.mark.parametrize("side", ["student", "teacher", "labels"])
@pytest.mark.parametrize("how", ["mask", "label"])
def test_what_stands_at_a_masked_position_changes_no_bit(side, how):
    """Pitfall 30, 31: NaN or garbage where nothing counts: same loss, same weights."""
    x, y, mask = by_position()
    ends = []
    for dirty in (False, True):
        student, teacher = PerPosition(), PerPosition()
        nn.init.normal_(teacher.layer.weight, generator=torch.Generator().manual_seed(3))
        labels = y.clone()
        if dirty and side != "labels":
            {"student": student, "teacher": teacher}[side].poison = ~mask
        batch = {"inputs": x, "labels": labels}
        if how == "mask":
            batch["mask"] = mask
            if dirty and side == "labels":
                labels[~mask] = 77  # no class at all
        else:
            labels[~mask] = -100
        trainer = fit(student, 0.5 * SoftTargets(T=2) + 0.5 * HardLabels(), [batch] * 3, teacher)
        ends.append((weights(student), trainer.history[0]["loss"]))
    assert torch.equal(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1]


def test_masked_and_deleted_positions_are_the_same():
    x, y, mask = by_position()
    masked = fit(PerPosition(), HardLabels(), [{"inputs": x, "labels": y, "mask": mask}])
    deleted = fit(PerPosition(), HardLabels(), [{"inputs": x[mask], "labels": y[mask]}])
    torch.testing.assert_close(weights(masked.model), weights(deleted.model))


def test_padding_that_is_nan_inside_a_layer_does_not_reach_the_regressor():
    """Pitfall 30 for terms on layers: 0 * NaN in the regressor's weight."""
    real = torch.tensor([[1, 1, 0], [1, 0, 0]]).bool()
    states = torch.randn(2, 3, 4)
    term, ends = HiddenStates("s", "t", nn.Linear(4, 5)), []
    for dirty in (False, True):
        term.zero_grad()
        own = states.masked_fill(~real[..., None] & torch.tensor(dirty), math.nan)
        out = tinykd.Outputs(
            {"attention_mask": real}, None, None, {"s": own}, {"t": torch.ones(2, 3, 5)}
        )
        term.per_position(out)[real].sum().backward()
        ends.append(term.regressor.weight.grad.clone())
    assert torch.equal(*ends)


def test_a_chunked_loss_takes_masked_positions_out_too():
    model = Transformer(Config(vocab=11, width=8, layers=1, heads=2))
    x = torch.randint(11, (2, 5))
    labels = torch.randint(11, (10,))
    ends = []
    for garbage in (3, 9):
        x2, own = x.clone(), labels.clone()
        own[4], own[9] = -100, -100
        x2[:, 4] = garbage  # the last token of a row: nobody who counts sees it
        student = Headless(Transformer(model.config))
        student.model.load_state_dict(model.state_dict())
        batch = {"input_ids": x2, "labels": own, "positions": torch.arange(10)}
        trainer = fit(student, Chunked(HardLabels(), size=3), [batch])
        ends.append(trainer.history[0]["loss"])
    assert ends[0] == ends[1]


@pytest.mark.parametrize("how", ["mask", "label"])
def test_a_batch_without_a_position_that_counts_is_an_error(how):
    """Pitfall 31: not a loss of 0.0, and the weights stay as they were."""
    x, y = samples()
    batch = {"inputs": x, "labels": y, "mask": torch.zeros(12, dtype=torch.bool)}
    if how == "label":
        batch = {"inputs": x, "labels": torch.full_like(y, -100)}
    model = MLP(4, 3)
    before = weights(model)
    with pytest.raises(ValueError, match="no position counts at step 0"):
        fit(model, SoftTargets(), [batch], MLP(4, 3))
    assert torch.equal(weights(model), before)


def test_unlabelled_samples_train_on_soft_targets_alone():
    """The documented way: another ignore_index takes the position out of this term only."""
    x, y = samples()
    y[:6] = -1
    objective = HardLabels(ignore_index=-1) + SoftTargets()
    trainer = fit(MLP(4, 3), objective, [(x, y)], MLP(4, 3))
    assert trainer.objective.counts({"inputs": x, "labels": y}).tolist() == [6, 12]


class Bomb(torch.autograd.Function):
    """Finite going forward, NaN going backward."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, slope):
        return slope * math.nan


def test_a_gradient_that_is_not_finite_stops_the_run_before_the_weights_change():
    class Model(MLP):
        def forward(self, x):
            return Bomb.apply(super().forward(x)) if self.armed else super().forward(x)

    model, (x, y) = Model(4, 3), samples()
    model.armed = False
    seen = []

    def arm(trainer):
        seen.append(weights(model))
        model.armed = trainer.step == 3

    with pytest.raises(NonFiniteLoss, match="gradient is nan at step 3") as error:
        fit(model, HardLabels(), [(x, y)] * 5, callbacks=[arm])
    assert error.value.term == "gradient"
    assert torch.equal(weights(model), seen[-1])


# ---- 2. Hugging Face batches ----


class Causal(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(11, 8), nn.Linear(8, 11)

    def forward(self, input_ids, attention_mask=None):
        return SimpleNamespace(logits=self.head(self.embed(input_ids)))


def rows_of_tokens():
    torch.manual_seed(4)
    ids = torch.randint(11, (6, 7))
    labels = ids.clone()
    labels[:, :2] = -100
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


def test_labels_that_are_the_inputs_are_refused_with_the_way_out():
    """Pitfall 32: today's loss would be that of copying."""
    batch = rows_of_tokens()
    with pytest.raises(ValueError, match="learn to copy.*next_token_labels"):
        fit(Causal(), HardLabels(), [batch])
    moved = next_token_labels(batch)
    model = Causal()
    trainer = fit(model, HardLabels(), [moved])
    logits = Causal()(batch["input_ids"]).logits
    expected = F.cross_entropy(  # as Hugging Face's causal models shift
        logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=-100
    )
    assert trainer.history[0]["loss"] == pytest.approx(expected.item())


def test_tags_of_tokens_are_labels_like_any_others():
    batch = rows_of_tokens()
    batch["labels"] = (batch["input_ids"] + 1) % 3
    model = Causal()
    logits = model(batch["input_ids"]).logits
    expected = F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten())  # nothing is moved
    trainer = fit(model, HardLabels(), [batch])
    assert trainer.history[0]["loss"] == pytest.approx(expected.item())


def test_dict_batches_are_predicted_evaluated_and_cached(tmp_path):
    batch = {**rows_of_tokens(), "index": torch.arange(6)}
    batch["labels"] = (batch["labels"] + 1).clamp_min(-100) % 11
    model = Causal().eval()
    logits = model(batch["input_ids"]).logits
    torch.testing.assert_close(predict(model, batch, batch_size=4), logits)
    halves = [{k: v[part] for k, v in batch.items()} for part in (slice(0, 3), slice(3, 6))]
    torch.testing.assert_close(predict(model, halves), logits)
    loader = DataLoader(TensorDataset(*samples()), batch_size=5)
    small = MLP(4, 3)
    torch.testing.assert_close(predict(small, loader), small(samples()[0]))
    found = evaluate(model, halves, by_class=True)
    right = logits.argmax(-1) == batch["labels"]
    assert found["accuracy"] == pytest.approx(right.float().mean().item())
    for c in range(11):
        mine = right[batch["labels"] == c]
        expected = mine.float().mean().item() if len(mine) else math.nan
        assert found[f"accuracy[{c}]"] == pytest.approx(expected, nan_ok=True)
    assert predict(small, [samples()[0]]).shape == (12, 3)  # batches that are tensors


# ---- 3. What the caller set stays ----


def test_a_scheduler_stepped_in_a_callback_is_left_alone():
    """Pitfall 33."""
    model = MLP(4, 3)
    optimizer = SGD(model.parameters(), 0.1)
    scheduler = StepLR(optimizer, 2, gamma=0.5)
    rates = []

    def step(trainer):
        rates.append(optimizer.param_groups[0]["lr"])
        scheduler.step()

    fit(model, HardLabels(), [samples()] * 5, optimizer=optimizer, callbacks=[step])
    assert rates == [0.1, 0.1, 0.05, 0.05, 0.025]


def test_two_schedulers_are_refused():
    model = MLP(4, 3)
    optimizer = SGD(model.parameters(), 0.1)
    scheduler = StepLR(optimizer, 1, gamma=0.5)
    settings = {"optimizer": optimizer, "callbacks": [lambda t: scheduler.step()]}
    with pytest.raises(ValueError, match=r"set to \[0\.1\].*changed to \[0\.05\]"):
        fit(model, HardLabels(), [samples()] * 3, schedule=linear(1, 0), **settings)


def test_a_torch_scheduler_is_stepped_once_a_step_and_resumed(tmp_path):
    def run(epochs, resume=False):
        torch.manual_seed(0)
        model = MLP(4, 3)
        optimizer = SGD(model.parameters(), 0.1)
        schedule = StepLR(optimizer, 2, gamma=0.5)
        settings = {"optimizer": optimizer, "schedule": schedule, "checkpoint": tmp_path / "c"}
        return fit(model, HardLabels(), [samples()] * 3, epochs=epochs, resume=resume, **settings)

    whole = run(4)
    assert [r["lr"] for r in whole.history] == [0.05, 0.0125, 0.00625, 0.0015625]
    (tmp_path / "c").unlink()
    run(2)
    again = run(4, resume=True)
    assert torch.equal(weights(again.model), weights(whole.model))
    other = SGD(MLP(4, 3).parameters(), 0.1)
    with pytest.raises(ValueError, match="another optimizer"):
        fit(MLP(4, 3), HardLabels(), [samples()], schedule=StepLR(other, 1))


@pytest.mark.parametrize("arrives", ["train", "eval"])
def test_modes_are_respected_and_come_back(arrives):
    """A BatchNorm that the caller froze stays frozen; a model in eval mode trains in train mode."""
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 3))
    model.train(arrives == "train")
    model[1].eval()
    before = [m.training for m in model.modules()]
    mean = model[1].running_mean.clone()
    seen = []
    model[1].register_forward_hook(lambda m, i, o: seen.append((m.training, model.training)))
    fit(model, HardLabels(), [samples()] * 3)
    assert seen == [(arrives == "eval", True)] * 3
    assert torch.equal(model[1].running_mean, mean) == (arrives == "train")
    assert [m.training for m in model.modules()] == before


def test_a_teacher_keeps_its_mode_even_after_an_error():
    teacher = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
    with pytest.raises(ValueError, match="batch"):
        fit(MLP(4, 3), SoftTargets(), [samples(), 3], teacher)
    assert all(m.training for m in teacher.modules())


def test_validation_runs_in_the_precision_of_training():
    kinds = []
    model = MLP(4, 3)
    model.register_forward_hook(lambda m, i, o: kinds.append(o.dtype))
    fit(model, HardLabels(), [samples()], validate=[samples()], precision="bf16")
    fit(
        model, HardLabels(), [samples()], precision="bf16", validate=lambda m: m(samples()[0]).sum()
    )
    assert set(kinds) == {torch.bfloat16}


# ---- 4. Early stopping ----


@pytest.mark.parametrize(
    ("values", "name", "mode", "stops", "best"),
    [
        ([0.5, 0.6, 0.7, 0.8], "val_accuracy", None, 4, 4),  # improving, and not stopped
        ([0.5, 0.9, 0.7, 0.8, 0.95], "agreement", None, 4, 2),
        ([math.nan, 3.0, 2.0, 2.5, 2.6, 1.0], "val_loss", None, 5, 3),  # NaN is not the best
        ([1.0, math.nan, math.nan, 0.5], "loss", None, 3, 1),
        ([1.0, 2.0, 3.0], "progress made", "max", 3, 3),
        ([1.0, 2.0, 3.0], "validate", "min", 3, 1),
    ],
)
def test_early_stopping_knows_what_is_better_and_brings_it_back(
    capsys, values, name, mode, stops, best
):
    """Pitfall 34."""
    model, kept = MLP(4, 3), []

    def validate(m):
        kept.append(weights(m))
        return {name: values[len(kept) - 1]}

    settings = {"validate": validate, "patience": 2, "mode": mode}
    trainer = fit(model, HardLabels(), [samples()], epochs=len(values), **settings)
    assert len(trainer.history) == stops
    assert torch.equal(weights(model), kept[best - 1])
    said = capsys.readouterr().out
    assert (f"{name} was best in epoch {best}" in said) == (stops - best == 2)


def test_early_stopping_that_cannot_work_is_refused():
    with pytest.raises(ValueError, match="patience=2 needs something to watch"):
        fit(MLP(4, 3), HardLabels(), [samples()], patience=2)
    with pytest.raises(ValueError, match="is a higher 'validate' better or worse"):
        fit(MLP(4, 3), HardLabels(), [samples()], patience=2, validate=lambda m: 1.0)
    settings = {"patience": 2, "validate": [samples()], "monitor": "x"}
    with pytest.raises(ValueError, match=r"gives \['val_loss', 'val_accuracy'\], and no 'x'"):
        fit(MLP(4, 3), HardLabels(), [samples()], **settings)
    with pytest.raises(ValueError, match="patience is 0"):
        fit(MLP(4, 3), HardLabels(), [samples()], patience=0, validate=[samples()])


def test_the_best_weights_survive_a_restart(tmp_path):
    values, seen = [3.0, 1.0, 2.0, 2.5], {}

    def validate(m):
        seen[len(seen)] = weights(m)
        return {"loss": values[len(seen) - 1]}

    settings = {"validate": validate, "patience": 2, "checkpoint": tmp_path / "c"}
    torch.manual_seed(0)
    fit(MLP(4, 3), HardLabels(), [samples()], epochs=3, **settings)
    model = MLP(4, 3)
    fit(model, HardLabels(), [samples()], epochs=9, resume=True, **settings)
    assert len(seen) == 4
    assert torch.equal(weights(model), seen[1])
    assert torch.equal(weights(load_student(tmp_path / "c", MLP(4, 3))), seen[1])


# ---- 5. History ----


def test_history_reports_each_step_at_its_own_weights():
    """Not the weights of the end: with linear(1, 0) the loss was 0.0."""
    x, y = samples()
    found = []

    class Note(Term):
        def per_position(self, out):
            values = F.cross_entropy(out.student, out.batch["labels"], reduction="none")
            found.append((out.progress, values.mean().item()))
            return values

    trainer = fit(MLP(4, 3), linear(1, 0) * Note(), [(x, y)] * 4)
    expected = sum((1 - p) * value for p, value in found) / 4
    assert trainer.history[0]["loss"] == pytest.approx(expected, rel=1e-5)
    assert trainer.history[0]["Note"] == pytest.approx(sum(v for _, v in found) / 4, rel=1e-5)


# ---- 6. Resume is the same run, or refused ----


class Halt(Exception):
    pass


def halting(step):
    def callback(trainer):
        if trainer.step == step:
            raise Halt

    return callback


def resumed(folder, make, change=None, at=5, epochs=3):
    """Run whole; then stop at a step and go on, with `change`d settings. Returns both ends."""
    ends = []
    for stop in (None, at):
        path = folder / f"{stop}.ckpt"
        torch.manual_seed(0)
        settings = make()
        model = MLP(4, 8, 3, dropout=0.3)
        model.start = {k: v.clone() for k, v in model.state_dict().items()}
        settings |= {"checkpoint": path, "checkpoint_every": 1}
        if stop:
            with pytest.raises(Halt):
                fit(model, **settings, epochs=epochs, callbacks=[halting(stop)])
            torch.manual_seed(77)
            np.random.seed(7)
            model, settings = MLP(4, 8, 3, dropout=0.3), make() | (change() if change else {})
            settings |= {"checkpoint": path, "checkpoint_every": 1}
            fit(model, **settings, epochs=epochs, resume=True, callbacks=[lambda t: None])
        else:
            fit(model, **settings, epochs=epochs, callbacks=[lambda t: None])
        ends.append(weights(model))
    return ends


def base(**more):
    x, y = samples(12)
    teacher = MLP(4, 3)
    with torch.no_grad():
        for p in teacher.parameters():
            p.copy_(torch.linspace(-1, 1, p.numel()).view(p.shape))
    settings = {
        "objective": 0.5 * SoftTargets(T=2) + HardLabels(),
        "batches": Batches(x, y, size=4),
        "teacher": teacher,
    }
    return settings | more


class Noisy(Dataset):
    """Adds noise from where it is told to."""

    def __init__(self, source):
        self.source, (self.x, self.y) = source, samples(12)
        self.own = np.random.default_rng(3)

    def __len__(self):
        return 12

    def __getitem__(self, i):
        noise = {
            "own": lambda: torch.from_numpy(self.own.normal(size=4)).float(),
            "torch": lambda: torch.randn(4),
            "none": lambda: torch.zeros(4),
        }[self.source]()
        return self.x[i] + noise, self.y[i]


def seeded():
    return torch.Generator().manual_seed(9)


def batch_sampler():
    order = RandomSampler(range(12), generator=seeded())
    return DataLoader(Noisy("none"), batch_sampler=BatchSampler(order, 4, False))


class OwnOrder:
    """A batch sampler of one's own with a NumPy generator."""

    def __init__(self):
        self.rng = np.random.default_rng(1)

    def __iter__(self):
        return iter(self.rng.permutation(12).reshape(3, 4).tolist())

    def __len__(self):
        return 3


LOADERS = {
    "batch_sampler with a generator": batch_sampler,
    "batch_sampler of one's own": lambda: DataLoader(Noisy("none"), batch_sampler=OwnOrder()),
    "a data set with a generator": lambda: DataLoader(Noisy("own"), batch_size=4, shuffle=True),
    "noise from torch": lambda: DataLoader(Noisy("torch"), batch_size=4, shuffle=True),
    "workers": lambda: DataLoader(Noisy("torch"), batch_size=4, num_workers=1, shuffle=True),
    "workers that persist, no noise": lambda: DataLoader(
        Noisy("none"), batch_size=4, num_workers=1, shuffle=True, persistent_workers=True
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("at", [2, 4, 5])
@pytest.mark.parametrize("loader", LOADERS)
def test_any_loader_goes_on_as_the_same_run(tmp_path, loader, at):
    """Pitfall 35: also at the end of an epoch (after step 3), where nothing is skipped."""
    one, other = resumed(tmp_path, lambda: base(batches=LOADERS[loader]()), at=at)
    assert torch.equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("at", [5, 7])  # in an epoch, and at the beginning of one
def test_workers_with_a_memory_are_refused(tmp_path, at):
    def make():
        kept = {"num_workers": 1, "persistent_workers": True}
        return base(batches=DataLoader(Noisy("torch"), batch_size=4, shuffle=True, **kept))

    with pytest.raises(ValueError, match="epoch 2 are not those.*persistent_workers"):
        resumed(tmp_path, make, at=at)


CHANGES = {
    "another seed": (lambda: {"batches": Batches(*samples(12), size=4, seed=1)}, "batches.seed"),
    "another accumulate": (lambda: {"accumulate": 3}, "accumulate was 1, is 3"),
    "another T": (lambda: {"objective": 0.5 * SoftTargets(T=3) + HardLabels()}, "objective was"),
    "another weight": (lambda: {"objective": 0.4 * SoftTargets(T=2) + HardLabels()}, "objective"),
    "another teacher": (lambda: {"teacher": MLP(4, 3)}, "teacher was"),
    "another rate": (lambda: {"optimizer": lambda ps: SGD(ps, 0.2)}, "optimizer was"),
    "another precision": (lambda: {"precision": "bf16"}, "precision was float32"),
    "another clip": (lambda: {"clip": 1.0}, "clip was None"),
    "other labels": (
        lambda: {"batches": Batches(samples(12)[0], (samples(12)[1] + 1) % 3, size=4)},
        "not those that the checkpoint",
    ),
    "fewer samples": (lambda: {"batches": Batches(*samples(9), size=4)}, "batches.samples"),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_another_run_is_refused(tmp_path, change):
    """Pitfall 35: what was used is remembered and compared."""
    make, words = CHANGES[change]
    with pytest.raises(ValueError, match=words):
        resumed(tmp_path, base, make)


def test_a_list_of_other_batches_is_refused(tmp_path):
    x, y = samples(12)
    parts = [(x[i : i + 4], y[i : i + 4]) for i in (0, 4, 8)]
    with pytest.raises(ValueError, match="not those that the checkpoint"):
        resumed(tmp_path, lambda: base(batches=parts), lambda: {"batches": parts[::-1]})
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="3 batches an epoch, this run has 2"):
        resumed(tmp_path / "other", lambda: base(batches=parts), lambda: {"batches": parts[:2]})


def test_a_shorter_stream_is_said_in_words(tmp_path):
    """No StopIteration from inside."""

    class Stream:
        def __init__(self, n):
            self.n = n

        def __iter__(self):
            return iter([samples()] * self.n)

    with pytest.raises(ValueError, match="2 batches into epoch 2, but batches ends after 1"):
        resumed(tmp_path, lambda: base(batches=Stream(3)), lambda: {"batches": Stream(1)}, at=6)


def test_other_epochs_are_refused_where_a_schedule_depends_on_them(tmp_path):
    settings = {"checkpoint": tmp_path / "c"}
    fit(MLP(4, 3), linear(1, 0) * HardLabels(), [samples()] * 3, epochs=2, **settings)
    with pytest.raises(ValueError, match="epochs was 2, is 3"):
        fit(
            MLP(4, 3),
            linear(1, 0) * HardLabels(),
            [samples()] * 3,
            epochs=3,
            resume=True,
            **settings,
        )


@pytest.mark.slow
def test_token_batches_that_differ_in_number_resume(tmp_path):
    """SequenceBatches(tokens=...) cuts epochs into different numbers: they are not refused."""
    from tinykd.lm import SequenceBatches

    rng = np.random.default_rng(0)
    examples = [
        (rng.integers(11, size=n).tolist(), rng.integers(11, size=m).tolist())
        for n, m in rng.integers(1, 19, size=(160, 2))
    ]

    def make():
        return SequenceBatches(examples, tokens=40)

    lengths = {len(list(batches)) for batches in [make()] for _ in range(20)}
    assert len(lengths) > 1  # the case is there
    ends = []
    for stop in (None, 90):  # in the second epoch
        torch.manual_seed(0)
        path = tmp_path / f"{stop}"
        settings = {"checkpoint": path, "checkpoint_every": 17, "schedule": linear(1, 0)}
        model = Transformer(Config(vocab=11, width=8, layers=1, heads=2))
        if stop:
            with pytest.raises(Halt):
                fit(model, HardLabels(), make(), epochs=2, callbacks=[halting(stop)], **settings)
            model = Transformer(model.config)
            used = make()
            list(used)  # somebody has looked at an epoch of it
            fit(
                model,
                HardLabels(),
                used,
                epochs=2,
                resume=True,
                callbacks=[lambda t: None],
                **settings,
            )
        else:
            fit(model, HardLabels(), make(), epochs=2, callbacks=[lambda t: None], **settings)
        ends.append(weights(model))
    assert torch.equal(*ends)


# ---- 7. Checkpoints can be read back ----


class Stateful:
    def __init__(self, **state):
        self.state = state

    def __call__(self, trainer):
        pass

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state


PLAIN = {
    "number": np.float32(0.5),
    "integer": np.int64(3),
    "array": np.arange(3),
    "path": Path("a") / "b",
    "nested": {"a": [1, (2.0, None)], "b": {3}},
}


@pytest.mark.parametrize("kind", PLAIN)
def test_what_is_saved_is_read_back(tmp_path, kind):
    """Pitfall 36."""
    settings = {"checkpoint": tmp_path / "c"}
    fit(MLP(4, 3), HardLabels(), [samples()], callbacks=[Stateful(x=PLAIN[kind])], **settings)
    again = Stateful()
    fit(MLP(4, 3), HardLabels(), [samples()], epochs=2, resume=True, callbacks=[again], **settings)
    assert np.array_equal(again.state["x"], PLAIN[kind])
    assert type(again.state["x"]) is type(PLAIN[kind])


@pytest.mark.parametrize("value", [collections.deque([1]), print, object(), nn.Linear(1, 1)])
def test_what_could_not_be_read_back_is_refused_before_training(tmp_path, value):
    model = MLP(4, 3)
    before = weights(model)
    settings = {"callbacks": [Stateful(deep=[0, value])], "checkpoint": tmp_path / "c"}
    with pytest.raises(ValueError, match=r"callbacks\[0\].*\['deep'\]\[1\] is a"):
        fit(model, HardLabels(), [samples()], **settings)
    assert torch.equal(weights(model), before)


def test_a_state_that_turns_bad_later_leaves_the_old_checkpoint(tmp_path):
    path, state = tmp_path / "c", Stateful(x=1)

    def spoil(trainer):
        state.state = {"x": collections.deque()} if trainer.epoch == 1 else {"x": 1}

    with pytest.raises(
        ValueError, match=r"was not written: state\['parts'\]\['callback 0, Stateful'\]\['x'\]"
    ):
        fit(
            MLP(4, 3),
            HardLabels(),
            [samples()],
            epochs=3,
            callbacks=[state, spoil],
            checkpoint=path,
        )
    assert tinykd.files.load(path)["epoch"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_a_validation_that_fails_loses_no_epoch(tmp_path):
    calls = []

    def validate(model):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("disk full")
        return {"loss": 1.0}

    ends = []
    for bad in (False, True):
        torch.manual_seed(0)
        model, path = MLP(4, 3, dropout=0.2), tmp_path / f"{bad}"
        settings = {"checkpoint": path, "validate": validate}
        calls[:] = [] if bad else [0, 0]
        if bad:
            with pytest.raises(RuntimeError, match="disk full"):
                fit(model, HardLabels(), base()["batches"], epochs=3, **settings)
            assert tinykd.files.load(path)["step"] == 6
            model = MLP(4, 3, dropout=0.2)
        fit(model, HardLabels(), base()["batches"], epochs=3, resume=bad, **settings)
        ends.append(weights(model))
    assert torch.equal(*ends)


def test_a_forgotten_resume_destroys_nothing(tmp_path):
    """Pitfall 36: five epochs are worth a question."""
    path = tmp_path / "c"
    fit(MLP(4, 3), HardLabels(), [samples()], epochs=5, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="resume=True"):
        fit(MLP(4, 3), HardLabels(), [samples()], epochs=5, checkpoint=path)
    assert path.read_bytes() == before


def test_the_student_comes_out_of_a_checkpoint(tmp_path):
    teacher, path = MLP(4, 5, 3), tmp_path / "c"
    objective = SoftTargets() + Hint("layers.0", "layers.0", nn.Linear(8, 5))
    model = MLP(4, 8, 3)
    trainer = fit(model, objective, [samples()], teacher, checkpoint=path)
    assert torch.equal(weights(load_student(path, MLP(4, 8, 3))), weights(model))
    state = trainer.state_dict()
    other = Trainer(MLP(4, 8, 3), objective, teacher, sgd, device="cpu", progress=False)
    other.fit([samples()], epochs=1)
    other.load_state_dict(state)
    assert torch.equal(weights(other.model), weights(model))
    torch.save({"x": 1}, tmp_path / "d")
    with pytest.raises(ValueError, match="was not written by Trainer"):
        load_student(tmp_path / "d", MLP(4, 8, 3))


# ---- 13. Hooks ----


def test_a_captured_layer_is_what_it_returned():
    """Pitfall 39: the next layer works in place."""
    model, x = nn.Sequential(nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Linear(5, 3)), samples()[0]
    with Capture(model, ["0"]) as acts:
        model(x).sum().backward()
        torch.testing.assert_close(acts["0"], model[0](x))
        assert (acts["0"] < 0).any()
    model.zero_grad()
    with Capture(model, ["0"]) as acts:
        model(x)
        acts["0"].sum().backward()  # gradients flow through it
    torch.testing.assert_close(model[0].bias.grad, torch.full((5,), 12.0))


# ---- several layers, several teachers, labels that are shares ----


def test_several_layers_of_a_term_are_their_sum():
    teacher, both = MLP(4, 6, 7, 3), []
    for objective in (
        lambda r: Hint(("layers.0", "layers.1"), ("layers.0", "layers.1"), r),
        lambda r: Hint("layers.0", "layers.0", r[0]) + Hint("layers.1", "layers.1", r[1]),
    ):
        torch.manual_seed(0)
        model, regressors = MLP(4, 8, 9, 3), [nn.Linear(8, 6), nn.Linear(9, 7)]
        trainer = fit(model, objective(regressors), [samples()] * 3, teacher)
        both.append((weights(model), weights(regressors[1]), trainer.history[0]["loss"]))
    torch.testing.assert_close(*both)
    with pytest.raises(ValueError, match="Hint pairs layers"):
        Hint(("a", "b"), "c")


def test_several_teachers_by_name():
    a, b = MLP(4, 3), MLP(4, 6, 3)
    objective = 0.3 * SoftTargets(T=2, teacher="a") + 0.7 * SoftTargets(T=4, teacher="b")
    objective = objective + Hint("layers.0", "layers.0", nn.Linear(3, 6), teacher="b")
    model, (x, y) = MLP(4, 3), samples()
    z = model(x)
    expected = 0.3 * tinykd.forward_kl(z, a(x), 2.0) + 0.7 * tinykd.forward_kl(z, b(x), 4.0)
    hint = (objective.terms[2].regressor(z) - b.layers[0](x)).square().mean(1)
    trainer = fit(model, objective, [(x, y)], {"a": a, "b": b})
    assert trainer.history[0]["loss"] == pytest.approx((expected + hint).mean().item(), rel=1e-5)
    with pytest.raises(ValueError, match=r"which teacher\? There are \['a', 'b'\]"):
        fit(MLP(4, 3), SoftTargets(), [(x, y)], {"a": a, "b": b})
    with pytest.raises(ValueError, match="asks for the teacher 'c'"):
        fit(MLP(4, 3), SoftTargets(teacher="c"), [(x, y)], {"a": a})
    with pytest.raises(ValueError, match="asks for the teacher 'a'"):
        fit(MLP(4, 3), SoftTargets(teacher="a"), [(x, y)], a)


def test_soft_labels_that_come_with_the_data():
    x, _ = samples()
    votes = torch.randint(1, 9, (12, 3)).float()
    shares = votes / votes.sum(1, keepdim=True)
    model = MLP(4, 3)
    z = model(x).detach().requires_grad_()
    value = tinykd.soft_labels_kl(z, shares)
    expected = F.kl_div(F.log_softmax(z.double(), -1), shares.double(), reduction="none").sum(-1)
    torch.testing.assert_close(value.double(), expected)
    value.sum().backward()
    torch.testing.assert_close(z.grad, torch.softmax(z, -1).detach() - shares)
    trainer = fit(model, SoftLabels(), [(x, shares)] * 2, validate=[(x, shares)])
    assert 0 <= trainer.history[0]["val_accuracy"] <= 1
    both = {"inputs": x, "labels": votes.argmax(1), "soft_labels": shares}
    fit(model, HardLabels() + SoftLabels(), [both])
    same = torch.log(shares)
    zero = tinykd.soft_labels_kl(same.double(), torch.softmax(same.double(), -1))
    assert zero.abs().max() < 1e-12
    hard = torch.eye(3)[[0, 1]]
    assert torch.isfinite(tinykd.soft_labels_kl(torch.full((2, 3), 200.0) * hard, hard)).all()
    with pytest.raises(ValueError, match="no probabilities.*divide votes by their number"):
        tinykd.soft_labels_kl(model(x), votes)
    with pytest.raises(ValueError, match="SoftLabels needs probabilities"):
        fit(model, SoftLabels(), [samples()])
    with pytest.raises(ValueError, match=r"shares, float32 \(12, 3\): SoftLabels"):
        fit(model, HardLabels(), [(x, shares)])


def test_objectives_are_summed_divided_and_printed():
    terms = [SoftTargets(T=t) for t in (1, 2, 4)]
    mean = sum(terms) / 3
    assert [w for w, _ in mean.pairs()] == pytest.approx([1 / 3] * 3)
    assert sum([0.5 * terms[0], HardLabels()]).names() == ["SoftTargets", "HardLabels"]
    objective = 0.9 * SoftTargets(T=linear(8, 1)) + linear(0.7, 0.4) * HardLabels(0.1)
    assert repr(objective) == (
        "0.9 * SoftTargets(T=(8 -> 4.5 -> 1)) + "
        "(0.7 -> 0.55 -> 0.4) * HardLabels(label_smoothing=0.1)"
    )


# ---- 17. Words ----


def only(trainer_like, match, **kwargs):
    with pytest.raises((ValueError, TypeError), match=match):
        trainer_like(**kwargs)


def test_mistakes_are_answered_in_words():
    x, y = samples()
    teacher = MLP(4, 3)
    model = MLP(4, 3)
    only(
        lambda: fit(model, nn.CrossEntropyLoss(), [(x, y)]), "got CrossEntropyLoss: a loss of your"
    )
    only(lambda: fit(model, [HardLabels()], [(x, y)]), r"got list: add them up: sum\(")
    only(lambda: fit(model, SoftTargets(), [(x, y)], [teacher]), "a list is no teacher.*by name")
    only(lambda: fit(model, SoftTargets(), [(x, y)], 3), "a int is no teacher")
    only(lambda: fit(model, HardLabels(), [(x, y, y)]), r"got 3 things \(Tensor, Tensor, Tensor\)")
    only(lambda: fit(model, HardLabels(), 5), "batches is a int")
    only(lambda: fit(model, HardLabels(), [(x, y)], validate=lambda m: [1, 2]), r"got \[1, 2\]")
    only(
        lambda: fit(model, HardLabels(), [(x, y)], validate=3), "validate is batches or a function"
    )
    only(lambda: fit(model, HardLabels(), [(x, y)], validate=[{"inputs": x}]), "need labels")
    one_shot = ((x, y) for _ in range(3))
    only(lambda: fit(model, HardLabels(), [(x, y)], epochs=2, validate=one_shot), "only once")
    only(lambda: fit(model, HardLabels(), [(x, y)], callbacks=[3]), r"callbacks\[0\] is a int")
    only(lambda: fit(model, HardLabels(), [{"inputs": x}]), "batch has none")

    class Mean(Term):
        def per_position(self, out):
            return F.cross_entropy(out.student, out.batch["labels"])

    only(lambda: fit(model, Mean(), [(x, y)]), "Mean returned a single number")

    class Odd(nn.Module):
        def forward(self, x):
            return [x]

    only(lambda: predict(Odd(), x), "Odd returned a list")
    only(lambda: predict(model, []), "nothing to predict")
    only(lambda: predict(model, 3), "inputs are a tensor or batches")
    assert predict(model, DataLoader(TensorDataset(x), batch_size=5)).shape == (12, 3)
    fit(model, SoftTargets(), [{"inputs": x}], teacher)  # unlabelled batches are data too
    fit(model, SoftTargets(), Batches(x, size=5), teacher)
    fit(model, SoftTargets(), [x], teacher)


def test_a_headless_student_is_validated_on_batches():
    model = Transformer(Config(vocab=11, width=8, layers=1, heads=2))
    batch = next_token_labels(rows_of_tokens())
    flat = {**batch, "labels": batch["labels"].flatten()}
    chunked = fit(Headless(model), Chunked(HardLabels()), [flat], validate=[flat], optimizer=sgd)
    found = evaluate(model, [batch])
    assert chunked.history[0]["val_loss"] == pytest.approx(found["loss"], rel=1e-5)
    assert chunked.history[0]["val_accuracy"] == pytest.approx(found["accuracy"])


# ---- a loop of one's own ----


def test_an_objective_in_a_bare_loop_is_what_trainer_computes():
    x, y = samples()
    teacher, ends = MLP(4, 3), []
    objective = 0.9 * SoftTargets(T=2) + 0.1 * HardLabels()
    torch.manual_seed(0)
    start = MLP(4, 3).state_dict()
    model = MLP(4, 3)
    model.load_state_dict(start)
    optimizer = sgd(model.parameters())
    for _ in range(3):
        batch = {"inputs": x, "labels": y}
        with tinykd.frozen(teacher):
            soft = teacher(x)
        loss = objective(tinykd.Outputs(batch, model(x), soft))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    ends.append(weights(model))
    model.load_state_dict(start)
    fit(model, objective, [(x, y)] * 3, teacher)
    ends.append(weights(model))
    torch.testing.assert_close(*ends)


def test_cached_teachers_refuse_what_the_student_wrote(tmp_path):
    cache = CachedTeacher.write(tmp_path / "t", MLP(4, 3), samples()[0])
    with pytest.raises(ValueError, match="augmented|student"):
        cache.targets({"inputs": samples()[0], "index": torch.arange(12), "on_policy": True}, [])


# ---- found by trying on ----


def test_bytes_as_labels_are_classes():
    """156 as a byte is -100, and was ignored."""
    z, y = torch.randn(4, 200), torch.tensor([156, 3, 156, 7], dtype=torch.uint8)
    expected = F.cross_entropy(z, y.long()).item()
    for labels in (y, y.short(), y.int()):
        assert tinykd.cross_entropy(z, labels).mean().item() == pytest.approx(expected)
        ours = tinykd.cross_entropy(z, labels, label_smoothing=0.1)
        torch.testing.assert_close(
            ours, F.cross_entropy(z, y.long(), label_smoothing=0.1, reduction="none")
        )
    model = nn.Identity()
    assert evaluate(model, [(z, y)])["loss"] == pytest.approx(expected)
    right = (z.argmax(-1) == y).float().mean().item()
    assert tinykd.accuracy(z, y) == pytest.approx(right)
    linear = nn.Linear(4, 200)
    x = torch.randn(4, 4)
    start = F.cross_entropy(linear(x), y.long()).item()
    assert fit(linear, HardLabels(), [(x, y)]).history[0]["loss"] == pytest.approx(start)


class Composed:
    def __init__(self, *parts):
        self.parts = parts


class Shaken(Dataset):
    """Noise from a generator that is held three levels down."""

    def __init__(self):
        own = np.random.default_rng(3)
        self.transform = Composed(Composed(lambda x: x + torch.from_numpy(own.normal(size=4))))
        self.x, self.y = samples(12)

    def __len__(self):
        return 12

    def __getitem__(self, i):
        return self.transform.parts[0].parts[0](self.x[i]).float(), self.y[i]


@pytest.mark.parametrize("at", [4, 5])
def test_a_generator_deep_inside_goes_on_too(tmp_path, at):
    one, other = resumed(tmp_path, lambda: base(batches=DataLoader(Shaken(), 4)), at=at)
    assert torch.equal(one, other)


def test_what_is_added_after_the_trainer_was_made_is_not_forgotten():
    """Adapters, a new head, a layer unfrozen by a callback: they were never trained."""
    model = MLP(4, 8, 3)
    trainer = Trainer(model, HardLabels(), None, sgd, device="cpu", progress=False)
    model.layers[1] = nn.Linear(8, 3)
    with pytest.raises(ValueError, match=r"does not hold .*layers\.1\.weight.*new Trainer"):
        trainer.fit([samples()])
    model = MLP(4, 8, 3)
    model.layers[0].requires_grad_(False)
    thaw = [lambda t: model.layers[0].requires_grad_(True)]
    with pytest.raises(ValueError, match=r"layers\.0\.weight"):
        fit(model, HardLabels(), [samples()], epochs=2, callbacks=thaw)


def test_a_teacher_that_shares_parts_with_the_student():
    body = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5))
    student = nn.Sequential(body, nn.Linear(6, 3))
    teacher = nn.Sequential(body, nn.Linear(6, 3))
    with pytest.raises(ValueError, match="shares trainable parameters.*deepcopy"):
        fit(student, SoftTargets(), [samples()], teacher)
    body.requires_grad_(False)
    seen = []
    body[1].register_forward_hook(lambda m, i, o: seen.append((m.training, o.requires_grad)))
    fit(student, SoftTargets() + HardLabels(), [samples()] * 2, teacher)
    assert [training for training, _ in seen] == [False, True] * 2  # the teacher's, the student's


def test_a_state_that_was_kept_by_hand_goes_on():
    def make():
        torch.manual_seed(0)
        model = MLP(4, 8, 3, dropout=0.3)
        return Trainer(model, HardLabels(), None, sgd, device="cpu", progress=False)

    whole = make()
    whole.fit(base()["batches"], epochs=3)
    first = make()
    first.fit(base()["batches"], epochs=2)
    second = make()
    second.load_state_dict(first.state_dict())
    torch.manual_seed(9)
    history = second.fit(base()["batches"], epochs=3)
    assert [r["step"] for r in history] == [3, 6, 9]
    assert torch.equal(weights(second.model), weights(whole.model))
    with pytest.raises(ValueError, match="there is no run yet"):
        make().state_dict()


def test_a_callback_that_forgets_eval_mode_does_not_switch_dropout_off():
    model, modes = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5), nn.BatchNorm1d(3)), []
    model[2].eval()
    model.register_forward_pre_hook(lambda m, i: modes.append([s.training for s in m]))
    fit(model, HardLabels(), [samples()] * 3, callbacks=[lambda t: t.model.eval() and None])
    assert modes == [[True, True, False]] * 3


def test_parameters_that_would_never_be_trained_are_refused():
    class Scaled(Term):
        def __init__(self):
            super().__init__()
            self.a = nn.Parameter(torch.ones(()))

        def per_position(self, out):
            return self.a * tinykd.cross_entropy(out.student, out.batch["labels"])

    with pytest.raises(ValueError, match=r"no gradient through chunks: \['terms\.0\.a'\]"):
        Chunked(Scaled())
    with pytest.raises(ValueError, match="a weight is a parameter"):
        nn.Parameter(torch.ones(())) * HardLabels()
    with pytest.raises(ValueError, match="T is a parameter"):
        SoftTargets(T=nn.Parameter(torch.ones(())))


def test_validation_and_plain_pairs_are_not_scored_for_copying():
    batch = rows_of_tokens()
    with pytest.raises(ValueError, match="learn to copy"):
        evaluate(Causal(), [batch])
    with pytest.raises(ValueError, match="learn to copy"):
        fit(nn.Embedding(11, 11), HardLabels(), [(batch["input_ids"], batch["input_ids"])])


def test_a_mask_moves_with_its_labels():
    batch = rows_of_tokens()
    labels = batch["input_ids"].clone()
    mask = torch.zeros_like(labels)
    mask[:, 3:5] = 1
    moved = next_token_labels({**batch, "labels": labels, "mask": mask})
    z = torch.randn(6, 7, 11)
    expected = F.cross_entropy(z[:, 2:4].flatten(0, 1), labels[:, 3:5].flatten()).item()
    objective = 1.0 * HardLabels()
    assert objective(tinykd.Outputs(moved, z)).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    "name", ["val_brier_score", "inaccuracy", "accuracy_drop", "recent", "pieces"]
)
def test_names_that_do_not_tell_are_asked_about(name):
    with pytest.raises(ValueError, match="better or worse"):
        tinykd.training.best.direction(name)


def test_directions_that_names_tell():
    told = {
        n: tinykd.training.best.direction(n) for n in ("val_loss", "top5_accuracy", "pass@1", "ECE")
    }
    assert told == {"val_loss": "min", "top5_accuracy": "max", "pass@1": "max", "ECE": "min"}


class Weighted(Term):
    def __init__(self, b):
        super().__init__()
        self._b = b

    def per_position(self, out):
        return self._b * tinykd.cross_entropy(out.student, out.batch["labels"])


FINER = {
    "another curve": lambda new: {
        "objective": (tinykd.cosine if new else linear)(1, 0.2) * HardLabels()
    },
    "another step": lambda new: {
        "objective": tinykd.steps(1, 2, at=(0.9 if new else 0.6,)) * HardLabels()
    },
    "a digit of a weight": lambda new: {"objective": (0.12345678 + 1e-7 * new) * HardLabels()},
    "a term's own number": lambda new: {"objective": 1.0 * Weighted(2 + new)},
    "a partial function": lambda new: {
        "objective": SoftTargets(divergence=functools.partial(tinykd.jsd, beta=0.1 + 0.8 * new)),
    },
    "a lambda": lambda new: {
        "objective": SoftTargets(
            divergence=(lambda s, t, T: tinykd.jsd(s, t, T, 0.2))
            if new
            else (lambda s, t, T: tinykd.jsd(s, t, T, 0.3))
        ),
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("finer", FINER)
def test_a_run_that_differs_in_a_detail_is_refused(tmp_path, finer):
    make = FINER[finer]
    for change in (None, lambda: make(1)):
        folder = tmp_path / str(change is None)
        folder.mkdir()
        if change is None:
            one, other = resumed(folder, lambda: base(**make(0)))
            assert torch.equal(one, other)
        else:
            with pytest.raises(ValueError, match=r"(HardLabels|SoftTargets|Weighted)\.\w+ was"):
                resumed(folder, lambda: base(**make(0)), change)


def test_an_error_says_what_was_given():
    """Inputs that hold NaN, the shapes that a model was called with, floats in place of labels."""
    x, y = samples(12)
    x[5, 3] = torch.nan
    with pytest.raises(tinykd.NonFiniteLoss) as caught:
        fit(MLP(4, 3), HardLabels(), [(x, y)])
    assert caught.value.__notes__ == ["the batch's own inputs are nan at [5, 3]"]
    with pytest.raises(RuntimeError, match="cannot be multiplied") as wrong:
        fit(MLP(5, 3), HardLabels(), [samples(12)])
    assert wrong.value.__notes__ == [
        "while a MLP read a batch of the shapes {'inputs': (12, 4), 'labels': (12,)}"
    ]
    x, y = samples(12)
    with pytest.raises(ValueError, match=r"float32 \(12,\): batch\['labels'\].long\(\)"):
        fit(MLP(4, 3), HardLabels(), [(x, y.float())])
    with pytest.raises(ValueError, match=r"none: its keys are \['inputs'\]"):
        fit(MLP(4, 3), HardLabels(), [x])
    with pytest.raises(ValueError, match="got T='4'"):
        SoftTargets(T="4")
    with pytest.raises(ValueError, match="drop_last=True"):
        fit(MLP(4, 3), HardLabels(), DataLoader(TensorDataset(x, y), batch_size=64, drop_last=True))


def test_four_and_four_point_zero_are_the_same_setting(tmp_path):
    make = lambda T, w: base(objective=w * SoftTargets(T=T))  # noqa: E731
    one, other = resumed(
        tmp_path, lambda: make(4, 1), lambda: {"objective": 1.0 * SoftTargets(T=4.0)}
    )
    assert torch.equal(one, other)


def test_a_validation_called_loss_leaves_the_training_loss():
    held = [samples(20)]
    trainer = fit(MLP(4, 3), HardLabels(), [samples()], validate=lambda m: evaluate(m, held))
    record = trainer.history[0]
    assert record["loss"] == record["HardLabels"]
    assert record["val_loss"] == pytest.approx(evaluate(trainer.model, held)["loss"])


def test_settings_that_mean_nothing_are_refused():
    model, batch = MLP(4, 3), samples()
    only(lambda: fit(model, HardLabels(), [batch], clip=-1.0), "clip is the largest")
    only(lambda: fit(model, HardLabels(), [batch], clip=math.nan), "clip is the largest")
    only(lambda: fit(model, HardLabels(), [batch], epochs=1.5), "epochs is a whole number")
    only(lambda: fit(model, HardLabels(), [batch], accumulate=2.5), "accumulate must be a whole")
    only(lambda: fit(model, HardLabels(), [batch] * 9, schedule=lambda p: 1 - 3 * p), "no rate")
    only(lambda: fit(model, HardLabels(), [batch], schedule=lambda p: math.nan), "no rate")
    only(lambda: fit(model, HardLabels(), [batch], optimizer="adam"), "optimizer is 'adam'")
    only(lambda: fit(model, HardLabels(), [batch], optimizer=torch.optim.LBFGS), "LBFGS")
    only(
        lambda: fit(MLP(4, 3).requires_grad_(False), HardLabels(), [batch]), "nothing is trainable"
    )
    only(lambda: fit(model, HardLabels(), [{"inputs": batch[0], "labels": [1] * 12}]), "got list")
    only(lambda: fit(model, HardLabels(), [batch], checkpoint=Path("/")), "cannot be written")


def test_a_loader_that_reuses_its_tensors_is_noticed():
    class Reusing:
        def __iter__(self):
            x, y = samples()
            for n in range(4):
                x.fill_(n)
                yield x, y

        def __len__(self):
            return 4

    with pytest.raises(ValueError, match="reuses its tensors"):
        fit(MLP(4, 3), HardLabels(), Reusing(), accumulate=2)
    fit(MLP(4, 3), HardLabels(), [samples()] * 4, accumulate=2)  # the same batch again is fine


@pytest.mark.parametrize("mask", [[0.5] * 12, [0.0] * 6 + [-math.inf] * 6])
def test_masks_are_zero_or_one(mask):
    x, y = samples()
    with pytest.raises(ValueError, match="mask holds"):
        fit(MLP(4, 3), HardLabels(), [{"inputs": x, "labels": y, "mask": torch.tensor(mask)}])


def test_hints_leave_masked_samples_out():
    x, y = samples()
    mask = torch.arange(12) < 7
    x2 = x.clone()
    x2[~mask] = math.nan
    teacher, found = MLP(4, 5, 3), []
    for inputs, extra in ((x[mask], {}), (x2, {"mask": mask})):
        torch.manual_seed(0)
        model, objective = MLP(4, 5, 3), Hint("layers.0", "layers.0")
        batch = {"inputs": inputs, "labels": y[: len(inputs)], **extra}
        with tinykd.frozen(teacher), Capture(teacher, ["layers.0"]) as its:
            teacher(inputs)
            theirs = {"layers.0": its["layers.0"]}
        ours = {"layers.0": model.layers[0](inputs)}
        out = tinykd.Outputs(batch, model(inputs), teacher(inputs), ours, theirs)
        found.append((1.0 * objective)(out).item())
    assert found[0] == pytest.approx(found[1])


def test_rows_without_votes_do_not_count():
    shares = torch.tensor([[0.2, 0.8], [0.0, 0.0]])
    objective = 1.0 * SoftLabels()
    z = torch.randn(2, 2)
    both = objective(tinykd.Outputs({"soft_labels": shares}, z))
    assert both.item() == pytest.approx(tinykd.soft_labels_kl(z[:1], shares[:1]).item())
    with pytest.raises(ValueError, match="shapes differ"):
        evaluate(nn.Identity(), [(torch.randn(3, 2), torch.rand(3, 1))])
    with pytest.raises(ValueError, match="no probabilities"):
        evaluate(nn.Identity(), [(torch.randn(3, 2), torch.full((3, 2), 5.0))])


def test_a_named_teacher_is_asked_by_its_name_in_a_bare_loop_too():
    objective = 1.0 * SoftTargets(teacher="a")
    out = tinykd.Outputs({"inputs": samples()[0]}, torch.randn(12, 3), torch.randn(12, 3))
    with pytest.raises(ValueError, match="asks for the teacher 'a'"):
        objective(out)


def test_a_run_without_a_bar_takes_no_lock_of_bars():
    """Forked processes share tqdm's lock, and one that was killed in it holds up all others."""
    tqdm = pytest.importorskip("tqdm").tqdm
    steps = []

    def train():
        trainer = Trainer(MLP(2, 3), HardLabels(), device="cpu", progress=False)
        trainer.fit([(torch.randn(4, 2), torch.randint(3, (4,)))])
        steps.append(trainer.step)

    thread = threading.Thread(target=train, daemon=True)
    with tqdm.get_lock():
        thread.start()
        thread.join(timeout=20)
    assert steps == [1]
