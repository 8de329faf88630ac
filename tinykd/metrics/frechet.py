"""How far a set of made samples is from a set of real ones."""

import torch
from torch import Tensor


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Frechet distance of the two normal distributions fitted to features (N, D), (M, D).

        |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a^(1/2) C_b C_a^(1/2))^(1/2))

    m: means, C: covariances (divided by N - 1), all in float64. Roots through eigenvalues, those
    below 0 by rounding taken as 0. Zero for equal sets; unit: features squared. Two samples of one
    distribution are apart as well, the more so the smaller they are: compare at equal N only.
    Dowson and Landau 1982; as a measure of generated images Heusel et al. 2017 (arXiv 1706.08500).
    Raises ValueError for fewer than two samples, or for other shapes.
    """
    if a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            f"two sets of at least two samples with as many features, not {tuple(a.shape)} and "
            f"{tuple(b.shape)}"
        )
    a, b = a.detach().double(), b.detach().double()
    apart = (a.mean(0) - b.mean(0)).square().sum()
    cov_a, cov_b = (torch.atleast_2d(torch.cov(x.T)) for x in (a, b))
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    return float(apart + cov_a.trace() + cov_b.trace() - 2 * cross)


def nearest_distance(samples: Tensor, gallery: Tensor, rows: int = 500) -> tuple[Tensor, Tensor]:
    """For each sample (N, D) the distance to its nearest in a gallery (M, D), and which: (N,) each.

    Euclidean. Samples that were learned by heart lie nearer to the training data than new real
    ones do. `rows` samples are compared at a time.
    """
    found = [torch.cdist(part, gallery).min(1) for part in samples.split(rows)]
    return torch.cat([one.values for one in found]), torch.cat([one.indices for one in found])
