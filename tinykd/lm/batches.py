"""Prompts and answers as batches: shifted, masked and padded in one place, and nowhere else."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..batch import IGNORE
from ..data.source import Source, as_index, cut, in_order_of_length

BUCKET = 50  # batches' worth of examples that are sorted by length together

Example = tuple[Sequence[int], Sequence[int]]


def shift_and_mask(input_ids: Tensor, answer_start: Tensor, lengths: Tensor) -> Tensor:
    """What each position has to predict: labels[b, t] = input_ids[b, t + 1] inside the answer.

    input_ids: (B, T), padded on the right with anything. answer_start, lengths: (B,): the answer is
    input_ids[b, answer_start[b] : lengths[b]]. Returns (B, T), aligned with the logits, -100 where
    the next token is prompt, padding, or does not exist. The position of a token decides, not its
    id, so the first end-of-sequence is learned even where it is also the padding.

    Raises ValueError for an answer that starts at 0 (nothing comes before it to predict it from) or
    ends beyond T.
    """
    rows, size = input_ids.shape
    if ((answer_start < 1) | (lengths > size) | (answer_start > lengths)).any():
        raise ValueError(
            f"an answer lies in 1 .. {size}, got starts {answer_start.tolist()} and ends "
            f"{lengths.tolist()}"
        )
    following = torch.arange(1, size + 1, device=input_ids.device)  # position of the next token
    inside = (following >= answer_start[:, None]) & (following < lengths[:, None])
    shifted = torch.cat([input_ids[:, 1:], input_ids.new_full((rows, 1), IGNORE)], 1)
    return shifted.masked_fill(~inside, IGNORE)


class SequenceBatches(Source):
    """Batches of (prompt, answer) examples of similar length; the loss is on the answers alone.

    Yields mappings for Trainer: "input_ids" and "attention_mask" (B, T), padded on the right;
    "positions" (N,), the flat positions that predict an answer token; their "labels" (N,); "index"
    (B,), the examples' numbers. With `dense`, labels are (B, T) with -100 elsewhere, where no term
    counts, and no positions are picked: for terms that look along a sequence.

    Prefer `tokens`: batches of equally many examples but unlike length weigh the same, so that a
    token of a short answer, its end above all, counts for more than one of a long answer.

    examples: (prompt ids, answer ids) pairs. An answer ends in the end-of-sequence id, or the model
    never learns to stop. size: examples in a batch; or tokens: the most that B * T may be.
    Order and shares of ranks as in `tinykd.data.Source`.

    Raises ValueError for no examples, an empty prompt or answer, neither or both of size and
    tokens, or an example longer than `tokens`; TypeError for text.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        size: int | None = None,
        tokens: int | None = None,
        pad: int = 0,
        shuffle: bool = True,
        seed: int = 0,
        dense: bool = False,
    ) -> None:
        super().__init__(seed)
        if (size is None) == (tokens is None) or (size or tokens or 0) < 1:
            raise ValueError(f"give size or tokens, at least 1; got size={size}, tokens={tokens}")
        for n, (prompt, answer) in enumerate(examples):
            if not len(prompt) or not len(answer):
                raise ValueError(f"example {n} has an empty prompt or answer")
            if any(isinstance(part, str) for part in (prompt, answer)):
                raise TypeError(f"example {n} is text: examples are ids, tokenizer.encode(text)")
            if tokens and len(prompt) + len(answer) > tokens:
                raise ValueError(
                    f"example {n} has {len(prompt) + len(answer)} tokens, a batch at most {tokens}"
                )
        if not examples:
            raise ValueError("no examples: there is nothing to train on")
        self.examples, self.size, self.tokens, self.pad = examples, size, tokens, pad
        self.shuffle, self.dense = shuffle, dense
        self.lengths = np.array([len(prompt) + len(answer) for prompt, answer in examples])

    def __len__(self) -> int:
        """Batches in the next epoch; with `tokens` their number depends on the order."""
        return math.ceil(len(self.examples) / self.size) if self.size else super().__len__()

    def settings(self) -> dict[str, Any]:
        """Seed, sizes and order; the number of batches may differ from epoch to epoch."""
        own = {"samples": len(self.examples), "tokens_in_all": int(self.lengths.sum())}
        own |= {"size": self.size or 0, "tokens": self.tokens or 0, "shuffle": self.shuffle}
        return {k: v for k, v in super().settings().items() if k != "batches"} | own

    def groups(self, rng: np.random.Generator) -> list[np.ndarray]:
        """Examples of similar length together, the batches in random order."""
        if not self.shuffle:
            return self._cut(np.arange(len(self.lengths)))
        size = self.size or max(1, (self.tokens or 0) // int(self.lengths.mean()))
        groups = self._cut(in_order_of_length(rng, self.lengths, BUCKET * size))
        return [groups[i] for i in rng.permutation(len(groups))]

    def _cut(self, order: np.ndarray) -> list[np.ndarray]:
        if self.size:
            return cut(order, self.size)
        groups: list[list[int]] = [[]]
        longest = 0
        for i in order.tolist():
            longest = max(longest, int(self.lengths[i]))
            if (len(groups[-1]) + 1) * longest > (self.tokens or 0):
                groups.append([])
                longest = int(self.lengths[i])
            groups[-1].append(i)
        return [np.array(group) for group in groups]

    def batch(self, index: Sequence[int] | np.ndarray) -> dict[str, Any]:
        """One batch of the examples with these numbers."""
        chosen = [self.examples[i] for i in index]
        starts = torch.tensor([len(prompt) for prompt, _ in chosen])
        lengths = torch.tensor([len(prompt) + len(answer) for prompt, answer in chosen])
        ids = torch.full((len(chosen), int(lengths.max())), self.pad)
        for row, (prompt, answer) in zip(ids, chosen, strict=True):
            row[: len(prompt) + len(answer)] = torch.tensor([*prompt, *answer])
        labels = shift_and_mask(ids, starts, lengths)
        batch = {
            "input_ids": ids,
            "attention_mask": (torch.arange(ids.shape[1]) < lengths[:, None]).long(),
            "index": as_index(index),
        }
        if self.dense:
            return {**batch, "labels": labels}
        positions = (labels.flatten() != IGNORE).nonzero().squeeze(1)
        return {**batch, "positions": positions, "labels": labels.flatten()[positions]}
