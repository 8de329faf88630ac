"""Small digits for models that make images, and a judge of what they make."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..data import load_mnist
from ..metrics import frechet_distance
from ..models import MLP, frozen


def small_digits(split: str = "train") -> tuple[Tensor, Tensor]:
    """MNIST at 14 x 14 pixels, from -1 (paper) to 1 (ink): (N, 196), and the labels (N,).

    Each pixel is the mean of a square of four.
    """
    images, labels = load_mnist(split)
    return 2 * F.avg_pool2d(images.unsqueeze(1), 2).flatten(1) - 1, labels


class Judge:
    """Says how far made images are from real ones, and which digits it reads in them.

    model: an MLP that was trained to read real images; its last hidden layer, after the ReLU, is
    where distances are taken. real: images (M, D) that neither of the models has learned from.
    Images are cut to [-1, 1] before they are looked at.
    """

    def __init__(self, model: MLP, real: Tensor) -> None:
        self.model = model
        self.real = self.features(real)

    def features(self, images: Tensor) -> Tensor:
        """(N, D) -> (N, units of the last hidden layer)."""
        with frozen(self.model):
            h = images.clamp(-1, 1)
            for layer in self.model.layers[:-1]:
                h = F.relu(layer(h))
            return h

    def distance(self, images: Tensor) -> float:
        """Frechet distance from the real images: 0 is best."""
        return frechet_distance(self.features(images), self.real)

    def as_asked(self, images: Tensor, y: Tensor) -> float:
        """The share of the images in which it reads the digit that was asked for, y (N,)."""
        with torch.no_grad():
            read = self.model.layers[-1](self.features(images)).argmax(1)
        return float((read == y).float().mean())
