"""Losses on logits, one value per position.

Each function takes logits of shape (..., C) and returns shape (...): no reduction argument
anywhere. What to average over is decided once, in `step`; classes are summed, never averaged.

Notation: z are logits, p = softmax(teacher / T), q = softmax(student / T). The teacher is a
constant: no gradient flows into it. Every divergence is multiplied by T**2, because the gradient of
the plain one shrinks as 1/T**2 (Hinton et al. 2015, section 2); with it, T can change without
touching the learning rate. Each is 0, with zero gradient, exactly where student and teacher agree.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .softmax import at_least_float32, expectation, log_softmax


def cross_entropy(
    logits: Tensor, labels: Tensor, label_smoothing: float = 0.0, ignore_index: int = -100
) -> Tensor:
    """Cross-entropy with hard labels: -sum_i y_i log q_i, y = (1 - s) onehot(label) + s / C.

    logits: (..., C). labels: (...), integers in [0, C) or `ignore_index`. Returns (...), in nats,
    0 at ignored positions. s is the label smoothing (Szegedy et al. 2016, arXiv 1512.00567).
    Raises ValueError on shapes that do not match, a label out of range (its value and index), or
    s outside [0, 1].
    """
    if logits.shape[:-1] != labels.shape:
        raise ValueError(
            f"labels must have the shape of the logits without classes: logits {_shape(logits)}, "
            f"labels {_shape(labels)}"
        )
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must lie in [0, 1], got {label_smoothing}")
    if labels.is_floating_point():
        _check_labels(labels, logits.shape[-1], ignore_index)
    labels = labels.long()  # as bytes, class 156 would be -100
    log_q = log_softmax(logits)
    rows, flat = (log_q.flatten(0, -2), labels.flatten()) if labels.dim() > 1 else (log_q, labels)
    try:  # -log_q of the label, 0 where ignored
        loss = F.nll_loss(rows, flat, ignore_index=ignore_index, reduction="none")
    except IndexError:  # on the CPU, where it is cheaper to look when it has gone wrong
        _check_labels(labels, logits.shape[-1], ignore_index)
        raise
    loss = loss if flat is labels else loss.view(labels.shape)
    if label_smoothing:
        allowed = log_q > -math.inf
        spread = -log_q.masked_fill(~allowed, 0.0).sum(-1) / allowed.sum(-1)
        spread = spread.masked_fill(labels == ignore_index, 0.0)
        loss = (1 - label_smoothing) * loss + label_smoothing * spread
    return loss


def soft_labels_kl(logits: Tensor, shares: Tensor) -> Tensor:
    """Soft labels that come with the data: KL(y || q) = sum_i y_i (log y_i - log q_i), T = 1.

    logits: (..., C). shares: the same shape, probabilities: at least 0, each row of sum 1 (or all
    0: no label, and a loss of 0). Returns (...), in nats, at least 0; its gradient is that of the
    cross-entropy with y (the votes of annotators: Peterson et al. 2019, arXiv 1908.07086).
    Raises ValueError if the shapes differ or a row is no distribution (its index and sum).
    """
    if logits.shape != shares.shape:
        raise ValueError(f"shapes differ: logits {_shape(logits)}, soft labels {_shape(shares)}")
    y = at_least_float32(shares.detach())
    if y.device.type == "cpu":  # looking would wait for a GPU on every step
        total = y.sum(-1)
        wrong = (y < 0).any(-1) | ~(((total - 1).abs() < 1e-3) | (total == 0))
        if wrong.any():
            index = tuple(wrong.nonzero()[0].tolist())
            raise ValueError(
                f"the soft labels at index {index} are no probabilities: {y[index].tolist()} has "
                f"the sum {total[index].item():g}; divide votes by their number"
            )
    log_q = log_softmax(logits).to(torch.promote_types(y.dtype, at_least_float32(logits).dtype))
    return (torch.xlogy(y, y) - y * log_q.masked_fill(y == 0, 0.0)).sum(-1)


def forward_kl(student: Tensor, teacher: Tensor, T: float = 1.0) -> Tensor:
    """Soft targets: T**2 KL(p || q) = T**2 sum_i p_i (log p_i - log q_i).

    student, teacher: logits (..., C). Returns (...), in nats, at least 0. Mass-covering: the
    student pays wherever the teacher has probability and it has none. At large T the gradient tends
    to (z_student - z_teacher) / C for centred logits (Hinton et al. 2015, equation 4).
    Raises ValueError if the shapes differ or T <= 0.
    """
    log_p, log_q = _log_probabilities(student, teacher, T)
    return T**2 * _kl(log_p, log_q)


def reverse_kl(student: Tensor, teacher: Tensor, T: float = 1.0) -> Tensor:
    """T**2 KL(q || p) = T**2 sum_i q_i (log q_i - log p_i).

    student, teacher: logits (..., C). Returns (...), in nats, at least 0. Mode-seeking: the student
    pays for probability it puts where the teacher has none (MiniLLM, arXiv 2306.08543).
    Raises ValueError if the shapes differ or T <= 0.
    """
    log_p, log_q = _log_probabilities(student, teacher, T)
    return T**2 * _kl(log_q, log_p)


def jsd(student: Tensor, teacher: Tensor, T: float = 1.0, beta: float = 0.5) -> Tensor:
    """Generalised Jensen-Shannon: T**2 [beta KL(p || m) + (1 - beta) KL(q || m)].

    m = beta p + (1 - beta) q is the mixture.

    student, teacher: logits (..., C). Returns (...), in nats; beta = 1/2 is symmetric and at most
    T**2 log 2. The formula itself is 0 at both ends; as in GKD (arXiv 2306.13649) beta = 0 means
    KL(p || q) and beta = 1 means KL(q || p), the limits of jsd / beta and jsd / (1 - beta).
    Raises ValueError if the shapes differ, T <= 0 or beta is outside [0, 1].
    """
    if not 0 <= beta <= 1:
        raise ValueError(f"beta must lie in [0, 1], got {beta}")
    if beta in (0, 1):
        return forward_kl(student, teacher, T) if beta == 0 else reverse_kl(student, teacher, T)
    log_p, log_q = _log_probabilities(student, teacher, T)
    p_to_m, q_to_m = _kl_to_mixture(log_p, log_q, beta), _kl_to_mixture(log_q, log_p, 1 - beta)
    return T**2 * (beta * p_to_m + (1 - beta) * q_to_m)


def skew_kl(student: Tensor, teacher: Tensor, T: float = 1.0, skew: float = 0.1) -> Tensor:
    """Skew divergence: T**2 KL(p || m), m = skew p + (1 - skew) q.

    student, teacher: logits (..., C). Returns (...), in nats, between 0 and T**2 log(1 / skew):
    mixing a little of p into q keeps the ratio p / m, and so the gradient, bounded where q is far
    too small (DistiLLM, arXiv 2402.03898, section 3.1). skew = 0 is forward_kl.
    Raises ValueError if the shapes differ, T <= 0 or skew is outside [0, 1).
    """
    if _checked_skew(skew) == 0:
        return forward_kl(student, teacher, T)
    log_p, log_q = _log_probabilities(student, teacher, T)
    return T**2 * _kl_to_mixture(log_p, log_q, skew)


def skew_reverse_kl(student: Tensor, teacher: Tensor, T: float = 1.0, skew: float = 0.1) -> Tensor:
    """Skew reverse divergence: T**2 KL(q || m), m = skew q + (1 - skew) p.

    student, teacher: logits (..., C). Returns (...), in nats, between 0 and T**2 log(1 / skew)
    (DistiLLM, arXiv 2402.03898, section 3.1). skew = 0 is reverse_kl.
    Raises ValueError if the shapes differ, T <= 0 or skew is outside [0, 1).
    """
    if _checked_skew(skew) == 0:
        return reverse_kl(student, teacher, T)
    log_p, log_q = _log_probabilities(student, teacher, T)
    return T**2 * _kl_to_mixture(log_q, log_p, skew)


def decoupled_kl(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    T: float = 1.0,
    alpha: float = 1.0,
    beta: float = 1.0,
) -> Tensor:
    """Decoupled KD (DKD): T**2 [alpha KL(b_p || b_q) + beta KL(p' || q')].

    b is the binary distribution (true class, all others); p', q' are the distributions over the
    others alone. KL(p || q) = KL(b_p || b_q) + (1 - p_true) KL(p' || q'), so plain KL hides the
    second term where the teacher is sure (Zhao et al. 2022, arXiv 2203.08679, equation 7).
    student, teacher: logits (..., C). labels: (...), in [0, C). Returns (...), in nats, at least 0.
    Raises ValueError as forward_kl and cross_entropy do.
    """
    if student.shape[:-1] != labels.shape:
        raise ValueError(f"logits {_shape(student)} do not fit labels {_shape(labels)}")
    _check_labels(labels, student.shape[-1], None)
    log_p, log_q = _log_probabilities(student, teacher, T)
    true = torch.zeros_like(log_q, dtype=torch.bool).scatter(-1, labels.long().unsqueeze(-1), True)
    binary, others = zip(*(_split(log_prob, true) for log_prob in (log_p, log_q)), strict=True)
    return T**2 * (alpha * _kl(*binary) + beta * _kl(*others))


def _kl(log_a: Tensor, log_b: Tensor) -> Tensor:
    """KL(a || b) from log-probabilities; a class that a rules out counts for nothing."""
    return expectation(log_a, log_a - log_b)


def _kl_to_mixture(log_a: Tensor, log_b: Tensor, share: float) -> Tensor:
    """KL(a || m), m = share a + (1 - share) b, from log(m / a): exactly 0 where a = b."""
    gap = (log_b - log_a).masked_fill(log_a.exp() == 0, 0.0)
    # m / a = 1 + (1 - share) (e^gap - 1); for b > a taken as e^gap (1 + share (e^-gap - 1)), since
    # e^gap may overflow
    below = torch.log1p((1 - share) * torch.expm1(gap.clamp(max=0.0)))
    above = gap + torch.log1p(share * torch.expm1(-gap.clamp(min=0.0)))
    return expectation(log_a, -torch.where(gap < 0, below, above))


def _checked_skew(skew: float) -> float:
    if not 0 <= skew < 1:
        raise ValueError(f"skew must lie in [0, 1), got {skew}: at 1 the mixture is the target")
    return skew


def _split(log_prob: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """Log of (true, not true), shape (..., 2), and log of the rest renormalised, shape (..., C)."""
    rest = log_prob.masked_fill(true, -math.inf)
    log_rest = rest.logsumexp(-1, keepdim=True)
    log_true = log_prob.masked_fill(~true, 0.0).sum(-1, keepdim=True)
    return torch.cat([log_true, log_rest], -1), torch.log_softmax(rest, -1)


def _log_probabilities(student: Tensor, teacher: Tensor, T: float) -> tuple[Tensor, Tensor]:
    if student.shape[-1:] != teacher.shape[-1:]:
        raise ValueError(
            f"student and teacher must share their classes: student {_shape(student)} has "
            f"{student.shape[-1]}, teacher {_shape(teacher)} has {teacher.shape[-1]}"
        )
    if student.shape != teacher.shape:
        raise ValueError(f"shapes differ: student {_shape(student)}, teacher {_shape(teacher)}")
    dtype = torch.promote_types(at_least_float32(student).dtype, at_least_float32(teacher).dtype)
    return log_softmax(teacher.detach().to(dtype), T), log_softmax(student.to(dtype), T)


def _check_labels(labels: Tensor, classes: int, ignore_index: int | None) -> None:
    if labels.is_floating_point():
        raise ValueError(
            f"labels must be integer class indices, got {labels.dtype}: for probabilities "
            "there is soft_labels_kl (SoftLabels in an objective)"
        )
    if labels.device.type != "cpu":  # looking would wait on every step; gather asserts there
        return
    wrong = (labels < 0) | (labels >= classes)
    if ignore_index is not None:
        wrong &= labels != ignore_index
    if wrong.any():
        index = tuple(wrong.nonzero()[0].tolist())
        raise ValueError(
            f"label {labels[index].item()} at index {index} is outside [0, {classes}): "
            f"the logits have {classes} classes"
        )


def _shape(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape)
