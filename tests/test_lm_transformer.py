"""The transformer: who sees whom, where a token stands, and what is left out of the work."""

import math

import pytest
import torch
from torch.nn import functional as F

from tinykd import Capture, HardLabels, SoftTargets, Trainer
from tinykd.batch import to_device
from tinykd.lm import (
    Chunked,
    Classifier,
    Config,
    Headless,
    SequenceBatches,
    Transformer,
    generate,
    keep_layers,
)
from tinykd.lm.cache import Cache
from tinykd.lm.layers import angles, rotate
from tinykd.models import forward

LENGTHS = (5, 2, 7)


def small(causal=True, **shape):
    shape = {"vocab": 19, "width": 16, "layers": 2, "heads": 4, "kv_heads": 2} | shape
    return Transformer(Config(causal=causal, **shape)).double()


def padded(left=0, right=0, seed=0):
    """Sequences of LENGTHS tokens with padding of junk on both sides: ids and mask."""
    size = max(LENGTHS) + left + right
    ids = torch.randint(19, (3, size), generator=torch.Generator().manual_seed(seed + 100))
    words = torch.randint(19, (3, 7), generator=torch.Generator().manual_seed(seed))
    mask = torch.zeros_like(ids)
    for row, n in enumerate(LENGTHS):
        start = size - right - n if left else 0
        ids[row, start : start + n], mask[row, start : start + n] = words[row, :n], 1
    return ids, mask


def alone(model, row):
    """Logits of one sequence that has no batch mates and no padding."""
    ids, mask = padded()
    return model(ids[row : row + 1][mask[row : row + 1].bool()][None])[0]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("left", "right"), [(0, 0), (0, 3), (2, 0), (1, 4)])
def test_padding_on_either_side_changes_nothing_at_real_positions(causal, left, right):
    """Pitfall 12: whatever the padding is filled with, and whoever else is in the batch."""
    model = small(causal)
    ids, mask = padded(left, right)
    logits = model(ids, mask)
    assert logits.isfinite().all()
    for row in range(3):
        expected = alone(model, row)
        torch.testing.assert_close(logits[row][mask[row].bool()], expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(model(ids, mask.bool()), logits, rtol=0, atol=0)


def test_no_mask_is_a_mask_of_ones():
    for causal in (True, False):
        model, (ids, _) = small(causal), padded()
        found = model(ids, torch.ones_like(ids))
        torch.testing.assert_close(model(ids), found, rtol=0, atol=1e-10)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("wrap", [lambda x: x, Headless])
def test_padding_on_the_right_needs_no_mask(causal, wrap):
    """Pitfall 12: it is left out where it changes nothing: value and gradient at real positions."""
    model = Transformer(Config(17, 16, 2, heads=4, kv_heads=2, causal=causal))
    ids, right = torch.randint(17, (3, 7)), torch.ones(3, 7, dtype=torch.long)
    right[0, 4:] = right[1, 6:] = 0
    given = []
    hidden = model.hidden
    model.hidden = lambda ids, mask, *rest: given.append(mask) or hidden(ids, mask, *rest)
    for mask, free in ((right, causal), (right.flip(1), False), (torch.ones_like(right), causal)):
        batch = to_device({"input_ids": ids, "attention_mask": mask}, torch.device("cpu"))
        real = mask.bool()
        expected = model(ids, mask)[real]
        logits = forward(wrap(model), batch)
        logits = logits if isinstance(logits, torch.Tensor) else F.linear(*logits).view(3, 7, -1)
        assert (given[-1] is None) == free
        torch.testing.assert_close(logits[real], expected, rtol=1e-5, atol=1e-5)
        ours, theirs = (
            torch.autograd.grad(x.square().sum(), model.embed.weight, retain_graph=True)[0]
            for x in (logits[real], expected)
        )
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    stale = {**batch, "attention_mask": right.flip(1)}  # a batch made from another one
    forward(model, stale)
    assert given[-1] is stale["attention_mask"]


@pytest.mark.parametrize("causal", [True, False])
def test_who_sees_whom(causal):
    """The gradient of each position's logits with respect to each token's vector."""
    model = small(causal)
    ids, mask = padded(right=2)
    embedded = []
    model.embed.register_forward_hook(lambda m, i, o: embedded.append(o.retain_grad() or o))
    for t in range(ids.shape[1]):
        embedded.clear()
        model(ids, mask)[:, t].square().sum().backward()
        sees = embedded[0].grad.abs().sum(-1) > 0  # (B, S)
        for row, n in enumerate(LENGTHS):
            if t < n:
                expected = [s < n and (s <= t or not causal) for s in range(ids.shape[1])]
                assert sees[row].tolist() == expected


@pytest.mark.parametrize("cut", [[9], [1] * 9, [4, 1, 3, 1], [7, 2]])
def test_a_cache_changes_nothing(cut):
    model = small()
    ids, mask = padded(left=2)
    whole, parts = model(ids, mask), []
    cache = Cache(model.config, 3, 9, model.embed.weight)
    with torch.no_grad():
        for part, real in zip(ids.split(cut, 1), mask.split(cut, 1), strict=True):
            parts.append(model(part, real, cache=cache))
    found, real = torch.cat(parts, 1), mask.bool()
    assert cache.length == 9
    torch.testing.assert_close(found[real], whole[real], rtol=0, atol=1e-10)


@torch.no_grad()
def test_rows_that_leave_the_batch_change_nothing():
    model = small()
    ids, mask = padded(left=2)
    whole, rows = model(ids, mask), torch.tensor([2, 0])
    cache = Cache(model.config, 3, 9, model.embed.weight)
    model(ids[:, :6], mask[:, :6], cache=cache)
    cache.keep_rows(rows)
    for t in range(6, 9):
        found = model(ids[rows, t : t + 1], mask[rows, t : t + 1], cache=cache)[:, 0]
        torch.testing.assert_close(found, whole[rows, t], rtol=0, atol=1e-10)


@pytest.mark.parametrize("right", [1, 5])
def test_a_classifier_does_not_feel_padding(right):
    """Pitfall 12: neither its logits nor any gradient."""
    model = Classifier(Config(19, 16, 2, 4, 2, causal=False), 3).double()
    grads = []
    for ids, mask in (padded(), padded(right=right)):
        model.zero_grad()
        logits = model(ids, mask)
        (logits * torch.arange(9.0).view(3, 3)).sum().backward()
        grads.append([logits.detach(), *(p.grad for p in model.parameters())])
    for wanted, found in zip(*grads, strict=True):
        assert wanted.abs().sum() > 0
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)


def test_a_classifier_reads_the_mean_of_real_positions():
    model = Classifier(Config(19, 16, 1, 4, causal=False), 3).double()
    ids, mask = padded()
    for row, n in enumerate(LENGTHS):
        mean = sum(model.body.hidden(ids[row : row + 1, :n])[0]) / n
        torch.testing.assert_close(model(ids, mask)[row], model.head(mean))
        torch.testing.assert_close(model(ids[row : row + 1, :n])[0], model.head(mean))


@pytest.mark.parametrize("tied", [True, False])
def test_kept_positions_are_those_of_the_dense_logits(tied):
    """Values and gradients, in any order and with repetitions."""
    model, (ids, mask) = small(tied=tied), padded(right=1)
    positions = torch.tensor([13, 0, 5, 5, 22])
    results = []
    dense = model(ids, mask).flatten(0, 1)[positions]
    for logits in (model(ids, mask, positions=positions), dense):
        model.zero_grad()
        (logits.square() * torch.arange(5.0)[:, None]).sum().backward()
        results.append([logits.detach(), *(p.grad for p in model.parameters())])
    for kept, dense in zip(*results, strict=True):
        torch.testing.assert_close(kept, dense)


def complex_turn(x, positions, base=10_000.0):
    """Rotary positions as complex numbers: (x_i + j x_{i + d/2}) e^{j t base^(-2 i / d)}."""
    half = x.shape[-1] // 2
    frequency = base ** (-2 * torch.arange(half, dtype=torch.float64) / x.shape[-1])
    turned = torch.complex(x[..., :half], x[..., half:]) * torch.exp(
        1j * positions[..., None].double() * frequency
    )
    return torch.cat([turned.real, turned.imag], -1)


@pytest.mark.parametrize("padding", [0, 3])
def test_captured_scores_are_the_scores_and_leave_the_output_alone(padding):
    model, (ids, mask) = small(), padded(right=padding)
    plain, layer = model(ids, mask), "blocks.1.attention"
    with Capture(model, [f"{layer}.{name}" for name in ("scores", "query", "key")]) as acts:
        logits = model(ids, mask)
        scores, query, key = (acts[f"{layer}.{name}"] for name in ("scores", "query", "key"))
    torch.testing.assert_close(logits, plain, rtol=0, atol=1e-10)
    assert scores.shape == (3, 4, ids.shape[1], ids.shape[1])
    q, k = query.unflatten(-1, (4, 4)), key.unflatten(-1, (2, 4))  # (B, T, H, d)
    for b, n in enumerate(LENGTHS):
        for h in range(4):
            at = torch.arange(n)
            a, c = complex_turn(q[b, :n, h], at), complex_turn(k[b, :n, h // 2], at)
            torch.testing.assert_close(scores[b, h, :n, :n], a @ c.T / 2, rtol=0, atol=1e-6)


def test_rotary_products_depend_on_the_distance_alone():
    query, key = torch.randn(2, 8, dtype=torch.float64)
    products = {}
    for t, s in [(0, 3), (5, 8), (20, 23), (3, 0), (8, 5), (4, 4), (0, 0)]:
        cos, sin = angles(torch.tensor([[t, s]]), 8, 100.0)
        a, b = rotate(torch.stack([query, key])[None, None], cos.double(), sin.double())[0, 0]
        products.setdefault(t - s, []).append(a @ b)
        torch.testing.assert_close(a.norm(), query.norm(), rtol=1e-6, atol=0)
        torch.testing.assert_close(
            a, complex_turn(query, torch.tensor(t), 100.0), atol=1e-5, rtol=0
        )
    for same in products.values():
        torch.testing.assert_close(torch.stack(same), same[0].expand(len(same)), atol=1e-5, rtol=0)
    assert abs(products[0][0] - query @ key) < 1e-6
    assert abs(products[3][0] - products[-3][0]) > 1e-3  # before is not after


def test_rope_factors_divide_each_frequency():
    """A pair with factor 3 stands at position 6 where it stood at position 2."""
    factors = (1.0, 3.0)
    slow = angles(torch.tensor([[2, 6]]), 4, 100.0, factors)
    plain = angles(torch.tensor([[2, 6]]), 4, 100.0)
    for a, b in zip(slow, plain, strict=True):
        torch.testing.assert_close(a[..., 0], b[..., 0], rtol=0, atol=0)
        torch.testing.assert_close(a[0, 0, 1, 1], b[0, 0, 0, 1])
    assert Config(19, 16, 2, 4, rope_factors=[1, 3]).rope_factors == factors


def test_what_is_learned_with_every_addition_is_what_the_formula_says():
    """Heads of a size of their own, biases, norms of query and key, slower angles: written out."""
    model = small(head_size=6, biases=("query", "key", "value", "output", "gate", "up", "down"),
                  qk_norm=True, rope_factors=(1.0, 2.0, 4.0), layers=1)  # fmt: skip
    for p in model.parameters():
        if p.dim() == 1:
            torch.nn.init.normal_(p)
    ids, block = torch.arange(7)[None], model.blocks[0]
    x = model.embed(ids)[0]

    def norm(x, layer):
        return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * layer.weight

    y, at = norm(x, block.attention_norm), torch.arange(7)
    q, k, v = (
        (y @ layer.weight.T + layer.bias).unflatten(-1, (-1, 6))
        for layer in (block.attention.query, block.attention.key, block.attention.value)
    )
    q, k = norm(q, block.attention.query_norm), norm(k, block.attention.key_norm)
    half = torch.exp(1j * at[:, None] * 10_000.0 ** (-torch.arange(3.0).double() / 3)
                     / torch.tensor([1.0, 2.0, 4.0]))  # fmt: skip

    def turn(x):
        z = torch.complex(x[..., :3], x[..., 3:]) * half[:, None]
        return torch.cat([z.real, z.imag], -1)

    mixed = []
    for h in range(4):
        scores = turn(q)[:, h] @ turn(k)[:, h // 2].T / 6**0.5
        scores = scores.masked_fill(at[None] > at[:, None], -math.inf)
        mixed.append(scores.softmax(-1) @ v[:, h // 2])
    out = block.attention.output
    x = x + torch.cat(mixed, -1) @ out.weight.T + out.bias
    y, feed = norm(x, block.feed_forward_norm), block.feed_forward
    gate = torch.nn.functional.silu(y @ feed.gate.weight.T + feed.gate.bias)
    x = x + (gate * (y @ feed.up.weight.T + feed.up.bias)) @ feed.down.weight.T + feed.down.bias
    wanted = norm(x, model.norm) @ model.embed.weight.T
    torch.testing.assert_close(model(ids)[0], wanted, rtol=0, atol=1e-5)  # angles are float32
    cache = Cache(model.config, 1, 2, model.embed.weight)
    with torch.no_grad():
        steps = torch.cat([model(ids[:, t : t + 1], cache=cache) for t in range(7)], 1)[0]
    torch.testing.assert_close(steps, wanted, rtol=0, atol=1e-5)


def padded_and_not(tied, rows, **shape):
    """A model with rows behind its 19 tokens, likely ones at that, and one without these rows."""
    torch.manual_seed(7)
    padded = small(vocab=rows, tokens=19, tied=tied, **shape)
    with torch.no_grad():
        for weight in {padded.embed.weight, *([] if tied else [padded.head.weight])}:
            weight[19:] = 30 * torch.randn(rows - 19, weight.shape[1])
    plain = small(vocab=19, tied=tied, **shape)
    plain.load_state_dict(
        {k: v[:19] if len(v) == rows else v for k, v in padded.state_dict().items()}
    )
    return padded, plain


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("chunks", [False, True])
def test_rows_that_are_no_tokens_have_no_probability_and_no_gradient(tied, chunks):
    """Pitfall 44, student and teacher, padded to different sizes: as if the rows were not there."""
    results = []
    for student, teacher in zip(
        padded_and_not(tied, 23), padded_and_not(tied, 29, width=24), strict=True
    ):
        batches = SequenceBatches([([1, 2], [n, 5, 0]) for n in range(6, 12)], 3, shuffle=False)
        objective = 0.7 * SoftTargets(T=2) + 0.3 * HardLabels()
        models = [student, teacher]
        if chunks:
            objective, models = Chunked(objective, 4), [Headless(student), Headless(teacher)]
        trainer = Trainer(
            models[0], objective, models[1], lambda ps: torch.optim.SGD(ps, 0.5),
            device="cpu", progress=False,
        )  # fmt: skip
        before = student.embed.weight.detach().clone()
        history = trainer.fit(batches, epochs=2)
        assert not torch.equal(student.embed.weight[:19], before[:19])
        assert torch.equal(student.embed.weight[19:], before[19:])
        results.append((history[-1]["loss"], student(torch.arange(19)[None])))
        assert results[-1][1].shape == (1, 19, 19)
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-9)
    torch.testing.assert_close(results[0][1], results[1][1])


def test_rows_that_are_no_tokens_are_never_sampled():
    padded, plain = padded_and_not(True, 23)
    prompts = [[1, 2, 3], [4], [5, 6]]
    for T in (0, 1.0, 5.0):
        found, wanted = (
            generate(model, prompts, 20, T, progress=False) for model in (padded, plain)
        )
        assert found == wanted
        assert max(map(max, found)) < 19
    padded.config.tokens = None
    assert max(map(max, generate(padded, prompts, 20, 0, progress=False))) >= 19


def test_kept_layers_are_copies():
    for model in (small(layers=4), Classifier(Config(19, 16, 4, 4, causal=False), 3).double()):
        ids, mask = padded()
        before = model(ids, mask).detach()
        copy = keep_layers(model, [0, 2, -1])
        body, blocks = getattr(copy, "body", copy), getattr(model, "body", model).blocks
        assert len(body.blocks) == body.config.layers == 3
        assert getattr(model, "body", model).config.layers == len(blocks) == 4
        for ours, n in zip(body.blocks, (0, 2, 3), strict=True):
            for a, b in zip(ours.parameters(), blocks[n].parameters(), strict=True):
                assert torch.equal(a, b)
                assert a.data_ptr() != b.data_ptr()
        torch.optim.SGD(copy.parameters(), 1.0).zero_grad()
        copy(ids, mask).square().sum().backward()
        torch.optim.SGD(copy.parameters(), 1.0).step()
        assert torch.equal(model(ids, mask), before)
        assert all(p.grad is None for p in model.parameters())
        torch.testing.assert_close(keep_layers(model, range(4))(ids, mask), before)
        with pytest.raises(IndexError):
            keep_layers(model, [0, 4])


def test_errors_name_the_bad_value():
    with pytest.raises(ValueError, match="width 15 .*4 heads"):
        Config(19, 15, 2, 4)
    with pytest.raises(ValueError, match="width 12 .*4 heads"):
        Config(19, 12, 2, 4)  # heads of 3: no pairs to turn
    with pytest.raises(ValueError, match="kv_heads 3 must divide 4"):
        Config(19, 16, 2, 4, 3)
    with pytest.raises(ValueError, match="head_size 5 must be even"):
        Config(19, 16, 2, 4, head_size=5)
    with pytest.raises(ValueError, match="half as many rope_factors"):
        Config(19, 16, 2, 4, rope_factors=(1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match="no layer of a block is called .'values'"):
        Config(19, 16, 2, 4, biases=("values",))
    with pytest.raises(ValueError, match=r"tokens 20 must be in \[1, 19\]"):
        Config(19, 16, 2, 4, tokens=20)
    with pytest.raises(ValueError, match=r"\(3, 6\).*\(3, 7\)"):
        small()(padded()[0], padded()[1][:, 1:])
    assert Config(19, 16, 2, 4).kv_heads == Config(19, 16, 2, 4).head_size == 4
    assert Config(19, 15, 2, 4, head_size=6).head_size == 6
    assert Config(19, 100, 2, 2).hidden == 8 * math.ceil(100 / 3)


def test_bfloat16_has_the_same_values_with_gradients_and_without():
    model, (ids, mask) = small(), padded(right=2)
    wanted, real = model(ids, mask).detach(), mask.bool()
    model.bfloat16()
    found = model(ids, mask)
    with torch.no_grad():
        quick = model(ids, mask)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found[real].double(), wanted[real], rtol=0, atol=0.1)
    torch.testing.assert_close(quick[real].double(), wanted[real], rtol=0, atol=0.1)
    found[real].float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16_training_on_a_cpu_writes_attention_out(monkeypatch, autocast):
    """Under autocast as well, where angles are float32: the fused kernel's backward is slow."""

    def fused(*args, **kwargs):
        raise AssertionError("the fused kernel")

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", fused)
    model = small().float() if autocast else small().bfloat16()
    ids = torch.randint(19, (2, 7))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        logits = model(ids)
        logits.float().logsumexp(-1).sum().backward()
    assert logits.dtype == torch.bfloat16
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    with torch.no_grad(), pytest.raises(AssertionError, match="fused"):
        model(ids)


def test_under_autocast_what_several_layers_read_is_converted_once():
    """The same logits to the bit: each layer would have converted the same numbers."""
    model, seen = small().float(), []
    for layer in (model.blocks[1].attention.key, model.blocks[1].feed_forward.up):
        layer.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].dtype))
    ids = torch.randint(19, (2, 7))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(ids)
        assert seen == [torch.bfloat16] * 2
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tinykd.lm.layers.converted", lambda x: x)
            torch.testing.assert_close(model(ids), logits, rtol=0, atol=0)
    model(ids)
    assert seen[-2:] == [torch.float32] * 2
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model.double()(ids).dtype == torch.float64


def test_a_new_model_knows_nothing():
    """Its logits are of size 1, so its loss is a little above log V, whatever the width."""
    for width in (16, 256):
        model = Transformer(Config(97, width, 4, 4))
        ids = torch.randint(97, (8, 32))
        loss = torch.nn.functional.cross_entropy(model(ids).flatten(0, 1), ids.roll(1).flatten())
        assert math.log(97) < loss < math.log(97) + 1.5


@pytest.mark.parametrize(
    "mask", [[[1, 1, 2, 2]], [[0.0, 0.0, -math.inf, 0.0]], [[1, 1, math.nan, 1]]]
)
def test_masks_that_mean_something_else_are_refused(mask):
    """Packed rows would see each other, additive masks mean the opposite: both pass as bools."""
    model = Transformer(Config(vocab=5, width=8, layers=1, heads=2))
    with pytest.raises(ValueError, match="attention_mask holds"):
        model(torch.zeros(1, 4, dtype=torch.long), torch.tensor(mask))
