"""Capture: activations by name, for the length of a block and not a moment longer."""

import gc
import weakref

import pytest
import torch
from torch import nn

from tinykd import MLP, Capture, HardLabels, Hint, Trainer


def net():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 3)))


def hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_captures_what_the_layer_gives_with_its_graph():
    model, x = net(), torch.randn(5, 4)
    with Capture(model, ["1", "2.0"]) as acts:
        model(x)
        torch.testing.assert_close(acts["1"], model[1](model[0](x)))
        torch.testing.assert_close(acts["2.0"], model(x))
        acts["1"].sum().backward()
    assert model[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("broken", [False, True])
def test_nothing_outlives_the_block(broken):
    """Pitfall 20: empty on exit, the activation dies, the hook count returns; after errors too."""
    model = net()
    before = hooks(model)
    try:
        with Capture(model, ["1"]) as acts:
            model(torch.randn(5, 4))
            seen = weakref.ref(acts["1"])
            assert hooks(model) == before + 1
            if broken:
                raise RuntimeError("stop")
    except RuntimeError:
        pass
    gc.collect()
    assert len(acts) == 0
    assert seen() is None
    assert hooks(model) == before
    model(torch.randn(5, 4))
    assert len(acts) == 0
    with pytest.raises(KeyError, match="is held while the block lasts: read it there"):
        acts["1"]
    with acts, pytest.raises(KeyError, match="has not run inside this block"):
        acts["1"]


def test_validation_never_shows_up_in_training_and_nothing_is_kept_alive(monkeypatch):
    """Pitfall 20: a hint is taken on the training batch, every activation is let go each step."""
    model, teacher = net(), net()
    shapes, alive = [], []
    original = nn.ReLU.forward

    def watched(self, x):
        out = original(self, x)
        alive.append(weakref.ref(out))
        shapes.append((self.training, tuple(out.shape)))
        return out

    captured = Capture.__getitem__

    def fetched(self, name):
        alive.append(weakref.ref(out := captured(self, name)))
        return out

    monkeypatch.setattr(Capture, "__getitem__", fetched)
    living = []

    def after_step(trainer):
        gc.collect()
        living.append(sum(ref() is not None for ref in alive))

    batches = [(torch.randn(5, 4), torch.randint(3, (5,))) for _ in range(3)]
    nn.ReLU.forward = watched
    try:
        trainer = Trainer(
            model,
            HardLabels() + Hint("1", "1"),
            teacher,
            callbacks=[after_step],
            device="cpu",
            progress=False,
        )
        trainer.fit(batches, validate=[(torch.randn(7, 4), torch.randint(3, (7,)))], epochs=2)
    finally:
        nn.ReLU.forward = original
    assert living == [0] * 6
    assert hooks(model) == hooks(teacher) == 0
    assert shapes.count((True, (5, 8))) == 6  # the student's
    assert shapes.count((False, (7, 8))) == 2  # validation


def test_a_tuple_gives_its_first_entry_and_a_repeated_layer_its_last_run():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru, self.twice = nn.GRU(4, 4, batch_first=True), nn.Linear(4, 4)

        def forward(self, x):
            return self.twice(self.twice(self.gru(x)[0]))

    model, x = Recurrent(), torch.randn(2, 3, 4)
    with Capture(model, ["gru", "twice"]) as acts:
        y = model(x)
        torch.testing.assert_close(acts["gru"], model.gru(x)[0])
        assert torch.equal(acts["twice"], y)


def test_a_layer_that_gives_no_tensor_is_refused():
    class Both(nn.Module):
        def forward(self, x):
            return {"logits": x}

    model = nn.Sequential(nn.Linear(4, 4), Both())
    with Capture(model, ["1"]), pytest.raises(TypeError, match="layer '1' returns a dict: capture"):
        model(torch.randn(2, 4))
    assert hooks(model) == 0


def test_an_unknown_layer_names_the_nearest():
    with pytest.raises(KeyError, match=r"no layer '2.1' in Sequential; nearest: .*'2.0'"):
        Capture(net(), ["2.1"])
    with Capture(net(), ["1"]) as acts, pytest.raises(KeyError, match="'0' is not captured"):
        acts["0"]


def test_a_bare_string_is_refused():
    with pytest.raises(TypeError, match=r"\['layers.0'\]"):
        Capture(MLP(4, 8, 3), "layers.0")
