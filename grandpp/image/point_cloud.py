"""Separate the points of a disc from those of a ring around it (HBNODE paper §5.1)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from grandpp.fields.dense import MLPField
from grandpp.fields.dynamics import Augmented, Dynamics
from grandpp.fields.momentum import GeneralizedHeavyBall
from grandpp.layers.describe import describe_module
from grandpp.layers.neural_ode import NeuralODE, make_dynamics
from grandpp.solvers import Solution


class Size(NamedTuple):
    """Channels n of the position and width h of hidden layers."""

    n: int
    h: int


POINT_CLOUD_MODELS: dict[str, Size] = {
    "node": Size(2, 20),
    "anode": Size(3, 20),
    "sonode": Size(2, 13),
    "hbnode": Size(2, 14),
    "ghbnode": Size(2, 14),
    "adamnode": Size(2, 14),
    "ghbnode-hardtanh": Size(2, 14),
}
"""Sizes of the HBNODE paper, Table 3; AdamNODE, which is not in that paper, has those of HBNODE.

GHBNODE has tanh as in the paper; ``ghbnode-hardtanh`` has hardtanh between -5 and 5, the paper's
choice for Silverbox, which saturates at larger momenta.
"""

POINT_CLOUD_SOLVERS = ("tsit5", "dopri5")
"""Adaptive methods of order 5: this library's, and torchdiffeq's, which the papers use."""


def point_cloud(seed: int, inner: int = 40, outer: int = 80) -> tuple[Tensor, Tensor]:
    """Draw a disc, radius below 0.5, and a ring, radius 0.85 to 1, both uniformly.

    Args:
        seed: Seed of the random points.
        inner: Number of points in the disc. (default: ``40``)
        outer: Number of points in the ring. (default: ``80``)

    Returns:
        Points ``[inner + outer, 2]`` in float64, the disc first, and their targets: -1 in the
        disc, 1 in the ring.
    """
    generator = torch.Generator().manual_seed(seed)
    disc = _ring(inner, 0.0, 0.5, generator)
    ring = _ring(outer, 0.85, 1.0, generator)
    targets = torch.ones(inner + outer, dtype=torch.float64)
    targets[:inner] = -1.0
    return torch.cat([disc, ring]), targets


def _ring(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    area, angle = torch.rand(2, count, generator=generator, dtype=torch.float64)
    # Areas grow with the square of the radius.
    radius = (low**2 + area * (high**2 - low**2)).sqrt()
    angle = 2 * math.pi * angle
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)


class PointCloudClassifier(nn.Module):
    """Neural ODE on the plane, then a linear layer and tanh (HBNODE paper App. E.2).

    The field has two hidden layers with ELU; equations of second order have a network of the same
    size with hardtanh for the initial velocity. Parameters are float64, because the paper's
    tolerance of 1e-7 is about the rounding error of float32.

    Args:
        model: One of :data:`POINT_CLOUD_MODELS`.
        tolerance: rtol and atol of the solver. (default: ``1e-7``)
        gradient: See :class:`grandpp.layers.NeuralODE`. (default: ``"adjoint"``)
        solver: One of :data:`POINT_CLOUD_SOLVERS`; the paper uses dopri5. (default: ``"tsit5"``)

    Raises:
        ValueError: For an unknown model or gradient, or a number out of range.

    Shape:
        Points ``[B, 2]``; scores ``[B]`` between -1 and 1.
    """

    def __init__(
        self,
        model: str,
        tolerance: float = 1e-7,
        gradient: str = "adjoint",
        solver: str = "tsit5",
    ) -> None:
        super().__init__()
        if model not in POINT_CLOUD_MODELS:
            raise ValueError(
                f"expected 'model' to be one of {', '.join(POINT_CLOUD_MODELS)} (got '{model}')"
            )
        n, h = POINT_CLOUD_MODELS[model]
        kind = _dynamics(model, n)
        field = MLPField(n, (h, h), in_channels=2 * n if model == "sonode" else n)
        self.flow = NeuralODE(
            field,
            kind,
            initial=None if kind.parts == 1 else _velocity(n, h),
            solver=solver,
            rtol=tolerance,
            atol=tolerance,
            gradient=gradient,
        )
        self.output = nn.Sequential(nn.Linear(n, 1), nn.Tanh())
        self.double()

    def solve(self, x: Tensor, save_at: list[float] | None = None) -> Solution[Tensor]:
        """Solve for points ``[B, 2]``; return the whole solution."""
        return self.flow.solve(x, save_at=save_at)

    def score(self, solution: Solution[Tensor]) -> Tensor:
        """Scores ``[B]`` from the end state of a solution."""
        position = self.flow.dynamics.position(solution.y)
        out: Tensor = self.output(position).squeeze(1)
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Scores ``[B]`` of points."""
        return self.score(self.solve(x))


def _dynamics(model: str, n: int) -> Dynamics:
    if model == "anode":
        return Augmented(n - 2)
    if model == "ghbnode-hardtanh":
        return GeneralizedHeavyBall(activation="hardtanh")
    return make_dynamics(model)


def _velocity(n: int, h: int) -> nn.Module:
    bounded = [nn.Hardtanh(-5.0, 5.0) for _ in range(2)]
    return nn.Sequential(
        nn.Linear(2, h), bounded[0], nn.Linear(h, h), bounded[1], nn.Linear(h, 2 * n - 2)
    )


def describe(model: str) -> dict[str, Any]:
    """Name, number of trainable parameters and layers of a model.

    Args:
        model: One of :data:`POINT_CLOUD_MODELS`.

    Returns:
        A dictionary of plain values, see :func:`grandpp.layers.describe.describe_module`.
    """
    return {"model": model, **describe_module(PointCloudClassifier(model))}
