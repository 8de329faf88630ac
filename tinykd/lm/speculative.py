"""Speculative decoding: a small draft writes ahead, the target reads it all at once and checks.

Leviathan et al. 2022 (arXiv 2211.17192), algorithm 1. With the target's distribution p and the
draft's q of the next token, a drafted token x ~ q

    is accepted       with probability min(1, p_x / q_x)
    else replaced     by one drawn from  max(p - q, 0) / sum max(p - q, 0)

so that what stands there in the end is distributed exactly as p: min(p, q) comes by the first way,
p - min(p, q) by the second. After the first token that was replaced nothing of the draft counts any
more; where all were accepted, the target's reading has one more token to give for nothing.

How often a token is accepted says how near the two distributions are, and nothing else:

    E_q min(1, p_x / q_x) = sum_x min(p_x, q_x) = 1 - TV(p, q)
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..losses import _log_probabilities
from ..models import frozen
from ..models.sharded import unsharded
from ..progress import bar
from .cache import SPARE, Cache
from .generate import as_ids, distribution, draw, refuse_settings
from .transformer import Transformer

Distribution = Callable[[Tensor], Tensor]  # logits (..., V) to probabilities (..., V)


class Speculated(NamedTuple):
    """answers: new ids, one list a prompt. Beside them, summed over the prompts:

    passes: how often the target read. tested: drafted tokens that it looked at; those behind a
    replaced one, or behind the end of an answer, are not. accepted: those of them that stayed.
    """

    answers: list[list[int]]
    passes: int
    tested: int
    accepted: int


def total_variation(student: Tensor, teacher: Tensor, T: float = 1.0) -> Tensor:
    """TV(p, q) = 1/2 sum_i |p_i - q_i| = 1 - sum_i min(p_i, q_i), in [0, 1].

    1 - TV is the share of the student's tokens that speculative decoding accepts, so this is what
    a draft has to make small (DistillSpec, Zhou et al. 2023, arXiv 2310.08461). Logits (..., C);
    returns (...). No factor T**2. Use it as SoftTargets(divergence=total_variation).
    Raises ValueError if the numbers of classes differ.
    """
    log_p, log_q = _log_probabilities(student, teacher, T)
    return (log_p.exp() - log_q.exp()).abs().sum(-1) / 2


def accept(tokens: Tensor, q: Tensor, p: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """How many of K drafted tokens stay, (B,), and the token that comes after them, (B,).

    tokens: (B, K), each drawn from its row of q (B, K, V). p: (B, K + 1, V), the target's
    distributions at the same places, and at the one behind them.
    """
    rows, ahead = tokens.shape
    at_p, at_q = (x[:, :ahead].gather(-1, tokens[..., None]).squeeze(-1) for x in (p, q))
    u = torch.rand(rows, ahead, generator=rng, device=p.device, dtype=p.dtype)
    # u < p / q without a division. u may be 0: a token that the target never writes stays out.
    stays = (u * at_q < at_p).long().cumprod(1)  # (B, K), 0 from the first refusal on
    count = stays.sum(1)
    nothing = torch.zeros_like(p[:, :1])  # behind the last one there is no draft: the rest is p
    here = torch.arange(rows, device=p.device), count
    p_here, q_here = p[here], torch.cat([q, nothing], 1)[here]
    rest = (p_here - q_here).clamp_min(0.0)
    rest = torch.where(rest.sum(-1, keepdim=True) > 0, rest, p_here)  # equal but for rounding
    return count, draw(rest.log(), 1.0, 1.0, rng)


def speculate(
    target: Transformer,
    draft: Transformer,
    prompts: Sequence[Sequence[int]] | Sequence[Tensor],
    ahead: int = 4,
    max_new: int = 256,
    temperature: float = 1.0,
    top_p: float = 1.0,
    eos: int | Sequence[int] | None = None,
    pad: int = 0,
    seed: int = 0,
    batch_size: int = 64,
    progress: bool = True,
) -> Speculated:
    """Continuations as `generate(target, ...)` writes them, with fewer readings by the target.

    ahead: how many tokens the draft writes each time. The other arguments, and what an answer is,
    are those of `generate`: at temperature 0 it is the same text, above that one from the same
    distribution (not the same draws). temperature and top_p hold for both models.

    Raises ValueError as `generate` does, for ahead below 1, and for models of different
    vocabularies; FloatingPointError for logits that are not finite.
    """
    refuse_settings(max_new, temperature, top_p, batch_size)
    if ahead < 1:
        raise ValueError(f"ahead must be at least 1, got {ahead}")
    rows, ends = as_ids(prompts, eos, pad, *_shared_tokens(target, draft))
    rng = torch.Generator(target.embed.weight.device).manual_seed(seed)
    says = functools.partial(_finite, temperature=temperature, top_p=top_p)
    answers: list[list[int]] = [[] for _ in rows]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i])) if max_new else []
    passes = tested = accepted = 0
    with (
        frozen(target),
        unsharded(target),
        frozen(draft),
        unsharded(draft),
        torch.inference_mode(),
        bar("sampling", len(order), 0, progress) as advance,
    ):
        for first in range(0, len(order), batch_size):
            numbers = order[first : first + batch_size]
            reader, writer = (_Reading(m, [rows[i] for i in numbers], pad) for m in (target, draft))
            while numbers:
                tokens, q = _drafted(writer, ahead, says, rng)
                reader.put(tokens)
                p = says(reader.read(ahead + 1))  # (B, K + 1, V)
                count, extra = accept(tokens, q, p, rng)
                goes_on = []
                for n, (i, kept) in enumerate(zip(numbers, count.tolist(), strict=True)):
                    new = [*tokens[n, :kept].tolist(), int(extra[n])]
                    end = next((k for k, token in enumerate(new, 1) if token in ends), len(new))
                    end = min(end, max_new - len(answers[i]))
                    answers[i] += new[:end]
                    passes, accepted = passes + 1, accepted + min(end, kept)
                    tested += min(end, ahead)
                    if len(answers[i]) < max_new and answers[i][-1] not in ends:
                        goes_on.append(n)
                advance(len(numbers) - len(goes_on))
                numbers = [numbers[n] for n in goes_on]
                stays = torch.arange(ahead, device=count.device) < count[:, None]
                for each in (reader, writer):
                    each.settle(stays, extra, goes_on)
    return Speculated(answers, passes, tested, accepted)


def _drafted(
    writer: "_Reading", ahead: int, says: Distribution, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Tokens (B, K) that the draft writes by itself, and what each was drawn from, q (B, K, V)."""
    tokens, q = [], []
    for _ in range(ahead):
        q.append(says(writer.read(1)[:, 0]))
        tokens.append(draw(q[-1].log(), 1.0, 1.0, rng))
        writer.put(tokens[-1][:, None])
    return torch.stack(tokens, 1), torch.stack(q, 1)


def _finite(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    if not logits.amax(-1).isfinite().all():
        raise FloatingPointError("logits are not finite: look for NaN in the models' weights")
    return distribution(logits, temperature, top_p)


def _shared_tokens(target: Transformer, draft: Transformer) -> tuple[int, int]:
    """How many ids both models read, and write. Raises ValueError for different vocabularies."""
    tokens, theirs = len(target.head_weight), len(draft.head_weight)
    if tokens != theirs:
        raise ValueError(
            f"the target has {tokens} tokens, the draft {theirs}: they must share a tokenizer "
            "(Config(tokens=...) leaves out rows that pad a vocabulary)"
        )
    return min(target.config.vocab, draft.config.vocab), tokens


class _Reading:
    """A model that reads texts under way: what it has read in its cache, what it has not in `ids`.

    Drafted tokens that were refused stay in the cache as holes: marked as not real, like padding,
    so that nothing sees them and they count for no position.
    """

    def __init__(self, model: Transformer, prompts: list[list[int]], pad: int) -> None:
        self.model, weight = model, model.embed.weight
        longest = max(map(len, prompts))
        padding = [longest - len(prompt) for prompt in prompts]
        ids = [[pad] * n + prompt for n, prompt in zip(padding, prompts, strict=True)]
        self.ids = torch.tensor(ids, device=weight.device)
        self.real = (
            torch.arange(longest, device=weight.device)
            >= torch.tensor(padding, device=weight.device)[:, None]
        )
        self.cache = Cache(model.config, len(prompts), longest + SPARE, weight)

    def put(self, ids: Tensor) -> None:
        """Tokens (B, n) to be read next."""
        self.ids = torch.cat([self.ids, ids], 1)
        self.real = torch.cat([self.real, torch.ones_like(ids, dtype=torch.bool)], 1)

    def read(self, last: int) -> Tensor:
        """Read what there is; logits (B, last, V) of what comes after each of the last tokens."""
        rows, length = self.ids.shape
        ends = torch.arange(1, rows + 1, device=self.ids.device)[:, None] * length
        places = (ends + torch.arange(-last, 0, device=self.ids.device)).flatten()
        logits = self.model(self.ids, self.real, positions=places, cache=self.cache)
        self.ids, self.real = self.ids[:, :0], self.real[:, :0]
        return logits.view(rows, last, -1)

    def settle(self, stays: Tensor, extra: Tensor, rows: list[int]) -> None:
        """Which of the last K tokens stay (B, K), what comes behind them; go on with these rows."""
        read = stays.shape[1] - self.ids.shape[1]
        end = self.cache.length
        self.cache.real[:, end - read : end] = stays[:, :read]
        self.real = stays[:, read:]
        self.put(extra[:, None])
        if len(rows) < len(extra):
            chosen = torch.tensor(rows, dtype=torch.long, device=extra.device)
            self.cache.keep_rows(chosen)
            self.ids, self.real = self.ids[chosen], self.real[chosen]
