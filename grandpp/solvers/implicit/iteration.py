"""The interface of inner solvers, and their convergence test."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

Residual: TypeAlias = Callable[[Tensor], Tensor]

# Iterations without a new smallest residual, and growth of it, that count as stagnation.
_PATIENCE = 60
_GROWTH = 1e6


@dataclass(frozen=True)
class InnerResult:
    """Result of an inner solver.

    Args:
        z: The state with the smallest residual.
        iterations: Iterations taken.
        residual_norm: RMS of g(z) / (1 + abs(z)), evaluated at ``z``, not predicted.
        evaluations: Evaluations of the residual.
        converged: Whether ``residual_norm`` is at most the tolerance.
    """

    z: Tensor
    iterations: int
    residual_norm: float
    evaluations: int
    converged: bool


class InnerSolver(Protocol):
    """Finds z with g(z) = 0 for the residual g(z) = z - b - s f(z) of an implicit step."""

    @property
    def name(self) -> str:
        """Name in messages."""
        ...

    def solve(
        self, residual: Residual, z0: Tensor, scale: float, tol: float, max_iterations: int
    ) -> InnerResult:
        """Iterate from ``z0``.

        Args:
            residual: g, on flat tensors.
            z0: Where to start, flat.
            scale: Estimate of the largest eigenvalue of g', at least 1.
            tol: Tolerance on RMS(g(z) / (1 + abs(z))).
            max_iterations: Most iterations.
        """
        ...


def weighted_norm(z: Tensor, g: Tensor) -> float:
    """RMS of g / (1 + abs(z)) (one device read)."""
    return float((g / (1 + z.abs())).square().mean().sqrt())


@dataclass
class Iteration:
    """Counts iterations, keeps the best state and decides when to stop.

    Args:
        residual: g.
        tol: Tolerance on the weighted norm.
        max_iterations: Most iterations.
    """

    residual: Residual
    tol: float
    max_iterations: int
    iterations: int = 0
    evaluations: int = 0
    norm: float = math.inf
    best_norm: float = math.inf
    best: Tensor | None = None
    since_best: int = 0
    first_norm: float | None = field(default=None)

    def evaluate(self, z: Tensor) -> Tensor:
        """g(z), counted."""
        self.evaluations += 1
        return self.residual(z)

    def goes_on(self, z: Tensor, g: Tensor) -> bool:
        """Whether another iteration is wanted from ``z``; counts it if so."""
        self.look_at(z, g)
        first = self.first_norm if self.first_norm is not None else self.norm
        self.first_norm = first
        hopeless = not math.isfinite(self.norm) or self.norm > _GROWTH * max(first, self.tol)
        done = self.norm <= self.tol or hopeless or self.since_best >= _PATIENCE
        if done or self.iterations >= self.max_iterations:
            return False
        self.iterations += 1
        return True

    def look_at(self, z: Tensor, g: Tensor) -> None:
        """Compare ``z`` with the best state by its residual."""
        self.norm = weighted_norm(z, g)
        if self.best is None or self.norm < self.best_norm:
            self.best, self.best_norm, self.since_best = z, self.norm, 0
        else:
            self.since_best += 1

    def forget(self) -> None:
        """Drop the best state, because its residual was only predicted."""
        self.best, self.best_norm, self.since_best = None, math.inf, 0

    def result(self) -> InnerResult:
        """The best state, with its evaluated residual."""
        if self.best is None:
            raise RuntimeError("expected at least one state with an evaluated residual (got none)")
        done = self.best_norm <= self.tol
        return InnerResult(self.best, self.iterations, self.best_norm, self.evaluations, done)


def difference_step(z: Tensor) -> float:
    """Length of a displacement for difference quotients at ``z``: sqrt(eps) (sqrt(n) + |z|)."""
    eps = torch.finfo(z.dtype).eps
    return math.sqrt(eps) * (math.sqrt(z.numel()) + float(z.norm()))
