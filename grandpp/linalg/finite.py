"""Check tensors for NaN and infinity in one pass, and weights for the range of their type."""

from __future__ import annotations

import torch
from torch import Tensor


def all_finite(x: Tensor) -> bool:
    """Whether no entry is NaN or infinite (one device read, two where the sum overflows)."""
    # A sum passes NaN and infinity on, and is several times faster than looking at each entry.
    return bool(torch.isfinite(x.sum())) or bool(torch.isfinite(x).all())


@torch.no_grad()
def check_range(given: Tensor, cast: Tensor, sums: Tensor) -> None:
    """Raise an error for weights outside the range of the features' type.

    Args:
        given: Finite, non-negative weights.
        cast: The same in the type of the features.
        sums: For each weight the sum, in that type, that it is divided by.

    Raises:
        ValueError: If a sum overflows, or a weight is lost that is not small beside its sum.
    """
    limits = torch.finfo(cast.dtype)
    lost = (given > 0) & (cast < limits.tiny) & (sums < limits.tiny / limits.eps)
    if bool(lost.any() | ~sums.isfinite().all()):
        low, high = given[given > 0].aminmax()
        raise ValueError(
            f"expected 'edge_weight' and its sums in the range of {cast.dtype}, the type of the "
            f"features (got weights from {float(low):g} to {float(high):g}): scale the weights, "
            "or use features and a layer in float64"
        )
