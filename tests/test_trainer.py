"""The one loop: what it trains, when it stops, what it says, and what it never does."""

import contextlib
import math
import os
import resource
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import tinykd.files
import tinykd.training.arguments
import tinykd.training.trainer
from tinykd import (
    MLP,
    Batches,
    CachedTeacher,
    HardLabels,
    Hint,
    NonFiniteLoss,
    SoftTargets,
    Term,
    accuracy,
    cosine,
    linear,
    predict,
)


def Trainer(*args, **kwargs):
    return tinykd.training.trainer.Trainer(*args, **{"device": "cpu", "progress": False} | kwargs)


def sgd(params):
    return SGD(params, 0.1)


def data(n=12, seed=0):
    make = torch.Generator().manual_seed(seed)
    x, y = torch.randn(n, 4, generator=make), torch.randint(3, (n,), generator=make)
    return [(x, y)]


def batches(n=12, size=3):
    return Batches(*data(n)[0], size=size)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()]).clone()


def twin(model):
    copy = MLP(4, 8, 3)
    copy.load_state_dict(model.state_dict())
    return copy


def test_a_step_is_the_textbook_step():
    """Pitfalls 1, 3, 10: weights after SGD equal those of the loss written out with torch alone."""
    student, teacher, [(x, y)] = MLP(4, 8, 3), MLP(4, 9, 3), data()
    reference, T = twin(student), 4.0
    objective = 0.9 * SoftTargets(T=T) + 0.1 * HardLabels(label_smoothing=0.1)
    history = Trainer(student, objective, teacher, sgd).fit([(x, y)])
    z, p = reference(x), F.softmax(teacher(x).detach() / T, -1)
    soft = F.kl_div(F.log_softmax(z / T, -1), p, reduction="batchmean") * T**2
    hard = F.cross_entropy(z, y, label_smoothing=0.1)
    (0.9 * soft + 0.1 * hard).backward()
    SGD(reference.parameters(), 0.1).step()
    torch.testing.assert_close(weights(student), weights(reference))
    assert history[0]["loss"] == pytest.approx((0.9 * soft + 0.1 * hard).item(), rel=1e-5)
    assert history[0]["SoftTargets"] == pytest.approx(soft.item(), rel=1e-5)
    assert history[0]["HardLabels"] == pytest.approx(hard.item(), rel=1e-5)
    assert (history[0]["epoch"], history[0]["step"], history[0]["lr"]) == (1, 1, 0.1)


def test_each_step_has_the_gradient_of_its_own_batch():
    """Steps as a loop by hand takes them, also of parameters that a callback adds on the way."""
    student, [(x, y)] = MLP(4, 8, 3), data()
    reference = twin(student)
    student.layers[0].requires_grad_(False)

    def unfreeze(trainer):
        if trainer.step == 2:
            trainer.optimizer.add_param_group({"params": student.layers[0].parameters()})
            student.layers[0].requires_grad_(True)

    last = student.layers[1].parameters()
    trainer = Trainer(student, HardLabels(), optimizer=SGD(last, 0.1), callbacks=[unfreeze])
    trainer.fit([(x, y)] * 5)
    optimizer = SGD(reference.parameters(), 0.1)
    for step in range(5):
        optimizer.zero_grad()
        F.cross_entropy(reference(x), y).backward()
        if step < 2:
            reference.layers[0].weight.grad = reference.layers[0].bias.grad = None
        optimizer.step()
    torch.testing.assert_close(weights(student), weights(reference))


@pytest.mark.parametrize(("cut", "accumulate"), [([4, 4], 2), ([1] * 8, 8), ([5, 2, 1], 3)])
@pytest.mark.parametrize("clip", [None, 0.05])
def test_accumulated_steps_equal_one_large_step(cut, accumulate, clip):
    """Pitfall 15: 4 x 2 = 8 x 1 = 1 x 8 with unequal numbers of labels; clipping sees the sum."""
    [(x, y)] = data(8)
    y[:3] = -100
    ends = []
    for groups, n in (([8], 1), (cut, accumulate)):
        torch.manual_seed(3)
        student, teacher = MLP(4, 8, 3), MLP(4, 9, 3)
        objective = (
            0.5 * SoftTargets(T=2) + HardLabels() + Hint("layers.0", "layers.0", nn.Linear(8, 9))
        )
        parts = list(zip(x.split(groups), y.split(groups), strict=True))
        trainer = Trainer(student, objective, teacher, sgd, accumulate=n, clip=clip)
        trainer.fit(parts, epochs=3)
        assert trainer.step == 3
        ends.append(weights(trainer.net))
    torch.testing.assert_close(ends[0], ends[1])


def test_a_short_last_group_is_a_step_of_its_own():
    trainer = Trainer(MLP(4, 3), HardLabels(), None, sgd, accumulate=3, schedule=linear(1, 0))
    seen = []
    trainer.callbacks.append(lambda t: seen.append((t.step, t.optimizer.param_groups[0]["lr"])))
    trainer.fit(batches(12, size=3), epochs=2)  # 4 batches: groups of 3 and 1
    assert [s for s, _ in seen] == [1, 2, 3, 4]
    assert [lr for _, lr in seen] == pytest.approx([0.1, 0.075, 0.05, 0.025])


def test_the_student_trains_in_train_mode_on_every_step():
    """Pitfall 19: validation, by batches or by a function that forgets, leaves no eval mode."""
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    flags = []
    model.register_forward_hook(
        lambda m, i, o: flags.append((all(s.training for s in m.modules()), o.requires_grad))
    )

    def forgetful(m):
        assert not m.training
        m.eval()
        return {"x": 1.0}

    model.eval()
    for validate in (data(7), forgetful):
        flags.clear()
        Trainer(model, HardLabels(), None, sgd).fit(data() * 3, validate=validate, epochs=2)
        expected = [(True, True)] * 3 + [(False, False)] * (validate is not forgetful)
        assert flags == expected * 2
        assert not model.training  # it came in eval mode


@pytest.mark.parametrize("kind", ["default", "factory", "instance"])
def test_every_trainable_parameter_gets_a_gradient_and_moves(kind):
    """Pitfall 22: regressors are optimised, clipped and checkpointed with the student."""
    student, teacher, regressor = MLP(4, 8, 3), MLP(4, 9, 3), nn.Linear(8, 9)
    objective = SoftTargets() + Hint("layers.0", "layers.0", regressor)
    both = [*student.parameters(), *regressor.parameters()]
    optimizer = {"default": None, "factory": sgd, "instance": SGD(both, 0.1)}[kind]
    before = [p.detach().clone() for p in both]
    trainer = Trainer(student, objective, teacher, optimizer)
    trainer.fit(data())
    for old, p in zip(before, both, strict=True):
        assert p.grad is not None
        assert p.grad.abs().sum() > 0
        assert not torch.equal(old, p)
    assert {id(p) for p in both} == {id(p) for p in trainer.net.parameters()}


def test_clipping_counts_the_regressors():
    """Pitfall 22: the norm that is clipped is that of student and regressors together."""
    student, teacher, regressor = MLP(4, 8, 3), MLP(4, 9, 3), nn.Linear(8, 9)
    objective = 100 * Hint("layers.0", "layers.0", regressor) + SoftTargets()
    trainer = Trainer(student, objective, teacher, sgd, clip=0.5)
    trainer.fit(data())
    grads = [p.grad for p in [*student.parameters(), *regressor.parameters()]]
    assert torch.cat([g.flatten() for g in grads]).norm() == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("factory", [False, True])
def test_an_optimizer_that_misses_parameters_is_refused(factory):
    """Pitfall 22: an instance, or a factory with its own mind, must hold the regressors too."""
    student, regressor = MLP(4, 8, 3), nn.Linear(8, 8)
    objective = SoftTargets() + Hint("layers.0", "layers.0", regressor)
    short = SGD(student.parameters(), 0.1)
    with pytest.raises(ValueError, match=r"terms\.1\.regressors\.0\.weight"):
        Trainer(student, objective, MLP(4, 8, 3), (lambda ps: short) if factory else short)
    regressor.requires_grad_(False)
    Trainer(student, objective, MLP(4, 8, 3), short).fit(data())


def test_the_default_optimizer_is_adamw_in_one_pass():
    """The weights of PyTorch's plain AdamW after 20 steps, to rounding, with decay and moments."""
    found = []
    for optimizer in (None, torch.optim.AdamW):
        torch.manual_seed(0)
        trainer = Trainer(MLP(4, 8, 3), HardLabels(), optimizer=optimizer)
        trainer.fit(data(), epochs=20)
        found.append(torch.cat([p.flatten() for p in trainer.model.parameters()]))
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)
    default = Trainer(MLP(4, 3), HardLabels()).optimizer
    assert default.defaults["fused"] is True


class Coupled(Term):
    couples_samples = True

    def per_position(self, out):
        return (out.student - out.student.mean(0)).square().sum(-1)


def test_terms_that_couple_samples_are_refused_where_the_batch_is_cut():
    """Pitfall 24: never silently another loss."""
    Trainer(MLP(4, 3), Coupled()).fit(data())
    with pytest.raises(ValueError, match="Coupled.*batch must stay whole"):
        Trainer(MLP(4, 3), HardLabels() + Coupled(), accumulate=2)


# The default is fused, for which "meta" has no kernel.
@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, sgd])
@pytest.mark.parametrize("cached", [False, True])
def test_the_step_never_synchronises(tmp_path, monkeypatch, optimizer, cached):
    """Pitfall 27: on a device whose numbers cannot be read, an epoch runs up to its one look.

    "meta" tensors have shapes and no values: .item(), .cpu(), `if tensor` all raise, exactly where
    an accelerator would have to be waited for.
    """
    monkeypatch.setattr(tinykd.training.trainer, "READ_EVERY", 10**9)
    # torch has no autocast for "meta"; whether it is on has nothing to do with waiting
    monkeypatch.setattr(tinykd.Trainer, "_autocast", lambda self: contextlib.nullcontext())
    x, y = data(60)[0]
    teacher = MLP(4, 8, 3)
    hint = SoftTargets(T=2)
    if cached:
        teacher = CachedTeacher.write(tmp_path / "t", teacher, x)
    else:
        hint = Hint("layers.0", "layers.0", nn.Linear(8, 8)) + hint
    trainer = Trainer(
        MLP(4, 8, 3, dropout=0.5),
        linear(1, 0) * hint + HardLabels(label_smoothing=0.1),
        teacher,
        optimizer,
        device="meta",
        clip=1.0,
        accumulate=2,
        schedule=cosine(1, 0),
    )
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        trainer.fit(Batches(x, y, size=3))
    assert trainer.step == 10
    monkeypatch.setattr(tinykd.training.trainer, "READ_EVERY", 4)
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        trainer.fit(Batches(x, y, size=3))
    assert trainer.step == 3  # the look comes before the fourth update


class Poisoned(nn.Module):
    """A model that gives NaN for inputs with a 99 in them."""

    def __init__(self):
        super().__init__()
        self.net = MLP(4, 8, 3)

    def forward(self, x):
        return self.net(x).masked_fill((x == 99).any(-1, keepdim=True), math.nan)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_nan_stops_with_step_term_and_batch_and_leaves_the_weights_whole(tmp_path, accumulate):
    model = Poisoned()
    parts = data() * 6
    parts[5] = (parts[5][0].clone(), parts[5][1])
    parts[5][0][0, 0] = 99
    last = []
    trainer = Trainer(
        *(model, 0.5 * SoftTargets(T=2) + HardLabels(), MLP(4, 3)),
        checkpoint=tmp_path / "c",
        checkpoint_every=1,
        accumulate=accumulate,
        callbacks=[lambda t: last.append(weights(t.model))],
    )
    step, batch = 5 // accumulate, 5 // accumulate * accumulate
    words = rf"SoftTargets is nan at step {step} \(epoch 0, batch {batch}\)"
    with pytest.raises(NonFiniteLoss, match=words) as error:
        trainer.fit(parts)
    assert (error.value.term, error.value.step, error.value.batch) == ("SoftTargets", step, batch)
    assert torch.equal(weights(model), last[-1])
    saved = tinykd.files.load(tmp_path / "c")
    assert saved["step"] == step
    assert all(torch.isfinite(v).all() for v in saved["parts"]["net"].values())


def test_empty_and_one_shot_batches_are_refused():
    trainer = Trainer(MLP(4, 3), HardLabels())
    for empty in ([], iter([]), DataLoader(TensorDataset(torch.zeros(0, 4)), batch_size=2)):
        with pytest.raises(ValueError, match="batches is empty"):
            trainer.fit(empty)
    with pytest.raises(ValueError, match="runs only once"):
        trainer.fit((b for b in data()), epochs=2)
    assert trainer.fit(b for b in data() * 3)[0]["step"] == 3
    with pytest.raises(ValueError, match=r"no len\(\)"):
        Trainer(MLP(4, 3), HardLabels(), schedule=linear(1, 0)).fit(b for b in data())


def test_asking_whether_batches_can_be_repeated_does_not_start_them():
    class Counting(list):
        started = 0

        def __iter__(self):
            self.started += 1
            return super().__iter__()

    many = Counting(data() * 2)
    Trainer(MLP(4, 3), HardLabels()).fit(many, epochs=3)
    assert many.started == 3


def test_any_iterable_will_do():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(TensorDataset(*data()[0]))

    class Mapping:
        def __init__(self, **items):
            self.items = items.items

    x, y = data()[0]
    for source in (
        DataLoader(Stream(), batch_size=4),
        DataLoader(TensorDataset(x, y), batch_size=4, shuffle=True),
        [[x, y]],
        [{"inputs": x, "labels": y}],
        [Mapping(inputs=x, labels=y)],
    ):
        assert len(Trainer(MLP(4, 3), HardLabels()).fit(source, epochs=2)) == 2
    with pytest.raises(ValueError, match="a batch is .* got int"):
        Trainer(MLP(4, 3), HardLabels()).fit([3])


def test_a_sampler_that_shuffles_by_epoch_is_told_the_epoch():
    x, y = data()[0]
    sampler = torch.utils.data.DistributedSampler(x, num_replicas=1, rank=0)
    told = []
    sampler.set_epoch = told.append
    loader = DataLoader(TensorDataset(x, y), batch_size=4, sampler=sampler)
    Trainer(MLP(4, 3), HardLabels()).fit(loader, epochs=3)
    assert told == [0, 1, 2]


class HuggingFaceLike(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Embedding(11, 6)
        self.head = nn.Linear(6, 11)

    def forward(self, input_ids, attention_mask):
        hidden = self.body(input_ids) * attention_mask.unsqueeze(-1)
        return SimpleNamespace(logits=self.head(hidden), past_key_values=None)


def test_models_with_logits_and_mappings_of_their_own():
    ids = torch.randint(11, (5, 7))
    labels = (ids + 1) % 11
    labels[:, -2:] = -100
    batch = {"input_ids": ids, "attention_mask": torch.ones(5, 7), "labels": labels}
    student, teacher = HuggingFaceLike(), HuggingFaceLike()
    objective = SoftTargets(T=2) + HardLabels() + Hint("body", "body")
    history = Trainer(student, objective, teacher, sgd).fit([batch], validate=[batch], epochs=8)
    assert history[-1]["loss"] < history[0]["loss"]
    expected = F.cross_entropy(
        student(ids, batch["attention_mask"]).logits[:, :-2].flatten(0, 1), labels[:, :-2].flatten()
    )
    assert history[-1]["val_loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_progress_runs_from_zero_to_one_for_weights_and_rates():
    seen = []

    def weight(progress):
        seen.append(progress)
        return 1.0

    Trainer(MLP(4, 3), weight * HardLabels()).fit(batches(), epochs=2)
    assert seen[0] == 0.0
    assert seen[-1] == 7 / 8  # at the start of the last of 8 steps
    assert sorted(set(seen)) == [i / 8 for i in range(8)]


def test_early_stop_waits_for_patience_epochs():
    values = iter([5.0, 3.0, 4.0, 3.0, 9.0, 1.0])
    trainer = Trainer(MLP(4, 3), HardLabels())
    watch = {"validate": lambda model: next(values), "patience": 2, "mode": "min"}
    history = trainer.fit(data(), **watch, epochs=6)
    assert [r["validate"] for r in history] == [5.0, 3.0, 4.0, 3.0]


def test_bf16_trains_in_autocast_and_keeps_losses_and_weights_in_float32():
    """Pitfall 9: bf16 logits go in, float32 comes out; the run follows the float32 one."""
    kinds, ends = [], {}
    for precision in ("float32", "bf16"):
        torch.manual_seed(0)
        student, teacher = MLP(4, 8, 3), MLP(4, 8, 3)
        student.register_forward_hook(lambda m, i, o: kinds.append(o.dtype))
        trainer = Trainer(student, SoftTargets(T=4), teacher, sgd, precision=precision)
        history = trainer.fit(batches(), epochs=2)
        ends[precision] = weights(student)
        assert ends[precision].dtype == torch.float32
        batch = next(iter(batches()))
        assert trainer.net(batch, trainer._ask(batch), 0.0).dtype == torch.float32
        assert math.isfinite(history[-1]["loss"])
    assert set(kinds) == {torch.float32, torch.bfloat16}
    torch.testing.assert_close(ends["bf16"], ends["float32"], rtol=0, atol=2e-2)


def test_wrong_settings_are_named(tmp_path):
    cases = [
        ({"precision": "fp8"}, "fp8"),
        ({"accumulate": 0}, "got 0"),
        ({"checkpoint_every": 5}, "checkpoint_every=5"),
        ({"checkpoint_every": 0, "checkpoint": tmp_path / "c"}, "checkpoint_every=0"),
    ]
    for settings, words in cases:
        with pytest.raises(ValueError, match=words):
            Trainer(MLP(4, 3), HardLabels(), **settings)
    with pytest.raises(ValueError, match="checkpoint="):
        Trainer(MLP(4, 3), HardLabels()).fit(data(), resume=True)
    with pytest.raises(ValueError, match="needs a teacher"):
        Trainer(MLP(4, 3), SoftTargets()).fit(data())
    with pytest.raises(ValueError, match="label 2 at index"):
        Trainer(MLP(4, 2), HardLabels()).fit(data())
    with pytest.raises(ValueError, match="has 3, teacher .* has 5"):
        Trainer(MLP(4, 3), SoftTargets(), MLP(4, 5)).fit(data())
    with pytest.raises(KeyError, match="layers.9.*nearest.*layers"):
        Trainer(MLP(4, 3), Hint("layers.9", "layers.0"), MLP(4, 3)).fit(data())
    with pytest.raises(ValueError, match=r"\(12, 8\).*\(12, 9\).*regressor"):
        Trainer(MLP(4, 8, 3), Hint("layers.0", "layers.0"), MLP(4, 9, 3)).fit(data())


@contextlib.contextmanager
def full_disk(size):
    """No file of this process may grow beyond `size` bytes, as on a disk that has run full."""
    import signal

    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_keeps_the_old_checkpoint(tmp_path):
    path = tmp_path / "c"
    trainer = Trainer(MLP(4, 99, 3), HardLabels(), checkpoint=path)
    trainer.fit(data())
    old = path.read_bytes()
    with full_disk(len(old) // 2), pytest.raises((OSError, RuntimeError)):
        trainer.fit(data())
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["c"]
    assert len(trainer.fit(data(), epochs=2, resume=True)) == 2


def test_a_damaged_or_foreign_checkpoint_is_refused(tmp_path):
    path = tmp_path / "c"
    trainer = Trainer(MLP(4, 3), HardLabels(), checkpoint=path)
    trainer.fit(batches())
    with pytest.raises(ValueError, match=r"batches.size was 3, is 6"):
        trainer.fit(batches(size=6), resume=True)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ValueError, match="not a readable checkpoint.*delete it"):
        trainer.fit(batches(), resume=True)


class Stop:
    """Ends a run in its epoch `epoch`, once."""

    def __init__(self, epoch):
        self.epoch = epoch

    def __call__(self, trainer):
        if trainer.epoch + 1 == self.epoch:
            self.epoch = 0
            1 / 0  # noqa: B018


def test_numpy_numbers_do_not_spoil_a_checkpoint(tmp_path):
    """Validation, schedules and rates may give NumPy numbers; a checkpoint holds plain ones."""
    np = pytest.importorskip("numpy")
    trainer = Trainer(
        MLP(4, 3),
        (lambda p: np.float64(1 - p)) * HardLabels(),
        None,
        lambda ps: SGD(ps, np.float64(0.1)),
        schedule=lambda p: np.cos(p),
        checkpoint=tmp_path / "c",
        callbacks=[Stop(2)],
    )
    validate = lambda model: {"error": np.float32(0.5), "loss": torch.tensor(2.0)}  # noqa: E731
    with pytest.raises(ZeroDivisionError):
        trainer.fit(batches(), validate=validate, epochs=2)
    history = trainer.fit(batches(), validate=validate, epochs=2, resume=True)
    assert [r["error"] for r in history] == [0.5, 0.5]


def test_history_is_plain_records_and_the_student_learns():
    x = torch.randn(300, 4)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    model = MLP(4, 16, 3)
    trainer = Trainer(model, HardLabels(), None, sgd)
    history = trainer.fit(Batches(x, y, size=10), validate=[(x, y)], epochs=6)
    assert history[-1]["val_accuracy"] > 0.8
    assert all(type(v) in (int, float) for r in history for v in r.values())
    assert accuracy(predict(model, x), y) == pytest.approx(history[-1]["val_accuracy"])


@pytest.mark.parametrize("arithmetic", [True, False])
def test_bf16_warns_where_there_is_no_arithmetic_for_it(monkeypatch, arithmetic):
    """Without it a product may take hundreds of times as long, and nothing would say why."""
    asked = SimpleNamespace(mkldnn=SimpleNamespace(_is_mkldnn_bf16_supported=lambda: arithmetic))
    monkeypatch.setattr(torch, "ops", asked)
    fast = tinykd.best_precision("cpu")
    monkeypatch.undo()
    assert fast == ("bf16" if arithmetic else "float32")
    monkeypatch.setattr(tinykd.training.arguments, "best_precision", lambda device: fast)
    warns = contextlib.nullcontext() if arithmetic else pytest.warns(UserWarning, match="bf16")
    with warns:
        Trainer(MLP(4, 3), HardLabels(), device="cpu", precision="bf16")
