"""A teacher that cuts text into other tokens than the student does.

The i-th token of one is not the i-th of the other, and word 17 here is not word 17 there: logits
cannot be compared. Two things still can:

    ULD()     the shape of a distribution: its probabilities sorted, largest first, whatever words
              they belong to (Boizard et al. 2024, arXiv 2402.12030)
    Spans()   the probability of a piece of text: where both have cut at the same two places, the
              text between is one event for both, and its probability the product over the tokens

    Trainer(student, Spans() + HardLabels(), OtherTokenizer(teacher, its_tokenizer, own_tokenizer))

Places are those of bytes (see `tokens.offsets`), so that nothing depends on how often either side
has cut before, nor on begin tokens that one side alone has.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...batch import moved
from ...losses import cross_entropy
from ...models.call import device_of
from ...outputs import Targets
from ...teachers import LiveTeacher
from ..tokens import Tokenizer
from ..tokens.offsets import align, byte_offsets, token_bytes


class Aligned(NamedTuple):
    """What a teacher with another tokenizer says of the student's N positions.

    first: (N,), the number of the position at which the span begins that this one's token lies in;
    -1 where it lies in none. At the positions where spans begin (first[n] = n):
    logits: (N, V'), the teacher's, of its own next token there. log_p: (N,), its log-probability of
    the whole span. Both are 0 at all others. tokens: how many words the student's tokenizer has.
    """

    logits: Tensor
    log_p: Tensor
    first: Tensor
    tokens: int

    @property
    def shape(self) -> torch.Size:
        """(N, V')."""
        return self.logits.shape

    @property
    def begins(self) -> Tensor:
        """Positions at which a span begins, bool (N,)."""
        return self.first == torch.arange(len(self.first), device=self.first.device)


class OtherTokenizer(LiveTeacher):
    """A teacher that is asked about the student's text in its own tokens; its targets: `Aligned`.

    The text of each row is cut by `tokenizer`, prompt and answer apart, and read by `model`. Where
    the student's answer ends in its eos, the teacher reads its own. What is no whole character (a
    student's own sample may end inside of one) and follows it lies in no span.
    Control tokens stand for no text: those of a prompt, such as a chat template's, are left out.
    Batches: with "input_ids", "attention_mask", "positions" and "labels", as from `SequenceBatches`
    or `OnPolicy`. bos: whether the teacher's text begins with its begin token; None: if it was
    trained so.

    Raises ValueError for bos=True where there is no begin token; `targets` for batches without
    those keys, where the teacher would have nothing to read before the answer, and for a tokenizer
    that changes the text.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Tokenizer,
        student_tokenizer: Tokenizer,
        bos: bool | None = None,
    ) -> None:
        super().__init__(model)
        self.tokenizer, self.own = tokenizer, student_tokenizer
        self.pieces, self.own_pieces = token_bytes(tokenizer), token_bytes(student_tokenizer)
        begun = tokenizer.add_bos if bos is None else bos
        if begun and tokenizer.bos is None:
            raise ValueError("the teacher's tokenizer has no begin token: bos=False")
        self.begin = [tokenizer.bos] if begun and tokenizer.bos is not None else []
        self._row = functools.lru_cache(65_536)(self._aligned)  # texts come again every epoch

    def targets(self, batch: Mapping[str, Any], layers: list[str]) -> Targets:
        """What it says at the batch's positions, in their order: an `Aligned`."""
        for name in ("input_ids", "attention_mask", "positions", "labels"):
            if name not in batch:
                raise ValueError(f'OtherTokenizer needs batches with "{name}" (SequenceBatches)')
        if layers:
            raise ValueError(f"positions differ, so that layers {layers} cannot be compared")
        device = device_of(self.model)
        texts: list[list[int]] = []
        first: list[int] = []
        places: list[tuple[int, int]] = []  # row and place of each of the teacher's tokens
        span: list[int] = []  # where it adds up
        for begin, prompt, answer in self._split(batch):
            text, start, spans = self._row(tuple(prompt), tuple(answer))
            mine = [-1] * len(answer)
            for own, theirs in spans:
                for k in own:
                    mine[k] = begin + own.start
                places += [(len(texts), start + k) for k in theirs]
                span += [begin + own.start] * len(theirs)
            first += mine
            texts.append(text)
        width = max(map(len, texts))
        ids = torch.tensor([t + [self.tokenizer.pad] * (width - len(t)) for t in texts])
        real = torch.tensor([[1] * len(t) + [0] * (width - len(t)) for t in texts])
        at = torch.tensor([row * width + k - 1 for row, k in places], dtype=torch.long)
        words = ids.flatten()[at + 1].to(device)
        to = torch.tensor(span, dtype=torch.long, device=device)
        asked = {"input_ids": ids, "attention_mask": real, "positions": at}
        said = super().targets({k: x.to(device) for k, x in asked.items()}, []).logits
        said = said[:, : len(self.pieces)]  # rows behind are no tokens
        log_p = -cross_entropy(said, words)
        begins = torch.ones_like(to, dtype=torch.bool)
        begins[1:] = to[1:] != to[:-1]
        logits = said.new_zeros(len(first), said.shape[1])
        logits[to[begins]] = said[begins]
        total = log_p.new_zeros(len(first)).index_add(0, to, log_p)
        found = Aligned(logits, total, torch.tensor(first), len(self.own_pieces))
        return Targets(moved(found, device), {})

    def _split(self, batch: Mapping[str, Any]) -> list[tuple[int, list[int], list[int]]]:
        """Of each row: the number of its first position, the prompt, the answer."""
        ids, real = batch["input_ids"].tolist(), batch["attention_mask"].sum(1).tolist()
        width, found, begin = batch["input_ids"].shape[1], [], 0
        rows = (batch["positions"] // width).tolist()
        for row, text in enumerate(ids):
            count = rows.count(row)
            start = int(batch["positions"][begin]) - row * width + 1 if count else real[row]
            prompt, answer = text[:start], text[start : start + count]
            if answer != batch["labels"][begin : begin + count].tolist():
                raise ValueError(f"row {row}: the labels are not the tokens of its answer")
            found.append((begin, prompt, answer))
            begin += count
        return found

    def _aligned(self, prompt: tuple, answer: tuple) -> tuple[list[int], int, list]:
        """The teacher's ids, where the answer begins in them, and the answer's spans."""
        text = b"".join(self.own_pieces[i] for i in prompt).decode()
        before = self.begin + self._encoded(text)
        if not before:
            raise ValueError(
                "the teacher has nothing to read before the answer: the prompt stands for no text, "
                "and there is no begin token (bos=True)"
            )
        own = self._whole(list(answer))
        theirs = self._encoded(b"".join(self.own_pieces[i] for i in own).decode())
        if len(own) == len(answer) and answer[-1:] == (self.own.eos,):
            theirs = [*theirs, self.tokenizer.eos]
        places = byte_offsets(own, self.own_pieces), byte_offsets(theirs, self.pieces)
        return before + theirs, len(before), align(*places)

    def _whole(self, ids: list[int]) -> list[int]:
        """As many of these tokens, from the first on, as are whole characters."""
        while True:
            try:
                b"".join(self.own_pieces[i] for i in ids).decode()
                return ids
            except UnicodeDecodeError:
                ids = ids[:-1]

    def _encoded(self, text: str) -> list[int]:
        ids = self.tokenizer.encode(text, special=False) if text else []
        found = b"".join(self.pieces[i] for i in ids)
        if found != text.encode():
            raise ValueError(f"the teacher's tokenizer makes {found!r:.100} of {text!r:.100}")
        return ids
