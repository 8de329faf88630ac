"""Sampling: the right distribution, the right order, and an end."""

import pytest
import torch

from tinykd.lm import Config, Transformer, generate, nucleus
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
    assert torch.equal(torch.get_rng_state(), before)  # nobody else's dice are touched


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


def test_temperature_zero_needs_no_dice():
    logits, dice = torch.randn(5, 11), torch.Generator()
    state = dice.get_state()
    assert torch.equal(draw(logits, 0, 0.5, dice), logits.argmax(-1))
    assert torch.equal(dice.get_state(), state)


def test_a_word_that_is_ruled_out_is_never_drawn():
    logits = torch.randn(2000, 5)
    logits[:, 2] = -torch.inf
    assert not (draw(logits, 1.0, 1.0, torch.Generator()) == 2).any()
    assert not (draw(logits, 1.0, 0.999, torch.Generator()) == 2).any()


def test_the_mode_comes_back_and_nothing_has_a_gradient():
    model = small()
    for mode in (True, False):
        model.train(mode)
        model.blocks[1].train(not mode)
        sample(model)
        assert (model.training, model.blocks[1].training) == (mode, not mode)
        with pytest.raises(IndexError):
            sample(model, [[3, 1], [400]])
        assert (model.training, model.blocks[1].training) == (mode, not mode)
    assert all(p.grad is None for p in model.parameters())


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
    with pytest.raises(ValueError, match="a prompt is empty"):
        sample(model, [[1], []])
    for wrong in ({"temperature": -0.1}, {"top_p": 0.0}, {"top_p": 1.5}):
        with pytest.raises(ValueError, match=str(*wrong.values())):
            sample(model, **wrong)
    assert sample(model, []) == []
