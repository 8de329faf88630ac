"""Attacks: inputs moved a little, so that a classifier is wrong about them.

"A little" is a ball: every number of the input moves by at most eps, and stays in [0, 1].

    fgsm            one step along the sign of the gradient
    pgd             several steps, each brought back into the ball
    random_search   no gradient at all: tries, and keeps what is worse for the model

A model is robust only as far as somebody has tried to break it: `withstands` takes several attacks.
Training against them is `Adversarial`.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ..losses import cross_entropy
from ..models.call import frozen, modes_kept

Loss = Callable[[Tensor], Tensor]  # of logits (B, C), one value per sample (B,)
Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]  # (model, x, labels) to moved x


def into_ball(moved: Tensor, x: Tensor, eps: float) -> Tensor:
    """The nearest point with |moved - x| <= eps and 0 <= moved <= 1, number by number."""
    return torch.minimum(torch.maximum(moved, x - eps), x + eps).clamp(0, 1)


def fgsm(model: nn.Module, x: Tensor, labels: Tensor, eps: float) -> Tensor:
    """Fast gradient sign method: x + eps sign(dCE/dx), inside [0, 1].

    model: gives logits (B, C). x: (B, ...), in [0, 1]. labels: (B,). Returns moved x, like x
    (Goodfellow, Shlens, Szegedy 2015, arXiv 1412.6572). The model is asked in eval mode and left
    without a gradient.
    """
    return pgd(model, x, lambda z: cross_entropy(z, labels), eps, 1, eps, torch.zeros_like(x))


def pgd(
    model: nn.Module,
    x: Tensor,
    loss: Loss,
    eps: float,
    steps: int = 10,
    rate: float | None = None,
    start: Tensor | None = None,
) -> Tensor:
    """Projected gradient ascent: moved <- into_ball(moved + rate sign(dloss/dmoved)), again.

    model: gives logits (B, C). x: (B, ...), in [0, 1]. loss: of the logits, (B,), to be made large:
    lambda z: cross_entropy(z, labels), or a divergence from a teacher. rate: None is 2.5 eps /
    steps. start: what is added to x at first, (B, ...); None draws it uniformly from [-eps, eps],
    from torch's global generator (Madry et al. 2018, arXiv 1706.06083, section 2.1).
    Returns moved x, like x, without a graph. The model is asked in eval mode, its parameters get no
    gradient. Raises ValueError for x outside of [0, 1], or eps or steps below 0.
    """
    if eps < 0 or steps < 0:
        raise ValueError(f"eps and steps are 0 or more, got eps={eps}, steps={steps}")
    _check_box(x)
    x = x.detach()
    rate = 2.5 * eps / max(steps, 1) if rate is None else rate
    noise = torch.empty_like(x).uniform_(-eps, eps) if start is None else start.detach()
    moved = into_ball(x + noise, x, eps)
    with modes_kept(model), torch.enable_grad():
        model.eval()
        for _ in range(steps):
            moved.requires_grad_()
            (slope,) = torch.autograd.grad(loss(model(moved)).sum(), moved)
            moved = into_ball(moved.detach() + rate * slope.sign(), x, eps)
    return moved.detach()


def random_search(
    model: nn.Module, x: Tensor, labels: Tensor, eps: float, tries: int = 200, share: float = 0.1
) -> Tensor:
    """An attack without gradients: flip the sign of some moves, keep what lowers the margin.

    Begins at x + eps s, s of random signs; each try draws `share` of the signs anew and keeps them,
    sample by sample, if z_label - max of the others became smaller. What is flat, rounded or
    saturated for a gradient is none for it (in the spirit of Andriushchenko et al. 2020, arXiv
    1912.00049). Draws from torch's global generator. Returns moved x, like x. Raises as `pgd`.
    """
    _check_box(x)
    rows = (-1,) + (1,) * (x.dim() - 1)

    def random_signs() -> Tensor:
        return torch.randint(0, 2, x.shape, device=x.device).to(x) * 2 - 1

    with frozen(model):
        signs = random_signs()
        best = margin(model(into_ball(x + eps * signs, x, eps)), labels)
        for _ in range(tries):
            redrawn = torch.rand(x.shape, device=x.device) < share
            tried = torch.where(redrawn, random_signs(), signs)
            now = margin(model(into_ball(x + eps * tried, x, eps)), labels)
            lower = now < best
            signs = torch.where(lower.view(rows), tried, signs)
            best = torch.where(lower, now, best)
    return into_ball(x + eps * signs, x, eps)


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """By how much the right class leads: z_label - max of the other logits; below 0 it is wrong.

    logits: (B, C). labels: (B,). Returns (B,).
    """
    index = labels.long().unsqueeze(-1)
    others = logits.scatter(-1, index, -torch.inf)
    return logits.gather(-1, index).squeeze(-1) - others.max(-1).values


def withstands(
    model: nn.Module, x: Tensor, labels: Tensor, attacks: Iterable[Attack] = ()
) -> Tensor:
    """Which samples the model gets right as they are and after every single one of the attacks.

    attacks: functions of (model, x, labels) that return moved x. Returns bool, (B,): its mean is
    the robust accuracy, an upper bound that another attack may lower (Croce and Hein 2020, arXiv
    2003.01690). Eval mode; the mode comes back.
    """
    moved = [x, *(attack(model, x, labels) for attack in attacks)]
    with frozen(model):
        right = [model(one).argmax(-1) == labels for one in moved]
    return torch.stack(right).all(0)


def _check_box(x: Tensor) -> None:
    if x.device.type == "cpu" and x.numel() and not 0 <= x.min() <= x.max() <= 1:
        raise ValueError(
            f"attacks move inputs inside of [0, 1]; these lie in [{x.min():g}, {x.max():g}]"
        )
