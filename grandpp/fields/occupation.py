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
from grandpp.ops.once import once_differentiable
from grandpp.series import Series

# Bound on the part of the series that is cut off, by the type of the state.
_TOLERANCE = {torch.float32: 1e-6}
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


@once_differentiable
class _Occupation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, csr: CSR, weight: Tensor, start: Tensor, tau: Tensor) -> Tensor:
        tolerance = _TOLERANCE.get(weight.dtype, _TOLERANCE_OF_OTHERS)
        c, slope = _coefficients(float(tau), tolerance)
        length = _block_length(len(c), start)
        sums = start.new_zeros(2, start.numel(), dtype=torch.float64)
        ctx.kept, ctx.count = [], 0
        matrix = _transposed(csr, weight)
        for block, is_last in _powers(matrix, start.detach(), len(c), length):
            rows = [_share(v, ctx.count, len(block), is_last) for v in (c, slope)]
            sums.addmm_(sums.new_tensor(np.stack(rows)), block)
            ctx.kept.append(block if len(c) <= length else block[0].clone())
            ctx.count += len(block)
        ctx.csr, ctx.length, ctx.coefficients = csr, length, c
        ctx.start_dtype, ctx.tau = start.dtype, tau.detach()
        ctx.save_for_backward(weight, sums[1])
        return sums[0].to(weight.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor | None, Tensor, Tensor]:
        csr: CSR = ctx.csr
        weight, slope = ctx.saved_tensors
        g, c = grad.double().contiguous(), ctx.coefficients
        matrix = csr.matrix(_double(csr, weight))
        grad_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        # The adjoint of v_k is l_k = c_k g + A l_{k+1}, and A, which makes v_{k+1} of v_k, gets
        # v_k l_{k+1}^T. To the equal iterates belongs the sum of their adjoints.
        adjoint, partner = _adjoints_after(matrix, g, c[ctx.count :], ctx.length)
        for first, block in _blocks(ctx, weight):
            partners = torch.empty_like(block)
            partners[-1] = partner
            for j in range(len(block) - 1, 0, -1):
                below = partners[j - 1]
                adjoint = torch.addmv(g, matrix, adjoint, beta=c[first + j], out=below)
            partner = adjoint = torch.addmv(g, matrix, adjoint, beta=c[first])
            if grad_weight is not None:
                a, b = (v.t().to(weight.dtype).contiguous() for v in (block, partners))
                grad_weight.add_(sample(csr, a, b))
        to_tau = (slope @ g).to(ctx.tau).view_as(ctx.tau)
        return None, grad_weight, adjoint.to(ctx.start_dtype), to_tau


def _powers(matrix: Tensor, v: Tensor, count: int, length: int) -> Iterator[tuple[Tensor, bool]]:
    """Yield v, M v, ... as blocks ``[length, N]``, and whether a block is the last.

    There are ``count`` of them, or fewer where all further ones are equal to the last.
    """
    v = v.double()
    for first in range(0, count, length):
        block = v.new_empty(min(length, count - first), v.numel())
        block[0] = v
        for k in range(1, len(block)):
            torch.mv(matrix, block[k - 1], out=block[k])
            if k % _CHECK_EVERY == 1 and _equal(block[k], block[k - 1]):
                yield block[: k + 1], True
                return
        is_last = first + len(block) == count
        yield block, is_last
        if not is_last:
            v = matrix @ block[-1]


def _equal(now: Tensor, before: Tensor) -> bool:
    if now.numel() == 0:
        return True  # no largest entry
    return bool((now - before).abs().amax() <= _EQUAL * before.abs().amax())


def _share(values: np.ndarray, first: int, size: int, is_last: bool) -> np.ndarray:
    """The coefficients of a block; its last one gets those of all that would follow."""
    share = values[first : first + size].copy()
    if is_last:
        share[-1] = values[first + size - 1 :].sum()
    return share


def _adjoints_after(matrix: Tensor, g: Tensor, c: np.ndarray, length: int) -> tuple[Tensor, Tensor]:
    """The first adjoint l_0 = sum_m c_m A^m g, and the sum of all: the iterates are the same."""
    sums, done = g.new_zeros(2, g.numel()), 0
    both = (c, np.cumsum(c[::-1])[::-1])
    for block, is_last in _powers(matrix, g, len(c), length):
        rows = [_share(v, done, len(block), is_last) for v in both]
        sums.addmm_(sums.new_tensor(np.stack(rows)), block)
        done += len(block)
    return sums[0], sums[1]


def _coefficients(tau: float, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """The coefficients and their derivatives to tau; both series cut off at the tolerance."""
    once, twice = Series.powers(tau, tolerance), Series.powers(2 * tau, tolerance)
    c, dc = 2 * twice.c, 4 * twice.dc  # at least as long
    c[: len(once.c)] -= once.c
    dc[: len(once.c)] -= once.dc
    return c, dc


def _double(csr: CSR, weight: Tensor) -> Tensor:
    """Values in float64; rows that sum to 1 only in float32 would let the measure grow or fade."""
    return weight if weight.dtype == torch.float64 else normalize_rows(csr, weight.double())


def _transposed(csr: CSR, weight: Tensor) -> Tensor:
    """A^T as a sparse matrix in float64; with a single vector its product is the fastest."""
    return csr.transpose.matrix(_double(csr, weight).index_select(0, csr.transpose.perm))


def _block_length(count: int, start: Tensor) -> int:
    """How many iterates are held at once: the root of their number, or as many as fit."""
    fit = _KEPT_BYTES // max(1, 8 * start.numel())
    return max(_KEPT_AT_LEAST, fit, math.isqrt(count) + 1)


def _blocks(ctx: Any, weight: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield blocks of iterates with the index of their first, the last ones first."""
    if ctx.kept[0].dim() == 2:
        yield 0, ctx.kept[0]
        return
    matrix = _transposed(ctx.csr, weight)
    for number in range(len(ctx.kept) - 1, -1, -1):
        first = number * ctx.length
        size = min(ctx.length, ctx.count - first)
        block = ctx.kept[number].new_empty(size, ctx.kept[number].numel())
        block[0] = ctx.kept[number]
        for k in range(1, size):
            torch.mv(matrix, block[k - 1], out=block[k])
        yield first, block
