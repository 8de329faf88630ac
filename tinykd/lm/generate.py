"""Sampling: many prompts at once, each new token drawn from softmax(logits / T)."""

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from ..models import frozen
from ..progress import bar
from ..softmax import softmax
from .transformer import Cache, Transformer


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
    padded on the left, and a row that has ended leaves the batch.
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
    dice = torch.Generator(device).manual_seed(seed)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    answers: list[list[int]] = [[] for _ in prompts]
    start, tokens = time.perf_counter(), 0
    with frozen(model), bar("sampling", len(prompts), 0, progress) as advance:
        for first in range(0, len(order), batch_size):
            rows = order[first : first + batch_size]
            stream = _Stream(model, [prompts[i] for i in rows], max_new, pad)
            for step in range(max_new):
                drawn = draw(stream.logits, temperature, top_p, dice)
                tokens += len(rows)
                for i, token in zip(rows, drawn.tolist(), strict=True):
                    answers[i].append(token)
                going = torch.ones_like(drawn, dtype=torch.bool) if eos is None else drawn != eos
                if step + 1 == max_new:
                    going = torch.zeros_like(going)
                done = len(rows) - int(going.sum())
                note = f"{tokens / (time.perf_counter() - start):.0f} tokens/s"
                advance(done, note)
                if done:
                    rows = [i for i, on in zip(rows, going.tolist(), strict=True) if on]
                if not rows:
                    break
                stream.go_on(drawn[going], going if done else None)
    return answers


def draw(logits: Tensor, temperature: float, top_p: float, dice: torch.Generator) -> Tensor:
    """One token a row, shape (B,), from logits (B, V)."""
    if temperature == 0:
        return logits.argmax(-1)
    p = softmax(logits, temperature)
    if top_p < 1:
        p = nucleus(p, top_p)
    # The first token at which the running sum exceeds a uniform draw; torch.multinomial draws a
    # number for each of the V tokens and takes seven times as long.
    running = p.cumsum(-1)
    at = torch.rand(len(p), 1, generator=dice, device=p.device) * running[:, -1:]
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

    def __init__(
        self, model: Transformer, prompts: list[Sequence[int]], max_new: int, pad: int
    ) -> None:
        weight = model.embed.weight
        length = max(map(len, prompts))
        self.model = model
        place = {tuple(prompt): n for n, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
        self.cache = Cache(model.config, len(place), length + max_new, weight)
        ids = [[pad] * (length - len(prompt)) + list(prompt) for prompt in place]
        real = [[0] * (length - len(prompt)) + [1] * len(prompt) for prompt in place]
        self._read(
            torch.tensor(ids, device=weight.device), torch.tensor(real, device=weight.device)
        )
        if len(place) < len(prompts):  # several samples of a prompt: it was read once for all
            rows = torch.tensor([place[tuple(p)] for p in prompts], device=weight.device)
            self.cache.keep_rows(rows)
            self.logits = self.logits[rows]

    def go_on(self, tokens: Tensor, rows: Tensor | None) -> None:
        """Read the tokens drawn (B,); rows: which sequences go on, None for all."""
        if rows is not None:
            self.cache.keep_rows(rows)
        self._read(tokens[:, None], torch.ones_like(tokens)[:, None])

    def _read(self, ids: Tensor, real: Tensor) -> None:
        rows, length = ids.shape
        last = torch.arange(1, rows + 1, device=ids.device) * length - 1
        self.logits = self.model(ids, real, keep=last, cache=self.cache)
