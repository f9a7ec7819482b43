"""Small batches and models for the tests of ODE-RNNs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from grandpp.fields import MLPField
from grandpp.sequence import ODERNN, WindowInitial

F64 = torch.float64


def batch(steps=5, size=3, inputs=2, ahead=3, seed=0):
    """Observations, time stamps and horizons that differ between elements."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(steps, size, inputs, generator=generator, dtype=F64)
    gaps = 0.2 + torch.rand(steps + ahead, size, generator=generator, dtype=F64)
    stamps = gaps.cumsum(0)
    return x, stamps[:steps], stamps[steps:]


def model(kind="hbnode", hidden=4, seed=1, **options):
    """A model on two values in float64, its field smooth, tight enough to compare states."""
    options = {"rtol": 1e-7, "atol": 1e-7, **options}
    torch.manual_seed(seed)
    entering = 2 * hidden if kind == "sonode" else hidden
    field = MLPField(hidden, (5,), in_channels=entering, activation="tanh")
    parts = 1 if kind in ("node", "anode") else 2
    values = 3 if kind == "anode" else parts * hidden
    return ODERNN(
        kind, 2, hidden, 2, field=field, initial=WindowInitial(2, values, window=2), **options
    ).double()


class Identity(nn.Module):
    """A cell that lets observations pass by."""

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return h


class Given(nn.Module):
    """An initial state that is a constant."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.register_buffer("values", values)

    def forward(self, x: Tensor) -> Tensor:
        return self.values


class Linear(nn.Module):
    """The field f(t, h) = A h."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.register_buffer("matrix", matrix)

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        return h @ self.matrix.T
