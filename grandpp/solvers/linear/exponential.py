r"""The exact solution of linear diffusion: the action of a matrix exponential on features.

For row-stochastic A, :math:`y' = \alpha (A - I) y + s` has the solution

.. math::
    y(T) = e^{\tau (A - I)} y_0 + T \int_0^1 e^{u \tau (A - I)} du \; s, \qquad \tau = \alpha T,

a power series in A with Poisson probabilities (uniformisation): no power of A enlarges a maximum,
so the error of cutting it is known before the first product. Where A is a random walk on an
undirected graph its spectrum is real, and Chebyshev polynomials need only a root of the terms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from grandpp.linalg import CSR, multiply
from grandpp.linalg.arguments import check_integer, check_number
from grandpp.linalg.once_differentiable import once_differentiable
from grandpp.linalg.series import Series
from grandpp.solvers.base import Solution, SolveStats, Status, is_finite
from grandpp.solvers.linear.polynomial import apply_polynomials, rounding, widen
from grandpp.solvers.linear.system import LinearSystem, SeriesError, SystemSeries
from grandpp.vector_field import AnyField, State, VectorField


@runtime_checkable
class LinearField(VectorField, Protocol):
    """A field y' = alpha (A - I) y + s with row-stochastic A."""

    @property
    def csr(self) -> CSR:
        """Pattern of A, ``[N, N]``."""
        ...

    @property
    def weight(self) -> Tensor:
        """Values of A in the order of ``csr``, ``[nnz]``."""
        ...

    @property
    def alpha(self) -> Tensor:
        """Rate, a non-negative scalar."""
        ...

    @property
    def source(self) -> Tensor | None:
        """Constant source s ``[N, F]``."""
        ...


@dataclass(frozen=True)
class Exact:
    r"""Uniformisation (Grassmann 1977) or Chebyshev expansion with an a-priori error bound.

    For linear diffusion, and for linear systems on a graph (:mod:`grandpp.solvers.linear.system`)
    such as heavy balls.

    Args:
        rtol: Bound on the error from one saved time to the next, before rounding, relative to
            :math:`|y_0| + \min(T, 1 / r)\, |s|` with the fastest rate r (2 alpha for linear
            diffusion), the least that the effect of a source can have grown to: in the maximum
            norm for uniformisation, in the degree-weighted Euclidean norm for Chebyshev.
        max_nfe: Budget of products of one forward solve.

    Raises:
        ValueError: If ``rtol`` is not in (0, 1) or ``max_nfe`` not positive.

    Note:
        About tau + 6 sqrt(tau) products forward (uniformisation: any row-stochastic A, keeps
        positivity), or sqrt(2 tau log(2 / rtol)) (Chebyshev: taken for the random walk with
        symmetric weights, where it is cheaper). As many again for the gradient to y0 and s. The
        gradient to edge weights needs the states of the forward pass in reverse: as many as fit
        into 20 MiB are kept (at least 8, twice as many arrays for Chebyshev; on the CPU of each
        block of channels that is computed by itself to fit into the cache), spread evenly, and
        the others computed again, once if they lie between kept ones. Gradients cannot be
        differentiated again. Constants are kept exactly.
    """

    rtol: float = 1e-6
    max_nfe: int = 100_000
    method: str = "exact"

    def __post_init__(self) -> None:
        check_number("rtol", self.rtol)
        check_integer("max_nfe", self.max_nfe)
        if not 0 < self.rtol < 1:
            raise ValueError(f"expected rtol between 0 and 1 (got {self.rtol})")
        if self.max_nfe < 1:
            raise ValueError(f"expected max_nfe to be positive (got {self.max_nfe})")

    def solve(self, f: AnyField, y0: State, ts: Tensor) -> Solution[Any]:
        """Integrate ``y0`` from ``ts[0]`` through ``ts[1:]``, forward in time.

        Raises:
            TypeError: If the field is not linear or the state is a tuple.
            ValueError: If time runs backwards, where diffusion is ill-posed.
        """
        if not isinstance(f, LinearField | LinearSystem) or not isinstance(y0, Tensor):
            raise TypeError(
                "expected a linear diffusion field for solver='exact' (got a field whose operator "
                "depends on the state or is unknown): use mode='linear' or another solver"
            )
        if bool(ts[-1] < ts[0]):
            raise ValueError(
                "expected time to run forwards for solver='exact': "
                "diffusion backwards in time is ill-posed"
            )
        stats = SolveStats()
        states, y = [], y0
        start = float(ts[0].detach())
        if not is_stochastic(f.csr, f.weight.detach()):
            return _failed(y0, ts, stats, Status.NOT_STOCHASTIC, start)
        step = self._step_system if isinstance(f, LinearSystem) else self._step
        for t0, t1 in pairwise(ts):
            try:
                y = step(f, y, t1 - t0, stats)
            except SeriesError as error:
                return _failed(y0, ts, stats, error.status, float(t0.detach()))
            stats.steps += 1
            states.append(y)
        ok = is_finite(y)
        status = Status.SUCCESS if ok else Status.NON_FINITE
        reached = float(ts[-1].detach()) if ok else start
        return Solution(ts[1:], torch.stack(states), stats, status, reached)

    def _step_system(self, f: Any, y: Tensor, duration: Tensor, stats: SolveStats) -> Tensor:
        series = SystemSeries.expand(f, duration, self.rtol, self.max_nfe)
        self._check_budget(stats, series.products)
        return series.apply(f, y, stats)

    def _check_budget(self, stats: SolveStats, products: int) -> None:
        if stats.nfe_forward + products > self.max_nfe:
            raise SeriesError(Status.MAX_NFE)

    def _step(self, f: Any, y: Tensor, duration: Tensor, stats: SolveStats) -> Tensor:
        time = duration.to("cpu", torch.float64)
        tau = f.alpha.to(time) * time
        series = self.series(f, float(tau.detach()), f.source is not None)
        self._check_budget(stats, series.products)
        nodes, rows = getattr(f, "source_nodes", None), getattr(f, "source_rows", None)
        if rows is None and nodes is not None and f.source is not None:
            rows = f.source.index_select(0, nodes)
        source = f.source if nodes is None else rows
        return apply_series(f.csr, f.weight, source, y, series, tau, time, stats, nodes)

    def series(self, f: LinearField, tau: float, sourced: bool) -> Series:
        """The shorter of the two series of a field, with or without a source.

        Raises:
            SeriesError: If both are beyond the budget.
        """
        # Below this the power series is as short; the check for reversibility reads every edge.
        reversible = tau > 10 and bool(getattr(f, "reversible", False))
        if (math.sqrt(tau) if reversible else tau) > self.max_nfe:
            raise SeriesError(Status.MAX_NFE)
        # The integral counts T times. A balanced source adds up to no more than the longest mode
        # lasts, and to no less than s / 2 alpha: the share 1 / 2 tau of T s.
        integral_tol = self.rtol
        if sourced:
            integral_tol *= min(1.0, 0.5 / tau) if tau > 0 else 1.0
        expand = Series.chebyshev_polynomials if reversible else Series.powers
        return expand(tau, self.rtol, integral_tol)


def apply_series(
    csr: CSR,
    weight: Tensor,
    source: Tensor | None,
    y: Tensor,
    series: Series,
    tau: Tensor,
    time: Tensor,
    stats: SolveStats,
    source_nodes: Tensor | None = None,
    spares: list[Tensor] | None = None,
) -> Tensor:
    """The state after a time, by the series of the solution.

    Args:
        csr: Pattern of A, ``[N, N]``.
        weight: Values of A, ``[nnz]``.
        source: s ``[N, F]``, or with ``source_nodes`` its rows there ``[R, F]``, or ``None``.
        y: State ``[N, F]`` before.
        series: The series of tau.
        tau: alpha times the time, float64 on the CPU.
        time: The time, likewise.
        stats: Where products are counted.
        source_nodes: The nodes outside of which the source is 0. (default: ``None``, not known)
        spares: See :func:`~grandpp.solvers.linear.polynomial.apply_polynomials`. (default:
            ``None``)
    """
    coefficients = series_rows(tau, time, series, source is not None)
    inputs: tuple[Tensor, ...] = (y,)
    places: tuple[Tensor | None, ...] | None = None
    cancellation = 1.0
    if source is not None:
        inputs = (y, source)
        places = (None, source_nodes)
        cancellation = 2 * float(tau.detach())
    error = rounding(series.products, series.chebyshev, cancellation)
    weight, inputs = widen(csr, weight, inputs, error)
    result = apply_polynomials(
        csr,
        weight,
        coefficients,
        inputs,
        chebyshev=series.chebyshev,
        stats=stats,
        places=places,
        spares=spares,
    )
    return result.to(y.dtype)


def series_rows(tau: Tensor, time: Tensor, series: Series, sourced: bool) -> Tensor:
    """Coefficients of the exponential, and of the integral that brings the source in.

    Args:
        tau, time, series: As in :func:`apply_series`.
        sourced: Whether there is a source.

    Returns:
        ``[1, K + 1]`` or, with a source, ``[2, K + 1]``, float64, differentiable in both times.
    """
    rows: Tensor = _Coefficients.apply(tau, series)
    # The time is the length of the integral.
    return torch.stack([rows[0], time * rows[1]]) if sourced else rows[:1]


def is_stochastic(csr: CSR, weight: Tensor) -> bool:
    """Whether rows sum to 1 and no entry is negative, as far as bounds show it (one read).

    Rounding and the small displacements of numerical derivatives pass.
    """
    slack = max(1e-3, 4 * torch.finfo(weight.dtype).eps)
    ones = torch.ones(csr.num_cols, 1, dtype=weight.dtype, device=weight.device)
    off = (multiply(csr, weight, ones) - 1).abs().amax()
    lowest = weight.amin() if weight.numel() else off
    if not csr.reductions.is_local:
        off, negative = csr.reductions.max(torch.stack([off, -lowest]))
        lowest = -negative
    # Entries that are not finite belong to another failure.
    return not bool((off > slack) | (lowest < -slack))


def _failed(y0: Tensor, ts: Tensor, stats: SolveStats, status: Status, t: float) -> Solution:
    nothing = torch.full_like(y0, torch.nan).expand(len(ts) - 1, *y0.shape)
    return Solution(ts[1:], nothing, stats, status, t)


@once_differentiable
class _Coefficients(torch.autograd.Function):
    """Both rows of a series as a function of tau, which has shaped it."""

    @staticmethod
    def forward(ctx: Any, tau: Tensor, series: Series) -> Tensor:
        ctx.slopes = torch.from_numpy(np.stack([series.dp, series.dc]))
        return torch.from_numpy(np.stack([series.p, series.c]))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return (grad * ctx.slopes).sum(), None
