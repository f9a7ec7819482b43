r"""The occupation measure of diffusion: it tells which sources make a weighted mean drift.

.. math:: \pi_\tau = \frac1\tau \int_\tau^{2\tau} e^{t (A^\top - I)} \mu \, dt
    = \sum_{k \ge 0} c_k (A^\top)^k \mu, \qquad
    c_k = \frac1\tau \big( P(N_{2\tau} > k) - P(N_\tau > k) \big), \quad
    N_\tau \sim \mathrm{Poisson}(\tau)

The coefficients :math:`c_k` are positive and sum to 1. Let :math:`\mu_\tau = e^{\tau (A^\top - I)}
\mu` be the measure that :math:`\mu` becomes. For :math:`z' = \alpha ((A - I) z + s)` and
:math:`\tau = \alpha T`

.. math:: \mu_\tau^\top z(T) = \mu_\tau^\top e^{\tau (A - I)} z(0) + \tau \, \pi_\tau^\top s ,

so a source with :math:`\pi_\tau^\top s = 0` adds exactly nothing to the mean of z(T) weighted by
:math:`\mu_\tau`. For :math:`\tau \to 0` both measures are :math:`\mu`, for :math:`\tau \to \infty`
the stationary measure that is reached from :math:`\mu`. They reach it exponentially fast, so the
state tends to the solution at infinite time. (The mean weighted by :math:`\mu` itself would need
:math:`\frac1\tau \int_0^\tau`, whose distance from the stationary measure falls like
:math:`1 / \tau` only: times :math:`\tau` a constant shift would remain for ever.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grandpp.ops import CSR, normalize_rows, sample
from grandpp.series import Series

# Bound on the part of the series that is cut off, by the type of the state.
_TOLERANCE = {torch.float32: 1e-8}
_TOLERANCE_OF_OTHERS = 1e-13
# Iterates that differ by less than this, relative to the largest entry, are taken as equal.
_EQUAL = 1e-14
_CHECK_EVERY = 8  # a comparison waits for the device
# Iterates kept for the gradient fit into this many bytes; of longer series every m-th is kept and
# the others are computed again, m of them at a time.
_KEPT_BYTES = 20 * 2**20
_KEPT_AT_LEAST = 8


def occupation_measure(csr: CSR, weight: Tensor, start: Tensor, tau: Tensor) -> Tensor:
    r"""Return the measure :math:`\pi_\tau` that is reached from ``start``.

    Args:
        csr: Pattern of A ``[N, N]``.
        weight: Its row-stochastic values ``[nnz]``.
        start: The measure mu ``[N]``, not negative.
        tau: :math:`\alpha T \ge 0`, a scalar.

    Returns:
        ``[N]`` in the type of ``weight``; differentiable once in ``weight``, ``start`` and ``tau``.

    Cost: about 2 tau + 8 sqrt(tau) products with one vector in float64, fewer where the iterates
    stop changing; as many backward and one sampled product for the gradient to the weights.
    Memory: the iterates, at most 20 MiB or a few multiples of the root of their number.
    """
    measure: Tensor = _Occupation.apply(csr, weight, start, tau)
    return measure


class _Occupation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, csr: CSR, weight: Tensor, start: Tensor, tau: Tensor) -> Tensor:
        tolerance = _TOLERANCE.get(weight.dtype, _TOLERANCE_OF_OTHERS)
        c, slope = _coefficients(float(tau), tolerance)
        c_after, slope_after = _tail_sums(c), _tail_sums(slope)
        length = _block_length(len(c), start)
        kept: list[Tensor] = []
        measure, to_tau = torch.zeros_like(start.double()), torch.zeros_like(start.double())
        # All iterates from the last one on are equal to it.
        for k, v, is_last in _until_equal(_transposed(csr, weight), start.detach(), len(c)):
            if k % length == 0 or len(c) <= length:
                kept.append(v.to(weight.dtype))
            measure.add_(v, alpha=(c_after if is_last else c)[k])
            to_tau.add_(v, alpha=(slope_after if is_last else slope)[k])
            ctx.last = k
        ctx.csr, ctx.kept, ctx.length, ctx.coefficients = csr, kept, length, c
        ctx.dtypes = (start.dtype, tau.detach())
        ctx.save_for_backward(weight, to_tau)
        return measure.to(weight.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor | None, Tensor, Tensor]:
        csr: CSR = ctx.csr
        weight, to_tau = ctx.saved_tensors
        start_dtype, tau = ctx.dtypes
        g, c = grad.double(), ctx.coefficients
        matrix = csr.matrix(_double(csr, weight))
        wanted = ctx.needs_input_grad[1]
        grad_weight = torch.zeros_like(weight) if wanted else None
        # The adjoint of v_k is l_k = c_k g + A l_{k+1}, and A, which makes v_{k+1} of v_k, gets
        # v_k l_{k+1}^T. To the equal iterates belongs the sum of their adjoints.
        adjoint, partner = _adjoints_after(matrix, g, c[ctx.last + 1 :])
        for first, iterates in _blocks(ctx, weight):
            partners = []
            for k in range(first + len(iterates) - 1, first - 1, -1):
                partners.append(partner.to(weight.dtype))
                partner = adjoint = (matrix @ adjoint).add_(g, alpha=c[k])
            if grad_weight is not None:
                a, b = torch.stack(iterates, 1), torch.stack(partners[::-1], 1)
                grad_weight.add_(sample(csr, a, b))
        return None, grad_weight, adjoint.to(start_dtype), (to_tau @ g).to(tau).view_as(tau)


def _until_equal(matrix: Tensor, v: Tensor, count: int) -> Iterator[tuple[int, Tensor, bool]]:
    """Yield (k, M^k v, whether it is the last) for k < count; the rest is equal to the last."""
    before = v.double()
    for k, v in enumerate(_powers(matrix, before, count)):
        equal = k % _CHECK_EVERY == 1 and bool(
            (v - before).abs().amax() <= _EQUAL * before.abs().amax()
        )
        yield k, v, equal or k == count - 1
        if equal:
            return
        before = v


def _adjoints_after(matrix: Tensor, g: Tensor, c: list[float]) -> tuple[Tensor, Tensor]:
    """The first adjoint l_0 = sum_m c_m A^m g, and the sum of all: the iterates are the same."""
    first, together = torch.zeros_like(g), torch.zeros_like(g)
    if c:
        after = _tail_sums(c)
        after_that = _tail_sums(after)
        for m, power, is_last in _until_equal(matrix, g, len(c)):
            first.add_(power, alpha=(after if is_last else c)[m])
            together.add_(power, alpha=(after_that if is_last else after)[m])
    return first, together


def _tail_sums(values: list[float]) -> list[float]:
    """Sums of all values from each index on."""
    return np.cumsum(values[::-1])[::-1].tolist()


def _coefficients(tau: float, tolerance: float) -> tuple[list[float], list[float]]:
    """The coefficients and their derivatives to tau; both series cut off at the tolerance."""
    once, twice = Series.powers(tau, tolerance), Series.powers(2 * tau, tolerance)
    c, dc = 2 * twice.c, 4 * twice.dc  # at least as long
    c[: len(once.c)] -= once.c
    dc[: len(once.c)] -= once.dc
    return c.tolist(), dc.tolist()


def _double(csr: CSR, weight: Tensor) -> Tensor:
    """Values in float64; rows that sum to 1 only in float32 would let the measure grow or fade."""
    return weight if weight.dtype == torch.float64 else normalize_rows(csr, weight.double())


def _transposed(csr: CSR, weight: Tensor) -> Tensor:
    """A^T as a sparse matrix in float64; with a single vector its product is the fastest."""
    return csr.transpose.matrix(_double(csr, weight).index_select(0, csr.transpose.perm))


def _powers(matrix: Tensor, v: Tensor, count: int) -> Iterator[Tensor]:
    """Yield v, M v, ..., M^(count - 1) v."""
    yield v
    for _ in range(count - 1):
        v = matrix @ v
        yield v


def _block_length(count: int, start: Tensor) -> int:
    """How many iterates are held at once: the root of their number, or as many as fit."""
    fit = _KEPT_BYTES // max(1, start.element_size() * start.numel())
    return max(_KEPT_AT_LEAST, fit, math.isqrt(count) + 1)


def _blocks(ctx: Any, weight: Tensor) -> Iterator[tuple[int, list[Tensor]]]:
    """Yield runs of iterates with the index of their first, the last ones first."""
    count, length = ctx.last + 1, ctx.length
    if len(ctx.kept) == count:
        yield 0, ctx.kept
        return
    matrix = _transposed(ctx.csr, weight)
    for number in range(len(ctx.kept) - 1, -1, -1):
        first = number * length
        powers = _powers(matrix, ctx.kept[number].double(), min(length, count - first))
        yield first, [v.to(weight.dtype) for v in powers]
