"""What a server said, kept as the file of a `TopKTeacher`."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from ...teachers.samples import count, numbered
from ...teachers.writing import writing
from .served import Served
from .topk_teacher import PLACES, TopKTeacher, _rows, survey, word_type


def keep_served(
    path: str | Path, answers: Sequence[Served], batches: Iterable, source: str = "a server"
) -> TopKTeacher:
    """Targets for `Trainer(..., teacher=...)` with SoftTargets(divergence=topk_kl).

    answers[i]: of sample i, from `read_served`. batches: samples 0 ... S - 1, each once, whose
    answers are those of the server, such as

        SequenceBatches([(prompt, said.ids.tolist()) for prompt, said in ...], size=32)

    source: the name of the model, for the stamp. Raises ValueError for answers that are too many or
    too few, have another number of words than the first or another T, and for a sample that has
    another answer in the batches.
    """
    path, total = Path(path), count(batches)
    if total != len(answers):
        raise ValueError(f"{len(answers)} answers for {total} samples")
    kinds = [(said.top.ids.shape[-1], said.top.T) for said in answers]
    for i, kind in enumerate(kinds):
        if kind != kinds[0]:
            raise ValueError(f"answer {i} has (k, T) = {kind}, answer 0 has {kinds[0]}")
    offsets, (k, T) = survey(batches, total), kinds[0]
    stamp = {"kind": TopKTeacher.kind, "k": k, "T": T, "teacher": source, "samples": total}
    words = word_type(1 + max(int(said.top.ids.max()) for said in answers))
    with writing(path, TopKTeacher.files(path), stamp) as tables:
        tables.put("offsets", np.arange(total + 1), offsets, total + 1)
        for index, batch in numbered(batches, total):
            found = [answers[i] for i in index.tolist()]
            _refuse_other_answers(index, offsets, batch["labels"], found)
            rows = _rows(index, offsets)
            ids, log_p = (
                torch.cat([said.top.ids for said in found]).numpy().astype(words),
                torch.cat([said.top.log_p for said in found]).numpy(),
            )
            tables.put("ids", rows, ids, int(offsets[-1]))
            tables.put("log_p", rows, log_p.astype("float16"), int(offsets[-1]))
            tables.note(index, batch, total, **PLACES)
    return TopKTeacher(path)


def _refuse_other_answers(
    index: np.ndarray, offsets: np.ndarray, labels: torch.Tensor, found: list[Served]
) -> None:
    begin = 0
    for i, said in zip(index.tolist(), found, strict=True):
        size = int(offsets[i + 1] - offsets[i])
        wanted = labels[begin : begin + size].tolist()
        if said.ids.tolist() != wanted:
            raise ValueError(
                f"sample {i}: the server's answer is {said.ids.tolist()[:8]} ..., the batch's "
                f"{wanted[:8]} ...: other text, or another order"
            )
        begin += size
