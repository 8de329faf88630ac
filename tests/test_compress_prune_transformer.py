"""Pruning a transformer: importances against loops, the cut against the big model with zeros."""

import copy
import math

import pytest
import torch

from tinykd.compress import cut_transformer, importance, loss_without
from tinykd.lm import (
    Config,
    Transformer,
    add_lora,
    generate,
    keep_layers,
    load,
    merge_lora,
    save,
)

SHAPES = {
    "llama": {},
    "grouped": {"kv_heads": 2},
    "qwen2": {"kv_heads": 2, "biases": ("query", "key", "value", "output", "gate", "up", "down")},
    "qwen3": {"kv_heads": 2, "qk_norm": True, "head_size": 6},
    "untied": {"tied": False, "tokens": 15},
    "encoder": {"causal": False},
}


def big(name="llama", **more):
    """A float64 model whose norms and biases are not what they start as."""
    shape = {"vocab": 17, "width": 16, "layers": 3, "heads": 4, "hidden": 10, "norm_eps": 0.01}
    torch.manual_seed(3)
    model = Transformer(Config(**shape | SHAPES[name] | more)).double()
    for parameter in model.parameters():
        if parameter.dim() == 1:
            torch.nn.init.uniform_(parameter, 0.3, 1.5)
    return model


def padded():
    """Ids and mask of three sequences, with junk where there is padding."""
    ids = torch.randint(15, (3, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[0, 5:], mask[1, :3] = 0, 0
    return ids, mask


def stays(model):
    """What stays in the tests: other heads and units in each block, out of order."""
    groups, layers = model.config.kv_heads, model.config.layers
    heads = [[(n + 1) % groups] if groups == 2 else [3 - n, n % 2] for n in range(layers)]
    units = [[(3 * n + step) % 10 for step in (7, 0, 2, 5)] for n in range(layers)]
    return {"heads": heads, "units": units, "layers": [0, 2], "channels": [9, 1, 2, 15, 4, 6]}


@torch.no_grad()
def with_zeros(model, heads=None, units=None, layers=None, channels=None):
    """The oracle: the big model, its shape as it was, the parts that go silenced."""
    masked, config = copy.deepcopy(model), model.config
    width = config.heads // config.kv_heads * config.head_size
    gone = torch.ones(config.width, dtype=torch.bool)
    gone[range(config.width) if channels is None else channels] = False
    masked.embed.weight[:, gone] = 0
    if masked.head is not None:
        masked.head.weight[:, gone] = 0
    for n, block in enumerate(masked.blocks):
        output, down = block.attention.output, block.feed_forward.down
        for group in set(range(config.kv_heads)) - set(range(99) if heads is None else heads[n]):
            output.weight[:, group * width : (group + 1) * width] = 0
        for unit in set(range(config.hidden)) - set(range(99) if units is None else units[n]):
            down.weight[:, unit] = 0
        for layer in (output, down):
            silent = gone | (layers is not None and n not in layers)
            layer.weight[silent] = 0
            if layer.bias is not None:
                layer.bias[silent] = 0
    return masked


def loss(model, ids, mask):
    """A number that depends on all logits at real positions."""
    return (model(ids, mask)[mask.bool()].sin() * torch.arange(1, model(ids).shape[-1] + 1)).sum()


@pytest.mark.parametrize("part", ["heads", "units", "layers", "channels", "all"])
@pytest.mark.parametrize("name", SHAPES)
def test_the_cut_model_says_what_the_big_one_says_with_zeros(name, part):
    model, (ids, mask) = big(name), padded()
    given = stays(model)
    given = given if part == "all" else {part: given[part]}
    if name == "qwen3":
        given.pop("channels", None)
    before = copy.deepcopy(model.state_dict())
    small, masked = cut_transformer(model, **given), with_zeros(model, **given)
    real = mask.bool()
    torch.testing.assert_close(
        small(ids, mask)[real], masked(ids, mask)[real], rtol=1e-10, atol=1e-10
    )
    assert small.config.tied == model.config.tied
    assert (small.head is None) == (model.head is None)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
    # Through the gradient too: the cut weights get what the same weights of the big one get.
    loss(small, ids, mask).backward()
    loss(masked, ids, mask).backward()
    block, n = small.blocks[1], given.get("layers", [0, 1, 2])[1]
    whole = masked.blocks[n].feed_forward.down.weight.grad
    rows = sorted(given.get("channels", range(model.config.width)))
    columns = sorted(given["units"][n]) if "units" in given else range(10)
    expected = whole[list(rows)][:, list(columns)]
    torch.testing.assert_close(block.feed_forward.down.weight.grad, expected)


def test_the_config_says_the_shape_and_survives_a_file(tmp_path):
    model = big("grouped")
    small = cut_transformer(model, **stays(model)).float()
    config = small.config
    assert (config.width, config.layers, config.heads, config.kv_heads) == (6, 2, 2, 1)
    assert (config.hidden, config.head_size) == (4, 4)
    assert config.norm_eps == pytest.approx(0.01 * 16 / 6)
    assert model.config.width == 16
    save(small, tmp_path / "small.safetensors", torch.float32)
    again = load(tmp_path / "small.safetensors")
    ids, _ = padded()
    torch.testing.assert_close(again(ids), small(ids))
    how = {"max_new": 3, "temperature": 0, "progress": False}  # with a cache, a token at a time
    first = int(small(ids[:1])[0, -1].argmax())
    assert generate(small, ids[:1].tolist(), **how)[0][0] == first


def test_nothing_cut_changes_nothing_and_nothing_is_shared():
    model, (ids, mask) = big("qwen2"), padded()
    same = cut_transformer(model.eval())
    assert torch.equal(same(ids, mask), model(ids, mask))
    assert same.training == model.training
    with torch.no_grad():
        for parameter in same.parameters():
            parameter.zero_()
    assert model(ids, mask).abs().max() > 0


def test_layers_may_come_in_another_order():
    model, (ids, mask) = big(), padded()
    swapped = cut_transformer(model, layers=[2, 0])
    torch.testing.assert_close(swapped(ids, mask), keep_layers(model, [2, 0])(ids, mask))


@pytest.mark.parametrize("name", ["llama", "grouped", "qwen2", "qwen3"])
def test_importance_is_that_of_a_loop_over_real_positions(name):
    model = big(name).train()
    config, silu = model.config, torch.nn.functional.silu
    ids, mask = padded()
    batches = [
        {"input_ids": ids, "attention_mask": mask},
        {"input_ids": ids[2:, :4]},
    ]
    found = importance(model, batches)
    assert model.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    sizes = {"heads": config.kv_heads, "units": config.hidden}
    expected = {part: torch.zeros(3, size).double() for part, size in sizes.items()}
    expected |= {"channels": torch.zeros(16).double(), "layers": torch.zeros(3).double()}
    count = 0
    sequences = [ids[n][mask[n].bool()] for n in range(3)] + [ids[2, :4]]
    for sequence in sequences:  # each by itself: no padding at all
        cos, sin = _turn(len(sequence), config)
        x = model.embed(sequence[None])
        for n, block in enumerate(model.blocks):
            before, normed = x, block.attention_norm(x)
            keep = {}
            hook = block.attention.output.register_forward_pre_hook(
                lambda layer, given, keep=keep: keep.update(o=given[0])
            )
            x = x + block.attention(normed, (cos, sin), None, None, n)
            hook.remove()
            inner = block.feed_forward_norm(x)
            feed = block.feed_forward
            a = silu(feed.gate(inner)) * feed.up(inner)
            x = x + feed.down(a)
            for t in range(len(sequence)):
                fetched = keep["o"][0, t].view(config.kv_heads, -1)
                for k in range(config.kv_heads):
                    expected["heads"][n, k] += math.sqrt(sum(v * v for v in fetched[k].tolist()))
                expected["units"][n] += a[0, t].detach().abs()
                expected["channels"] += normed[0, t].detach().abs() + inner[0, t].detach().abs()
                one, two = before[0, t].detach(), x[0, t].detach()
                expected["layers"][n] += 1 - one @ two / (one.norm() * two.norm())
        expected["channels"] += model.norm(x)[0].detach().abs().sum(0)
        count += len(sequence)
    for part, sums in expected.items():
        torch.testing.assert_close(found[part], sums / count, rtol=1e-6, atol=1e-9)


def _turn(length, config):
    from tinykd.lm.layers import angles

    both = angles(torch.arange(length)[None], config.head_size, config.rope_base)
    return tuple(part.double() for part in both)


def test_a_block_that_does_nothing_has_no_influence_and_is_not_missed():
    model = big()
    with torch.no_grad():
        model.blocks[1].attention.output.weight.zero_()
        model.blocks[1].feed_forward.down.weight.zero_()
    ids, mask = padded()
    found = importance(model, [{"input_ids": ids, "attention_mask": mask}])
    assert found["layers"][1] == pytest.approx(0, abs=1e-6)
    assert found["layers"][[0, 2]].min() > 1e-3
    missed = loss_without(model, lambda net: float(loss(net, ids, mask).detach()))
    assert missed[1] == pytest.approx(0, abs=1e-6)
    without = keep_layers(model, [1, 2])
    expected = float((loss(without, ids, mask) - loss(model, ids, mask)).detach())
    assert float(missed[0]) == pytest.approx(expected)
    assert len(model.blocks) == 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"heads": [[0], [1, 2], [0]]}, "a list for each of 3 blocks, all as long"),
        ({"units": [[0], [1]]}, "a list for each of 3 blocks"),
        ({"units": [[0, 10]] * 3}, "there are 10"),
        ({"heads": [[-1]] * 3}, "there are 4"),
        ({"channels": [1, 1]}, "each once"),
        ({"layers": []}, "at least one"),
    ],
)
def test_what_is_not_there_cannot_stay(given, words):
    with pytest.raises(ValueError, match=words):
        cut_transformer(big(), **given)


def test_what_cannot_be_told_is_refused():
    with pytest.raises(ValueError, match="share norm_eps"):
        cut_transformer(big("qwen3"), channels=[0, 1])
    with pytest.raises(ValueError, match="no batches"):
        importance(big(), [])


def test_adapters_are_merged_before_the_cut():
    model, (ids, mask) = add_lora(big(), rank=2), padded()
    for name, parameter in model.named_parameters():
        if name.endswith(".B"):
            torch.nn.init.normal_(parameter)
    with pytest.raises(ValueError, match="query.weight: if it has adapters, merge_lora"):
        cut_transformer(model, layers=[0])
    merged = merge_lora(model).eval()
    torch.testing.assert_close(cut_transformer(merged)(ids, mask), merged(ids, mask))


def test_frozen_weights_stay_frozen():
    model = big()
    model.embed.weight.requires_grad_(False)
    small = cut_transformer(model, layers=[1])
    assert [name for name, p in small.named_parameters() if not p.requires_grad] == ["embed.weight"]
