"""Sentences for a small net: words as numbers, words misspelt at random, a net of word vectors."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

PAD, UNKNOWN, LENGTH = 0, 1, 40
WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?|[^\sa-z0-9]")  # words, and other signs one by one
LETTERS = re.compile(r"[A-Za-z]{4,}")


def known_words(texts: Sequence[str], least: int = 2) -> dict[str, int]:
    """The number of each word that stands in `texts` at least so often: 2, 3, ... by frequency.

    0 and 1 stand for padding and for all other words. Of equally frequent words the first in the
    alphabet comes first, so that the same texts give the same numbers everywhere.
    """
    counts = Counter(word for text in texts for word in WORD.findall(text.lower()))
    often = [word for word, count in counts.items() if count >= least]
    ranked = sorted(often, key=lambda word: (-counts[word], word))
    return {word: number for number, word in enumerate(ranked, UNKNOWN + 1)}


def word_numbers(texts: Sequence[str], known: dict[str, int], length: int = LENGTH) -> Tensor:
    """Sentences as numbers of their words, int64 (N, length): cut off there, or padded with PAD.

    known: from `known_words`; a word that is not in it is UNKNOWN.
    """
    rows = np.full((len(texts), length), PAD)
    for row, text in zip(rows, texts, strict=True):
        words = WORD.findall(text.lower())[:length]
        row[: len(words)] = [known.get(word, UNKNOWN) for word in words]
    return torch.from_numpy(rows)


def misspelt(texts: Sequence[str], rng: np.random.Generator, share: float = 0.2) -> list[str]:
    """Each run of four letters or more misspelt with probability `share`, as a bad keyboard would.

    Behind the first letter two neighbours change places, or a letter is lost, or it comes twice;
    each of the three is as likely. Raises ValueError for a share outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}: of the words, between 0 and 1")

    def typed(found: re.Match[str]) -> str:
        """The word as it comes from the keyboard."""
        word = found[0]
        if rng.random() >= share:
            return word
        n = int(rng.integers(1, len(word) - 1))
        middle = (word[n + 1] + word[n], word[n + 1], word[n] * 2 + word[n + 1])
        return word[:n] + middle[int(rng.integers(3))] + word[n + 2 :]

    return [LETTERS.sub(typed, text) for text in texts]


class WordConvNet(nn.Module):
    """A small reader of sentences, after Kim (2014, arXiv 1408.5882).

    A vector of `width` numbers for each of the first `words` numbers; a convolution over three
    neighbours and a ReLU; of these the largest and the mean over the sentence, and the mean of the
    vectors themselves; a linear layer to `classes` logits. Takes int64 (N, T), gives (N, classes).
    """

    def __init__(self, words: int, width: int, classes: int = 3) -> None:
        super().__init__()
        self.words = words
        self.vectors = nn.Embedding(words, width)
        nn.init.normal_(self.vectors.weight, std=0.1)
        self.convolution = nn.Conv1d(width, width, 3, padding=1)
        self.dropout = nn.Dropout(0.2)
        self.linear = nn.Linear(3 * width, classes)

    def forward(self, numbers: Tensor) -> Tensor:
        """Logits (N, classes)."""
        numbers = torch.where(numbers < self.words, numbers, UNKNOWN)
        there = (numbers > PAD).float()[:, None]  # (N, 1, T)
        count = there.sum(2).clamp_min(1)
        x = self.dropout(self.vectors(numbers).transpose(1, 2) * there)  # (N, width, T)
        z = torch.relu(self.convolution(x)) * there
        whole = torch.cat([z.amax(2), z.sum(2) / count, x.sum(2) / count], 1)
        return self.linear(self.dropout(whole))


class Int8Vectors(nn.Module):
    """An embedding in 8 bits: whole numbers, and one scale for each column, max |w| / 127."""

    weight: Tensor
    scale: Tensor

    def __init__(self, vectors: nn.Embedding) -> None:
        super().__init__()
        weight = vectors.weight.detach()
        scale = weight.abs().amax(0).clamp_min(1e-8) / 127
        self.register_buffer("weight", (weight / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, numbers: Tensor) -> Tensor:
        """Vectors (..., width), in floats again."""
        return nn.functional.embedding(numbers, self.weight).float() * self.scale


class Balance(nn.Module):
    """The file's form: one score of a net with the classes negative, neutral, positive.

    p(positive) - p(negative), the softmax of its logits (N, 3): from -1 to 1.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, numbers: Tensor) -> Tensor:
        """Scores (N, 1), between -1 and 1."""
        shares = self.net(numbers).softmax(1)
        return shares[:, 2:3] - shares[:, 0:1]
