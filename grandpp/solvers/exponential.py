r"""The exact solution of linear diffusion: the action of a matrix exponential, by uniformisation.

For row-stochastic A, :math:`y' = \alpha (A - I) y + s` has the solution

.. math::
    y(T) = \sum_{k=0}^{\infty} A^k \big( p_k\, y_0 + T c_k\, s \big), \qquad
    p_k = e^{-\tau} \frac{\tau^k}{k!}, \quad c_k = \sum_{j \ge k} \frac{p_j}{j + 1},
    \quad \tau = \alpha T .

Both sequences are non-negative and sum to 1, and no power of A enlarges a maximum, so cutting the
sums after K terms costs at most :math:`\sum_{k>K} p_k` of :math:`\max |y_0|` and
:math:`\sum_{k>K} c_k` of :math:`T \max |s|`: the error is known before the first product. The cut
sums are scaled back to 1, which at most doubles the bound and keeps constants exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from grandpp.ops import CSR, sddmm
from grandpp.solvers.base import Solution, SolveStats, State, Status, VectorField, is_finite
from grandpp.solvers.poisson import PoissonSeries

# States kept per level when the backward pass visits the trajectory in reverse.
_CHUNK = 8


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
    """Uniformisation with an a-priori error bound (Grassmann 1977, applied to graph diffusion).

    Args:
        rtol: Bound on the error relative to max |y0| + T max |s|, before rounding.
        max_nfe: Budget of products of one forward solve.

    Raises:
        ValueError: If ``rtol`` is not in (0, 1) or ``max_nfe`` not positive.

    Note:
        About tau + 6 sqrt(tau) products forward, as many again for the gradient to y0 and s, and
        two to three times as many where edge weights want one. The backward pass keeps 8 states
        per level of 8-fold recursion (8 states up to 8 products, 16 up to 64, 24 up to 512).
        Keeps positivity and constants.
    """

    rtol: float = 1e-6
    max_nfe: int = 100_000
    method: str = "exact"

    def __post_init__(self) -> None:
        if not 0 < self.rtol < 1:
            raise ValueError(f"expected rtol between 0 and 1 (got {self.rtol})")
        if self.max_nfe < 1:
            raise ValueError(f"expected max_nfe to be positive (got {self.max_nfe})")

    def solve(self, f: VectorField, y0: State, ts: Tensor) -> Solution:
        """Carry ``y0`` from ``ts[0]`` through ``ts[1:]``, forward in time.

        Raises:
            TypeError: If the field is not linear or the state is a tuple.
            ValueError: If time runs backwards, where diffusion is ill-posed.
        """
        if not isinstance(f, LinearField) or not isinstance(y0, Tensor):
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
        # At least tau products are needed, which is known before the first one.
        if float(f.alpha.detach()) * float((ts[-1] - ts[0]).detach()) > self.max_nfe:
            nothing = torch.full_like(y0, torch.nan).expand(len(ts) - 1, *y0.shape)
            start = float(ts[0].detach())
            return Solution(ts[1:], nothing, stats, Status.MAX_NFE, start)
        states, y = [], y0
        for t0, t1 in pairwise(ts):
            y = _Uniformisation.apply(
                f.csr, stats, self.rtol, f.weight, f.alpha, t1 - t0, y, f.source
            )
            stats.steps += 1
            states.append(y)
        ok = is_finite(y)
        status = Status.SUCCESS if ok else Status.NON_FINITE
        reached = float((ts[-1] if ok else ts[0]).detach())
        return Solution(ts[1:], torch.stack(states), stats, status, reached)


class _Uniformisation(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        csr: CSR,
        stats: SolveStats,
        tol: float,
        weight: Tensor,
        alpha: Tensor,
        duration: Tensor,
        y0: Tensor,
        source: Tensor | None,
    ) -> Tensor:
        time = float(duration)
        series = PoissonSeries.cut(float(alpha) * time, tol)
        horner = _Horner(csr.matrix(weight), series, time, y0, source)
        ctx.csr, ctx.stats, ctx.series, ctx.time = csr, stats, series, time
        ctx.save_for_backward(weight, alpha, duration, y0, source)
        y = horner.run(horner.top(), series.products, 0)
        stats.nfe_forward += horner.products
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        csr, series, time = ctx.csr, ctx.series, ctx.time
        weight, alpha, duration, y0, source = ctx.saved_tensors
        horner = _Horner(csr.matrix(weight), series, time, y0, source)
        states = grad_weight = None
        if ctx.needs_input_grad[3]:
            states = horner.ascending(horner.top(), series.products, 1)
            grad_weight = torch.zeros_like(weight)
        back = csr.transpose
        transposed = back.matrix(weight[back.perm])
        adjoint = grad
        # sums over k of p_k, dp_k, c_k, dc_k times (A^T)^k grad
        sums = [torch.zeros_like(grad) for _ in range(2 if source is None else 4)]
        columns = (series.p, series.dp, series.c, series.dc)
        for k in range(series.products + 1):
            for total, coefficient in zip(sums, columns, strict=False):
                total.add_(adjoint, alpha=float(coefficient[k]))
            if k == series.products:
                break
            if grad_weight is not None and states is not None:
                grad_weight += sddmm(csr, adjoint, next(states))
            adjoint = transposed @ adjoint
        ctx.stats.nfe_backward += series.products + horner.products
        grad_tau = (sums[1] * y0).sum()
        grad_time = alpha * grad_tau
        grad_source = None
        if source is not None:
            grad_tau = grad_tau + time * (sums[3] * source).sum()
            grad_time = alpha * grad_tau + (sums[2] * source).sum()
            grad_source = time * sums[2]
        grad_alpha = (time * grad_tau).to(alpha.dtype)
        grad_duration = grad_time.to(duration.dtype)
        return None, None, None, grad_weight, grad_alpha, grad_duration, sums[0], grad_source


@dataclass
class _Horner:
    """The recursion v_k = A v_{k+1} + p_k y_0 + T c_k s, from v_K down to v_0 = y(T)."""

    matrix: Tensor
    series: PoissonSeries
    time: float
    y0: Tensor
    source: Tensor | None
    products: int = 0

    def top(self) -> Tensor:
        return self._add(torch.zeros_like(self.y0), self.series.products)

    def run(self, v: Tensor, start: int, stop: int) -> Tensor:
        """From v_start to v_stop, keeping nothing in between."""
        for k in range(start - 1, stop - 1, -1):
            v = self._add(self.matrix @ v, k)
        self.products += start - stop
        return v

    def ascending(self, v: Tensor, top: int, bottom: int) -> Iterator[Tensor]:
        """Yield v_bottom, ..., v_top, recomputing from a few kept states per level."""
        if top < bottom:
            return
        stride = max(1, -(-(top - bottom + 1) // _CHUNK))
        tops = list(range(top, bottom - 1, -stride))
        kept = [v]
        for upper, lower in pairwise(tops):
            kept.append(self.run(kept[-1], upper, lower))
        while kept:
            last, high = kept.pop(), tops.pop()
            if stride == 1:
                yield last
            else:
                yield from self.ascending(last, high, max(bottom, high - stride + 1))

    def _add(self, v: Tensor, k: int) -> Tensor:
        v.add_(self.y0, alpha=float(self.series.p[k]))
        if self.source is not None:
            v.add_(self.source, alpha=self.time * float(self.series.c[k]))
        return v
