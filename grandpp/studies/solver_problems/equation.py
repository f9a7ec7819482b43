"""One backward Euler step of the heat equation as an equation for several inner solvers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from grandpp.solvers.implicit.equation import spectral_estimate
from grandpp.studies.solver_problems.problems import diffusion1d

STEP = 1 / 2000
"""The step of thesis table 5.2."""


@dataclass(frozen=True)
class StepEquation:
    """The equation z = b + s f(z) of the first backward Euler step from b.

    Args:
        base: b, ``[n]``.
        step: s.
        rate: f on states ``[n, F]``, linear.
        scale: Estimate of the largest eigenvalue of I - s f'.
    """

    base: Tensor
    step: float
    rate: Callable[[Tensor], Tensor]
    scale: float

    @classmethod
    def heat(cls, points: int = 128, step: float = STEP) -> StepEquation:
        """Of the heat equation (5.18) on a number of points."""
        problem, zero = diffusion1d(points), torch.zeros((), dtype=torch.float64)

        def rate(z: Tensor) -> Tensor:
            return problem.field(zero, z)

        largest = spectral_estimate(rate, problem.y0, rate(problem.y0))
        return cls(problem.y0.reshape(-1), step, rate, 1 + step * largest)

    def residual(self, z: Tensor) -> Tensor:
        """g(z) = z - b - s f(z), for z ``[n]``."""
        return z - self.base - self.step * self.rate(z.unsqueeze(-1)).squeeze(-1)

    def newton_raphson(self) -> Tensor:
        """The solution by one Newton step from b, exact because f is linear.

        The Jacobian takes as many evaluations as the state has entries. They are made at once here,
        which favours the method.
        """
        eye = torch.eye(len(self.base), dtype=torch.float64)
        jacobian = eye - self.step * self.rate(eye)
        return self.base - torch.linalg.solve(jacobian, self.residual(self.base))
