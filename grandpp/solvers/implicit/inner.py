"""The inner solvers of implicit steps (thesis section 5.2.1.1), by name.

All find z with g(z) = z - b - s f(z) = 0, whose Jacobian I - s f' has eigenvalues between 1 and L
where f' is symmetric and not positive; L comes from an estimate, so that they converge at every
step size. (The fixed step 0.1 that the thesis prints cannot once L passes 20.)
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from grandpp.linalg.krylov import gmres
from grandpp.solvers.implicit.descent import LBFGS, FletcherReeves
from grandpp.solvers.implicit.iteration import (
    InnerResult,
    InnerSolver,
    Iteration,
    Residual,
    difference_step,
    weighted_norm,
)


@dataclass(frozen=True)
class GradientDescent:
    r"""Gradient descent (thesis eq. 5.7): :math:`z \leftarrow z - g(z) / L`.

    About L log(1/tol) iterations of one evaluation.
    """

    name: str = "gd"

    def solve(
        self, residual: Residual, z0: Tensor, scale: float, tol: float, max_iterations: int
    ) -> InnerResult:
        """Iterate from ``z0``."""
        it, z = Iteration(residual, tol, max_iterations), z0
        g = it.evaluate(z)
        while it.goes_on(z, g):
            z = z - g / scale
            g = it.evaluate(z)
        return it.result()


@dataclass(frozen=True)
class Nesterov:
    r"""Nesterov's accelerated gradient (Nesterov 1983).

    .. math:: z_{i+1} = y_i - g(y_i)/L, \qquad y_{i+1} = z_{i+1} + \beta_i (z_{i+1} - z_i)

    Without restart :math:`\beta = (\sqrt L - 1)/(\sqrt L + 1)`, right because g' >= 1 is known;
    with restart :math:`\beta_i = i/(i+3)`, back to 0 where the momentum points uphill (O'Donoghue
    and Candes 2015). About sqrt(L) log(1/tol) iterations of one evaluation.

    Args:
        restart: Grow the momentum and restart it. (default: ``False``)
    """

    restart: bool = False

    @property
    def name(self) -> str:
        """Name in messages."""
        return "nag_restart" if self.restart else "nag"

    def solve(
        self, residual: Residual, z0: Tensor, scale: float, tol: float, max_iterations: int
    ) -> InnerResult:
        """Iterate from ``z0``."""
        it, z, y = Iteration(residual, tol, max_iterations), z0, z0
        root = math.sqrt(scale)
        constant, age = (root - 1) / (root + 1), 0
        g = it.evaluate(y)
        while it.goes_on(y, g):
            before, z = z, y - g / scale
            age = 0 if self.restart and bool(g @ (z - before) > 0) else age + 1
            y = z + (age / (age + 3) if self.restart else constant) * (z - before)
            g = it.evaluate(y)
        return it.result()


@dataclass(frozen=True)
class FixedPoint:
    r"""Picard iteration :math:`z \leftarrow z - \omega\, g(z)` with Aitken's relaxation.

    .. math:: \omega_i = \frac{\Delta z \cdot \Delta g}{\Delta g \cdot \Delta g}, \quad
        \omega_0 = 1/L

    (Irons and Tuck 1969). The plain iteration, omega = 1, converges for s |f'| < 1 alone. About
    L log(1/tol) iterations at worst, far fewer in practice; not monotone.
    """

    name: str = "fixed_point"

    def solve(
        self, residual: Residual, z0: Tensor, scale: float, tol: float, max_iterations: int
    ) -> InnerResult:
        """Iterate from ``z0``."""
        it, z = Iteration(residual, tol, max_iterations), z0
        g = it.evaluate(z)
        safe = torch.full((), 1 / scale, dtype=z.dtype, device=z.device)
        omega = safe
        while it.goes_on(z, g):
            step = -omega * g
            z, before = z + step, g
            g = it.evaluate(z)
            change = g - before
            omega = step @ change / (change @ change)
            omega = torch.where(torch.isfinite(omega) & (omega > 0), omega, safe)
        return it.result()


@dataclass(frozen=True)
class Anderson:
    r"""Anderson acceleration (Anderson 1965; future work in thesis remark 6).

    The step :math:`z - g/L - (\Delta Z - \Delta G / L)\,\gamma` with the gamma that makes
    :math:`g - \Delta G \gamma` smallest. Needs no symmetry. One evaluation and one small
    least-squares problem per iteration.

    Args:
        memory: Differences kept, two states each. (default: ``20``)
    """

    memory: int = 20
    name: str = "anderson"

    def solve(
        self, residual: Residual, z0: Tensor, scale: float, tol: float, max_iterations: int
    ) -> InnerResult:
        """Iterate from ``z0``."""
        it, z = Iteration(residual, tol, max_iterations), z0
        pairs: deque[tuple[Tensor, Tensor]] = deque(maxlen=self.memory)
        g = it.evaluate(z)
        while it.goes_on(z, g):
            step = -g / scale
            if pairs:
                dz = torch.stack([p[0] for p in pairs], dim=1)
                dg = torch.stack([p[1] for p in pairs], dim=1)
                gamma = _small_least_squares(dg, g)
                step = step - (dz - dg / scale) @ gamma
            before = g
            z = z + step
            g = it.evaluate(z)
            size = step.norm().clamp_min(torch.finfo(z.dtype).tiny)
            pairs.append((step / size, (g - before) / size))
        return it.result()


@dataclass(frozen=True)
class NewtonKrylov:
    r"""Newton's method with GMRES on difference quotients of g (Knoll and Keyes 2004).

    .. math:: g'(z)\, d = -g(z), \qquad z \leftarrow z + \lambda d, \qquad
        g'(z) v \approx \big(g(z + \epsilon v) - g(z)\big) / \epsilon

    Needs no symmetry and no second derivatives. Directions of GMRES count as iterations; lambda
    is halved until the residual falls.

    Args:
        restart: Directions kept at once, one state each. (default: ``40``)
    """

    restart: int = 40
    name: str = "newton_krylov"

    def solve(
        self, residual: Residual, z0: Tensor, scale: float, tol: float, max_iterations: int
    ) -> InnerResult:
        """Iterate from ``z0``."""
        it, z = Iteration(residual, tol, max_iterations), z0
        g = it.evaluate(z)
        while it.goes_on(z, g):
            step, left = self._direction(it, z, g)
            norm, length = it.norm, 1.0
            while True:
                trial = z + length * step
                new = it.evaluate(trial)
                if weighted_norm(trial, new) < norm or length < 1 / 64:
                    break
                length /= 2
            z, g = trial, new
            it.iterations += left
        return it.result()

    def _direction(self, it: Iteration, z: Tensor, g: Tensor) -> tuple[Tensor, int]:
        """An approximate Newton step and the iterations it took beyond the one counted."""
        eps = difference_step(z)

        def product(v: Tensor) -> Tensor:
            return (it.evaluate(z + eps * v) - g) / eps

        # No more accuracy than the tolerance requires or difference quotients give.
        wanted = max(1e-3, 0.3 * it.tol / it.norm)

        def scaled(v: Tensor) -> Tensor:
            size = float(v.norm())
            return size * product(v / size) if size > 0 else v

        budget = it.max_iterations - it.iterations + 1
        step, used, _ = gmres(scaled, -g, wanted, budget, self.restart)
        return step, max(0, used - 1)


def _small_least_squares(matrix: Tensor, target: Tensor) -> Tensor:
    """Least squares for a few nearly dependent columns, on any device."""
    size = matrix.norm(dim=0).clamp_min(torch.finfo(matrix.dtype).tiny)
    q, r = torch.linalg.qr(matrix / size)
    cut = 10 * torch.finfo(matrix.dtype).eps
    return (torch.linalg.pinv(r, rtol=cut) @ (q.T @ target)) / size


_SOLVERS: tuple[InnerSolver, ...] = (
    FletcherReeves(),
    GradientDescent(),
    Nesterov(),
    Nesterov(restart=True),
    LBFGS(),
    Anderson(),
    FixedPoint(),
    NewtonKrylov(),
)
INNER_SOLVERS: dict[str, InnerSolver] = {solver.name: solver for solver in _SOLVERS}
"""Inner solvers by name."""


def resolve_inner(inner: str | InnerSolver) -> InnerSolver:
    """Turn a name into an inner solver; an object is returned as it is.

    Raises:
        ValueError: For an unknown name.
    """
    if not isinstance(inner, str):
        return inner
    if inner not in INNER_SOLVERS:
        raise ValueError(
            f"expected 'inner' to be one of {', '.join(INNER_SOLVERS)} (got '{inner}')"
        )
    return INNER_SOLVERS[inner]
