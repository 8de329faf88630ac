"""Several teachers on-policy, each prompt its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...outputs import Targets
from ...teachers import LiveTeacher


class ByPrompt(LiveTeacher):
    """Teachers of which each prompt has its own: the mathematician marks the mathematics.

        teacher = ByPrompt({"maths": a, "verse": b}, ["maths", "verse", "maths", ...])
        Trainer(student, SampledReverseKL(), teacher).fit(OnPolicy(student, prompts, ...))

    A teacher sees the samples of its own prompts alone, so one that is good at one thing is never
    asked about another, and all together cost as much as one. (The mean of all of them about
    every sample is `Ensemble`.)

    teachers: modules by name; they share the vocabulary. whose: for each of the prompts the name of
    its teacher; batches say which prompts they hold, batch["prompt"] (B,), as `OnPolicy`'s do.

    Raises ValueError for no teachers or an unknown name; in `targets` for a batch without "prompt",
    a prompt that has no teacher, teachers of unlike vocabularies, or a term that asks for layers.
    """

    def __init__(self, teachers: Mapping[str, nn.Module], whose: Sequence[str]) -> None:
        names = list(teachers)
        if unknown := sorted({*whose} - {*names}):
            raise ValueError(f"no teacher is called {unknown}: there are {names}")
        if not names:
            raise ValueError("no teachers: nobody would answer")
        super().__init__(nn.ModuleList(teachers.values()))
        self.whose = torch.tensor([names.index(name) for name in whose])

    def targets(self, batch: Mapping[str, Any], layers: list[str]) -> Targets:
        """Logits (N, V) at the batch's positions, or (B, T, V), of each row's own teacher."""
        if layers:
            raise ValueError(f"terms ask for the layers {layers}, but each row has its own teacher")
        if "prompt" not in batch:
            raise ValueError(
                'ByPrompt needs batch["prompt"] (B,), the numbers of the prompts: OnPolicy has '
                f"them. The batch has {list(batch)}"
            )
        prompt = batch["prompt"]
        wrong = (prompt < 0) | (prompt >= len(self.whose))
        if wrong.any():
            raise ValueError(
                f"prompt {int(prompt[wrong][0])} has no teacher: {len(self.whose)} have"
            )
        whose = self.whose.to(prompt.device)[prompt]  # (B,)
        together: Tensor | None = None
        for number, teacher in enumerate(self.model.children()):
            rows = whose == number
            if not rows.any():
                continue
            part, where = _rows(batch, rows)
            logits = LiveTeacher(teacher).targets(part, []).logits
            if together is None:
                together = logits.new_zeros(*where.shape, logits.shape[-1])
            if together.shape[-1] != logits.shape[-1]:
                raise ValueError(
                    f"the teachers' vocabularies differ: {together.shape[-1]}, {logits.shape[-1]}"
                )
            together[where] = logits.flatten(0, -2).to(together.dtype)
        return Targets(together, {})


def _rows(batch: Mapping[str, Any], rows: Tensor) -> tuple[dict[str, Any], Tensor]:
    """The chosen rows of a batch of sequences, and which of its logits those are: bool, (N,) | (B,)

    rows: bool, (B,).
    """
    part = {key: batch[key][rows] for key in ("input_ids", "attention_mask") if key in batch}
    if "positions" not in batch:
        return part, rows.unsqueeze(1).expand(batch["input_ids"].shape)
    size, positions = batch["input_ids"].shape[1], batch["positions"]
    row, place = positions // size, positions % size
    where = rows[row]
    moved_up = (rows.cumsum(0) - 1)[row[where]]
    return {**part, "positions": moved_up * size + place[where]}, where
