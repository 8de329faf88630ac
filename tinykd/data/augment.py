"""New inputs made of a batch of them: shifted ones, which mean the same, and mixtures.

What a mixture means is a question for the teacher: ask it about the mixture.
"""

import torch
from torch import Tensor


def jitter(images: Tensor, pixels: int = 2, subpixel: bool = False) -> Tensor:
    """Shift each image by dx, dy, uniform in [-pixels, pixels], zeros moving in.

    Args:
        images: (B, H, W) or (B, C, H, W); the channels of an image move together.
        pixels: the largest shift, at least 0. Hinton et al. 2015, section 3, use 2.
        subpixel: shifts are any real number, by bilinear interpolation, not whole numbers only.

    Returns a new tensor. Draws from torch's global generator on the images' device.
    """
    if images.dim() not in (3, 4):
        raise ValueError(f"jitter takes (B, H, W) or (B, C, H, W), got {tuple(images.shape)}")
    if pixels < 0:
        raise ValueError(f"pixels is {pixels}: a shift is at least 0")
    batch, height, width = images.shape[0], images.shape[-2], images.shape[-1]
    margin = int(subpixel)  # the neighbours to interpolate with
    span = 2 * pixels + 1 - margin
    dy, dx = torch.randint(max(span, 1), (2, batch), device=images.device)  # (B,), (B,)
    padded = torch.nn.functional.pad(images, (pixels,) * 4)
    # A view of all shifts at once, (B, ..., span, span, H, W): picking one of them is the one copy.
    margin = min(margin, 2 * pixels)
    windows = padded.unfold(-2, height + margin, 1).unfold(-2, width + margin, 1)
    if images.dim() == 4:
        windows = windows.movedim(1, 3)
    shifted = windows[torch.arange(batch, device=images.device), dy, dx]
    for dim in (-2, -1) if margin else ():
        part = torch.rand((batch,) + (1,) * (images.dim() - 1), device=images.device)
        size = shifted.shape[dim] - 1
        shifted = torch.lerp(shifted.narrow(dim, 0, size), shifted.narrow(dim, 1, size), part)
    return shifted


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
