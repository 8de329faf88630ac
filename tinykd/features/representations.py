"""What layers know: how alike two are (CKA), and what a linear probe reads out of one."""

import torch
from torch import Tensor
from torch.nn import functional as F


def cka(x: Tensor, y: Tensor) -> float:
    """Linear centred kernel alignment: |Y^T X|**2 / (|X^T X| |Y^T Y|), columns centred, in [0, 1].

    1 where one is a rotation, or a multiple, of the other; widths may differ (Kornblith et al.
    2019, arXiv 1905.00414, section 3). Take many more samples than features: with few, anything
    looks alike. Computed in float64.

    x, y: (N, ...), the same N samples in the same order; flattened. NaN if a side is constant.
    Raises ValueError for different numbers of samples, or fewer than 2.
    """
    if len(x) != len(y) or len(x) < 2:
        raise ValueError(f"cka compares the same samples, at least 2: got {len(x)} and {len(y)}")
    x, y = (_centred(z) for z in (x, y))

    def overlap(a: Tensor, b: Tensor) -> Tensor:
        if len(a) <= min(a.shape[1], b.shape[1]):  # by samples or by features: the same number
            return ((a @ a.T) * (b @ b.T)).sum()
        return (a.T @ b).square().sum()

    return (overlap(x, y) / (overlap(x, x) * overlap(y, y)).sqrt()).item()


def linear_probe(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], penalty: float = 1e-3
) -> float:
    """Accuracy on `test` of a linear classifier of the activations, fitted on `train`, in [0, 1].

    min over W, b of mean cross-entropy(W x + b, label) + penalty |W|**2 / 2, x standardised; found
    by L-BFGS from W = 0, so nothing is random (Alain and Bengio 2016, arXiv 1610.01644). The model
    that made the activations is not touched.

    train, test: (activations (N, ...), labels (N,)). Raises ValueError for lengths that differ.
    """
    for x, labels in (train, test):
        if len(x) != len(labels):
            raise ValueError(f"{len(x)} activations, {len(labels)} labels")
    x, unseen = (part[0].detach().flatten(1).double() for part in (train, test))
    mean, spread = x.mean(0), x.std(0).clamp_min(1e-6)
    x, unseen = (x - mean) / spread, (unseen - mean) / spread
    labels = train[1].long()
    classes = int(max(labels.max(), test[1].max())) + 1
    weight = torch.zeros(classes, x.shape[1], dtype=x.dtype, device=x.device, requires_grad=True)
    bias = torch.zeros(classes, dtype=x.dtype, device=x.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        fit = F.cross_entropy(x @ weight.T + bias, labels) + penalty * weight.square().sum() / 2
        fit.backward()
        return fit

    with torch.enable_grad():
        optimizer.step(loss)
    with torch.no_grad():
        right = (unseen @ weight.T + bias).argmax(1) == test[1]
    return right.double().mean().item()


def _centred(x: Tensor) -> Tensor:
    x = x.detach().flatten(1).double()
    return x - x.mean(0)
