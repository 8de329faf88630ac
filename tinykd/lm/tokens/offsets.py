"""Where in a text each token stands, in bytes, and where two tokenizations of it meet.

In bytes, not characters: a byte-level tokenizer may cut an "é" in two, and then neither half is a
character, but each is one byte.
"""

import json
from collections.abc import Sequence

from .tokenizer import Tokenizer

Offsets = Sequence[
    tuple[int, int]
]  # (start, end) of each token; start = end: it stands for no text


def token_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes that each id stands for; b"" for control tokens, and where there is no such id.

    Read are byte-level BPE (GPT-2, SmolLM, Qwen, Llama 3), SentencePiece's spelling with "▁" and
    "<0x0A>", and words that stand for themselves. Raises ValueError for other decoders.
    """
    tokens = tokenizer.tokens
    decoder = json.loads(tokens.to_str())["decoder"] or {"type": "Fuse"}
    kinds = {part["type"] for part in [decoder, *decoder.get("decoders", [])]} - {"Sequence"}
    if strange := kinds - {"ByteLevel", "ByteFallback", "Replace", "Metaspace", "Fuse", "Strip"}:
        raise ValueError(f"the decoder {sorted(strange)} joins tokens in a way that is not known")
    letters = {letter: byte for byte, letter in enumerate(_letters())}
    found = [b""] * (1 + max(tokens.get_vocab().values()))
    added = tokens.get_added_tokens_decoder()
    for word, i in tokens.get_vocab().items():
        if i in added:
            found[i] = b"" if added[i].special else word.encode()
        elif "ByteLevel" in kinds:
            found[i] = bytes(letters[letter] for letter in word)
        elif "ByteFallback" in kinds and len(word) == 6 and word.startswith("<0x"):
            found[i] = bytes([int(word[3:5], 16)])
        elif kinds & {"Replace", "Metaspace"}:
            found[i] = word.replace("▁", " ").encode()
        else:
            found[i] = word.encode()
    return found


def byte_offsets(ids: Sequence[int], pieces: Sequence[bytes]) -> list[tuple[int, int]]:
    """(start, end) of each token in the bytes of its text; pieces: from `token_bytes`."""
    found, at = [], 0
    for i in ids:
        found.append((at, at + len(pieces[i])))
        at += len(pieces[i])
    return found


def align(a: Offsets, b: Offsets) -> list[tuple[range, range]]:
    """The smallest spans at whose borders two tokenizations of a text meet, from left to right.

    Returns (tokens of a, tokens of b) for each; the text of both is the same. Tokens that stand for
    no text (begin, end) are a span where both sides have some at the same place, and in no span
    where one side alone has: they move nothing.

    >>> align([(0, 2), (2, 3), (3, 5)], [(0, 1), (1, 2), (2, 4), (4, 5)])
    [(range(0, 1), range(0, 2)), (range(1, 3), range(2, 4))]

    Raises ValueError for offsets with a gap or an overlap, and for texts of different lengths.
    """
    ends = [_length(a, "first"), _length(b, "second")]
    if ends[0] != ends[1]:
        raise ValueError(f"not the same text: one is {ends[0]} bytes long, the other {ends[1]}")
    found, i, j, at = [], 0, 0, 0
    while True:
        first_i, first_j = i, j
        while i < len(a) and a[i][1] == at:
            i += 1
        while j < len(b) and b[j][1] == at:
            j += 1
        if first_i < i and first_j < j:
            found.append((range(first_i, i), range(first_j, j)))
        if at == ends[0]:
            return found
        first_i, first_j = i, j
        left, right = a[i][1], b[j][1]
        while left != right:
            if left < right:
                i += 1
                left = a[i][1]
            else:
                j += 1
                right = b[j][1]
        i, j, at = i + 1, j + 1, left
        found.append((range(first_i, i), range(first_j, j)))


def _length(offsets: Offsets, name: str) -> int:
    at = 0
    for n, (start, end) in enumerate(offsets):
        if start != at or end < start:
            raise ValueError(
                f"token {n} of the {name} tokenization is ({start}, {end}), the one before it "
                f"ended at {at}: tokens lie one behind the other, each from its start to its end"
            )
        at = end
    return at


def _letters() -> list[str]:
    """GPT-2's letter for each byte: itself where that can be printed, else one from 256 on."""
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(b) if b in shown else chr(256 + hidden.index(b)) for b in range(256)]
