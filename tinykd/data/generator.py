"""A generator of inputs that is fitted in a moment: a class's mean, and what varies around it."""

import torch
from torch import Tensor


class ClassGaussians:
    """Gaussians around the means of the classes, with the same principal components for all.

        x = mean_c + sum_j e_j s_j v_j,    e_j ~ N(0, 1)

    v_j: the principal components of the samples' deviations from the means of their own classes,
    s_j: the standard deviations along them, with N - C in the denominator (C classes were fitted).
    That classes share their covariance is the assumption of linear discriminant analysis; with ten
    samples a class there would not be enough for one covariance each.

    Args:
        inputs: (N, ...), floating point.
        labels: (N,), class indices from 0 to C - 1, every class at least once, N above C.
        components: how many v_j, the largest first.

    `means` is (C, D), `directions`, the s_j v_j, is (components, D), D the size of an input.

    Raises ValueError for a class without a sample, for N not above C, and for more components than
    the samples can have, min(N - C, D).
    """

    def __init__(self, inputs: Tensor, labels: Tensor, components: int = 40) -> None:
        x, classes = inputs.flatten(1), int(labels.max()) + 1
        counts = torch.bincount(labels, minlength=classes)
        if not counts.all():
            raise ValueError(f"no sample of the classes {torch.where(counts == 0)[0].tolist()}")
        most = min(len(x) - classes, x.shape[1])
        if not 1 <= components <= most:
            raise ValueError(
                f"{len(x)} samples of {classes} classes have 1 to {most} components around their "
                f"means, not {components}"
            )
        self.shape = inputs.shape[1:]
        self.means = x.new_zeros(classes, x.shape[1]).index_add_(0, labels, x) / counts[:, None]
        _, sizes, axes = torch.linalg.svd(x - self.means[labels], full_matrices=False)
        spread = sizes[:components, None] / (len(x) - classes) ** 0.5
        self.directions = spread * axes[:components]

    def sample(self, labels: Tensor) -> Tensor:
        """One new input for each label (N,), of shape (N, ...), from torch's global generator.

        Nothing keeps it inside the range of the inputs: clamp what has one, such as pixels.
        """
        noise = torch.randn(len(labels), len(self.directions)).to(self.directions)
        return (self.means[labels] + noise @ self.directions).view(-1, *self.shape)
