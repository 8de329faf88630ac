"""How often a student is right."""

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..batch import IGNORE, as_batch, refuse_unshifted, to_device, valid
from ..losses import cross_entropy, soft_labels_kl
from ..models import forward, frozen
from ..models.call import device_of


def evaluate(
    model: nn.Module, batches: Iterable, device: torch.device | None = None, by_class: bool = False
) -> dict[str, float]:
    """Mean cross-entropy ("loss") and share of right answers ("accuracy") over labelled batches.

    batches: as for `Trainer.fit`; labels may be shares (..., C), whose largest is the right answer.
    Masked and ignored positions do not count. by_class: also "accuracy[3]" and so on, the share of
    the positions of each class that are right. Eval mode, no gradients; the mode comes back.
    Raises ValueError for batches without labels, or without a position that counts.
    """
    device = device or device_of(model)
    totals = torch.zeros(3, device=device)  # loss, right, count
    classes = torch.zeros(2, 0, device=device)  # right and count of each class
    with frozen(model):
        for n, batch in enumerate(batches):
            if n == 0:
                refuse_unshifted(as_batch(batch))
            batch = to_device(batch, device)
            if "labels" not in batch:
                raise ValueError(
                    f"validation batches need labels, and this one has {list(batch)}: give "
                    "them, or a function of the model that returns what to watch"
                )
            where, logits = valid(batch), forward(model, batch)
            for z, y, on in _parts(logits, batch["labels"], where):
                hard = not y.is_floating_point()
                truth = y.long() if hard else y.argmax(-1)
                each = cross_entropy(z, truth.masked_fill(~on, IGNORE)) if hard else _soft(z, y)
                right = (z.argmax(-1) == truth) & on
                totals += torch.stack([each.masked_fill(~on, 0.0).sum(), right.sum(), on.sum()])
                if by_class:
                    counts = [torch.bincount(truth[x], minlength=z.shape[-1]) for x in (right, on)]
                    classes = torch.stack(counts) + (classes if classes.numel() else 0)
    if dist.is_initialized():  # each process may hold its own share of the samples
        dist.all_reduce(totals)
        if by_class:
            dist.all_reduce(classes)
    loss, hits, count = totals.tolist()
    if not count:
        raise ValueError("the validation batches hold no labelled position")
    found = {"loss": loss / count, "accuracy": hits / count}
    for n, (hits, count) in enumerate(classes.T.tolist()):
        found[f"accuracy[{n}]"] = hits / count if count else math.nan
    return found


def _parts(logits: Any, labels: Tensor, where: Tensor) -> Iterable[tuple[Tensor, Tensor, Tensor]]:
    """(logits, labels, where) all at once, or part by part if they are lazy."""
    if isinstance(logits, Tensor):
        return [(logits, labels, where)]
    return ((logits.part(rows), labels[rows], where[rows]) for rows in logits.parts())


def _soft(logits: Tensor, shares: Tensor) -> Tensor:
    """Cross-entropy with shares: the divergence from them, and their own entropy."""
    return soft_labels_kl(logits, shares) - torch.xlogy(shares, shares).sum(-1)


def accuracy(logits: Tensor, labels: Tensor, ignore_index: int = -100) -> float:
    """Share of positions whose largest logit is the label's, in [0, 1].

    logits: (..., C). labels: (...); positions labelled `ignore_index` do not count.
    Raises ValueError if the shapes do not match or no position counts.
    """
    if logits.shape[:-1] != labels.shape:
        raise ValueError(f"logits {tuple(logits.shape)} do not fit labels {tuple(labels.shape)}")
    labels = labels.long()  # as bytes, class 156 would be -100
    valid = labels != ignore_index
    if not valid.any():
        raise ValueError("no labelled position to score")
    return (logits.argmax(-1) == labels)[valid].double().mean().item()
