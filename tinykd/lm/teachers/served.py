"""Log-probabilities as a server with OpenAI's interface returns them, as top-k targets.

A teacher behind an interface says little: for each token of its answer the k most likely words and
their log-probabilities (ask with "logprobs": true, "top_logprobs": k, temperature 1). Two forms:

    chat         {"logprobs": {"content": [{"token": "on", "bytes": [111, 110], "logprob": -0.1,
                                            "top_logprobs": [{the same three}, ...]}, ...]}}
    completions  {"logprobs": {"tokens": ["on", ...], "token_logprobs": [-0.1, ...],
                               "top_logprobs": [{"on": -0.1, " in": -2.5}, ...]}}

Words become ids of your tokenizer by their bytes; what k words leave over is the tail bucket of
`TopK`, so the loss is topk_kl. A word that is no token of the tokenizer is an error: the server has
another one, then.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..tokens import Tokenizer
from ..tokens.offsets import token_bytes
from ..topk import TopK

ABSENT = -9999.0  # OpenAI's number for "not among the most likely ones"
ROUNDING = 0.01  # how far above 1 the sum of k rounded probabilities may lie


class Served(NamedTuple):
    """ids: (P,), the answer. top: what the server says of each of its places, (P, k) and a tail.

    log_p: (P,), of the answer's own tokens, nan where the server does not say.
    """

    ids: Tensor
    top: TopK
    log_p: Tensor


def read_served(
    choice: Mapping[str, Any], tokenizer: Tokenizer, k: int | None = None, T: float = 1.0
) -> Served:
    """One of the "choices" of a response.

    k: how many words to keep, None: as many as every place has. Words named twice are kept once. T:
    the temperature that the server's numbers are at; most say 1 whatever the sampling was.

    Raises ValueError, with the place and the value, for a response without log-probabilities, a
    word that is no token, a number that is no log-probability, probabilities that add up to more
    than 1 (beyond rounding), and a place with fewer than k words.
    """
    if not isinstance(choice, Mapping) or not isinstance(choice.get("logprobs"), Mapping):
        found = list(choice) if isinstance(choice, Mapping) else type(choice).__name__
        raise ValueError(f'no "logprobs" in this choice, ask the server for them; it has {found}')
    words = _words(tokenizer)
    chat = choice["logprobs"].get("content") is not None
    places = _chat(choice["logprobs"]) if chat else _completions(choice["logprobs"])
    ids, own, rows = [], [], []
    for n, (word, log_p, top) in enumerate(places):
        ids.append(words.id(word, n))
        own.append(math.nan if log_p in (None, ABSENT) else _checked(log_p, word, n))
        rows.append(_row(top, words, n))
    size = min(map(len, rows), default=0) if k is None else k
    for n, row in enumerate(rows):
        if len(row) < max(1, size):
            raise ValueError(f"place {n} has {len(row)} words, needed are {max(1, size)}")
    if not rows:
        raise ValueError("an answer without a single token")
    kept = [sorted(row.items(), key=lambda pair: -pair[1])[:size] for row in rows]
    log_p = torch.tensor([[x for _, x in row] for row in kept], dtype=torch.float64)
    buckets = torch.cat([log_p, _tail(log_p)], -1)
    # Rounded numbers do not add up to 1, and a KL could be negative.
    buckets = torch.log_softmax(buckets, -1).float()
    words_kept = torch.tensor([[i for i, _ in row] for row in kept])
    return Served(torch.tensor(ids), TopK(words_kept, buckets, T), torch.tensor(own))


@lru_cache(maxsize=2)  # of 49,152 tokens it takes 0.2 s, 100 places of a response 0.02
def _words(tokenizer: Tokenizer) -> "_Words":
    return _Words(tokenizer)


class _Words:
    """Ids of words as a server writes them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokens = tokenizer.tokens
        self.known: dict[bytes, int] = {}
        for i, piece in enumerate(token_bytes(tokenizer)):
            if piece:
                self.known.setdefault(piece, i)

    def id(self, word: tuple[Any, Any], n: int) -> int:
        """word: the text, and its bytes where the server gives them."""
        text, raw = word
        if not isinstance(text, str):
            raise ValueError(f"place {n}: a token is text, got {text!r:.80}")
        if text.startswith("token_id:") and text[9:].isdigit():  # as vLLM can be asked to write
            i = int(text[9:])
            if self.tokens.id_to_token(i) is None:
                raise ValueError(f"place {n}: {text!r} is no id of this tokenizer")
            return i
        try:
            spelled = text.encode() if raw is None else bytes(raw)
        except (TypeError, ValueError):
            raise ValueError(
                f"place {n}: the bytes of {text!r} are {raw!r:.80}: wanted are numbers to 255"
            ) from None
        added = self.tokens.token_to_id(text)  # control tokens, which have no bytes of their own
        found = self.known.get(spelled)
        if found is None and added in self.tokens.get_added_tokens_decoder():
            found = added
        if found is None:
            why = (
                "half a character, and the server gives no bytes for it"
                if raw is None and "\N{REPLACEMENT CHARACTER}" in text
                else "no token of this tokenizer: is it the server's?"
            )
            raise ValueError(f"place {n}: {text!r:.80} is {why}")
        return found


Place = tuple[tuple[Any, Any], Any, list[tuple[tuple[Any, Any], Any]]]


def _chat(logprobs: Mapping[str, Any]) -> list[Place]:
    try:
        return [
            (
                (one["token"], one.get("bytes")),
                one["logprob"],
                [((x["token"], x.get("bytes")), x["logprob"]) for x in one["top_logprobs"]],
            )
            for one in logprobs["content"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"each place has a token, a logprob and top_logprobs; missing is {error}"
        ) from error


def _completions(logprobs: Mapping[str, Any]) -> list[Place]:
    names = ("tokens", "token_logprobs", "top_logprobs")
    parts: list[Any] = [logprobs.get(name) for name in names]
    if not all(isinstance(part, Sequence) for part in parts):
        raise ValueError(f"logprobs have a content or {names}, got {list(logprobs)}")
    sizes = [len(part) for part in parts]
    if len(set(sizes)) != 1:
        raise ValueError(f"{names} are of different lengths: {sizes}")
    if not all(isinstance(top, Mapping) for top in parts[2]):
        n = [isinstance(top, Mapping) for top in parts[2]].index(False)
        raise ValueError(
            f"place {n}: top_logprobs are {parts[2][n]!r:.80}; of the prompt's first token, which "
            "an echo brings along, nothing is known: leave it out"
        )
    return [
        ((token, None), log_p, [((word, None), x) for word, x in top.items()])
        for token, log_p, top in zip(*parts, strict=True)
    ]


def _checked(log_p: Any, word: tuple[Any, Any], n: int) -> float:
    try:
        x = float(log_p)
    except (TypeError, ValueError):
        x = math.nan
    if math.isnan(x) or x > ROUNDING:
        raise ValueError(
            f"place {n}: the log-probability of {word[0]!r:.80} is {log_p!r}: a number of at most 0"
        )
    return min(x, 0.0)


def _row(top: list[tuple[tuple[Any, Any], Any]], words: _Words, n: int) -> dict[int, float]:
    """Log-probability of each id at place n."""
    row: dict[int, float] = {}
    for word, log_p in top:
        x = _checked(log_p, word, n)
        if x > ABSENT:
            i = words.id(word, n)
            row[i] = max(x, row.get(i, x))
    total = sum(map(math.exp, row.values()))
    if total > 1 + ROUNDING:
        raise ValueError(
            f"place {n}: {len(row)} words have a probability of {total:.4f} together: natural "
            "logarithms of probabilities are wanted, not logits or other logarithms"
        )
    return row


def _tail(log_p: Tensor) -> Tensor:
    """log of what is left over, -inf where rounding has left nothing: (P, 1)."""
    return (1 - log_p.exp().sum(-1, keepdim=True)).clamp_min(0.0).log()
