"""The interface of a flow's layers: an invertible map with its change of density."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from grandpp.solvers import SolveStats


class Mapped(NamedTuple):
    """Where a layer took a batch.

    Args:
        value: The images y of x, ``[B, ...]``.
        change: log abs det dy/dx, ``[B]``: log p(x) is log p(y) and this.
        stats: What its solves cost, one entry each; those of a backward pass count on.
    """

    value: Tensor
    change: Tensor
    stats: tuple[SolveStats, ...] = ()


class Bijection(nn.Module, ABC):
    """An invertible map of batches from the side of the data to that of the base density."""

    @abstractmethod
    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Mapped:
        """Map data towards the base.

        Args:
            x: Batch ``[B, ...]``.
            generator: On the CPU; of what the layer draws. (default: ``None``, torch's own)
        """

    @abstractmethod
    def inverse(self, y: Tensor) -> Tensor:
        """Map back; takes no density along."""


class Chain(Bijection):
    """Layers one after the other.

    Args:
        *layers: The first one is next to the data.
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
        """Undo all layers, the last one first."""
        for layer in reversed(self.layers):
            y = layer.inverse(y)  # type: ignore[operator]
        return y


def standard_normal_log_prob(z: Tensor) -> Tensor:
    """log density ``[B]`` of a standard normal at ``[B, ...]``."""
    flat = z.flatten(1)
    return -0.5 * (flat.square().sum(1) + flat.size(1) * math.log(2 * math.pi))
