"""Sampling: many prompts at once, each new token drawn from softmax(logits / T)."""

import functools
import math
import operator
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..models import frozen
from ..models.sharded import unsharded
from ..progress import bar
from ..softmax import at_least_float32, softmax
from .cache import SPARE, Cache
from .transformer import Transformer

PROMPTS_AT_ONCE = 16  # read together; they come in order of length
ENDED_SHARE = 8  # rows that have ended are dropped at an eighth of the batch: moving rows costs too


def generate(
    model: Transformer,
    prompts: Sequence[Sequence[int]] | Sequence[Tensor],
    max_new: int = 256,
    temperature: float = 1.0,
    top_p: float = 1.0,
    eos: int | Sequence[int] | None = None,
    pad: int = 0,
    seed: int = 0,
    batch_size: int = 64,
    progress: bool = True,
) -> list[list[int]]:
    """Continuations of prompts: new ids only, ending in `eos` where the model stopped by itself.

    prompts: lists of ids (or tensors (T,)), none empty; they are sampled in order of length,
    `batch_size` at a time, padded on the left, and rows that have ended leave the batch.
    temperature: 0 takes the most likely token every time (greedy); above that, tokens are drawn.
    top_p: only from the most likely tokens that together have this much probability (Holtzman et
    al. 2020, arXiv 1904.09751).
    eos: the id that ends an answer, or several of which any does.
    seed: the same seed, prompts and batch size give the same text.

    Works in the model's own precision (`model.bfloat16()` halves the memory and is faster where
    the processor has it), in eval mode and without gradients; the mode comes back. A sharded model
    is gathered whole for it (see `models/sharded.py`).

    Raises:
        ValueError: an empty prompt, ids outside of the model's vocabulary, a temperature that is
            negative or infinite, top_p outside (0, 1], max_new below 0, batch_size below 1.
        TypeError: prompts that are no ids.
        FloatingPointError: logits that are NaN or infinite, with the prompt and the step: broken
            weights, or an overflow.
    """
    refuse_settings(max_new, temperature, top_p, batch_size)
    rows, ends = as_ids(prompts, eos, pad, model.config.vocab, len(model.head_weight))
    device = next(model.parameters()).device
    rng = torch.Generator(device).manual_seed(seed)
    pick = functools.partial(draw, temperature=temperature, top_p=top_p, rng=rng)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i])) if max_new else []
    answers: list[list[int]] = [[] for _ in rows]
    start, tokens = time.perf_counter(), 0
    with (
        frozen(model),
        unsharded(model),
        torch.inference_mode(),  # no_grad and less bookkeeping: a sixth of a small model's time
        bar("sampling", len(order), 0, progress) as advance,
    ):
        for first in range(0, len(order), batch_size):
            numbers = order[first : first + batch_size]
            batch = _Sequences(model, [rows[i] for i in numbers], pad)
            for drawn, ended in _extend(batch, numbers, answers, max_new, ends, pick):
                tokens += drawn
                advance(ended, f"{tokens / (time.perf_counter() - start):.0f} tokens/s")
    return answers


def draw(logits: Tensor, temperature: float, top_p: float, rng: torch.Generator) -> Tensor:
    """One token a row, shape (B,), from logits (B, V); never one whose logit is -inf."""
    if temperature == 0:
        return logits.argmax(-1)
    p = distribution(logits, temperature, top_p)
    # The first token at which the running sum exceeds a uniform draw; torch.multinomial draws a
    # number for each of the V tokens and takes seven times as long.
    running = p.cumsum(-1)
    at = torch.rand(len(p), 1, generator=rng, device=p.device) * running[:, -1:]
    token = torch.searchsorted(running, at, right=True).clamp_(max=p.shape[-1] - 1)
    impossible = p.gather(-1, token) == 0  # running sums are rounded, on a GPU not even in order
    if impossible.any():
        token = torch.where(impossible, p.argmax(-1, keepdim=True), token)
    return token.squeeze(1)


def distribution(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    """What a token is drawn from, (..., V): softmax(logits / T) cut to `top_p`; all on one at 0."""
    if temperature == 0:
        return torch.zeros_like(logits).scatter(-1, logits.argmax(-1, keepdim=True), 1.0)
    if temperature < 1e-6:  # logits / T could overflow; 1 / T itself does below 1e-38
        logits = at_least_float32(logits)
        logits, temperature = logits - logits.amax(-1, keepdim=True), max(temperature, 1e-30)
    p = softmax(logits, temperature)
    return p if top_p == 1 else nucleus(p, top_p)


def nucleus(p: Tensor, top_p: float) -> Tensor:
    """The smallest set of tokens with probability >= top_p, renormalised; the others get 0.

    p: (B, V), rows that sum to 1. A token is kept if those more likely than it have less than
    top_p together, so the likeliest always is.
    """
    ordered, index = p.sort(-1, descending=True)
    cut = ordered.cumsum(-1) - ordered >= top_p
    cut[..., 0] = False  # a top_p that is 0 in p's precision
    kept = torch.zeros_like(p).scatter(-1, index, ordered.masked_fill(cut, 0.0))
    return kept / kept.sum(-1, keepdim=True)


def _extend(
    batch: "_Sequences",
    numbers: list[int],
    answers: list[list[int]],
    max_new: int,
    ends: list[int],
    pick: Callable[[Tensor], Tensor],
) -> Iterator[tuple[int, int]]:
    """Append to answers[i], i in `numbers`; yields (tokens drawn, rows ended) after each step."""
    ending = torch.tensor(ends, dtype=torch.long, device=batch.logits.device)
    running = torch.ones(len(numbers), dtype=torch.bool, device=ending.device)
    for step in range(max_new):
        broken = running & ~batch.logits.amax(-1).isfinite()  # amax passes NaN on
        if broken.any():
            raise FloatingPointError(
                f"the logits for prompt {numbers[int(broken.nonzero()[0])]} are not finite after "
                f"{step} new tokens: look for NaN in the model's weights, or for an overflow"
            )
        drawn, goes_on = pick(batch.logits), running.tolist()
        for i, token, on in zip(numbers, drawn.tolist(), goes_on, strict=True):
            if on:
                answers[i].append(token)
        running &= ~torch.isin(drawn, ending)
        left = int(running.sum()) if step + 1 < max_new else 0
        yield sum(goes_on), sum(goes_on) - left
        if not left:
            return
        if len(numbers) - left < max(1, len(numbers) // ENDED_SHARE):
            batch.append(drawn, None)
        else:
            numbers = [i for i, on in zip(numbers, running.tolist(), strict=True) if on]
            batch.append(drawn[running], running)
            running = running[running]


class _Sequences:
    """A batch of sequences under way: their cache, and the logits of what comes next."""

    logits: Tensor  # (B, V)

    def __init__(self, model: Transformer, prompts: list[list[int]], pad: int) -> None:
        self.model, weight = model, model.embed.weight
        place = {prompt: n for n, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
        different = list(place)
        length = max(map(len, different))
        self.cache = Cache(model.config, len(different), length + SPARE, weight)
        self.cache.length = length
        logits = []
        for first in range(0, len(different), PROMPTS_AT_ONCE):  # a few at a time: little padding
            part = different[first : first + PROMPTS_AT_ONCE]
            longest = max(map(len, part))
            ids = [[pad] * (longest - len(prompt)) + list(prompt) for prompt in part]
            real = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in part]
            cache = Cache(model.config, len(part), longest, weight)
            logits.append(self._next_logits(ids, real, cache))
            self.cache.paste(cache, first)
        # Several samples of a prompt: it was read once for all.
        rows = torch.tensor([place[tuple(prompt)] for prompt in prompts], device=weight.device)
        self.logits = torch.cat(logits)[rows]
        if len(different) < len(prompts):
            self.cache.keep_rows(rows)

    def append(self, tokens: Tensor, rows: Tensor | None) -> None:
        """Read the tokens drawn (B,); rows: which sequences stay in the batch, None for all."""
        if rows is not None:
            self.cache.keep_rows(rows)
        real = torch.ones_like(tokens, dtype=torch.bool)[:, None]
        self.logits = self._next_logits(tokens[:, None], real, self.cache)

    def _next_logits(self, ids: Any, real: Any, cache: Cache) -> Tensor:
        """Logits (B, V) after the last position of ids (B, T)."""
        device = self.model.embed.weight.device
        ids, real = (torch.as_tensor(x, device=device) for x in (ids, real))
        last = torch.arange(1, len(ids) + 1, device=device) * ids.shape[1] - 1
        return self.model(ids, real, positions=last, cache=cache)


def refuse_settings(max_new: int, temperature: float, top_p: float, batch_size: int) -> None:
    """Raises ValueError for what nothing can be sampled with."""
    if not (0 <= temperature < math.inf and 0 < top_p <= 1):
        raise ValueError(
            "temperature must be at least 0 and finite and top_p in (0, 1], "
            f"got {temperature} and {top_p}"
        )
    if max_new < 0 or batch_size < 1:
        raise ValueError(
            f"max_new must be at least 0 and batch_size at least 1, got {max_new} and {batch_size}"
        )


def as_ids(
    prompts: Sequence, eos: Any, pad: int, size: int, tokens: int
) -> tuple[list[list[int]], list[int]]:
    """Prompts, and the tokens that end an answer, as plain ids.

    size: ids that may be read. tokens: those that may be written. Raises ValueError for others, and
    for an empty prompt, TypeError for what is no id.
    """
    rows = [_ids(prompt, f"prompt {n}", size) for n, prompt in enumerate(prompts)]
    if not all(rows):
        raise ValueError(f"prompt {rows.index([])} is empty: there is nothing to continue")
    _ids([pad], "pad", size)
    listed = eos if isinstance(eos, (Tensor, Sequence)) else [eos]
    return rows, [] if eos is None else _ids(listed, "eos", tokens)


def _ids(ids: Any, name: str, size: int) -> list[int]:
    """As plain integers. Raises TypeError for other things, ValueError outside 0 to size - 1."""
    try:
        found = [operator.index(i) for i in (ids.tolist() if isinstance(ids, Tensor) else ids)]
    except TypeError as error:
        raise TypeError(f"{name} must be token ids, such as [3, 1, 4], got {ids!r:.80}") from error
    wrong = [i for i in found if not 0 <= i < size]
    if wrong:
        raise ValueError(f"{name} has the id {wrong[0]}: the model's ids are 0 to {size - 1}")
    return found
