"""Whether a tensor is finite, in one pass."""

from __future__ import annotations

import torch
from torch import Tensor


def all_finite(x: Tensor) -> bool:
    """Whether no entry is NaN or infinite (one device read, two where the sum overflows)."""
    # A sum passes NaN and infinity on, and is several times faster than looking at each entry.
    return bool(torch.isfinite(x.sum())) or bool(torch.isfinite(x).all())
