"""The length of a time span as a number."""

from __future__ import annotations

from numbers import Real

import torch
from torch import Tensor


def length_of(time: float | Tensor) -> float:
    """Return the value of ``time``, a number or a scalar tensor.

    Raises:
        TypeError: If it is neither.
    """
    scalar = isinstance(time, Tensor) and time.dim() == 0 and not time.is_complex()
    if not scalar and not isinstance(time, Real):
        kind = type(time).__name__
        if isinstance(time, Tensor):
            kind = f"a tensor of shape {list(time.shape)} in {time.dtype}"
        raise TypeError(f"expected 'time' to be a number or a scalar tensor (got {kind})")
    return float(torch.as_tensor(time).detach())
