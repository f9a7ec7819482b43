"""Predictions of a network and of its clusters, pooled."""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST = 1e-12  # of a probability: no cluster excludes a class


def pool_with_clusters(logits: Tensor, proba: Tensor, weight: float) -> Tensor:
    r"""Pool the predictions of a network with the probabilities of clusters.

    Source: the logarithmic opinion pool of Genest and Zidek, *Combining probability distributions:
    a critique and an annotated bibliography*, Statistical Science 1 (1986), with
    weights 1 and w that need not sum to 1; with w = 1 a product of experts.

    .. math:: z'_{ic} = \log \mathrm{softmax}(z_i)_c + w \log q_{ic}

    A network that is trained on the classes of clusters learns little of how sure they are of each
    node; the pool lets them say so.

    Args:
        logits: Logits z of the network ``[N, C]``; they are not changed.
        proba: Probabilities q of the clusters ``[N, C]``, see :func:`grandpp.models.grow_clusters`;
            those below 1e-12 count as 1e-12.
        weight: Weight w >= 0 of the clusters; 0 leaves the predictions of the network.

    Returns:
        Logits z' ``[N, C]`` of the type of the logits.

    Raises:
        ValueError: If the shapes differ, or for a weight that is negative or not finite.

    Cost: two passes over [N, C].
    """
    if logits.shape != proba.shape or logits.dim() != 2:
        raise ValueError(
            "expected logits and probabilities [N, C] "
            f"(got shapes {list(logits.shape)} and {list(proba.shape)})"
        )
    if not 0 <= weight < float("inf"):
        raise ValueError(f"expected a weight >= 0 (got {weight})")
    dtype = torch.promote_types(logits.dtype, torch.float32)  # half precision has no 1e-12
    surely = proba.to(logits.device, dtype).clamp(min=_LEAST).log()
    return (torch.log_softmax(logits.to(dtype), dim=1) + weight * surely).to(logits.dtype)
