"""Losses on activations, one value per sample.

Like `losses`, each function returns one value per sample, (B,), and leaves averaging to
`objective`. The teacher's activations are constants; each loss but `contrastive` is 0, with zero
gradient, where both sides agree.

Activations are (B, C, ...): B samples, C channels or features, then places, if there are any. What
must agree between student and teacher differs from loss to loss, and is the reason to choose one:

    hint                   everything        the activations themselves, through a regressor
    attention_transfer     the places        where a layer looks
    neuron_selectivity     the places        what its channels respond to, in no order
    relational_distances   nothing           how far apart samples lie
    relational_angles      nothing           the angles that samples form
    similarity_preserving  nothing           which samples resemble each other
    contrastive            the features      which sample it is, among the batch
    jacobian               the inputs        what the answer depends on

The two relational ones, similarity_preserving and contrastive compare a sample with its batch mates
(`couples_samples`): a batch must not be cut into micro-batches or shared over processes.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from ..softmax import at_least_float32

Loss = Callable[..., Tensor]


def _couples_samples(loss: Loss) -> Loss:
    loss.couples_samples = True  # type: ignore[attr-defined]
    return loss


def hint(student: Tensor, teacher: Tensor) -> Tensor:
    """Hint loss: mean over features of (F_s - F_t)**2 (FitNets, arXiv 1412.6550, equation 3).

    student: (B, ...), already through the regressor. teacher: the same shape, a constant.
    Returns (B,). Raises ValueError if the shapes differ.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"hint: student features {tuple(student.shape)} and teacher features "
            f"{tuple(teacher.shape)} differ; put a regressor between them"
        )
    student, teacher = _both(student, teacher)
    return (student - teacher).square().flatten(1).mean(1)


def attention_map(activations: Tensor) -> Tensor:
    """Where a layer looks: sum_c F_c**2 at every place, scaled to length 1.

    activations: (B, C, ...places). Returns (B, P), P places, each row of length 1 or, for a sample
    without any activation, 0 (Zagoruyko and Komodakis, arXiv 1612.03928, section 3.1).
    Raises ValueError where there are no places.
    """
    if activations.dim() < 3:
        raise ValueError(
            f"an attention map needs places, (B, C, ...), and these are {tuple(activations.shape)}"
        )
    return F.normalize(at_least_float32(activations).square().sum(1).flatten(1), dim=1)


def attention_transfer(student: Tensor, teacher: Tensor) -> Tensor:
    """Attention transfer: |A_s - A_t|**2, A the attention maps of length 1.

    student: (B, C, ...). teacher: (B, C', ...), the same places, any number of channels. Returns
    (B,), between 0 and 2. Arxiv 1612.03928, equation 2, writes the distance and not its square,
    which has no gradient where both agree.
    Raises ValueError if the places differ.
    """
    _same_places("attention_transfer", student, teacher)
    student, teacher = _both(student, teacher)
    return (attention_map(student) - attention_map(teacher)).square().sum(1)


def neuron_selectivity(student: Tensor, teacher: Tensor) -> Tensor:
    """Neuron selectivity transfer: MMD**2 = mean k(t, t') + mean k(s, s') - 2 mean k(s, t).

    s, t are the channels' maps over the places, each scaled to length 1, and k(x, y) = (x . y)**2:
    two sets of maps are compared, whichever channel is which (Huang and Wang, arXiv 1707.01219,
    equation 5, polynomial kernel).
    student: (B, C, ...). teacher: (B, C', ...), the same places. Returns (B,), at least 0.
    Raises ValueError if the places differ.
    """
    _same_places("neuron_selectivity", student, teacher)
    s, t = (F.normalize(x.flatten(2), dim=2) for x in _both(student, teacher))  # (B, C, P)

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.mT).square().mean((1, 2))

    return kernel(t, t) + kernel(s, s) - 2 * kernel(s, t)


@_couples_samples
def relational_distances(student: Tensor, teacher: Tensor) -> Tensor:
    """Relational distillation by distances: mean over j of Huber(d_ij / mean d - the teacher's).

    d_ij = |x_i - x_j|; the mean runs over all pairs of the batch, on each side by itself, so that
    neither scale nor width matters (RKD-D: Park et al., arXiv 1904.05068, equations 4 to 7; their
    weight is 25). student, teacher: (B, ...), flattened. Returns (B,). A batch of one has no pairs,
    and a loss of 0. Raises ValueError for different numbers of samples.
    """
    gap = [_distances(x) for x in _as_rows("relational_distances", student, teacher)]
    others = max(len(student) - 1, 1)
    return F.smooth_l1_loss(gap[0], gap[1], reduction="none").sum(1) / others


@_couples_samples
def relational_angles(student: Tensor, teacher: Tensor) -> Tensor:
    """Relational distillation by angles: mean over pairs i, k of Huber(cos ijk - the teacher's).

    The angle at sample j between the directions to i and to k; one value per j (RKD-A: Park et al.,
    arXiv 1904.05068, equations 8 and 9; their weight is 50). student, teacher: (B, ...), flattened.
    Returns (B,); B * B times the larger of B and the features are held.
    Raises ValueError for different numbers of samples.
    """
    gap = [_cosines(x) for x in _as_rows("relational_angles", student, teacher)]  # (B, B, B)
    pairs = max((len(student) - 1) * (len(student) - 2), 1)
    return F.smooth_l1_loss(gap[0], gap[1], reduction="none").sum((1, 2)) / pairs


@_couples_samples
def similarity_preserving(student: Tensor, teacher: Tensor) -> Tensor:
    """Similarity-preserving distillation: |G_s[i] - G_t[i]|**2 / B, G = F F^T, rows of length 1.

    Its mean over the batch is the paper's |G_s - G_t|**2 / B**2 (Tung and Mori, arXiv 1907.09682,
    equation 4). student, teacher: (B, ...), flattened. Returns (B,).
    Raises ValueError for different numbers of samples.
    """
    s, t = (
        F.normalize(x @ x.T, dim=1) for x in _as_rows("similarity_preserving", student, teacher)
    )
    return (s - t).square().sum(1) / len(s)


@_couples_samples
def contrastive(student: Tensor, teacher: Tensor, tau: float = 0.07) -> Tensor:
    """Which sample is it? -log softmax_j(s_i . t_j / tau) at j = i, s and t of length 1.

    The in-batch form of contrastive representation distillation (CRD: Tian et al., arXiv
    1910.10699), which draws its negatives from a memory of the whole set. Not 0 where both agree.
    student: (B, D), through a regressor. teacher: (B, D). Returns (B,), in nats.
    Raises ValueError if the shapes differ or tau <= 0.
    """
    if student.shape != teacher.shape or student.dim() != 2:
        raise ValueError(
            f"contrastive: student {tuple(student.shape)} and teacher {tuple(teacher.shape)} must "
            "both be (B, D); flatten them, and put a regressor between"
        )
    if not tau > 0:
        raise ValueError(f"tau must be above 0, got {tau}")
    s, t = (F.normalize(x, dim=1) for x in _both(student, teacher))
    return F.cross_entropy(s @ t.T / tau, torch.arange(len(s), device=s.device), reduction="none")


def jacobian(student: Tensor, teacher: Tensor) -> Tensor:
    """Jacobian matching: |J_s / |J_s| - J_t / |J_t||**2, J the gradient of a logit in the input.

    student, teacher: such gradients, (B, ...inputs), of the same class (see `input_gradient`);
    lengths 1, because the size of a logit is no business of the other net (Srinivas and Fleuret,
    arXiv 1803.00443, section 4). Returns (B,), between 0 and 4. Raises ValueError for other shapes.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"jacobian: student {tuple(student.shape)}, teacher {tuple(teacher.shape)} differ: "
            "both are gradients in the same inputs"
        )
    s, t = (F.normalize(x.flatten(1), dim=1) for x in _both(student, teacher))
    return (s - t).square().sum(1)


def _both(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    return at_least_float32(student), at_least_float32(teacher.detach())


def _same_places(name: str, student: Tensor, teacher: Tensor) -> None:
    if student.shape[2:] != teacher.shape[2:] or len(student) != len(teacher):
        raise ValueError(
            f"{name}: student {tuple(student.shape)} and teacher {tuple(teacher.shape)} have other "
            "places; bring both to one size, as torch.nn.functional.adaptive_avg_pool2d does"
        )


def _as_rows(name: str, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    if len(student) != len(teacher):
        raise ValueError(
            f"{name}: {len(student)} samples of the student, {len(teacher)} of the teacher"
        )
    student, teacher = _both(student, teacher)
    return student.flatten(1), teacher.flatten(1)


def _distances(x: Tensor) -> Tensor:
    """(B, B): distances over their mean, 0 on the diagonal."""
    # By differences: the quick way by products is wrong where samples are close.
    d = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    pairs = max(len(x) * (len(x) - 1), 1)
    return d / (d.sum() / pairs).clamp_min(1e-12)


def _cosines(x: Tensor) -> Tensor:
    """(B, B, B): [j, i, k] is the cosine of the angle at j between i and k, 0 where i = k."""
    towards = F.normalize(x.unsqueeze(0) - x.unsqueeze(1), dim=-1)  # [j, i]: from j to i
    cosines = towards @ towards.mT
    return cosines.masked_fill(torch.eye(len(x), dtype=torch.bool, device=x.device), 0.0)
