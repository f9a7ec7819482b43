r"""Inner solvers that move along a direction: Fletcher-Reeves and L-BFGS.

Both measure the curvature along the direction p with one evaluation at a trial point, and read the
step length and the next residual off the secant:

.. math::
    \eta = -\frac{g \cdot p}{p \cdot v}, \qquad g(z + \eta p) \approx g + \eta v, \qquad
    v = \frac{g(z + a p) - g(z)}{a} .

For linear f that is exact, so an iteration costs one evaluation where a line search costs two or
more; a predicted residual is evaluated before it is accepted. Where the prediction was wrong
(nonlinear f) the iteration starts again and evaluates every residual, two per iteration.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from grandpp.solvers.implicit.iteration import InnerResult, Iteration, Residual


class _Steepest:
    """The direction -g; the base class of methods with a memory."""

    def direction(self, g: Tensor) -> Tensor:
        return -g

    def learn(self, step: Tensor, change: Tensor) -> None:
        """Store a step and the change of the residual along it."""

    def restart(self) -> None:
        """Discard what is stored."""


class _FletcherReeves(_Steepest):
    def __init__(self) -> None:
        self.last: tuple[Tensor, Tensor] | None = None

    def direction(self, g: Tensor) -> Tensor:
        p, square = -g, g @ g
        if self.last is not None:
            p = p + square / self.last[1] * self.last[0]
        self.last = (p, square)
        return p

    def restart(self) -> None:
        self.last = None


class _Lbfgs(_Steepest):
    def __init__(self, memory: int) -> None:
        self.pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=memory)

    def direction(self, g: Tensor) -> Tensor:
        q, factors = -g, []
        for step, change, curvature in reversed(self.pairs):
            a = step @ q / curvature
            q = q - a * change
            factors.append(a)
        if self.pairs:
            _, change, curvature = self.pairs[-1]
            q = q * (curvature / (change @ change))
        for (step, change, curvature), a in zip(self.pairs, reversed(factors), strict=True):
            q = q + (a - change @ q / curvature) * step
        return q

    def learn(self, step: Tensor, change: Tensor) -> None:
        curvature = step @ change
        if bool(curvature > 0):
            self.pairs.append((step, change, curvature))

    def restart(self) -> None:
        self.pairs.clear()


def _descend(memory: _Steepest, it: Iteration, z: Tensor, scale: float) -> InnerResult:
    g = it.evaluate(z)
    trusting = True
    while True:
        z, g = _run(memory, it, z, g, scale, trusting)
        if not trusting or it.best is None:
            return it.result()
        # From here on only what was evaluated counts.
        promised, z = it.best_norm, it.best
        it.forget()
        g = it.evaluate(z)
        it.look_at(z, g)
        kept = it.best_norm <= max(it.tol, 2 * promised)
        if kept or it.iterations >= it.max_iterations or not math.isfinite(it.norm):
            return it.result()
        memory.restart()
        trusting = False


def _run(
    memory: _Steepest, it: Iteration, z: Tensor, g: Tensor, scale: float, trusting: bool
) -> tuple[Tensor, Tensor]:
    """Iterate until the tolerance, or until that is out of reach."""
    trial = torch.full((), 1 / scale, dtype=z.dtype, device=z.device)
    while it.goes_on(z, g):
        p = memory.direction(g)
        v = (it.evaluate(z + trial * p) - g) / trial
        slope, curvature = g @ p, p @ v
        # Where curvature or descent is lost the problem is no minimisation along p.
        lost = (curvature <= 0) | (slope >= 0) | ~torch.isfinite(curvature)
        if bool(lost):
            break
        trial = -slope / curvature
        z, before = z + trial * p, g
        g = g + trial * v if trusting else it.evaluate(z)
        memory.learn(trial * p, g - before)
    return z, g


@dataclass(frozen=True)
class FletcherReeves:
    r"""Nonlinear conjugate gradients (Fletcher and Reeves 1964; thesis eq. 5.8-5.9), the default.

    .. math:: p_i = -g_i + \frac{|g_i|^2}{|g_{i-1}|^2} p_{i-1}, \qquad z_{i+1} = z_i + \eta_i p_i

    with the step length of the secant where the thesis fixes 0.1. About sqrt(L) log(1/tol)
    iterations of one evaluation, L the largest eigenvalue of g'. Needs f to be a gradient field
    or close to one: a non-symmetric Jacobian ends in stagnation, which is reported.
    """

    name: str = "fr"

    def solve(
        self, residual: Residual, z0: Tensor, scale: float, tol: float, max_iterations: int
    ) -> InnerResult:
        """Iterate from ``z0``."""
        return _descend(_FletcherReeves(), Iteration(residual, tol, max_iterations), z0, scale)


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS (Liu and Nocedal 1989; thesis section 5.2.1.1).

    As many iterations as Fletcher-Reeves on linear f, fewer on nonlinear f.

    Args:
        memory: Pairs kept, two states each. (default: ``10``)
    """

    memory: int = 10
    name: str = "lbfgs"

    def solve(
        self, residual: Residual, z0: Tensor, scale: float, tol: float, max_iterations: int
    ) -> InnerResult:
        """Iterate from ``z0``."""
        return _descend(_Lbfgs(self.memory), Iteration(residual, tol, max_iterations), z0, scale)
