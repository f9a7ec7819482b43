"""Scale numeric features whose units differ, such as years beside incomes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_LARGE = 10.0
"""Largest absolute value of features that are taken as they are."""


@dataclass(frozen=True)
class Scaling:
    """Standardise the columns of dense features, or leave them as they are.

    Counts, shares, one-hot columns and embeddings are left: standardised, rare words and weak
    directions would count as much as all others.

    Args:
        mean: Mean of each column ``[F]``; ``None`` leaves the features as they are.
        scale: Standard deviation of each column, 1 where it is constant ``[F]``.
    """

    mean: Tensor | None = None
    scale: Tensor | None = None

    @classmethod
    def of(cls, x: Tensor) -> Scaling:
        """The scaling of the features ``[N, F]`` of a graph.

        Columns are standardised where features are dense and one is larger than 10 in absolute
        value: they have units then, and the largest would hide the others.
        """
        if x.layout != torch.strided or x.numel() == 0 or not float(x.abs().max()) > _LARGE:
            return cls()
        wide = x.double()
        deviation = wide.std(dim=0, unbiased=False)
        deviation = torch.where(deviation > 1e-9 * wide.abs().amax(dim=0), deviation, 1.0)
        return cls(wide.mean(dim=0), deviation)

    def __call__(self, x: Tensor) -> Tensor:
        """Scale features ``[N, F]``."""
        if self.mean is None or self.scale is None:
            return x
        dense = x if x.layout == torch.strided else x.to_dense()
        mean, scale = self.mean.to(dense.device), self.scale.to(dense.device)
        return ((dense.double() - mean) / scale).to(x.dtype)


def as_float(x: Tensor) -> Tensor:
    """Features as constants in single precision, which the models have."""
    x = x.detach()
    return x if x.dtype == torch.float32 or x.is_complex() else x.float()


def scaled(x: Tensor) -> Tensor:
    """Features ``[N, F]`` in single precision, scaled as a model fitted to them would have them."""
    x = as_float(x)
    return Scaling.of(x)(x)
