"""Random shifts and flips of images, to augment a small data set.

Own code because torchvision's transforms draw from the global generator, and once for a batch: a
training that goes on from a checkpoint needs a generator of its own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def random_shift(images: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    """Move every image by up to ``pixels`` in both directions; zeros come in at the border.

    The random crop of a padded image, of Krizhevsky et al. (2012) and He et al. (2016, padding 4).

    Args:
        images: ``[B, C, H, W]``.
        pixels: Largest shift; 0 returns the images as they are.
        generator: Of the shifts, on the CPU.

    Raises:
        ValueError: If ``pixels`` is negative.
    """
    if pixels < 0:
        raise ValueError(f"expected 'pixels' >= 0 (got {pixels})")
    if pixels == 0:
        return images
    batch, _, height, width = images.shape
    corners = torch.randint(2 * pixels + 1, (2, batch), generator=generator).to(images.device)
    rows = corners[0, :, None] + torch.arange(height, device=images.device)
    columns = corners[1, :, None] + torch.arange(width, device=images.device)
    which = torch.arange(batch, device=images.device)[:, None, None]
    padded = F.pad(images, [pixels] * 4).permute(0, 2, 3, 1)
    return padded[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror every image left to right with probability one half.

    Args:
        images: ``[B, C, H, W]``.
        generator: Of the choices, on the CPU.
    """
    mirrored = torch.rand(len(images), generator=generator).to(images.device) < 0.5
    return torch.where(mirrored[:, None, None, None], images.flip(-1), images)
