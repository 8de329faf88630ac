"""Sentences with what about 20 people each felt on reading them (Hutto and Gilbert, ICWSM 2014).

Tweets, snippets of film reviews, of product reviews and of editorials; made by
`datasets/sentences/make_sentences.py`, where everything that was changed is written down.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .locate import find, unpacked
from .source import Source, as_index, cut, in_order_of_length

NAME = "sentences.tsv.gz"
SPLITS = ("train", "held_out", "test")
SHA256 = "2d26d645c5967ca2cec89b1d6c3aefa49c5cdd72cd0579015d457fbec2cad965"  # uncompressed
REMEDY = (
    "Restore it from the repository, or make it anew with datasets/sentences/make_sentences.py."
)
BUCKET = 16  # batches' worth of sentences that are sorted by length together


def load_sentences(
    split: str = "train", folder: str | Path | None = None
) -> tuple[list[str], Tensor, list[str]]:
    """All sentences of a split: 18,725 for "train", 2,277 for "held_out", 2,413 for "test".

    Snippets of one document (a review, an editorial) are all in one split. The order is random but
    fixed, document by document, so the first n are a sample of all sources. Looks in `folder` if
    given and nowhere else; otherwise in the folder that TINYKD_DATA names and in the repository's
    `datasets/`.

    Returns:
        texts; ratings, float32 of shape (N, 9): how many people gave each of the values -4
        (extremely negative) to 4 (extremely positive), 15 to 99 people a sentence; sources, each
        "tweet", "film", "product" or "editorial".

    Raises:
        ValueError: unknown split; a file whose checksum is wrong (both checksums are quoted).
        FileNotFoundError: no such file; says where it was looked for and how to get it.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}: the sentences have {', '.join(SPLITS)}")
    raw = unpacked(find("sentences", NAME, folder), SHA256, REMEDY)
    lines = raw.decode().splitlines()
    rows = [row for row in (line.split("\t") for line in lines) if row[0] == split]
    ratings = torch.tensor([[float(count) for count in row[3].split()] for row in rows])
    return [row[4] for row in rows], ratings, [row[1] for row in rows]


def three_classes(ratings: Tensor) -> Tensor:
    """Shares of the people who felt a sentence to be negative, neutral, positive: soft labels.

    ratings: (..., 9), counts of the values -4 to 4. Returns (..., 3), each row of sum 1.
    """
    negative, positive = ratings[..., :4].sum(-1), ratings[..., 5:].sum(-1)
    votes = torch.stack([negative, ratings[..., 4], positive], -1)
    return votes / votes.sum(-1, keepdim=True)


def sentences_file(folder: str | Path | None = None) -> Path:
    """The file, found as `load_sentences` does, its checksum verified."""
    path = find("sentences", NAME, folder)
    unpacked(path, SHA256, REMEDY)
    return path


class SentenceBatches(Source):
    """Batches of whole sentences of similar length, padded on the right, for a `Classifier`.

    Yields {"input_ids": (b, T), "attention_mask": (b, T), "labels": (b, ...), "index": (b,)}, T the
    length of the batch's longest sentence. Order and shares of ranks as in `Source`.

    ids: the token ids of each of N sentences. labels: tensor of N, or None. size: sentences in a
    batch, the last one smaller. limit: tokens a sentence is cut to.

    Raises ValueError for lengths that differ, no sentences, one without tokens, or size below 1.
    """

    def __init__(
        self,
        ids: Sequence[Sequence[int]],
        labels: Any = None,
        size: int = 64,
        shuffle: bool = True,
        seed: int = 0,
        pad: int = 0,
        limit: int = 48,
    ) -> None:
        super().__init__(seed)
        self.labels = None if labels is None else torch.as_tensor(labels)
        if (self.labels is not None and len(ids) != len(self.labels)) or not len(ids):
            count = 0 if self.labels is None else len(self.labels)
            raise ValueError(f"{len(ids)} sentences and {count} labels")
        if size < 1:
            raise ValueError(f"size is {size}: a batch holds at least 1 sentence")
        self.lengths = np.array([min(len(one), limit) for one in ids])
        if not self.lengths.min():
            raise ValueError(f"sentence {int(self.lengths.argmin())} has no tokens")
        self.ids = torch.full((len(ids), int(self.lengths.max())), pad)
        for row, one, length in zip(self.ids, ids, self.lengths.tolist(), strict=True):
            row[:length] = torch.as_tensor(one[:length])
        self.size, self.shuffle = size, shuffle

    def __len__(self) -> int:
        """Batches in an epoch."""
        return math.ceil(len(self.ids) / self.size)

    def settings(self) -> dict[str, Any]:
        """Seed, sizes and order."""
        own = {"samples": len(self.ids), "size": self.size, "shuffle": self.shuffle}
        return super().settings() | own

    def groups(self, rng: np.random.Generator) -> list[np.ndarray]:
        """Sentences of similar length together, the batches in random order."""
        if not self.shuffle:
            return cut(np.arange(len(self.ids)), self.size)
        groups = cut(in_order_of_length(rng, self.lengths, BUCKET * self.size), self.size)
        return [groups[n] for n in rng.permutation(len(groups))]

    def batch(self, index: np.ndarray) -> dict[str, Any]:
        """The sentences with these numbers, cut to the longest of them."""
        rows, lengths = as_index(index), torch.as_tensor(self.lengths[index])
        ids = self.ids[rows, : int(lengths.max())]
        real = torch.arange(ids.shape[1]) < lengths[:, None]
        batch = {"input_ids": ids, "attention_mask": real, "index": rows}
        return batch if self.labels is None else {**batch, "labels": self.labels[rows]}
