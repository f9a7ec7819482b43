"""Continuous normalising flow: a neural ODE with its change of density."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from grandpp.fields.bound import as_bound
from grandpp.fields.entry import solver_entry
from grandpp.image.flow.bijection import Bijection, Mapped, standard_normal_log_prob
from grandpp.image.flow.divergence import DIVERGENCES, DensityField, draw_noise
from grandpp.solvers import Solver, resolve_solver, solve


class ContinuousFlow(Bijection):
    r"""Map data x by z' = f(t, z) from t = 0 to T, where the density is standard normal.

    Source: Chen et al. (2018), theorem 1; Grathwohl et al. (2019), FFJORD.

    .. math:: \log p(x) = \log \mathcal N(z(T))
        + \int_0^T \operatorname{tr} \partial_z f(t, z)\, dt, \qquad z(0) = x

    Args:
        field: Right-hand side f(t, z) on batches ``[B, *shape]``, each sample by itself.
        shape: Shape of one sample.
        time: T. (default: ``1.0``)
        divergence: ``"rademacher"`` or ``"gaussian"`` noise for Hutchinson's estimator, unbiased
            for the integral too, or ``"exact"``. (default: ``"rademacher"``)
        solver: Name or solver object; proximal ones, too, which compute z without the trace.
            (default: ``"dopri5"``)

    Raises:
        ValueError: For an unknown choice, or a time that is not positive.

    Shape:
        x and z ``[B, *shape]``; log-densities ``[B]``.

    Note:
        An evaluation with Hutchinson's estimator costs one of f and one vector-Jacobian product;
        ``"exact"`` costs as many products as a sample has entries. Proximal solvers evaluate the
        trace once or twice per step. The inverse does not evaluate it.
    """

    def __init__(
        self,
        field: nn.Module,
        shape: tuple[int, ...],
        *,
        time: float = 1.0,
        divergence: str = "rademacher",
        solver: str | Solver = "dopri5",
    ) -> None:
        super().__init__()
        if not time > 0:
            raise ValueError(f"expected 'time' to be positive (got {time})")
        if divergence not in DIVERGENCES:
            raise ValueError(
                f"expected 'divergence' to be one of {', '.join(DIVERGENCES)} (got '{divergence}')"
            )
        self.field, self.shape, self.time = field, tuple(shape), time
        self.divergence, self.solver = divergence, resolve_solver(solver)

    @solver_entry
    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Mapped:
        """Map x to time T, with the change of density.

        Raises:
            ValueError: For samples of another shape.
            SolveError: If the solve fails.
        """
        self._check(x)
        field = DensityField(as_bound(self.field), draw_noise(self.divergence, x, generator))
        start = (x, x.new_zeros(len(x)))
        solution = solve(field, start, (0.0, self.time), solver=self.solver)
        z, change = solution.y
        return Mapped(z, change, (solution.stats,))

    @solver_entry
    def inverse(self, y: Tensor) -> Tensor:
        """Map z back to time 0, without the change of density."""
        self._check(y)
        field = as_bound(self.field)
        solution = solve(field, y, (self.time, 0.0), solver=self.solver)
        return solution.y

    def log_prob(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """log p(x) ``[B]``; an unbiased estimate with Hutchinson's estimator."""
        z, change, _ = self(x, generator)
        return standard_normal_log_prob(z) + change

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw samples ``[count, *shape]`` in the dtype and on the device of the parameters."""
        like = next(self.field.parameters(), torch.empty(0))
        z = torch.randn(count, *self.shape, generator=generator, dtype=like.dtype)
        return self.inverse(z.to(like.device))

    def _check(self, x: Tensor) -> None:
        if x.shape[1:] != torch.Size(self.shape):
            raise ValueError(
                f"expected samples [B, {', '.join(map(str, self.shape))}] (got {list(x.shape)})"
            )

    def extra_repr(self) -> str:
        """Shape, time, divergence and solver."""
        return (
            f"shape={self.shape}, time={float(self.time):g}, divergence={self.divergence}, "
            f"solver={self.solver}"
        )
