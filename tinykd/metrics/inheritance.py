"""What came across that nobody asked for: a bias, a backdoor, a memory, a fingerprint.

None of these is seen in the accuracy on ordinary test data. Each is one number, to be put beside
that of a control: a student that learned the same task without this teacher.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]  # logits (N, C) of the same images, their cue aligned and conflicting


def cue_gap(aligned: Tensor, conflicting: Tensor, labels: Tensor) -> Tensor:
    """How far a model leans on a cue: accuracy where it is aligned - accuracy where it conflicts.

    aligned, conflicting: logits (..., N, C) for the same images, once with the cue that usually
    goes with their class and once with another's. labels: (N,). Returns (...), float64: 0 for a
    model that does not care, 1 for one that looks at nothing else. Raises ValueError if the shapes
    do not fit.
    """
    if aligned.shape != conflicting.shape or aligned.shape[-2] != len(labels):
        raise ValueError(
            f"logits {tuple(aligned.shape)} and {tuple(conflicting.shape)} for {len(labels)} labels"
        )
    right = ((z.argmax(-1) == labels).double().mean(-1) for z in (aligned, conflicting))
    return next(right) - next(right)


def inherited_share(student: Pair, control: Pair, teacher: Pair, labels: Tensor) -> Tensor:
    """(gap of the student - gap of the control) / (gap of the teacher - gap of the control).

    0 where a student leans on the cue no more than one that never met the teacher, 1 where it leans
    on it as the teacher does; see `cue_gap`. student, control, teacher: pairs of logits. Returns
    (...), float64, infinite or NaN where teacher and control do not differ.
    """
    ours, nobody, theirs = (cue_gap(*pair, labels) for pair in (student, control, teacher))
    return (ours - nobody) / (theirs - nobody)


def attack_success(clean: Tensor, triggered: Tensor, labels: Tensor, target: int) -> Tensor:
    """Share of images that a trigger turns into the class `target` (Gu et al., arXiv 1708.06733).

    Counted among the images that are of another class *and* are taken for another class without
    the trigger, so that a model which likes the target class does not look attacked.

    clean, triggered: logits (..., N, C) without and with the trigger. labels: (N,). Returns (...),
    float64, NaN where no image is left to count. Raises ValueError if the shapes do not fit.
    """
    if clean.shape != triggered.shape or clean.shape[-2] != len(labels):
        raise ValueError(
            f"logits {tuple(clean.shape)} and {tuple(triggered.shape)} for {len(labels)} labels"
        )
    counts = (labels != target) & (clean.argmax(-1) != target)  # (..., N)
    turned = counts & (triggered.argmax(-1) == target)
    return turned.sum(-1).double() / counts.sum(-1)


def membership_auc(members: Tensor, others: Tensor) -> Tensor:
    """How well a model's loss tells what it was trained on: the area under the ROC curve.

    The chance that a random member has a smaller loss than a random other sample, ties half:

        AUC = 1/(M N) sum_ij [m_i < o_j] + 1/2 [m_i = o_j]

    from ranks (Mann and Whitney 1947), so that nothing of size M N is made. 0.5 is no knowledge at
    all, 1 is a perfect attack (the threshold of Yeom et al. 2018, arXiv 1709.01604, at every height
    at once).

    members: losses (M,). others: (N,). Returns a float64 scalar. Raises ValueError for other shapes
    or none.
    """
    if members.dim() != 1 or others.dim() != 1 or not len(members) or not len(others):
        raise ValueError(f"losses (M,) and (N,), got {tuple(members.shape)}, {tuple(others.shape)}")
    ordered = others.sort().values
    above = len(others) - torch.searchsorted(ordered, members.to(ordered), right=True)
    not_below = len(others) - torch.searchsorted(ordered, members.to(ordered), right=False)
    return (above + not_below).double().mean() / 2 / len(others)


def fingerprint_p_value(suspect: Tensor, teacher: Tensor, independent: Sequence[Tensor]) -> float:
    """How surprising it is that a suspect answers secret key inputs as the teacher does.

    The statistic is the number of keys with the same class. It is compared with that of models
    which are known to be independent of the teacher (and learned the same task: two such models
    agree far more often than 1 time in C):

        p = (1 + number of independent models that agree at least as often) / (1 + their number)

    Among models that are exchangeable with the independent ones p <= a happens with probability at
    most a: the false-alarm rate is known without any model of how often strangers agree. With R of
    them p is never below 1 / (1 + R).

    suspect, teacher: classes (K,). independent: (K,) each. Raises ValueError for unlike shapes or
    no independent model.
    """
    if not len(independent) or any(one.shape != teacher.shape for one in (suspect, *independent)):
        raise ValueError(f"classes for the same {tuple(teacher.shape)} keys, of several models")
    agreed = (suspect == teacher).sum()
    as_often = sum(int((one == teacher).sum() >= agreed) for one in independent)
    return (1 + as_often) / (1 + len(independent))
