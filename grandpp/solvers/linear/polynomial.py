"""Polynomials of a sparse matrix applied to features, with all their gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from grandpp.linalg import CSR, add_sampled_product, multiply
from grandpp.linalg.once_differentiable import once_differentiable
from grandpp.linalg.products import channel_blocks
from grandpp.solvers.base import SolveStats
from grandpp.solvers.linear.recursion import Recursion, basis

# Rounding errors, counted in those of one product, up to which single precision is left alone.
_ROUNDING = 1000.0


def rounding(products: int, chebyshev: bool, cancellation: float) -> float:
    """Estimate the rounding error of a polynomial, in units of that of one product.

    Args:
        products: Its degree.
        chebyshev: Whether it is a sum of Chebyshev polynomials, whose slope at 1 is their
            squared degree, or of powers.
        cancellation: Sum of the sizes of its terms over the size of the result.
    """
    slope = products**2 / 30 if chebyshev else products
    return float(slope * max(1.0, cancellation) ** 0.25)


def is_rounded(products: int, chebyshev: bool, cancellation: float, dtype: torch.dtype) -> bool:
    """Whether rounding would be seen in the result of a polynomial in this type.

    Args:
        products, chebyshev, cancellation: As in :func:`rounding`.
        dtype: Type of the features.
    """
    return dtype == torch.float32 and rounding(products, chebyshev, cancellation) > _ROUNDING


def widen(
    csr: CSR, weight: Tensor, inputs: tuple[Tensor, ...], error: float
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Turn single into double precision where rounding would be seen in the result.

    Args:
        csr: Pattern of A.
        weight: Values of A; rows that sum to 1 in single precision alone do so in double then.
        inputs: Tensors ``[N, F]``.
        error: From :func:`rounding`.
    """
    if inputs[0].dtype != torch.float32 or error <= _ROUNDING:
        return weight, inputs
    wide = weight.double()
    sums = multiply(csr, wide.detach(), wide.new_ones(csr.num_cols, 1)).view(-1)
    # A row that is no row of a stochastic matrix is left as it is.
    sums = torch.where((sums - 1).abs() < 1e-5, sums, torch.ones_like(sums))
    return wide / sums[csr.row], tuple(v.double() for v in inputs)


def apply_polynomials(
    csr: CSR,
    weight: Tensor,
    coefficients: Tensor,
    inputs: tuple[Tensor, ...],
    *,
    chebyshev: bool,
    stats: SolveStats,
    places: tuple[Tensor | None, ...] | None = None,
    spares: list[Tensor] | None = None,
) -> Tensor:
    r"""Compute :math:`\sum_i \sum_k c_{ik} B_k(A)\, v_i` by one recursion for all inputs.

    Args:
        csr: Pattern of A, ``[N, N]``.
        weight: Values of A, ``[nnz]``.
        coefficients: c ``[I, K + 1]``, float64 on the CPU.
        inputs: I tensors v ``[N, F]``; with places ``[R, F]``, but for the first.
        chebyshev: Whether B_k are Chebyshev polynomials or powers.
        stats: Where products are counted.
        places: For each input the R rows it lives on, being 0 elsewhere, which saves two passes
            over all nodes per product; ``None`` for all rows. (default: ``None`` for each)
        spares: Memory shared by many polynomials in one graph. States of the forward pass are then
            kept only where all of them fit, and else computed in the backward pass (K products
            more), so that no two polynomials hold states at once. (default: ``None``)

    Returns:
        ``[N, F]``, differentiable (once) by weights, coefficients and inputs.

    Cost: K products, and K more for the gradient; the gradient to the weights needs the states of
    the forward pass in reverse, see :class:`~grandpp.solvers.linear.recursion.Recursion`. Nothing
    is read from the device in between. On the CPU wide features of a graph with many edges are
    computed in blocks of channels that fit into the cache.
    """
    blocks = channel_blocks(csr, inputs[0])
    parts: list[Tensor] = []
    for columns in zip(*(v.split(v.size(1) // blocks, dim=1) for v in inputs), strict=True):
        # All blocks together make K products.
        counted = SolveStats() if parts else stats
        about, block = (counted, places, spares), (v.contiguous() for v in columns)
        parts.append(_Polynomials.apply(csr, about, chebyshev, weight, coefficients, *block))
    return parts[0] if blocks == 1 else torch.cat(parts, dim=1)


@once_differentiable
class _Polynomials(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        csr: CSR,
        about: tuple[SolveStats, tuple[Tensor | None, ...] | None, list[Tensor] | None],
        chebyshev: bool,
        weight: Tensor,
        coefficients: Tensor,
        *inputs: Tensor,
    ) -> Tensor:
        stats, places, spares = about
        shared: list[Tensor] = [] if spares is None else spares
        rows = coefficients.tolist()
        recursion = Recursion(csr, weight, chebyshev, rows, inputs, places, spares=shared)
        ctx.csr, ctx.stats, ctx.places, ctx.chebyshev = csr, stats, places, chebyshev
        ctx.spares = spares
        ctx.save_for_backward(weight, coefficients, *inputs)
        state, index = recursion.top(), recursion.last
        ctx.checkpoints = None
        if ctx.needs_input_grad[3] and (spares is None or not recursion.exceeds(index)):
            ctx.checkpoints = checkpoints = recursion.checkpoints(state, index, 1)
            if checkpoints.kept:
                state, index = checkpoints.kept[-1], checkpoints.indices[-1]
        y = recursion.run(state, index, 0)[0]
        stats.nfe_forward += recursion.products
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        csr, chebyshev = ctx.csr, ctx.chebyshev
        weight, coefficients, *inputs = ctx.saved_tensors
        rows = coefficients.tolist()
        spares: list[Tensor] = [] if ctx.spares is None else ctx.spares
        recursion = Recursion(
            csr, weight, chebyshev, rows, tuple(inputs), ctx.places, spares=spares
        )
        places = ctx.places or (None,) * len(inputs)
        states = grad_weight = None
        if ctx.needs_input_grad[3]:
            # States released now are computed again if the graph is used once more.
            checkpoints, ctx.checkpoints = ctx.checkpoints, None
            if checkpoints is None:
                checkpoints = recursion.checkpoints(recursion.top(), recursion.last, 1)
            states = recursion.ascending(checkpoints, 1)
            del checkpoints
            grad_weight = torch.zeros_like(weight)
        back = csr.transpose
        transposed = weight.index_select(0, back.perm)
        wanted = ctx.needs_input_grad[5:]
        sums = [
            torch.zeros_like(v) if want else None for v, want in zip(inputs, wanted, strict=True)
        ]
        inner: list[Tensor] = []
        adjoints = basis(back, transposed, grad, recursion.last, chebyshev, spares)
        for k, adjoint in enumerate(adjoints):
            for row, total, v, place in zip(rows, sums, inputs, places, strict=True):
                here = adjoint if place is None else adjoint.index_select(0, place)
                if total is not None:
                    total.add_(here, alpha=row[k])
                if ctx.needs_input_grad[4]:
                    inner.append(here.reshape(-1) @ v.reshape(-1))
            if grad_weight is not None and states is not None and k < recursion.last:
                twice = 2.0 if chebyshev and k > 0 else 1.0
                add_sampled_product(csr, adjoint, next(states), grad_weight, twice)
        ctx.stats.nfe_backward += recursion.last + recursion.products
        to_rows = None
        if inner:
            to_rows = torch.stack(inner).view(-1, len(inputs)).t().to(coefficients)
        return None, None, None, grad_weight, to_rows, *sums
