r"""The exact solution of linear diffusion at some nodes alone.

Row i of the matrix exponential is a column of the transposed one,

.. math::
    y_i(T) = \big( e^{\tau (A^\top - I)} e_i \big)^\top y_0 +
        T \Big( \int_0^1 e^{u \tau (A^\top - I)} du \; e_i \Big)^\top s, \qquad \tau = \alpha T,

so R nodes cost products with R columns instead of one per channel, forward and backward: a loss on
a few labelled nodes needs few. A measure is transported by the same matrix, as one more column.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from grandpp.linalg import CSR, add_sampled_product
from grandpp.linalg.once_differentiable import once_differentiable
from grandpp.linalg.products import channel_blocks
from grandpp.linalg.series import Series
from grandpp.solvers.base import Solution, SolveStats, Status, is_finite, parts_of
from grandpp.solvers.linear.exponential import Exact, LinearField, is_stochastic, series_rows
from grandpp.solvers.linear.polynomial import is_rounded
from grandpp.solvers.linear.recursion import Recursion, basis, fits, release
from grandpp.solvers.linear.system import SeriesError
from grandpp.vector_field import AnyField, State

# Columns come in multiples of this: products with odd numbers of them take as long as with more.
_LANES = 16
# A column costs more than a channel: the result takes a dense product more.
_COLUMN = 1.25


@dataclass(eq=False)
class ExactAtNodes:
    """:class:`~grandpp.solvers.Exact` for some nodes alone: states are ``[R, F]``.

    Built by :meth:`plan`, for one solve.

    Args:
        csr: Pattern of A, ``[N, N]``.
        weight: Values of A, ``[nnz]``.
        nodes: The nodes, int64 ``[R]``.
        columns: How many columns are multiplied, R and one for a measure or more.
        series: The series of tau.
        coefficients: Its coefficients, of the exponential and, where there is a source, of the
            integral.
        places: The nodes outside of which the source is 0, int64, or ``None`` for all.
        stats: Its cost.
    """

    csr: CSR
    weight: Tensor
    nodes: Tensor
    columns: int
    series: Series
    coefficients: Tensor
    places: Tensor | None
    stats: SolveStats = field(default_factory=SolveStats)
    method: str = "exact"
    _rows: tuple[Tensor, ...] | None = None

    @classmethod
    def plan(
        cls,
        exact: Exact,
        f: LinearField,
        y0: Tensor,
        time: Tensor,
        nodes: Tensor,
        sourced: bool,
        places: Tensor | None = None,
    ) -> ExactAtNodes | None:
        """The solver where it is cheaper than a solve for all nodes, else ``None``.

        Args:
            exact: Tolerance and budget.
            f: The field; its source does not matter yet.
            y0: Its initial state ``[N, F]``, or another tensor of that shape and type.
            time: The time span, a positive finite scalar.
            nodes: int64 ``[R]``.
            sourced: Whether the field will have a source.
            places: The nodes outside of which it will be 0. (default: ``None``, not known)
        """
        count, channels = y0.shape
        columns = -(-(nodes.numel() + sourced) // _LANES) * _LANES
        if columns * _COLUMN > channels or y0.dtype != f.weight.dtype or not nodes.numel():
            return None
        span = time.to("cpu", torch.float64)
        tau = f.alpha.to(span) * span
        try:
            series = exact.series(f, float(tau.detach()), sourced)
        except SeriesError:
            return None  # the solve for all nodes reports it
        cancellation = 2 * float(tau.detach()) if sourced else 1.0
        seen = is_rounded(series.products, series.chebyshev, cancellation, y0.dtype)
        of_channel = count * y0.element_size()
        held = fits(f.csr, columns * of_channel, channels * of_channel, series.products + 1)
        if series.products > exact.max_nfe or seen or not held:
            return None
        if not is_stochastic(f.csr, f.weight.detach()):
            return None
        coefficients = series_rows(tau, span, series, sourced)
        return cls(f.csr, f.weight, nodes, columns, series, coefficients, places)

    def carry(self, measure: Tensor) -> Tensor:
        """Transport a measure ``[N]`` over the time span, to the same tolerance."""
        self._rows = self._multiply(measure)
        return self._rows[0][:, self.nodes.numel()]

    def solve(self, f: AnyField, y0: State, ts: Tensor) -> Solution[Any]:
        """Return the state at the nodes at the end of the one time span, ``[1, R, F]``."""
        source: Any = getattr(f, "source", None)
        rows = self._rows or self._multiply(None)
        exponential, *integral = (v[:, : self.nodes.numel()] for v in rows)
        (features,) = parts_of(y0)
        y = exponential.t() @ features
        if source is not None:
            y = y + integral[0].t() @ self._source_rows(f, source)
        self.stats.steps += 1
        ok = is_finite(y)
        status = Status.SUCCESS if ok else Status.NON_FINITE
        reached = float(ts[-1 if ok else 0].detach())
        return Solution(ts[1:], y.unsqueeze(0), self.stats, status, reached)

    def _source_rows(self, f: Any, source: Tensor) -> Tensor:
        """The source at the places ``[I, F]``."""
        if self.places is None:
            return source
        known = getattr(f, "source_nodes", None)
        if known is not None and torch.equal(known, self.places):
            rows: Tensor = f.source_rows
            return rows
        return source.index_select(0, self.places)

    def _multiply(self, measure: Tensor | None) -> tuple[Tensor, ...]:
        size = self.nodes.numel()
        start = self.weight.new_zeros(self.csr.num_rows, self.columns)
        start[self.nodes, torch.arange(size, device=start.device)] = 1.0
        if measure is not None:
            start = torch.cat([start[:, :size], measure.unsqueeze(1), start[:, size + 1 :]], dim=1)
        blocks = channel_blocks(self.csr, start)
        parts: list[tuple[Tensor, ...]] = []
        for part in start.split(self.columns // blocks, dim=1):
            # All blocks together make the products of one.
            stats = SolveStats() if parts else self.stats
            about = (stats, self.series.chebyshev, self.places)
            column = part.contiguous()
            parts.append(_Rows.apply(self.csr, about, self.weight, self.coefficients, column))
        if blocks == 1:
            return parts[0]
        return tuple(torch.cat(same, dim=1) for same in zip(*parts, strict=True))


@once_differentiable
class _Rows(torch.autograd.Function):
    """sum_k c_ik B_k(A^T) v, that of the integral at some places; all B_k(A^T) v are kept."""

    @staticmethod
    def forward(
        ctx: Any,
        csr: CSR,
        about: tuple[SolveStats, bool, Tensor | None],
        weight: Tensor,
        coefficients: Tensor,
        v: Tensor,
    ) -> tuple[Tensor, ...]:
        stats, chebyshev, places = about
        rows, back = coefficients.tolist(), csr.transpose
        products = len(rows[0]) - 1
        keep = ctx.needs_input_grad[2] or ctx.needs_input_grad[3]
        spots = (None, places)[: len(rows)]
        sums, kept = tuple(torch.zeros_like(_at(v, spot)) for spot in spots), []
        values = weight.index_select(0, back.perm)
        for k, term in enumerate(basis(back, values, v, products, chebyshev, reuse=not keep)):
            for row, total, spot in zip(rows, sums, spots, strict=True):
                total.add_(_at(term, spot), alpha=row[k])
            if keep:
                kept.append(term)
        stats.nfe_forward += products
        ctx.csr, ctx.about, ctx.spots, ctx.kept = csr, about, spots, kept
        ctx.save_for_backward(weight, coefficients)
        return sums

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, coefficients = ctx.saved_tensors
        csr, (stats, chebyshev, _), kept = ctx.csr, ctx.about, ctx.kept
        grads = tuple(g.contiguous() for g in grads)
        recursion = Recursion(csr, weight, chebyshev, coefficients.tolist(), grads, ctx.spots)
        grad_weight = torch.zeros_like(weight) if ctx.needs_input_grad[2] else None
        # The adjoint of B_k v is the state at k; A makes B_{k+1} of B_k.
        state = recursion.top()
        for k in range(recursion.last - 1, -1, -1):
            if grad_weight is not None:
                twice = 2.0 if chebyshev and k > 0 else 1.0
                add_sampled_product(csr, kept[k], state[0], grad_weight, twice)
            following = recursion.run(state, k + 1, k)
            release(recursion.spares, state[-1])
            state = following
        stats.nfe_backward += recursion.products
        to_rows = None
        if ctx.needs_input_grad[3]:
            inner = [
                g.reshape(-1) @ _at(term, spot).reshape(-1)
                for g, spot in zip(grads, ctx.spots, strict=True)
                for term in kept
            ]
            to_rows = torch.stack(inner).view_as(coefficients).to(coefficients)
        return None, None, grad_weight, to_rows, state[0]


def _at(v: Tensor, places: Tensor | None) -> Tensor:
    return v if places is None else v.index_select(0, places)
