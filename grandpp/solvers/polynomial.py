"""Polynomials of a sparse matrix applied to features, with all their gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from grandpp.ops import CSR, sample
from grandpp.ops.once import once_differentiable
from grandpp.solvers.base import SolveStats
from grandpp.solvers.recursion import Recursion, basis


def apply_polynomials(
    csr: CSR,
    weight: Tensor,
    coefficients: Tensor,
    inputs: tuple[Tensor, ...],
    *,
    chebyshev: bool,
    stats: SolveStats,
) -> Tensor:
    r"""Compute :math:`\sum_i \sum_k c_{ik} B_k(A)\, v_i` by one recursion for all inputs.

    Args:
        csr: Pattern of A, ``[N, N]``.
        weight: Values of A, ``[nnz]``.
        coefficients: c ``[I, K + 1]``, float64 on the CPU.
        inputs: I tensors v ``[N, F]``.
        chebyshev: Whether B_k are Chebyshev polynomials or powers.
        stats: Where products are counted.

    Returns:
        ``[N, F]``, differentiable (once) by weights, coefficients and inputs.

    Cost: K products, and K more for the gradient; the gradient to the weights needs the states of
    the forward pass in reverse, see :class:`~grandpp.solvers.recursion.Recursion`. Nothing is
    read from the device in between.
    """
    result: Tensor = _Polynomials.apply(csr, stats, chebyshev, weight, coefficients, *inputs)
    return result


@once_differentiable
class _Polynomials(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        csr: CSR,
        stats: SolveStats,
        chebyshev: bool,
        weight: Tensor,
        coefficients: Tensor,
        *inputs: Tensor,
    ) -> Tensor:
        recursion = Recursion(csr, weight, chebyshev, coefficients.tolist(), inputs)
        ctx.csr, ctx.stats, ctx.chebyshev = csr, stats, chebyshev
        ctx.save_for_backward(weight, coefficients, *inputs)
        state, index = recursion.top(), recursion.last
        ctx.trail = None
        if ctx.needs_input_grad[3]:
            ctx.trail = trail = recursion.trail(state, index, 1)
            if trail.kept:
                state, index = trail.kept[-1], trail.indices[-1]
        y = recursion.run(state, index, 0)[0]
        stats.nfe_forward += recursion.products
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        csr, chebyshev = ctx.csr, ctx.chebyshev
        weight, coefficients, *inputs = ctx.saved_tensors
        rows = coefficients.tolist()
        recursion = Recursion(csr, weight, chebyshev, rows, tuple(inputs))
        states = grad_weight = None
        if ctx.trail is not None:
            states = recursion.ascending(ctx.trail, 1)
            grad_weight = torch.zeros_like(weight)
        back = csr.transpose
        transposed = weight.index_select(0, back.perm)
        wanted = ctx.needs_input_grad[5:]
        sums = [
            torch.zeros_like(v) if want else None for v, want in zip(inputs, wanted, strict=True)
        ]
        inner: list[Tensor] = []
        adjoints = basis(back, transposed, grad, recursion.last, chebyshev)
        for k, adjoint in enumerate(adjoints):
            for row, total in zip(rows, sums, strict=True):
                if total is not None:
                    total.add_(adjoint, alpha=row[k])
            if ctx.needs_input_grad[4]:
                flat = adjoint.reshape(-1)
                inner += [flat @ v.reshape(-1) for v in inputs]
            if grad_weight is not None and states is not None and k < recursion.last:
                twice = 2.0 if chebyshev and k > 0 else 1.0
                grad_weight.add_(sample(csr, adjoint, next(states)), alpha=twice)
        ctx.stats.nfe_backward += recursion.last + recursion.products
        to_rows = None
        if inner:
            to_rows = torch.stack(inner).view(-1, len(inputs)).t().to(coefficients)
        return None, None, None, grad_weight, to_rows, *sums
