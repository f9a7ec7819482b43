"""A field in reduced precision inside a solve in full precision."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LowPrecision(nn.Module):
    r"""Evaluate a field under bfloat16 autocast and return its derivative in the type of the state.

    The state, its error estimate and the sums over stages stay float32: a state kept in bfloat16
    would lose every step smaller than 1/256 of it.

    Args:
        field: A module f(t, h) with float32 parameters.

    Shape:
        As ``field``; the derivative has the type of h.

    Note:
        The derivative is rounded to 8 bits, an error of about 0.002 times its size that no step
        size can lower: adaptive methods need a tolerance of 1e-3 or more, and ``"dormand_prince"``
        passes less of it on than ``"tsit5"``. It pays with hardware for bfloat16 products, a GPU or
        a CPU with AMX, and wide layers.
    """

    def __init__(self, field: nn.Module) -> None:
        super().__init__()
        self.field = field

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        """Evaluate the derivative."""
        # Without a cache: a copy of a weight made while gradients are off would serve, without its
        # gradient, an evaluation where they are on.
        with torch.autocast(h.device.type, dtype=torch.bfloat16, cache_enabled=False):
            out: Tensor = self.field(t, h)
        return out.to(h.dtype)
