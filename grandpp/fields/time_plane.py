"""Convolutions whose last input channel is a constant plane of the time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def convolve_with_time(layer: nn.Conv2d, t: Tensor, h: Tensor) -> Tensor:
    r"""Apply a convolution to h and a plane of the time, without that plane.

    Convolution is linear in its channels, so that the last one of them gives t times an image that
    depends on nothing but its kernel: the sum of the kernel's entries inside, fewer at the border,
    where the padding is 0.

    .. math:: K * [h, t] + b = K_h * h + (b + t\, (K_t * 1))

    Args:
        layer: Convolution of stride 1 from C + 1 channels, with an odd kernel and a padding of
            zeros that keeps the size.
        t: The time, a scalar or ``[B, 1, 1, 1]``.
        h: ``[B, C, H, W]``.

    Returns:
        ``[B, out_channels, H, W]``, which no other tensor shares.
    """
    weight, last = layer.weight[:, :-1], layer.weight[:, -1:]
    if layer.kernel_size == (1, 1) and t.dim() == 0 and layer.bias is not None:
        return F.conv2d(h, weight, layer.bias + t.to(h.dtype) * last.flatten())
    ones = h.new_ones(1, 1, *h.shape[2:])
    image = as_channels_last(F.conv2d(ones, last, padding=layer.padding))
    out = F.conv2d(h, weight, layer.bias, padding=layer.padding)
    return torch.addcmul(out, t.to(out.dtype), image)


def as_channels_last(x: Tensor) -> Tensor:
    """The same images ``[B, C, H, W]``, with the channels of a pixel side by side on a CPU.

    Convolutions of oneDNN then neither reorder their input nor fill channels up to a multiple of
    the vector length. On other devices nothing changes.
    """
    if x.device.type != "cpu" or x.dim() != 4:
        return x
    if x.size(1) == 1:
        # One channel has either layout; its strides tell convolutions which one to continue.
        return x.contiguous().view(x.size(0), *x.shape[2:], 1).permute(0, 3, 1, 2)
    # Not contiguous(memory_format=...), which torch.func.vmap does not have.
    return x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
