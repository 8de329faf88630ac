"""Digits in words: how thick, how slanted and how large they are is measured from their pixels.

A sentence such as "a small bold 7, leaning left" is then true of the picture, and no human wrote
it. Three small measurements, each a few sums over pixels.
"""

import torch
from torch import Tensor

SIZES = ("small", "large")
STROKES = ("thin", "medium", "bold")
SLANTS = ("leaning left", "upright", "leaning right")


def moments(images: Tensor) -> Tensor:
    """Variances of where the ink lies: across, down, and their covariance, in pixels**2.

    images: (N, H, W), ink >= 0, some of it in each. Returns (N, 3): var x, var y, cov xy; x grows
    to the right and y down.
    """
    ink = images / images.sum((1, 2), keepdim=True)
    y = torch.arange(images.shape[1]).view(1, -1, 1).to(ink)
    x = torch.arange(images.shape[2]).view(1, 1, -1).to(ink)
    dx = x - (ink * x).sum((1, 2), keepdim=True)
    dy = y - (ink * y).sum((1, 2), keepdim=True)
    return torch.stack([(ink * a * b).sum((1, 2)) for a, b in ((dx, dx), (dy, dy), (dx, dy))], 1)


def slant(images: Tensor) -> Tensor:
    """By how many pixels the ink moves to the right for each pixel up: -cov xy / var y, (N,).

    0 is upright, above 0 leans to the right as handwriting often does.
    """
    _, down, both = moments(images).T
    return -both / down


def size(images: Tensor) -> Tensor:
    """How far the ink lies from its centre: sqrt(var x + var y), in pixels, (N,)."""
    across, down, _ = moments(images).T
    return (across + down).sqrt()


def stroke_width(images: Tensor) -> Tensor:
    """Twice the ink over the length of its edge, in pixels, (N,).

    A stroke of width w and length L has the area w L and an edge of 2 L. The edge is the sum of the
    gradient's length over the picture with a margin of nothing around it.
    """
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    across = padded[:, :-1, 1:] - padded[:, :-1, :-1]
    down = padded[:, 1:, :-1] - padded[:, :-1, :-1]
    return 2 * images.sum((1, 2)) / (across.square() + down.square()).sqrt().sum((1, 2))


def attributes(images: Tensor, like: Tensor | None = None) -> Tensor:
    """Which word of SIZES, STROKES and SLANTS fits each image: whole numbers (N, 3).

    The borders between the words are those that cut the images `like` (None: these themselves) in
    as many equal parts: half of them are large, a third are bold.
    """
    like = images if like is None else like
    found = []
    for measure, words in ((size, SIZES), (stroke_width, STROKES), (slant, SLANTS)):
        cuts = torch.arange(1, len(words)) / len(words)
        found.append(torch.bucketize(measure(images), measure(like).quantile(cuts.to(like))))
    return torch.stack(found, 1)


def sentence(label: int, words: tuple[int, int, int]) -> str:
    """What is said of a digit: "a small bold 7, leaning left". words: a row of `attributes`."""
    a, b, c = words
    return f"a {SIZES[a]} {STROKES[b]} {label}, {SLANTS[c]}"


def all_sentences() -> tuple[list[str], Tensor]:
    """Every sentence there can be, and what it says: the words as numbers (180, 4).

    Columns: the digit, then the columns of `attributes`; row n is that with n = ((digit * 2 + size)
    * 3 + stroke) * 3 + slant.
    """
    counts = (10, len(SIZES), len(STROKES), len(SLANTS))
    rows = torch.cartesian_prod(*(torch.arange(n) for n in counts))
    return [sentence(d, (a, b, c)) for d, a, b, c in rows.tolist()], rows


def bag_of_words(sentences: list[str]) -> Tensor:
    """How often each word stands in each sentence: (N, words), the words of all of them in order.

    A linear layer on top of it is a sum of one vector for each word.
    """
    split = [text.replace(",", "").split() for text in sentences]
    words = sorted({word for text in split for word in text})
    return torch.tensor([[float(text.count(word)) for word in words] for text in split])


def shadows(images: Tensor) -> Tensor:
    """What light from the left and from above would see: ink by row and by column, (N, H + W)."""
    return torch.cat([images.mean(2), images.mean(1)], 1)
