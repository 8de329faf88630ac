"""LoRA: an identity at first, a low-rank correction later, and never a change of what is frozen."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call

import tinykd
from tinykd import HardLabels, SoftTargets
from tinykd.lm import (
    Config,
    SequenceBatches,
    Transformer,
    add_lora,
    load_lora,
    merge_lora,
    save_lora,
    unmerge_lora,
)

IDS = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
EXAMPLES = [([1, n], [n, (3 * n) % 10, 0]) for n in range(2, 10)]


def small(seed=0, layers=2, width=16):
    torch.manual_seed(seed)
    return Transformer(Config(10, width, layers, 4, 2))


def adapted(seed=0, rank=3, **shape):
    """A model whose adapters have been somewhere: B is no longer zero."""
    model = add_lora(small(seed, **shape), rank, alpha=6.0)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith(".B"):
                p.normal_(0, 0.1)
    return model


def trainable(model):
    return {name for name, p in model.named_parameters() if p.requires_grad}


def state(model, frozen):
    named = model.named_parameters()
    return {k: p.detach().clone() for k, p in named if k.endswith((".A", ".B")) != frozen}


def trainer(model, **options):
    objective = 0.5 * SoftTargets(T=2) + 0.5 * HardLabels()
    optimizer = lambda ps: torch.optim.AdamW(ps, 0.01, weight_decay=0.1)  # noqa: E731
    options = {"device": "cpu", "progress": False} | options
    return tinykd.Trainer(model, objective, small(7), optimizer, **options)


def explicit(model):
    """Plain weights W + (alpha / r) B A for `functional_call`, with A and B as leaves."""
    leaves, weights = {}, {}
    for name, layer in model.named_modules():
        if hasattr(layer, "A"):
            A, B = (p.detach().clone().requires_grad_() for p in (layer.A, layer.B))
            leaves[f"{name}.A"], leaves[f"{name}.B"] = A, B
            scale = 6.0 / len(A)
            weights[f"{name}.weight"] = layer.linear.weight.detach() + scale * B @ A
    return leaves, weights


def test_it_starts_as_the_identity():
    wanted = small()(IDS)
    model = add_lora(small(), rank=4)
    assert torch.equal(model(IDS), wanted)
    linears = [m for m in small().blocks.modules() if isinstance(m, nn.Linear)]
    assert len(trainable(model)) == 2 * len(linears) == 28
    assert all(name.endswith((".A", ".B")) for name in trainable(model))
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert count == sum(4 * (m.in_features + m.out_features) for m in linears)
    assert all(p.abs().sum() > 0 for n, p in model.named_parameters() if n.endswith(".A"))


def test_the_gradient_is_that_of_the_written_out_weights():
    """Values and gradients of W + (alpha / r) B A; the scale does not depend on anything else."""
    model = adapted().double()
    leaves, weights = explicit(model)
    wanted = functional_call(small().double(), weights, (IDS,))
    found = model(IDS)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    for logits in (found, wanted):
        (logits * torch.arange(10.0)).sum().backward()
    for name, leaf in leaves.items():
        torch.testing.assert_close(model.get_parameter(name).grad, leaf.grad, rtol=1e-7, atol=1e-9)
    assert all(p.grad is None for p in model.parameters() if not p.requires_grad)


def test_only_adapters_train_and_the_rest_is_bit_identical():
    model = add_lora(small(), rank=2)
    kept, start = state(model, frozen=True), state(model, frozen=False)
    trainer(model, clip=1.0).fit(SequenceBatches(EXAMPLES, size=4), epochs=3)
    for name, p in state(model, frozen=True).items():
        assert torch.equal(p, kept[name]), name
    for name, p in state(model, frozen=False).items():
        assert not torch.equal(p, start[name]), name
    assert trainable(model) == set(start)
    assert {"embed.weight", "norm.weight", "blocks.0.attention.query.linear.weight"} <= set(kept)


def test_it_learns():
    model = add_lora(small(), rank=8)
    history = trainer(model).fit(SequenceBatches(EXAMPLES, size=4), epochs=25)
    assert history[-1]["loss"] < 0.6 * history[0]["loss"]


@torch.no_grad()
def test_merged_equals_unmerged_and_back_bit_for_bit():
    model = adapted()
    before, wanted = copy.deepcopy(model.state_dict()), model(IDS)
    assert not torch.allclose(wanted, small()(IDS), atol=1e-2)
    for _ in range(2):  # merging twice is merging once
        assert merge_lora(model) is model
        torch.testing.assert_close(model(IDS), wanted, rtol=1e-4, atol=1e-5)
    plain = functional_call(small(), explicit(adapted())[1], (IDS,))
    torch.testing.assert_close(model(IDS), plain)
    for _ in range(2):
        assert unmerge_lora(model) is model
        assert torch.equal(model(IDS), wanted)
    assert model.state_dict().keys() == before.keys()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert trainable(model) == trainable(adapted())


def biased(model):
    """Biases on query, key and value, as Qwen2 has them."""
    for n, block in enumerate(model.blocks):
        for name in ("query", "key", "value"):
            old = getattr(block.attention, name)
            new = nn.Linear(old.in_features, old.out_features)
            with torch.no_grad():
                new.weight.copy_(old.weight)
                new.bias.copy_(torch.linspace(-1, 1, len(new.bias)) + n)
            setattr(block.attention, name, new)
    return model


@torch.no_grad()
def test_biases_stay_as_they_are():
    plain = biased(small())
    wanted = plain(IDS)
    assert not torch.allclose(wanted, small()(IDS), atol=1e-2)
    model = add_lora(biased(small()), rank=3)
    assert torch.equal(model(IDS), wanted)
    assert all(name.endswith((".A", ".B")) for name in trainable(model))
    for name, p in model.named_parameters():
        if name.endswith(".B"):
            p.normal_(0, 0.1)
    moved = model(IDS)
    merge_lora(model)
    torch.testing.assert_close(model(IDS), moved, rtol=1e-4, atol=1e-5)
    assert model.state_dict().keys() == plain.state_dict().keys()
    for name, value in model.state_dict().items():
        if name.endswith("bias"):
            assert torch.equal(value, plain.state_dict()[name])
    assert torch.equal(unmerge_lora(model)(IDS), moved)


@torch.no_grad()
def test_merged_saved_and_loaded_it_is_a_plain_model(tmp_path):
    """Pitfall 41."""
    model = merge_lora(adapted())
    assert model.state_dict().keys() == small().state_dict().keys()
    assert [p.shape for p in model.parameters()] == [p.shape for p in small().parameters()]
    tinykd.lm.save(model, tmp_path / "merged")
    plain = tinykd.lm.load(tmp_path / "merged")
    assert {type(m) for m in plain.modules()} == {type(m) for m in small().modules()}
    assert torch.equal(plain(IDS), model(IDS))
    again = add_lora(plain, rank=2)  # and it can be built on
    assert torch.equal(again(IDS), model(IDS))


def test_a_merged_state_does_not_count_twice():
    state = merge_lora(adapted()).state_dict()
    with pytest.raises(RuntimeError, match=r"query\.linear\.weight"):
        adapted().load_state_dict(state)
    fresh = small()
    fresh.load_state_dict(state)
    with torch.no_grad():
        torch.testing.assert_close(fresh(IDS), adapted()(IDS), rtol=1e-4, atol=1e-5)


def test_adapters_on_merged_ones_are_refused(tmp_path):
    save_lora(adapted(), tmp_path / "a")
    for again in (add_lora, lambda model: load_lora(model, tmp_path / "a")):
        model = merge_lora(adapted())
        with pytest.raises(ValueError, match="has adapters already, merged ones"):
            again(model)
        assert model.state_dict().keys() == small().state_dict().keys()


def test_training_a_merged_model_says_what_to_do():
    model = merge_lora(adapted())
    with pytest.raises(RuntimeError, match="nothing of it would be trained: unmerge_lora"):
        model(IDS)
    with torch.no_grad():
        model(IDS)
    with torch.enable_grad():
        model.eval()(IDS)
    model.train().requires_grad_(True)  # the merged weights themselves: as asked for
    before = model.state_dict()["blocks.0.attention.query.weight"].clone()
    trainer(model).fit(SequenceBatches(EXAMPLES, size=4), epochs=1)
    assert not torch.equal(model.blocks[0].attention.query.weight, before)
    for lose in (unmerge_lora, lambda model: save_lora(model, "nowhere")):
        with pytest.raises(ValueError, match="have changed since merge_lora.*save"):
            lose(model)


def test_the_adapters_train_on_after_a_look_at_the_merged_model():
    model = adapted()
    merge_lora(model)
    unmerge_lora(model)
    start = state(model, frozen=False)
    trainer(model).fit(SequenceBatches(EXAMPLES, size=4), epochs=1)
    assert all(not torch.equal(p, start[n]) for n, p in state(model, frozen=False).items())


@torch.no_grad()
def test_merged_in_bfloat16_it_is_rounded_once():
    model = adapted().bfloat16()
    layer = model.blocks[0].attention.query
    wanted = layer.linear.weight.float() + layer.scale * layer.B.float() @ layer.A.float()
    mode, before = torch.get_rng_state(), copy.deepcopy(model.state_dict())
    merge_lora(model)
    assert torch.equal(model.blocks[0].attention.query.weight, wanted.bfloat16())
    assert torch.equal(torch.get_rng_state(), mode)
    for name, value in unmerge_lora(model).state_dict().items():
        assert torch.equal(value, before[name])


@torch.no_grad()
def test_a_merged_model_may_be_copied_and_moved():
    """Its adapters come back in the precision that it has by then."""
    wanted = adapted().double().eval()(IDS)
    model = copy.deepcopy(merge_lora(adapted().eval())).double()
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    torch.testing.assert_close(unmerge_lora(model)(IDS), wanted, rtol=1e-9, atol=1e-9)
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_saved_adapters_come_back(tmp_path, dtype):
    model = adapted()
    save_lora(model, tmp_path / "a.safetensors", dtype)
    torch.manual_seed(50)  # the random numbers of the fresh A must not matter
    again = load_lora(small(), tmp_path / "a.safetensors")
    torch.testing.assert_close(again(IDS), model(IDS), **(
        {"rtol": 0, "atol": 0} if dtype == torch.float32 else {"rtol": 0.05, "atol": 0.05}
    ))  # fmt: skip
    assert trainable(again) == trainable(model)
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
    merge_lora(model)
    save_lora(model, tmp_path / "b.safetensors")  # the adapters are saved, merged or not
    assert torch.equal(load_lora(small(), tmp_path / "b.safetensors")(IDS), again(IDS)) == (
        dtype == torch.float32
    )


def test_adapters_of_another_model_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    save_lora(adapted(), path)
    with pytest.raises(ValueError, match=r"another model.*blocks\.2\..*None there"):
        load_lora(small(layers=3), path)
    with pytest.raises(ValueError, match=r"another model.*blocks\.1\..*None here"):
        load_lora(small(layers=1), path)
    wide = small(width=32)
    with pytest.raises(ValueError, match=r"\(3, 16\) there and \(3, 32\) here"):
        load_lora(wide, path)
    assert trainable(wide) == {name for name, _ in small().named_parameters()}  # left as it was
    with pytest.raises(ValueError, match="has adapters already"):
        load_lora(adapted(), path)


def test_errors_say_what_to_do(tmp_path):
    for rank in (0, -2):
        with pytest.raises(ValueError, match=f"at least 1, got {rank}"):
            add_lora(small(), rank)
    with pytest.raises(ValueError, match="has adapters already"):
        add_lora(adapted())
    with pytest.raises(ValueError, match="no adapters to save: add_lora"):
        save_lora(small(), tmp_path / "a")
    tinykd.lm.save(small(), tmp_path / "b")
    with pytest.raises(ValueError, match="no adapters written by save_lora"):
        load_lora(small(), tmp_path / "b")


class Stopped(Exception):
    pass


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_stopped_and_resumed_it_is_the_same_run(tmp_path, stop):
    """Pitfall 25, with adapters: into a model whose adapters were drawn anew."""
    whole = add_lora(small(), rank=2)
    trainer(whole).fit(SequenceBatches(EXAMPLES, size=4), epochs=3)

    def crash(t):
        if t.step == stop + 1:
            raise Stopped

    options = {"checkpoint": tmp_path / "run", "checkpoint_every": 1}
    model = add_lora(small(), rank=2)
    with pytest.raises(Stopped):
        trainer(model, callbacks=[crash], **options).fit(
            SequenceBatches(EXAMPLES, size=4), epochs=3
        )
    base = small()
    torch.manual_seed(31)
    again = add_lora(base, rank=2)
    resumed = trainer(again, **options)
    resumed.fit(SequenceBatches(EXAMPLES, size=4), epochs=3, resume=True)
    assert resumed.step == 6
    for (name, a), b in zip(whole.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_a_stack_of_adapters_generates():
    """Through the key-value cache, merged and not, the text is the same."""
    model = adapted()
    options = {"temperature": 0, "max_new": 8, "progress": False}
    loose = tinykd.lm.generate(model, IDS.tolist(), **options)
    assert tinykd.lm.generate(merge_lora(model), IDS.tolist(), **options) == loose


def test_files_that_hold_no_adapters_are_refused(tmp_path):
    from safetensors.torch import save_file

    file, model = tmp_path / "a.safetensors", small()
    for about in (None, {"alpha": "16"}):
        save_file({"a": torch.zeros(2)}, file, about)
        with pytest.raises(
            ValueError, match=r"a\.safetensors holds no adapters written by save_lora"
        ):
            load_lora(model, file)
    assert not any(name.endswith(".A") for name, _ in model.named_parameters())
