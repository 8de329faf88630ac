"""Sampling: the right distribution, the right order, and an end."""

import math

import numpy as np
import pytest
import torch

from tinykd.lm import Config, Transformer, generate, layers, nucleus
from tinykd.lm.generate import draw

PROMPTS = [[3, 1, 4], [1], [5, 9, 2, 6, 5, 3], [5, 8], [9, 7, 9], [3, 2, 3, 8, 4, 6, 2], [6]]


def small(vocab=11, **shape):
    torch.manual_seed(0)
    model = Transformer(Config(vocab, 16, 2, 4, 2, tied=False, **shape)).double()
    with torch.no_grad():
        model.head.weight.mul_(2)  # a model that has opinions
    return model


def sample(model, prompts=PROMPTS, **options):
    return generate(model, prompts, **{"progress": False, "max_new": 12} | options)


@torch.no_grad()
def greedy(model, prompt, max_new, eos=None):
    """The most likely next token, over and over, by whole forward passes."""
    ids = list(prompt)
    for _ in range(max_new):
        ids.append(model(torch.tensor([ids]))[0, -1].argmax().item())
        if ids[-1] == eos:
            break
    return ids[len(prompt) :]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("eos", [None, 0, 1, 2, 3])
def test_greedy_is_the_argmax_step_by_step(batch_size, eos):
    """Also where rows of one batch end at different times, and in the order of the prompts."""
    model = small()
    wanted = [greedy(model, prompt, 12, eos) for prompt in PROMPTS]
    found = sample(model, temperature=0, eos=eos, batch_size=batch_size, pad=7)
    assert found == wanted
    assert len({tuple(answer) for answer in wanted}) >= len(PROMPTS) - 1


@pytest.mark.slow
def test_many_prompts_several_samples_and_long_answers():
    """Prompts read in several parts, a prompt that comes twice, a cache that has to grow."""
    model = small()
    torch.manual_seed(1)
    prompts = [torch.randint(0, 11, (1 + n % 13,)).tolist() for n in range(40)]
    prompts += prompts[:7]
    wanted = [greedy(model, prompt, 80, eos=3) for prompt in prompts]
    assert sample(model, prompts, temperature=0, eos=3, max_new=80) == wanted
    assert {len(answer) for answer in wanted} > {80}


def test_rows_do_end_at_different_times():
    """Or the test above would show little."""
    lengths = {eos: {len(greedy(small(), p, 12, eos)) for p in PROMPTS} for eos in range(4)}
    assert max(map(len, lengths.values())) >= 3


@pytest.mark.parametrize("max_new", [0, 1, 5])
def test_an_answer_ends_in_eos_or_is_full(max_new):
    model = small()
    answers = sample(model, PROMPTS * 20, eos=3, max_new=max_new, seed=1)
    for answer in answers:
        assert len(answer) == max_new or answer[-1] == 3
        assert 3 not in answer[:-1]
        assert len(answer) <= max_new
    assert len(answers) == 20 * len(PROMPTS)


def test_the_same_seed_gives_the_same_text():
    model = small()
    first = sample(model, seed=4)
    torch.manual_seed(99)
    assert sample(model, seed=4) == first
    assert sample(model, seed=5) != first
    torch.manual_seed(7)
    before = torch.get_rng_state()
    sample(model, seed=4)
    assert torch.equal(torch.get_rng_state(), before)  # nobody else's random numbers are taken


def nucleus_oracle(p, top_p):
    """Take the likeliest tokens, one by one, until they have top_p together."""
    kept, total = {}, 0.0
    for token in sorted(range(len(p)), key=lambda i: -p[i]):
        if total >= top_p:
            break
        kept[token], total = p[token], total + p[token]
    return [kept.get(i, 0.0) / total for i in range(len(p))]


@pytest.mark.parametrize("top_p", [1e-6, 0.1, 0.5, 0.9, 0.999, 1.0])
def test_the_nucleus_is_the_smallest_set_that_is_likely_enough(top_p):
    for sharpness in (0.1, 1.0, 5.0):
        p = torch.softmax(sharpness * torch.randn(50, 13), -1)
        wanted = torch.tensor([nucleus_oracle(row, top_p) for row in p.tolist()])
        torch.testing.assert_close(nucleus(p, top_p), wanted)


def test_the_nucleus_of_a_tie_still_has_the_mass():
    p = torch.full((1, 8), 1 / 8)
    assert (nucleus(p, 0.5) > 0).sum() == 4
    assert (nucleus(p, 0.51) > 0).sum() == 5
    assert torch.equal(p, torch.full((1, 8), 1 / 8))  # not worked on in place


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (2.0, 0.8), (1.0, 0.6)])
def test_frequencies_are_those_of_the_truncated_softmax(temperature, top_p):
    """Pearson's chi-square of 4000 first and 4000 second tokens; a deviation of 5 sigma fails."""
    model, n = small(), 4000
    answers = torch.tensor(
        sample(
            model, [[3, 1, 4]] * n, temperature=temperature, top_p=top_p, max_new=2, batch_size=n
        )
    )
    with torch.no_grad():
        first = torch.softmax(model(torch.tensor([[3, 1, 4]]))[0, -1] / temperature, -1)
        follow = torch.tensor([[3, 1, 4, token] for token in range(11)])
        second = torch.softmax(model(follow)[:, -1] / temperature, -1)
    first = torch.tensor(nucleus_oracle(first.tolist(), top_p)).double()
    second = torch.tensor([nucleus_oracle(row.tolist(), top_p) for row in second]).double()
    pairs = (first[:, None] * second).flatten()
    seen = torch.bincount(answers[:, 0] * 11 + answers[:, 1], minlength=121)
    assert seen[pairs == 0].sum() == 0
    often = pairs * n >= 5
    rare = torch.tensor([pairs[~often].sum() * n, seen[~often].sum()])
    chi = ((seen[often] - pairs[often] * n) ** 2 / (pairs[often] * n)).sum()
    assert chi < often.sum() + 5 * (2 * often.sum()) ** 0.5
    assert abs(rare[0] - rare[1]) < 5 * (rare[0] + 1) ** 0.5
    assert often.sum() >= 3


def test_temperature_zero_needs_no_random_numbers():
    logits, rng = torch.randn(5, 11), torch.Generator()
    state = rng.get_state()
    assert torch.equal(draw(logits, 0, 0.5, rng), logits.argmax(-1))
    assert torch.equal(rng.get_state(), state)


def test_a_word_that_is_ruled_out_is_never_drawn():
    logits = torch.randn(2000, 5)
    logits[:, 2] = -torch.inf
    assert not (draw(logits, 1.0, 1.0, torch.Generator()) == 2).any()
    assert not (draw(logits, 1.0, 0.999, torch.Generator()) == 2).any()


@pytest.mark.parametrize("u", [0.0, 1.0 - 2**-24, 1.0])
@pytest.mark.parametrize("top_p", [1.0, 0.9, 1e-50])
def test_a_word_that_is_ruled_out_is_not_drawn_at_the_ends_either(u, top_p, monkeypatch):
    """Running sums are rounded: the draw may land on the first word, or behind the last."""
    monkeypatch.setattr(torch, "rand", lambda *size, **_: torch.full(size, u))
    logits = torch.randn(200, 9)
    out = torch.rand_like(logits).argsort(-1) < torch.arange(200)[:, None] % 9
    out[:, [0, -1]] = True
    out[:, 4] = False
    drawn = draw(logits.masked_fill(out, -torch.inf), 1.0, top_p, torch.Generator())
    assert not out.gather(1, drawn[:, None]).any()


@pytest.mark.parametrize("temperature", [1e-5, 1e-20, 1e-40, 1e-320])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_tiny_temperature_is_nearly_greedy(temperature, dtype):
    logits = (30 * torch.randn(300, 7)).to(dtype)
    logits[:, 3] = -torch.inf
    rng = torch.Generator()
    likely = logits.topk(2, -1).values
    clear = likely[:, 0] - likely[:, 1] > 0.1
    assert torch.equal(draw(logits, temperature, 1.0, rng)[clear], logits.argmax(-1)[clear])
    assert torch.equal(draw(logits, temperature, 0.5, rng)[clear], logits.argmax(-1)[clear])
    tie = torch.tensor([[5.0, 5.0, 1.0]], dtype=dtype).expand(2000, -1)
    assert abs((draw(tie, temperature, 1.0, rng) == 0).double().mean() - 0.5) < 0.06
    assert not (draw(tie, temperature, 1.0, rng) == 2).any()


def test_several_ends():
    """Any of them ends an answer; a single one may stand alone or in a list."""
    model = small()
    for ends in ([3, 8], (8, 3), torch.tensor([3, 8])):
        answers = sample(model, PROMPTS * 10, eos=ends, max_new=12, seed=1)
        assert {answer[-1] for answer in answers if len(answer) < 12} == {3, 8}
        assert not any({3, 8} & set(answer[:-1]) for answer in answers)
    assert sample(model, eos=3) == sample(model, eos=[3])
    assert sample(model, eos=[]) == sample(model)


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
@pytest.mark.parametrize("temperature", [0, 1])
def test_broken_weights_say_so(wrong, temperature):
    model = small()
    model.head.weight.data[4] = wrong
    with pytest.raises(FloatingPointError, match="prompt 1 are not finite after 0 new tokens"):
        sample(model, [[5, 8, 2], [3]], temperature=temperature)
    later = small()
    later.embed.weight.data[9] = wrong  # only once 9 has been written
    answers = sample(small(), [[3, 1, 4]] * 40, seed=3)
    first = min(answer.index(9) for answer in answers if 9 in answer) + 1
    with pytest.raises(FloatingPointError, match=f"not finite after {first} new tokens"):
        sample(later, [[3, 1, 4]] * 40, seed=3)


def test_a_row_that_has_ended_may_break():
    """Nobody reads its logits; it stays in the batch until enough have ended."""
    model = small()
    model.embed.weight.data[9] = torch.nan
    answers = sample(model, [[3, 1, 4]] * 40, eos=9, seed=3)
    assert any(answer[-1] == 9 for answer in answers)
    assert answers == sample(small(), [[3, 1, 4]] * 40, eos=9, seed=3)


def test_prompts_may_be_tensors():
    model, tensors = small(), [torch.tensor(prompt) for prompt in PROMPTS]
    wanted = sample(model, temperature=0)
    assert sample(model, tensors, temperature=0) == wanted
    assert sample(model, [np.array(prompt) for prompt in PROMPTS], temperature=0) == wanted
    same = torch.tensor([[3, 1, 4]] * 3)
    assert sample(model, same, temperature=0) == sample(model, same.tolist(), temperature=0)


def test_the_mode_comes_back_and_nothing_has_a_gradient():
    model = small()
    for mode in (True, False):
        model.train(mode)
        model.blocks[1].train(not mode)
        sample(model)
        assert (model.training, model.blocks[1].training) == (mode, not mode)
        broken = small().train(mode)
        broken.norm.weight.data.fill_(torch.nan)
        with pytest.raises(FloatingPointError):
            sample(broken)
        assert all(module.training == mode for module in broken.modules())
    assert all(p.grad is None for p in model.parameters())


def test_training_goes_on_after_sampling():
    """Nothing that sampling computes (in inference mode) is kept for the next forward pass."""
    layers._on.cache_clear()
    model, ids = small(rope_factors=(1.0, 2.0)), torch.tensor([PROMPTS[2]])
    apart = small(rope_factors=(1.0, 2.0))
    sample(model)
    for net in (model, apart):
        net(ids).logsumexp(-1).sum().backward()
    for mine, theirs in zip(model.parameters(), apart.parameters(), strict=True):
        assert torch.equal(mine.grad, theirs.grad)


def test_bfloat16_says_nearly_the_same():
    model = small()
    wanted = sample(model, temperature=0, max_new=1)
    answers = sample(model.bfloat16(), temperature=0)
    assert [len(answer) for answer in answers] == [12] * len(PROMPTS)
    agree = sum(a[:1] == b for a, b in zip(answers, wanted, strict=True))
    assert agree >= len(PROMPTS) - 1
    assert sample(model, seed=2) == sample(model, seed=2)


def test_errors_name_the_bad_value():
    model = small()
    with pytest.raises(ValueError, match="prompt 1 is empty"):
        sample(model, [[1], []])
    for wrong in (
        {"temperature": -0.1}, {"temperature": math.nan}, {"temperature": math.inf},
        {"top_p": 0.0}, {"top_p": 1.5}, {"top_p": math.nan}, {"max_new": -1}, {"batch_size": 0},
        {"batch_size": -4}, {"eos": 11}, {"eos": -1}, {"eos": [3, 99]}, {"pad": 11}, {"pad": -1},
    ):  # fmt: skip
        value = next(iter(wrong.values()))
        with pytest.raises(ValueError, match=f"{value[-1] if isinstance(value, list) else value}"):
            sample(model, **wrong)
    for ids in ([3, 400], torch.tensor([400, 3]), [-1]):
        with pytest.raises(ValueError, match="prompt 1 has the id .* model's ids are 0 to 10"):
            sample(model, [[3, 1], ids])
    for strange in ([1, 2, 3], ["text"], [[1.5]], [[[1]]], [torch.tensor([[1, 2]])]):
        with pytest.raises(TypeError, match="prompt 0 must be token ids"):
            sample(model, strange)
    assert sample(model, []) == []


def test_no_new_tokens_are_no_work():
    def forward(*_, **__):
        raise AssertionError

    model = small()
    model.forward = forward
    assert sample(model, max_new=0) == [[]] * len(PROMPTS)
