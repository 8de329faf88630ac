"""Digits in words: measured on strokes whose slant, size and width are known."""

import math

import pytest
import torch

from tinykd.data import all_sentences, attributes, bag_of_words, sentence, shadows
from tinykd.data.described import moments, size, slant, stroke_width


def bar(lean=0.0, width=2.0, height=16, side=28):
    """A stroke that moves `lean` pixels to the right for each pixel up, with soft edges."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    middle = (side - 1) / 2
    away = (columns - middle - lean * (middle - rows)).abs()
    inside = (rows - middle).abs() <= height / 2
    return ((width / 2 + 0.5 - away).clamp(0, 1) * inside).float()


def test_slant_is_how_far_a_stroke_leans():
    leans = [-0.5, -0.2, 0.0, 0.3, 0.6]
    found = slant(torch.stack([bar(lean) for lean in leans]))
    torch.testing.assert_close(found, torch.tensor(leans), atol=0.01, rtol=0)


def test_stroke_width_is_that_of_a_bar():
    """A bar of length L and width w has an edge of 2 L + 2 w, so it measures w L / (L + w)."""
    widths = torch.tensor([2.0, 4.0, 6.0])
    bars = torch.stack([bar(width=float(w), height=20) for w in widths])
    torch.testing.assert_close(stroke_width(bars), widths * 20 / (20 + widths), atol=0.08, rtol=0)
    torch.testing.assert_close(stroke_width(0.5 * bars), stroke_width(bars))  # fainter, not thinner


def test_moments_are_those_of_where_the_ink_lies():
    torch.manual_seed(0)
    picture = torch.rand(1, 5, 7)
    total = sum(float(v) for v in picture.flatten())
    mean = [0.0, 0.0]
    for r in range(5):
        for c in range(7):
            mean[0] += c * float(picture[0, r, c]) / total
            mean[1] += r * float(picture[0, r, c]) / total
    expected = [0.0, 0.0, 0.0]
    for r in range(5):
        for c in range(7):
            ink, dx, dy = float(picture[0, r, c]) / total, c - mean[0], r - mean[1]
            for n, product in enumerate((dx * dx, dy * dy, dx * dy)):
                expected[n] += ink * product
    torch.testing.assert_close(moments(picture)[0], torch.tensor(expected), rtol=1e-4, atol=1e-5)
    assert float(size(picture)) == pytest.approx(math.sqrt(expected[0] + expected[1]), rel=1e-4)


def test_words_are_equal_parts_of_the_pictures_they_are_measured_by():
    torch.manual_seed(0)
    many = torch.stack([bar(*(float(v) for v in torch.rand(2) * 2 + 0.3)) for _ in range(60)])
    words = attributes(many)
    assert torch.bincount(words[:, 0]).tolist() == [30, 30]
    assert torch.bincount(words[:, 1]).tolist() == [20, 20, 20]
    torch.testing.assert_close(attributes(many[:7], like=many), words[:7])


def test_every_sentence_says_what_its_row_says():
    texts, rows = all_sentences()
    assert len(texts) == len(set(texts)) == len(rows) == 180
    n = ((7 * 2 + 0) * 3 + 2) * 3 + 1
    assert rows[n].tolist() == [7, 0, 2, 1]
    assert texts[n] == sentence(7, (0, 2, 1)) == "a small bold 7, upright"


def test_a_bag_counts_words():
    counts = bag_of_words(["a small 7, leaning left", "a large 7, upright"])
    # words in order: 7, a, large, leaning, left, small, upright
    assert counts.tolist() == [[1, 1, 0, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0, 1]]


def test_shadows_are_means_of_rows_and_columns():
    picture = torch.tensor([[[1.0, 0.0, 0.5], [0.0, 0.0, 1.0]]])
    torch.testing.assert_close(shadows(picture), torch.tensor([[0.5, 1 / 3, 0.5, 0.0, 0.75]]))
