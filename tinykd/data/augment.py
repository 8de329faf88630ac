"""New inputs made of a batch of them: shifted or disturbed ones, which mean the same, and mixtures.

What a mixture means is a question for the teacher: ask it about the mixture.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def jitter(images: Tensor, pixels: int = 2, subpixel: bool = False) -> Tensor:
    """Shift each image by dx, dy, uniform in [-pixels, pixels], zeros moving in.

    Args:
        images: (B, H, W) or (B, C, H, W); the channels of an image move together.
        pixels: the largest shift, at least 0. Hinton et al. 2015, section 3, use 2.
        subpixel: shifts are any real number, by bilinear interpolation, not whole numbers only.

    Returns a new tensor. Draws from torch's global generator on the images' device. Raises
    ValueError for other shapes, and pixels below 0.
    """
    if images.dim() not in (3, 4):
        raise ValueError(f"jitter takes (B, H, W) or (B, C, H, W), got {tuple(images.shape)}")
    if pixels < 0:
        raise ValueError(f"pixels is {pixels}: a shift is at least 0")
    batch, height, width = images.shape[0], images.shape[-2], images.shape[-1]
    margin = int(subpixel)  # the neighbours to interpolate with
    span = 2 * pixels + 1 - margin
    dy, dx = torch.randint(max(span, 1), (2, batch), device=images.device)  # (B,), (B,)
    padded = F.pad(images, (pixels,) * 4)
    # A view of all shifts at once, (B, ..., span, span, H, W): picking one of them is the one copy.
    margin = min(margin, 2 * pixels)
    windows = padded.unfold(-2, height + margin, 1).unfold(-2, width + margin, 1)
    if images.dim() == 4:
        windows = windows.movedim(1, 3)
    shifted = windows[torch.arange(batch, device=images.device), dy, dx]
    for dim in (-2, -1) if margin else ():
        part = torch.rand((batch,) + (1,) * (images.dim() - 1), device=images.device)
        part = part.to(images.dtype)
        size = shifted.shape[dim] - 1
        shifted = torch.lerp(shifted.narrow(dim, 0, size), shifted.narrow(dim, 1, size), part)
    return shifted


def disturb(signals: Tensor) -> Tensor:
    """Each signal as it might have been recorded elsewhere: stretched, moved, tilted, with a hum.

    With u the place on a line of L numbers, counted from its middle, and x(u) the signal between
    its numbers by linear interpolation, its ends going on for ever:

        x((1 + s) u + d) + t u / max|u| + h(u) + e(u)

    s uniform in [-0.25, 0.25], d in [-6, 6] places, t normal with deviation 0.5: one of each for a
    signal. h is white noise of deviation 0.9 averaged over 9 places, e white noise of 0.05.

    The sizes suit signals of standard deviation 1 such as those of `load_mnist1d`: its classes can
    still be told. signals: (B, L), floating point, L at least 2; raises ValueError for others.
    Returns a new tensor of that shape. Draws from torch's global generator.
    """
    if signals.dim() != 2 or signals.shape[1] < 2 or not signals.is_floating_point():
        raise ValueError(
            f"disturb takes signals (B, L), not {signals.dtype} {tuple(signals.shape)}"
        )
    count, length = signals.shape
    like: dict[str, Any] = {"dtype": signals.dtype, "device": signals.device}
    stretch = 0.5 * torch.rand(count, 1, **like) - 0.25
    move = 12 * torch.rand(count, 1, **like) - 6
    middle = (length - 1) / 2
    place = (torch.arange(length, **like) - middle) * (1 + stretch) + move + middle
    place = place.clamp(0, length - 1)
    left = place.long().clamp(max=length - 2)
    moved = torch.lerp(signals.gather(1, left), signals.gather(1, left + 1), place - left)
    hum = F.avg_pool1d(torch.randn(count, 1, length + 8, **like), 9, 1)[:, 0]
    tilt = 0.5 * torch.randn(count, 1, **like) * torch.linspace(-1, 1, length, **like)
    return moved + tilt + 0.9 * hum + 0.05 * torch.randn(count, length, **like)


def mixed(x: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    """share_i x_i + (1 - share_i) x_partner(i), for inputs and for targets alike.

    Zhang et al. 2018 (mixup, arXiv 1710.09412), equation 1. Targets are shares of classes: one-hot
    labels, or a teacher's probabilities at its temperature, not its logits.

    Args:
        x: (N, ...), floating point.
        partner: (N,), the number of the sample that each one is mixed with.
        share: (N,), how much of the first is kept, in [0, 1].

    Returns a new tensor like x. Raises ValueError for class indices, which have no mixture, and for
    a partner or a share that is not one number per sample.
    """
    if not x.is_floating_point():
        raise ValueError(f"{x.dtype} has no mixture: of class indices take F.one_hot, as floats")
    for name, given in (("partner", partner), ("share", share)):
        if given.shape != x.shape[:1]:
            raise ValueError(f"{name} {tuple(given.shape)} is not one for each of {len(x)} samples")
    share = share.to(x).view(-1, *(1,) * (x.dim() - 1))
    return share * x + (1 - share) * x[partner]


def mixup(inputs: Tensor, concentration: float = 1.0) -> Tensor:
    """Each input of a batch mixed with a partner from it (seldom itself), at random; see `mixed`.

    The share is drawn from Beta(a, a), a = concentration: 1 is uniform, small ones leave most
    inputs nearly whole. The labels of the batch are then no longer those of its inputs. So take it
    as Batches(inputs, labels=None, augment=mixup), and have a live teacher asked about the mixture.

    inputs: (B, ...), floating point. Returns a new tensor. Draws from torch's global generator.
    Raises ValueError unless concentration is above 0.
    """
    if not concentration > 0:
        raise ValueError(f"concentration is {concentration}: Beta(a, a) wants a above 0")
    beta = torch.distributions.Beta(concentration, concentration)
    partner = torch.randperm(len(inputs), device=inputs.device)
    return mixed(inputs, partner, beta.sample((len(inputs),)).to(inputs.device))
