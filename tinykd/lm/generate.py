"""Sampling: many prompts at once, each new token drawn from softmax(logits / T)."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..models import frozen
from ..progress import bar
from ..softmax import softmax
from .layers import SPARE, Cache
from .transformer import Transformer

READ = 16  # prompts read at a time; they come in order of length
LEAVE = 8  # rows that have ended leave when they are an eighth of the batch: moving rows costs too


def generate(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    max_new: int = 256,
    temperature: float = 1.0,
    top_p: float = 1.0,
    eos: int | None = None,
    pad: int = 0,
    seed: int = 0,
    batch_size: int = 64,
    progress: bool = True,
) -> list[list[int]]:
    """Continuations of prompts: new ids only, ending in `eos` where the model stopped by itself.

    prompts: lists of ids, none empty; they are sampled in order of length, `batch_size` at a time,
    padded on the left, and rows that have ended leave the batch.
    temperature: 0 takes the most likely token every time (greedy); above that, tokens are drawn.
    top_p: only from the most likely tokens that together have this much probability (Holtzman et
    al. 2020, arXiv 1904.09751).
    seed: the same seed, prompts and batch size give the same text.

    Works in the model's own precision (`model.bfloat16()` halves the memory and is faster where
    the processor has it), in eval mode and without gradients; the mode comes back.
    Raises ValueError for an empty prompt, a negative temperature or top_p outside (0, 1].
    """
    if not all(len(prompt) for prompt in prompts):
        raise ValueError("a prompt is empty: there is nothing to continue")
    if temperature < 0 or not 0 < top_p <= 1:
        raise ValueError(
            f"temperature must be at least 0 and top_p in (0, 1], got {temperature} and {top_p}"
        )
    device = next(model.parameters()).device
    rng = torch.Generator(device).manual_seed(seed)
    pick = functools.partial(draw, temperature=temperature, top_p=top_p, rng=rng)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    answers: list[list[int]] = [[] for _ in prompts]
    start, tokens = time.perf_counter(), 0
    with frozen(model), bar("sampling", len(prompts), 0, progress) as advance:
        for first in range(0, len(order), batch_size):
            rows = order[first : first + batch_size]
            stream = _Stream(model, [prompts[i] for i in rows], pad)
            for drawn, ended in _write(stream, rows, answers, max_new, eos, pick):
                tokens += drawn
                advance(ended, f"{tokens / (time.perf_counter() - start):.0f} tokens/s")
    return answers


def _write(
    stream: "_Stream",
    rows: list[int],
    answers: list[list[int]],
    max_new: int,
    eos: int | None,
    pick: Callable[[Tensor], Tensor],
) -> Iterator[tuple[int, int]]:
    """Append to answers[i] for i in `rows`; yields (tokens drawn, rows ended) after each step."""
    live = torch.ones(len(rows), dtype=torch.bool, device=stream.logits.device)
    for step in range(max_new):
        drawn, alive = pick(stream.logits), live.tolist()
        for i, token, on in zip(rows, drawn.tolist(), alive, strict=True):
            if on:
                answers[i].append(token)
        if eos is not None:
            live &= drawn != eos
        left = int(live.sum()) if step + 1 < max_new else 0
        yield sum(alive), sum(alive) - left
        if not left:
            return
        if len(rows) - left < max(1, len(rows) // LEAVE):
            stream.go_on(drawn, None)
        else:
            rows = [i for i, on in zip(rows, live.tolist(), strict=True) if on]
            stream.go_on(drawn[live], live)
            live = live[live]


def draw(logits: Tensor, temperature: float, top_p: float, rng: torch.Generator) -> Tensor:
    """One token a row, shape (B,), from logits (B, V)."""
    if temperature == 0:
        return logits.argmax(-1)
    p = softmax(logits, temperature)
    if top_p < 1:
        p = nucleus(p, top_p)
    # The first token at which the running sum exceeds a uniform draw; torch.multinomial draws a
    # number for each of the V tokens and takes seven times as long.
    running = p.cumsum(-1)
    at = torch.rand(len(p), 1, generator=rng, device=p.device) * running[:, -1:]
    return torch.searchsorted(running, at, right=True).squeeze(1)


def nucleus(p: Tensor, top_p: float) -> Tensor:
    """The smallest set of tokens with probability >= top_p, renormalised; the others get 0.

    p: (B, V), rows that sum to 1. A token is kept if those more likely than it have less than
    top_p together, so the likeliest always is.
    """
    ordered, index = p.sort(-1, descending=True)
    ordered[ordered.cumsum(-1) - ordered >= top_p] = 0.0
    kept = torch.zeros_like(p).scatter(-1, index, ordered)
    return kept / kept.sum(-1, keepdim=True)


class _Stream:
    """A batch of sequences under way: their cache, and the logits of what comes next."""

    logits: Tensor  # (B, V)

    def __init__(self, model: Transformer, prompts: list[Sequence[int]], pad: int) -> None:
        self.model, weight = model, model.embed.weight
        place = {tuple(prompt): n for n, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
        different = list(place)
        length = max(map(len, different))
        self.cache = Cache(model.config, len(different), length + SPARE, weight)
        self.cache.length = length
        logits = []
        for first in range(0, len(different), READ):  # a few at a time: little padding
            part = different[first : first + READ]
            longest = max(map(len, part))
            ids = [[pad] * (longest - len(prompt)) + list(prompt) for prompt in part]
            real = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in part]
            cache = Cache(model.config, len(part), longest, weight)
            logits.append(self._read(ids, real, cache))
            self.cache.paste(cache, first)
        # Several samples of a prompt: it was read once for all.
        rows = torch.tensor([place[tuple(prompt)] for prompt in prompts], device=weight.device)
        self.logits = torch.cat(logits)[rows]
        if len(different) < len(prompts):
            self.cache.keep_rows(rows)

    def go_on(self, tokens: Tensor, rows: Tensor | None) -> None:
        """Read the tokens drawn (B,); rows: which sequences go on, None for all."""
        if rows is not None:
            self.cache.keep_rows(rows)
        self.logits = self._read(tokens[:, None], torch.ones_like(tokens)[:, None], self.cache)

    def _read(self, ids: Any, real: Any, cache: Cache) -> Tensor:
        """Logits (B, V) after the last position of ids (B, T)."""
        device = self.model.embed.weight.device
        ids, real = (torch.as_tensor(x, device=device) for x in (ids, real))
        last = torch.arange(1, len(ids) + 1, device=device) * ids.shape[1] - 1
        return self.model(ids, real, positions=last, cache=cache)
