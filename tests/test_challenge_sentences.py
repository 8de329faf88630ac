"""Sentences as numbers, misspelt ones, and files that order them."""

import numpy as np
import pytest
import torch

from tinykd import predict
from tinykd.challenge import (
    Balance,
    Int8Vectors,
    WordConvNet,
    answers,
    judging,
    known_words,
    misspelt,
    short_names,
    word_numbers,
)
from tinykd.classroom.literal import in_lines, read_literal
from tinykd.compress import to_onnx

TEXTS = ["Good film, good music!", "A film: it isn't good.", "Music? It ISN'T music"]


def test_words_are_numbered_by_frequency_and_then_by_the_alphabet():
    known = known_words(TEXTS)
    assert known == {"good": 2, "music": 3, "film": 4, "isn't": 5, "it": 6}
    assert known_words(TEXTS[::-1]) == known
    rows = word_numbers(["GOOD day, isn't it", ""], known, 6)
    assert rows.dtype == torch.int64
    assert rows.tolist() == [[2, 1, 1, 5, 6, 0], [0] * 6]
    assert word_numbers(["good " * 9], known, 4).tolist() == [[2, 2, 2, 2]]


def one_slip(word, typed):
    """Whether `typed` is the word with one slip behind its first letter."""
    slips = set()
    for n in range(1, len(word) - 1):
        slips |= {
            word[:n] + word[n + 1] + word[n] + word[n + 2 :],
            word[:n] + word[n + 1 :],
            word[:n] + word[n] + word[n:],
        }
    return typed in slips


def test_misspelt_words_have_one_slip_and_the_others_none():
    texts = ["the remarkable actors (wonderful!) don't need it", "a or the, not 1234"]
    rng = np.random.default_rng(0)
    assert misspelt(texts, rng, 0.0) == texts
    every = misspelt(texts[:1], rng, 1.0)[0].split()
    assert every[0] == "the"
    assert every[4:5] + every[6:] == ["don't", "it"]
    for n, word in {1: "remarkable", 2: "actors", 5: "need"}.items():
        assert one_slip(word, every[n])
    assert one_slip("wonderful", every[3].strip("(!)"))
    assert misspelt(texts[1:], rng, 1.0) == texts[1:]  # nothing of four letters in it
    many = misspelt(["wonder"] * 4000, rng, 0.2)
    changed = sum(word != "wonder" for word in many) / 4000
    assert changed == pytest.approx(0.2, abs=4 * (0.2 * 0.8 / 4000) ** 0.5)
    with pytest.raises(ValueError, match="share"):
        misspelt(texts, rng, 1.2)


def test_the_net_is_its_formula():
    """One sentence at a time, in float64 NumPy; unknown and padded words as they should be."""
    net = WordConvNet(6, 3, 2).double().eval()
    row = torch.tensor([[2, 9, 5, 0, 0]])  # 9 is beyond the table: word 1
    table, kernel = (p.detach().numpy() for p in (net.vectors.weight, net.convolution.weight))
    vectors = table[[2, 1, 5]]
    padded = np.vstack([np.zeros(3), vectors, np.zeros(3)])
    z = [np.einsum("okt,tk->o", kernel, padded[n : n + 3]) for n in range(3)]
    z = np.maximum(np.array(z) + net.convolution.bias.detach().numpy(), 0)
    whole = torch.tensor(np.concatenate([z.max(0), z.mean(0), vectors.mean(0)]))
    expected = net.linear.weight @ whole + net.linear.bias
    net.float()
    torch.testing.assert_close(net(row)[0], expected.float())
    longer = torch.cat([row, torch.zeros(1, 4, dtype=torch.int64)], 1)
    torch.testing.assert_close(net(longer), net(row))
    assert net(torch.zeros(1, 5, dtype=torch.int64)).isfinite().all()
    net(row).sum().backward()
    grown = net.vectors.weight.grad.abs().sum(1) > 0
    assert grown.tolist() == [False, True, True, False, False, True]


def test_vectors_in_8_bits_are_off_by_half_a_step():
    net = WordConvNet(50, 4)
    small, numbers = Int8Vectors(net.vectors), torch.arange(50).view(5, 10)
    assert small.weight.dtype == torch.int8
    step = net.vectors.weight.abs().amax(0) / 127
    off = (small(numbers) - net.vectors(numbers)).abs()
    assert (off <= 0.5001 * step).all()


def test_a_file_of_8_bits_says_what_its_net_says_and_is_judged_by_its_order(tmp_path):
    net, numbers = WordConvNet(300, 4), torch.randint(400, (230, 12))
    net.vectors = Int8Vectors(net.vectors)
    whole = Balance(net).eval()
    file = to_onnx(whole, numbers[:2], tmp_path / "net.onnx")
    assert short_names(file) < 300 * 4 + 4000
    scores = predict(whole, numbers)
    torch.testing.assert_close(answers(file.read_bytes(), numbers, 1), scores)
    text = "".join(read_literal("x", f"x = {in_lines(file.read_bytes())}"))
    assert judging.opens(text, numbers, 1) == judging.OPENS
    assert "(N, 2)" in judging.opens(text, numbers, 2)
    assert "float32" in judging.opens(text, torch.rand(3, 12), 1)
    felt = 3 * scores[:, 0] ** 3 + 1  # another scale, the same order
    assert judging.correlation(text, 9000, numbers, felt) == pytest.approx(1)
    assert judging.correlates(text, 9000, numbers, felt, 0.5) == (
        "a rank correlation of at least 0.500"
    )
    assert judging.correlates(text, 9000, numbers, -felt, 0.5) == (
        "a rank correlation of -1.000, below 0.500"
    )
    assert "more than 1,000" in judging.correlates(text, 1000, numbers, felt, 0.5)
    assert judging.correlation(text, 1000, numbers, felt) == 0
    for nonsense in (None, 3, "abc", {}):
        assert judging.correlation(nonsense, 9000, numbers, felt) == 0
        assert judging.size(nonsense, 9000, numbers, 1) != judging.FITS
        assert isinstance(judging.correlates(nonsense, 9000, numbers, felt, 0.5), str)
