"""Interface of the layers of a flow: invertible maps with their log-determinant."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from grandpp.solvers import SolveStats


class Mapped(NamedTuple):
    """Result of a layer: mapped batch, log-determinant and cost.

    Args:
        value: Outputs y of the inputs x, ``[B, ...]``.
        change: log abs det dy/dx, ``[B]``: log p(x) = log p(y) + change.
        stats: Costs of the solves, one entry each; ``backward()`` adds to them.
    """

    value: Tensor
    change: Tensor
    stats: tuple[SolveStats, ...] = ()


class Bijection(nn.Module, ABC):
    """An invertible map of batches from data to the base distribution."""

    @abstractmethod
    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Mapped:
        """Map data towards the base distribution.

        Args:
            x: Batch ``[B, ...]``.
            generator: Generator on the CPU for random numbers of the layer.
                (default: ``None``, torch's global one)
        """

    @abstractmethod
    def inverse(self, y: Tensor) -> Tensor:
        """Map back, without the change of density."""


class Chain(Bijection):
    """Layers applied one after the other.

    Args:
        *layers: Layers; data enter the first one.
    """

    def __init__(self, *layers: Bijection) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Mapped:
        """Apply all layers."""
        change, stats = x.new_zeros(len(x)), ()
        for layer in self.layers:
            x, more, cost = layer(x, generator)
            change, stats = change + more, stats + cost
        return Mapped(x, change, stats)

    def inverse(self, y: Tensor) -> Tensor:
        """Invert all layers, the last one first."""
        for layer in reversed(self.layers):
            y = layer.inverse(y)  # type: ignore[operator]
        return y


def standard_normal_log_prob(z: Tensor) -> Tensor:
    """Log-density ``[B]`` of the standard normal distribution at points ``[B, ...]``."""
    flat = z.flatten(1)
    return -0.5 * (flat.square().sum(1) + flat.size(1) * math.log(2 * math.pi))
