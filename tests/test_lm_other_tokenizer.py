"""A teacher with other tokens: places in bytes, spans where both meet, probabilities of spans."""

import copy
import itertools
import math
import random

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

from tinykd import HardLabels, Trainer
from tinykd.lm import (
    ULD,
    Config,
    OtherTokenizer,
    SequenceBatches,
    Spans,
    Tokenizer,
    Transformer,
    span_kl,
    uld,
)
from tinykd.lm.tokens.offsets import align, byte_offsets, token_bytes
from tinykd.outputs import Outputs

TEXTS = ["un café à 3 €, s'il te plaît", "日本語 text 🙂", "aé€🙂", "a", "naïve  café\n\n日本"]


@pytest.fixture(scope="module")
def coarse():
    return Tokenizer.train(TEXTS * 5, 320)


@pytest.fixture(scope="module")
def fine():
    return Tokenizer.train(["a text of letters"], 258)  # bytes, one by one


@pytest.fixture(scope="module")
def letters():
    return Tokenizer.characters("".join(dict.fromkeys("".join(TEXTS))))


def by_sets(a, b):
    """Spans without control tokens, from the sets of borders: what `align` finds by walking."""
    common = sorted({end for _, end in a} & {end for _, end in b} | {0})
    found = []
    for low, high in itertools.pairwise(common):
        sides = [
            [n for n, (s, e) in enumerate(x) if low <= s and e <= high and s < e] for x in (a, b)
        ]
        found.append(tuple(range(side[0], side[-1] + 1) for side in sides))
    return found


def cut(rng, length):
    places = sorted({0, length, *rng.sample(range(1, length), rng.randint(0, length - 1))})
    return list(itertools.pairwise(places))


def test_spans_are_those_between_the_common_borders():
    rng = random.Random(0)
    for _ in range(300):
        length = rng.randint(2, 12)
        a, b = cut(rng, length), cut(rng, length)
        found = align(a, b)
        assert found == by_sets(a, b)
        assert align(b, a) == [(y, x) for x, y in found]
        shifted = [(range(i.start + 1, i.stop + 1), j) for i, j in found]
        assert align([(0, 0), *a], b) == shifted  # a begin token on one side moves nothing
        both = align([(0, 0), *a, (length, length)], [*b, (length, length)])
        end = range(len(a) + 1, len(a) + 2), range(len(b), len(b) + 1)
        assert both == [*shifted, end]  # end tokens on both sides are one event


def test_texts_that_differ_are_refused():
    for a, b, words in (
        ([(0, 2)], [(0, 3)], "2 bytes long, the other 3"),
        ([(0, 2), (3, 4)], [(0, 4)], r"token 1 of the first tokenization is \(3, 4\)"),
        ([(0, 4)], [(0, 2), (1, 4)], r"token 1 of the second tokenization is \(1, 4\)"),
    ):
        with pytest.raises(ValueError, match=words):
            align(a, b)
    assert align([], []) == align([(0, 0)], []) == []


def test_bytes_of_tokens_are_the_bytes_of_the_text(coarse, fine, letters):
    for tokenizer in (coarse, fine, letters):
        pieces = token_bytes(tokenizer)
        for text in TEXTS:
            ids = tokenizer.encode(text)
            assert b"".join(pieces[i] for i in ids) == text.encode()
            assert byte_offsets(ids, pieces)[-1][1] == len(text.encode())
        assert pieces[tokenizer.eos] == pieces[tokenizer.pad] == b""
    pieces = token_bytes(fine)
    assert [len(pieces[i]) for i in fine.encode("é")] == [1, 1]  # a character in two tokens


def test_a_character_cut_in_two_is_one_span(fine, letters):
    a, b = (byte_offsets(t.encode("aé€"), token_bytes(t)) for t in (fine, letters))
    spans = [(range(1), range(1)), (range(1, 3), range(1, 2)), (range(3, 6), range(2, 3))]
    assert align(a, b) == spans


def test_sentencepiece_spelling_is_read():
    from tokenizers import Tokenizer as Tokens
    from tokenizers import decoders, models

    vocab = {"<pad>": 0, "<end>": 1, "▁": 2, "a": 3, "▁a": 4, "<0xC3>": 5, "<0xA9>": 6}
    tokens = Tokens(models.BPE(vocab, [("▁", "a")], byte_fallback=True))
    tokens.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokens.add_special_tokens(["<pad>", "<end>"])
    pieces = token_bytes(Tokenizer(tokens, eos=1, pad=0))
    assert b"".join(pieces[i] for i in (4, 5, 6, 1)).decode() == " aé"
    tokens.decoder = decoders.WordPiece()
    with pytest.raises(ValueError, match="WordPiece"):
        token_bytes(Tokenizer(tokens, eos=1, pad=0))


@pytest.mark.parametrize("T", [1.0, 3.0])
def test_uld_is_a_wasserstein_distance_between_sorted_probabilities(T):
    rng = np.random.default_rng(0)
    for own, theirs in ((5, 9), (9, 5), (4, 4)):
        z, y = rng.normal(size=(2, 3, own)), rng.normal(size=(2, 3, theirs))
        student = torch.tensor(z, requires_grad=True)
        found = uld(student, torch.tensor(y, requires_grad=True), T)
        for at in np.ndindex(2, 3):
            p, q = (np.exp(x[at] / T) / np.exp(x[at] / T).sum() for x in (y, z))
            p, q = (sorted([*x, *[0.0] * 9][:9], reverse=True) for x in (p, q))
            wanted = 9 * wasserstein_distance(p, q)  # between two heaps of 9 equal grains
            assert math.isclose(found[at].item(), wanted, rel_tol=1e-9)
    assert torch.autograd.gradcheck(lambda s: uld(s, torch.tensor(y), T), student)
    assert torch.allclose(uld(student.flip(-1), student, T), torch.zeros(2, 3, dtype=student.dtype))


def test_span_kl_is_that_of_two_coins():
    log_p = torch.tensor([0.0, -1e-9, -0.3, -2.0, -50.0], dtype=torch.float64)
    log_q = torch.tensor([-0.1, -0.2, -0.3, -1.0, -3.0], dtype=torch.float64, requires_grad=True)
    found, P, Q = span_kl(log_q, log_p), log_p.exp().numpy(), log_q.exp().detach().numpy()
    for value, p, q in zip(found.tolist(), P, Q, strict=True):
        rest = (1 - p) * math.log((1 - p) / (1 - q)) if p < 1 else 0.0
        assert math.isclose(value, p * math.log(p / q) + rest, rel_tol=1e-4, abs_tol=1e-12)
    assert torch.autograd.gradcheck(lambda x: span_kl(x, log_p), log_q)
    sure = torch.zeros(2, requires_grad=True)  # the student is certain: finite, and with a slope
    value = span_kl(sure, torch.tensor([0.0, -1.0]))
    value.sum().backward()
    assert value.isfinite().all()
    assert sure.grad.isfinite().all()
    assert value[0] == 0


def transformer(seed, vocab, tokens=None):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Transformer(Config(vocab=vocab, width=16, layers=1, heads=2, tokens=tokens)).double()


def batch_of(tokenizer, texts):
    examples = [(tokenizer.encode(p), [*tokenizer.encode(a), tokenizer.eos]) for p, a in texts]
    data = SequenceBatches(examples, size=len(texts), pad=tokenizer.pad, shuffle=False)
    return data.batch(np.arange(len(texts)))


QUESTIONS = [("aé: ", "un café"), ("日本 ", "🙂 s'il te"), ("a", "a")]


def test_a_teacher_with_other_tokens_says_what_it_would_say_of_each_text_alone(coarse, fine):
    student = transformer(1, coarse.vocab_size).eval()
    teacher = transformer(2, fine.vocab_size + 6).eval()  # 6 rows are no tokens
    with torch.no_grad():
        teacher.embed.weight[-6:] = 30.0  # and would take all probability
    batch = batch_of(coarse, QUESTIONS)
    said = OtherTokenizer(teacher, fine, coarse).targets(batch, []).logits
    out = Outputs(batch, student(**{k: batch[k] for k in ("input_ids", "positions")}), said)
    spans, shapes = Spans().per_position(out), ULD(2.0).per_position(out)

    n = 0
    for prompt, answer in QUESTIONS:  # one text at a time, span by span, token by token
        own, theirs = ([*t.encode(answer), t.eos] for t in (coarse, fine))
        sizes = [len(token_bytes(coarse)[i]) for i in own]
        z_own = student(torch.tensor([[*coarse.encode(prompt), *own]]))[0].detach()
        z = teacher(torch.tensor([[*fine.encode(prompt), *theirs]]))[0].detach()
        z = z[:, : fine.vocab_size]
        a, b = len(coarse.encode(prompt)) - 1, len(fine.encode(prompt)) - 1
        for i, size in zip(own, sizes, strict=True):  # all of `fine` are single bytes
            P = math.prod(
                float(z[b + k].softmax(-1)[theirs[b - len(fine.encode(prompt)) + 1 + k]])
                for k in range(max(size, 1))
            )
            Q = float(z_own[a].softmax(-1)[i])
            assert said.begins[n]
            assert math.isclose(float(said.log_p[n]), math.log(P), rel_tol=1e-6)
            assert torch.allclose(said.logits[n], z[b])
            coin = P * math.log(P / Q) + (1 - P) * math.log((1 - P) / (1 - Q))
            assert math.isclose(spans[n].item(), coin, rel_tol=1e-5, abs_tol=1e-9)
            assert math.isclose(shapes[n].item(), float(uld(z_own[a], z[b], 2.0)), rel_tol=1e-6)
            a, b, n = a + 1, b + max(size, 1), n + 1
    assert n == len(spans)


def test_several_tokens_of_the_student_in_a_span_count_as_one(coarse, fine):
    batch = batch_of(fine, QUESTIONS)  # this time the student is the one with single bytes
    teacher = transformer(2, coarse.vocab_size).eval()
    said = OtherTokenizer(teacher, coarse, fine).targets(batch, []).logits
    logits = torch.randn(len(said.first), fine.vocab_size).double()
    found = Spans().per_position(Outputs(batch, logits, said))
    log_q = logits.log_softmax(-1).gather(-1, batch["labels"][:, None])[:, 0]
    for n in range(len(found)):
        inside = said.first == n
        if inside.any():
            assert inside[n]
            wanted = span_kl(log_q[inside].sum(), said.log_p[n])
            assert math.isclose(float(found[n]), float(wanted), rel_tol=1e-9)
        else:
            assert found[n] == 0
    begins = said.begins
    assert 0 < int(begins.sum()) < len(found)
    for term in (ULD(T=2.0), Spans()):  # no value and no slope but where spans begin
        student = logits.clone().requires_grad_()
        values = term.per_position(Outputs(batch, student, said))
        assert (values[begins] > 0).all()
        assert not values[~begins].any()
        (slope,) = torch.autograd.grad(values.sum(), student)
        assert slope.isfinite().all()
        if isinstance(term, ULD):
            torch.testing.assert_close(values[begins], uld(logits, said.logits, 2.0)[begins])
            assert not slope[~begins].any()


def test_half_a_character_at_the_end_of_a_sample_lies_in_no_span(fine, letters):
    teacher = transformer(2, letters.vocab_size).eval()
    own = fine.encode("aé")[:-1]  # a and the first half of é, and no end
    data = SequenceBatches([(fine.encode("a"), own)], size=1)
    said = OtherTokenizer(teacher, letters, fine).targets(data.batch([0]), []).logits
    assert said.first.tolist() == [0, -1]


def test_a_begin_token_of_the_teacher_alone_shifts_nothing(coarse, fine):
    from tokenizers import AddedToken

    begun = Tokenizer.train(["a text of letters"], 258)
    begun.tokens.add_special_tokens([AddedToken("<s>", special=True)])
    begun.bos = begun.tokens.token_to_id("<s>")
    teacher, batch = transformer(2, begun.vocab_size).eval(), batch_of(coarse, QUESTIONS)
    said = OtherTokenizer(teacher, begun, coarse, bos=True).targets(batch, []).logits
    ids = torch.tensor([[begun.bos, *begun.encode("aé: ")]])
    assert torch.allclose(said.logits[0], teacher(ids)[0, -1], atol=1e-9)
    assert said.begins.all()


def test_in_the_trainer_spans_bring_a_student_to_its_teacher(coarse, fine):
    torch.manual_seed(0)
    teacher, student = transformer(2, fine.vocab_size), transformer(1, coarse.vocab_size).float()
    data = SequenceBatches(
        [(coarse.encode(p), [*coarse.encode(a), coarse.eos]) for p, a in QUESTIONS], size=3
    )
    objective = Spans() + 0.1 * ULD() + 0.1 * HardLabels()
    trainer = Trainer(
        student, objective, OtherTokenizer(teacher.float(), fine, coarse), progress=False
    )
    history = trainer.fit(data, epochs=8)
    assert history[-1]["loss"] < history[0]["loss"]


def test_what_does_not_fit_is_refused(coarse, letters):
    teacher = OtherTokenizer(transformer(2, letters.vocab_size), letters, coarse)
    batch = batch_of(coarse, QUESTIONS)
    with pytest.raises(ValueError, match="positions"):
        teacher.targets({k: x for k, x in batch.items() if k != "positions"}, [])
    with pytest.raises(ValueError, match="not the tokens of its answer"):
        teacher.targets(batch | {"labels": batch["labels"].flip(0)}, [])
    with pytest.raises(ValueError, match="no begin token"):
        OtherTokenizer(teacher.model, letters, coarse, bos=True)
    with pytest.raises(ValueError, match="layers"):
        teacher.targets(batch, ["norm"])
    with pytest.raises(ValueError, match="alphabet"):
        teacher.targets(batch_of(coarse, [("a", "Z")]), [])
    changed = copy.copy(coarse)
    changed.encode = lambda text, **how: coarse.encode(text.replace("1", "2"), **how)
    other = OtherTokenizer(transformer(2, coarse.vocab_size), changed, coarse)
    with pytest.raises(ValueError, match=r"the teacher's tokenizer makes b'.*2.*' of '.*1"):
        other.targets(batch_of(coarse, [("1+1:", "2")]), [])
    nothing = SequenceBatches([([coarse.pad], [coarse.eos])], size=1).batch([0])
    with pytest.raises(ValueError, match="nothing to read before"):
        teacher.targets(nothing, [])
