"""Changes to a batch of inputs that leave their meaning alone."""

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
