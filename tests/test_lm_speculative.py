"""Speculative decoding writes what the target would write, with fewer readings."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from tinykd import SoftTargets, Trainer
from tinykd.lm import Config, SequenceBatches, Transformer, generate
from tinykd.lm.speculative import accept, speculate, total_variation

EVERY = 2500  # answers that are counted


def model(seed, vocab=4, layers=1, sharp=3.0, **more):
    """Random weights, in float64 so that a cached and a whole reading agree to the last token."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = Transformer(Config(vocab=vocab, width=16, layers=layers, heads=2, **more)).double()
    with torch.no_grad():
        made.norm.weight.mul_(sharp)
    return made.eval()


def joint(target, prompt, length, temperature, top_p=1.0, eos=None):
    """Probability of every answer, by the chain rule over whole readings without a cache."""
    vocab, found = target.config.vocab, {}
    every = list(itertools.product(range(vocab), repeat=length))
    logits = target(torch.tensor([[*prompt, *answer] for answer in every]))[:, len(prompt) - 1 :]
    for answer, rows in zip(every, logits.detach().numpy() / temperature, strict=True):
        p, text = 1.0, ()
        for token, z in zip(answer, rows, strict=False):
            one = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
            ranked = np.argsort(-one)
            kept = ranked[: int((np.cumsum(one[ranked]) < top_p).sum()) + 1]
            one = np.array([x if i in kept else 0.0 for i, x in enumerate(one)])
            p, text = p * one[token] / one.sum(), (*text, token)
            if token == eos:
                break
        found[text] = p
    return found


def chi_square(answers, expected):
    """The p-value of these counts, answers that are expected less than 5 times together."""
    counts = dict.fromkeys(expected, 0)
    for answer in map(tuple, answers):
        counts[answer] += 1  # a KeyError: an answer that the target never writes
        assert expected[answer] > 0
    pairs = [(counts[key], p * len(answers)) for key, p in expected.items() if p > 0]
    rare = [pair for pair in pairs if pair[1] < 5]
    cells = [pair for pair in pairs if pair[1] >= 5]
    cells += [tuple(map(sum, zip(*rare, strict=True)))] if rare else []
    statistic = sum((seen - e) ** 2 / e for seen, e in cells)
    return chi2.sf(statistic, len(cells) - 1)


@pytest.mark.parametrize(
    ("ahead", "temperature", "top_p", "eos"),
    [(1, 1.0, 1.0, None), (2, 0.7, 1.0, None), (3, 1.5, 1.0, 2), (5, 1.0, 0.8, 2)],
)
def test_whole_answers_are_distributed_as_the_targets(ahead, temperature, top_p, eos):
    target, draft = model(1, layers=2), model(2)
    prompt, length = [3, 1], 3
    expected = joint(target, prompt, length, temperature, top_p, eos)
    assert math.isclose(sum(expected.values()), 1)
    found = speculate(
        target, draft, [prompt] * EVERY, ahead, length, temperature, top_p, eos,
        batch_size=EVERY, progress=False,
    )  # fmt: skip
    assert 0.1 < found.accepted / found.tested < 0.9  # both ways are used
    assert chi_square(found.answers, expected) > 1e-3
    if ahead == 1:  # and the test can tell
        others = generate(draft, [prompt] * EVERY, length, batch_size=EVERY, progress=False)
        assert chi_square(others, expected) < 1e-9


@pytest.mark.parametrize(("ahead", "batch_size"), [(1, 3), (3, 64), (8, 1)])
def test_greedy_text_is_that_of_generate(ahead, batch_size):
    target = model(1, 11, 2)
    draft = copy.deepcopy(target)
    rng = np.random.default_rng(0)
    with torch.no_grad():  # as a draft should be: often right
        draft.embed.weight.add_(0.1 * torch.tensor(rng.normal(size=(11, 16))))
    prompts = [rng.integers(11, size=n).tolist() for n in (1, 4, 2, 7, 3)]
    wanted = generate(target, prompts, 13, 0, progress=False)
    found = speculate(target, draft, prompts, ahead, 13, 0, batch_size=batch_size, progress=False)
    assert found.answers == wanted
    assert 0.2 < found.accepted / found.tested < 1
    ends = wanted[0][3], wanted[2][7]
    options = {"eos": ends, "progress": False}
    wanted = generate(target, prompts, 13, 0, **options)
    found = speculate(target, draft, prompts, ahead, 13, 0, batch_size=batch_size, **options)
    assert found.answers == wanted
    assert min(map(len, wanted)) < 13


def test_next_to_temperature_0_it_is_greedy_text():
    """Below 1e-38 a float32 cannot even hold 1 / T."""
    target, draft = model(1, 11, 2).float(), model(2, 11).float()
    wanted = generate(target, [[1], [2, 3]], 9, 0, progress=False)
    for T in (1e-7, 1e-39, 5e-324):
        found = speculate(target, draft, [[1], [2, 3]], 3, 9, T, progress=False)
        assert found.answers == wanted


def test_a_draft_that_is_the_target_is_always_accepted():
    target = model(1, 7, 2)
    found = speculate(target, target, [[1], [2, 3]] * 20, 3, 8, progress=False)
    assert found.tested == found.accepted == 12 * 20
    assert found.passes == 4 * 20  # 3 drafted tokens and one more, twice for each prompt


def test_the_share_accepted_is_one_minus_total_variation():
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(2, 40_000, 1, 5, generator=torch.Generator().manual_seed(1)).double()[:, :1] * 2
    p, q = (x.softmax(-1) for x in z.expand(2, 40_000, 1, 5))
    tokens = torch.multinomial(q[:, 0], 1, generator=rng)
    count, _ = accept(tokens, q, p.expand(-1, 2, -1), rng)
    wanted = 1 - 0.5 * float((p[0] - q[0]).abs().sum())
    assert abs(float(count.float().mean()) - wanted) < 5 * math.sqrt(0.25 / 40_000)
    assert math.isclose(1 - float(total_variation(z[1, 0, 0], z[0, 0, 0])), wanted, rel_tol=1e-9)


def test_a_token_that_the_target_never_writes_is_never_accepted():
    q = torch.tensor([[[0.9, 0.1, 0.0]]]).expand(2000, 1, 3)
    p = torch.tensor([[[0.0, 0.4, 0.6]]]).expand(2000, 2, 3)
    tokens = torch.multinomial(q[:, 0], 1, generator=torch.Generator().manual_seed(0))
    count, token = accept(tokens, q, p, torch.Generator().manual_seed(0))
    assert torch.equal(count, tokens[:, 0])  # the first is always refused, the second never
    refused = token[count == 0]
    assert set(refused.tolist()) == {1, 2}
    assert abs(float((refused == 1).float().mean()) - 0.3 / 0.9) < 0.06


def test_what_rounding_leaves_of_equal_distributions_is_still_drawn():
    p = torch.tensor([[[0.5, 0.5, 0.0]]] * 64)
    q = p + torch.tensor([1e-8, 1e-8, 1e-8])  # nowhere is p above q
    tokens = torch.full((64, 1), 2)  # and a token drawn that p does not have
    count, token = accept(tokens, q, p.expand(-1, 2, -1), torch.Generator().manual_seed(0))
    assert not count.any()
    assert set(token.tolist()) == {0, 1}


def test_total_variation_trains_a_draft_to_be_accepted():
    target, draft = model(1, 8, 2), model(2, 8)
    prompts = [[n] for n in range(8)] * 8
    answers = generate(target, prompts, 10, progress=False)
    data = SequenceBatches(list(zip(prompts, answers, strict=True)), size=16)

    def rate():
        found = speculate(target, draft, prompts, 3, 10, seed=1, progress=False)
        return found.accepted / found.tested

    before = rate()
    objective = SoftTargets(divergence=total_variation)
    optimizer = torch.optim.Adam(draft.parameters(), 3e-3)
    Trainer(draft, objective, target, optimizer=optimizer, progress=False).fit(data, epochs=10)
    assert rate() > before + 0.1


def test_total_variation_is_half_the_sum_of_differences_and_has_its_gradient():
    z = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(0)).double()
    student = z[0].clone().requires_grad_()
    found = total_variation(student, z[1].requires_grad_(), 2.0)
    p, q = ((x / 2).softmax(-1) for x in (z[1], z[0]))
    assert torch.allclose(found, (p - q).abs().sum(-1) / 2)
    assert torch.autograd.gradcheck(lambda s: total_variation(s, z[1], 2.0), student)
    found.sum().backward()
    assert z.grad is None


def test_what_does_not_fit_is_refused_by_name():
    target = model(1, 7)
    for kwargs, words in (
        ({"ahead": 0}, "ahead"),
        ({"temperature": -1.0}, "temperature"),
        ({"draft": model(2, 8)}, "7 tokens, the draft 8"),
        ({"prompts": [[1], []]}, "prompt 1 is empty"),
        ({"prompts": [[9]]}, "prompt 0 has the id 9"),
    ):
        given = {"draft": target, "prompts": [[1]], "progress": False} | kwargs
        with pytest.raises(ValueError, match=words):
            speculate(target, **given)
    broken = model(3, 7)
    with torch.no_grad():
        broken.embed.weight[2] = math.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        speculate(broken, target, [[1]], progress=False)


def test_rows_that_pad_a_vocabulary_are_never_written():
    target, draft = model(1, 16, tokens=7), model(2, 7)
    found = speculate(target, draft, [[1]] * 200, 3, 6, progress=False)
    assert max(map(max, found.answers)) < 7
