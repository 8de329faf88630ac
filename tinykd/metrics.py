"""What to report about a student, and how sure to be of it."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .batch import IGNORE, as_batch, refuse_unshifted, to_device, valid
from .losses import cross_entropy, forward_kl, soft_labels_kl
from .models import forward, frozen
from .models.call import device_of


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


def agreement(student: Tensor, teacher: Tensor) -> float:
    """Fidelity: share of positions where student and teacher choose the same class, in [0, 1].

    student, teacher: logits (..., C). Not the same as being right (Stanton et al. 2021,
    arXiv 2106.05945): measure both. Raises ValueError if the shapes differ.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"shapes differ: student {tuple(student.shape)}, teacher {tuple(teacher.shape)}"
        )
    return accuracy(student, teacher.argmax(-1))


def knowledge_moved(
    student: Tensor, labels_only: Tensor, teacher: Tensor, groups: Tensor | None = None
) -> Tensor:
    """How much knowledge moved: 1 - mean KL(p || q) / mean KL(p || q0).

    The share of the label-only student's divergence from the teacher that distillation removed: 1
    where the student says what the teacher says, 0 where it is as far from it as without, negative
    where it is farther. p: teacher, q: distilled student, q0: the same student trained on labels
    alone, all at T = 1 and on inputs that neither was trained on.

    student, labels_only, teacher: logits (N, C). groups: (N,), whole numbers from 0 on, such as
    classes or regions of the inputs. Returns a float64 tensor, () or (G,), NaN for an empty group.
    Raises ValueError if the shapes differ.
    """
    now, before = (forward_kl(x.double(), teacher.double()) for x in (student, labels_only))
    if groups is None:
        return 1 - now.mean() / before.mean()
    if groups.shape != now.shape:
        raise ValueError(f"groups {tuple(groups.shape)} do not fit {tuple(now.shape)} samples")
    count = int(groups.max()) + 1
    left, there = (torch.bincount(groups, x, minlength=count) for x in (now, before))
    return 1 - left / there


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean over seeds and half the width of its 95% interval: t s / sqrt(n), Student's t.

    One value has an unknown spread: its half width is infinite. Raises ValueError for none.
    """
    if not values:
        raise ValueError("mean_interval needs at least one value")
    if len(values) == 1:
        return float(values[0]), math.inf
    from scipy.special import stdtrit  # here, so that `import tinykd` stays numpy and torch

    t = float(stdtrit(len(values) - 1, 0.975))
    return statistics.fmean(values), t * statistics.stdev(values) / math.sqrt(len(values))


def paired_verdict(
    ours: Sequence[float], theirs: Sequence[float], margin: float = 0.0
) -> tuple[float, float, str]:
    """Mean of the differences ours - theirs, half of their 95% interval, and what follows from it.

    ours, theirs: one value a seed, the same seeds in the same order; larger is better. margin: the
    smallest gain that would matter, said beforehand. The interval is `mean_interval`'s:

        "not better"  all of it lies below the margin, whatever the sign
        "better"      all of it lies above 0
        "not shown"   neither: these seeds do not decide

    Raises ValueError for none, for unlike numbers of values, or a margin below 0.
    """
    if len(ours) != len(theirs):
        raise ValueError(
            f"pairs, one a seed, are compared: {len(ours)} values, {len(theirs)} values"
        )
    if not margin >= 0:
        raise ValueError(f"margin, the smallest gain that matters, is 0 or more, got {margin}")
    mean, half = mean_interval([a - b for a, b in zip(ours, theirs, strict=True)])
    if mean + half < margin:
        return mean, half, "not better"
    return mean, half, "better" if mean - half > 0 else "not shown"
