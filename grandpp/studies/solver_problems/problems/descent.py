"""Gradient flows of two test functions of optimisation (HBNODE paper, appendix E.6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from grandpp.studies.solver_problems.problems.base import Problem, reference


@dataclass(frozen=True)
class Landscape:
    """A function F(x, y) and how the papers run on it, always from (0, 0).

    Args:
        name: Name in titles.
        value: F of states ``[..., 2]``.
        gradient: Gradient of F, of the same shape.
        minimum: Where F is 0.
        end: End time.
        dt: Spacing of the points drawn.
        gamma: Damping of the heavy ball.
    """

    name: str
    value: Callable[[Tensor], Tensor]
    gradient: Callable[[Tensor], Tensor]
    minimum: tuple[float, float]
    end: float
    dt: float
    gamma: float

    def descend(self, t: Tensor, y: Tensor) -> Tensor:
        """The gradient flow y' = -grad F(y)."""
        return -self.gradient(y)


def rosenbrock(h: Tensor) -> Tensor:
    """100 (y - x^2)^2 + (1 - x)^2."""
    x, y = h.unbind(-1)
    return 100 * (y - x * x) ** 2 + (1 - x) ** 2


def rosenbrock_gradient(h: Tensor) -> Tensor:
    """Gradient of :func:`rosenbrock`."""
    x, y = h.unbind(-1)
    return torch.stack([-400 * x * (y - x * x) - 2 * (1 - x), 200 * (y - x * x)], dim=-1)


def beale(h: Tensor) -> Tensor:
    """(1.5 - x + xy)^2 + (2.25 - x + xy^2)^2 + (2.625 - x + xy^3)^2."""
    x, y = h.unbind(-1)
    return sum((c - x + x * y**k) ** 2 for c, k in _BEALE) + torch.zeros_like(x)


def beale_gradient(h: Tensor) -> Tensor:
    """Gradient of :func:`beale`."""
    x, y = h.unbind(-1)
    dx, dy = torch.zeros_like(x), torch.zeros_like(y)
    for c, k in _BEALE:
        term = c - x + x * y**k
        dx = dx + 2 * term * (y**k - 1)
        dy = dy + 2 * term * k * x * y ** (k - 1)
    return torch.stack([dx, dy], dim=-1)


_BEALE = ((1.5, 1), (2.25, 2), (2.625, 3))

ROSENBROCK = Landscape(
    "Rosenbrock", rosenbrock, rosenbrock_gradient, (1.0, 1.0), end=1.0, dt=0.001, gamma=0.9
)
BEALE = Landscape("Beale", beale, beale_gradient, (3.0, 0.5), end=2.0, dt=0.01, gamma=0.7)


def gradient_flow(landscape: Landscape) -> Problem:
    """Descent from (0, 0) as a problem with states ``[2]``, reference by DOP853 at 1e-12."""
    y0 = torch.zeros(2, dtype=torch.float64)
    exact = reference(landscape.descend, y0, landscape.end, "DOP853")
    return Problem(landscape.descend, y0, landscape.end, exact)
