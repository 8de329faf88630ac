"""A teacher that is shown more: a solution, a few examples, an instruction in front of the prompt.

The student must do without. Teacher and student may be the same weights: what stood in the prompt
moves into the weights, and no larger model is needed (context distillation: Askell et al. 2021,
arXiv 2112.00861; Snell et al. 2022, arXiv 2209.15189).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...outputs import Targets
from ...teachers import LiveTeacher

Ids = Sequence[int]


class Privileged(LiveTeacher):
    """Logits for the student's answers from a model that sees another prompt before them.

        teacher = Privileged(copy.deepcopy(student), examples)
        Trainer(student, SoftTargets(divergence=reverse_kl), teacher).fit(OnPolicy(student, ...))

    In each row of a batch the prompt is what stands before the first scored token. It is exchanged,
    the rest stays, and the logits come back at the places of the student's: that of the token
    that predicts the n-th token of the answer is the one that predicts it there, however long the
    new prompt and whatever the padding, on either side.

    model: as for any teacher; the student itself too, which then teaches as it is at each moment.
    shown: ids that are put in front of every prompt, or a function from a prompt's ids to those of
    the prompt the teacher sees: `lambda ids: [bos, *examples, *ids[1:]]`, or a hint looked up.

    Batches: "input_ids" with "positions" (N,), as from `SequenceBatches` and `OnPolicy`, or with
    dense "labels" (B, T), when the logits where nothing counts are 0. Raises ValueError in
    `targets` for other batches, an empty prompt, or a term that asks for layers.
    """

    def __init__(self, model: nn.Module, shown: Ids | Callable[[list[int]], Ids]) -> None:
        super().__init__(model)
        self.shown: Callable[[list[int]], Ids] = (
            shown if callable(shown) else lambda prompt: [*shown, *prompt]
        )

    def targets(self, batch: Any, layers: list[str]) -> Targets:
        """Logits (N, V) at the batch's positions, or (B, T, V), with the other prompts."""
        if layers:
            raise ValueError(f"terms ask for the layers {layers}, whose positions are others here")
        ids, positions = batch["input_ids"], _positions(batch)
        real = batch.get("attention_mask", torch.ones_like(ids)).bool()
        row, column = positions // ids.shape[1], positions % ids.shape[1]
        place = (real.cumsum(1) - 1)[row, column]  # in its row, padding not counted
        rows = [one[is_real].tolist() for one, is_real in zip(ids, real, strict=True)]
        ends = [len(one) for one in rows]  # of the prompts
        for r, t in zip(row.tolist(), place.tolist(), strict=True):
            ends[r] = min(ends[r], t + 1)
        longer, moved = [], []
        for one, end in zip(rows, ends, strict=True):
            prompt = list(self.shown(one[:end]))
            if not prompt:
                raise ValueError(f"the teacher's prompt for {one[:end]} is empty")
            longer.append([*prompt, *one[end:]])
            moved.append(len(prompt) - end)
        size = max(map(len, longer))
        new = torch.zeros(len(longer), size, dtype=ids.dtype)
        for line, one in zip(new, longer, strict=True):
            line[: len(one)] = torch.tensor(one)
        lengths = torch.tensor([len(one) for one in longer])
        there = row * size + place + torch.tensor(moved, device=ids.device)[row]
        asked = {
            "input_ids": new.to(ids.device),
            "attention_mask": (torch.arange(size) < lengths[:, None]).long().to(ids.device),
            "positions": there,
        }
        logits = super().targets(asked, []).logits
        if "positions" in batch:
            return Targets(logits, {})
        dense = logits.new_zeros(ids.numel(), logits.shape[-1])
        dense[positions] = logits
        return Targets(dense.view(*ids.shape, -1), {})


def _positions(batch: Any) -> Tensor:
    """The flat positions that are scored. Raises ValueError where the batch does not say."""
    if "positions" in batch:
        return batch["positions"]
    labels = batch.get("labels")
    if labels is None or labels.shape != batch["input_ids"].shape:
        raise ValueError(
            'Privileged needs a batch\'s "positions", or "labels" (B, T), to tell the answer from '
            f"the prompt: it has {list(batch)}"
        )
    return (labels.flatten() != -100).nonzero().squeeze(1)
