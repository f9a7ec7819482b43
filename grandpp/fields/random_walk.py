r"""The measure that diffusion transports a start to; it decides which sources make a mean drift.

.. math:: \mu_\tau = e^{\tau (A^\top - I)} \mu = \sum_{k \ge 0} P(N_\tau = k) (A^\top)^k \mu,
    \quad N_\tau \sim \mathrm{Poisson}(\tau) ,

the distribution of the random walk from rows to columns of A after the time tau. For
:math:`z' = \alpha ((A - I) z + s)` and :math:`\tau = \alpha T`

.. math:: \mu^\top z(T) = \mu_\tau^\top z(0) + \int_0^\tau \mu_t^\top s \, dt ,

so from the time T on a source with :math:`\mu_\tau^\top s = 0` no longer moves the mean of z
weighted by :math:`\mu`. For :math:`\tau \to 0` the measure is :math:`\mu`, for
:math:`\tau \to \infty` the stationary measure that is reached from :math:`\mu`; it is reached
exponentially fast, so the state tends to the solution at infinite time. (A source balanced by the
average of :math:`\mu_t` over the span would add nothing to the mean at T, but that average comes
near the stationary measure like :math:`1 / \tau` only: times :math:`\tau` a constant shift would
remain for ever.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grandpp.linalg import CSR, Reductions, add_sampled_product, multiply, normalize_rows
from grandpp.linalg.once_differentiable import once_differentiable
from grandpp.linalg.series import Series

# Bound on the part of the series that is cut off, by the type of the state.
_TOLERANCE = {torch.float32: 1e-6}
_TOLERANCE_OF_OTHERS = 1e-13
# Longer series are summed in double precision: rounding lets the measure grow or fade a little in
# every product.
_LONG = 256
# A measure has settled after so long; the coefficients of longer spans alone would fill the memory.
_LONGEST = 1e5
_CHECK_EVERY = 8  # a comparison waits for the device
# Iterates kept for the gradient fit into this many bytes; of longer series every m-th is kept and
# the others are computed again, m of them at a time. The fewest take as much as half a state of 64
# channels does.
_KEPT_BYTES = 20 * 2**20
_KEPT_AT_LEAST = 32


# Decides from two iterates and the number of those to come.
Settled = Callable[[Tensor, Tensor, int], bool]


def walk_measure(
    csr: CSR, weight: Tensor, start: Tensor, tau: Tensor, tolerance: float | None = None
) -> Tensor:
    r"""Return the measure :math:`\mu_\tau` that ``start`` is transported to.

    Args:
        csr: Pattern of A ``[N, N]``.
        weight: Its row-stochastic values ``[nnz]``.
        start: The measure mu ``[N]``, not negative.
        tau: :math:`\alpha T \ge 0`, a scalar; beyond 1e5 the measure at 1e5 is returned.
        tolerance: Bound on the part of the series that is cut off.
            (default: ``None``: 1e-6 in single precision, 1e-13 in double)

    Returns:
        ``[N]`` in the type of ``weight``; differentiable once in ``weight``, ``start`` and ``tau``.

    Cost: about tau + 5 sqrt(tau) products with one vector, fewer where the iterates
    stop changing; as many backward and one sampled product for the gradient to the weights.
    Memory: the iterates, at most 20 MiB or a few multiples of the root of their number.
    """
    if tolerance is None:
        tolerance = _TOLERANCE.get(weight.dtype, _TOLERANCE_OF_OTHERS)
    measure: Tensor = _WalkMeasure.apply(csr, weight, start, tau.clamp(max=_LONGEST), tolerance)
    return measure


@once_differentiable
class _WalkMeasure(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, csr: CSR, weight: Tensor, start: Tensor, tau: Tensor, tolerance: float
    ) -> Tensor:
        series = Series.powers(float(tau), tolerance)
        c, slope = series.p, series.dp
        length = _block_length(len(c), csr.reductions.most_rows(start.numel()))
        ctx.kept, ctx.count, ctx.values = [], 0, _summed(csr, weight, len(c))
        first = start.detach().to(ctx.values.dtype)
        sums = first.new_zeros(2, first.numel())
        matrix, settled = _transposed(csr, ctx.values), _measure_settled(tolerance, csr.reductions)
        for block, is_last in _powers(matrix, first, len(c), length, settled):
            rows = [_share(v, ctx.count, len(block), is_last) for v in (c, slope)]
            sums.addmm_(sums.new_tensor(np.stack(rows)), block)
            ctx.kept.append(block if len(c) <= length else block[0].clone())
            ctx.count += len(block)
        ctx.csr, ctx.length, ctx.coefficients, ctx.tolerance = csr, length, c, tolerance
        ctx.start_dtype, ctx.tau = start.dtype, tau.detach()
        ctx.save_for_backward(weight, sums[1])
        return sums[0].to(weight.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        csr: CSR = ctx.csr
        weight, slope = ctx.saved_tensors
        g, c = grad.to(ctx.values.dtype).contiguous(), ctx.coefficients
        matrix = _Products(csr, ctx.values)
        grad_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        # The adjoint of v_k is l_k = c_k g + A l_{k+1}, and A, which makes v_{k+1} of v_k, gets
        # v_k l_{k+1}^T. To the equal iterates belongs the sum of their adjoints.
        adjoint, partner = _adjoints_after(matrix, g, c[ctx.count :], ctx)
        for first, block in _blocks(ctx):
            partners = torch.empty_like(block)
            partners[-1] = partner
            for j in range(len(block) - 1, 0, -1):
                below = partners[j - 1]
                adjoint = matrix.add_to(g, c[first + j], adjoint, below)
            partner = adjoint = matrix.add_to(g, c[first], adjoint)
            if grad_weight is not None:
                a, b = (_columns(v, weight) for v in (block, partners))
                add_sampled_product(csr, a, b, grad_weight)
        to_tau = (slope @ g).to(ctx.tau).view_as(ctx.tau)
        return None, grad_weight, adjoint.to(ctx.start_dtype), to_tau, None


def _columns(block: Tensor, like: Tensor) -> Tensor:
    """Iterates ``[K, N]`` as columns, and zeros up to the next multiple of 16, which are faster."""
    columns = like.new_zeros(block.size(1), -(-len(block) // 16) * 16)
    columns[:, : len(block)] = block.t()
    return columns


class _Products:
    """Products of a matrix with one vector, which is fastest by the matrix itself."""

    def __init__(self, csr: CSR, values: Tensor) -> None:
        self.csr, self.values = csr, values
        self.matrix = csr.matrix(values) if csr.reductions.is_local else None

    def to(self, v: Tensor, out: Tensor | None = None) -> Tensor:
        """M v."""
        if self.matrix is not None:
            return torch.mv(self.matrix, v, out=out)
        product = multiply(self.csr, self.values, v.unsqueeze(1)).squeeze(1)
        return product if out is None else out.copy_(product)

    def add_to(self, g: Tensor, factor: float, v: Tensor, out: Tensor | None = None) -> Tensor:
        """factor g + M v."""
        if self.matrix is not None:
            return torch.addmv(g, self.matrix, v, beta=factor, out=out)
        return torch.add(self.to(v), g, alpha=factor, out=out)


def _powers(
    matrix: _Products, v: Tensor, count: int, length: int, settled: Settled
) -> Iterator[tuple[Tensor, bool]]:
    """Yield v, M v, ... as blocks ``[length, N]``, and whether a block is the last.

    There are ``count`` of them, or fewer where all further ones are as good as equal to the last.
    """
    for first in range(0, count, length):
        block = v.new_empty(min(length, count - first), v.numel())
        block[0] = v
        for k in range(1, len(block)):
            matrix.to(block[k - 1], block[k])
            left = count - first - k
            if k % _CHECK_EVERY == 1 and settled(block[k], block[k - 1], left):
                yield block[: k + 1], True
                return
        is_last = first + len(block) == count
        yield block, is_last
        if not is_last:
            v = matrix.to(block[-1])


def _measure_settled(tolerance: float, reductions: Reductions) -> Settled:
    """Whether no entry of a measure will change by more than this share of itself.

    A walk brings measures no further from one another, so later changes are about as small. Entry
    by entry, as a small component next to a large one has to be as accurate as by itself.
    """
    return lambda now, before, left: reductions.all(
        bool(((now - before).abs() * left <= tolerance * now.abs()).all())
    )


def _adjoint_settled(tolerance: float, reductions: Reductions) -> Settled:
    """Whether an adjoint will not change by more than this share of its largest entry."""

    def settled(now: Tensor, before: Tensor, left: int) -> bool:
        if now.numel() == 0:
            return True
        change, size = (now - before).abs().amax(), before.abs().amax()
        if not reductions.is_local:
            change, size = reductions.max(torch.stack([change, size]))
        return bool(change * left <= tolerance * size)

    return settled


def _share(values: np.ndarray, first: int, size: int, is_last: bool) -> np.ndarray:
    """The coefficients of a block; its last one gets those of all that would follow."""
    share = values[first : first + size].copy()
    if is_last:
        share[-1] = values[first + size - 1 :].sum()
    return share


def _adjoints_after(matrix: _Products, g: Tensor, c: np.ndarray, ctx: Any) -> tuple[Tensor, Tensor]:
    """The first adjoint l_0 = sum_m c_m A^m g, and the sum of all: the iterates are the same."""
    sums, done = g.new_zeros(2, g.numel()), 0
    both = (c, np.cumsum(c[::-1])[::-1])
    settled = _adjoint_settled(ctx.tolerance, ctx.csr.reductions)
    for block, is_last in _powers(matrix, g, len(c), ctx.length, settled):
        rows = [_share(v, done, len(block), is_last) for v in both]
        sums.addmm_(sums.new_tensor(np.stack(rows)), block)
        done += len(block)
    return sums[0], sums[1]


def _summed(csr: CSR, weight: Tensor, count: int) -> Tensor:
    """The values in the precision of the sum, whose rows then sum to 1 in that precision."""
    if weight.dtype == torch.float64 or count <= _LONG:
        return weight.detach()
    return normalize_rows(csr, weight.detach().double())


def _transposed(csr: CSR, values: Tensor) -> _Products:
    """Products with A^T."""
    return _Products(csr.transpose, values.index_select(0, csr.transpose.perm))


def _block_length(count: int, nodes: int) -> int:
    """How many iterates are held at once: the root of their number, or as many as fit."""
    fit = _KEPT_BYTES // max(1, 8 * nodes)
    return max(_KEPT_AT_LEAST, fit, math.isqrt(count) + 1)


def _blocks(ctx: Any) -> Iterator[tuple[int, Tensor]]:
    """Yield blocks of iterates with the index of their first, the last ones first."""
    if ctx.kept[0].dim() == 2:
        yield 0, ctx.kept[0]
        return
    matrix = _transposed(ctx.csr, ctx.values)
    for number in range(len(ctx.kept) - 1, -1, -1):
        first = number * ctx.length
        size = min(ctx.length, ctx.count - first)
        block = ctx.kept[number].new_empty(size, ctx.kept[number].numel())
        block[0] = ctx.kept[number]
        for k in range(1, size):
            matrix.to(block[k - 1], block[k])
        yield first, block
