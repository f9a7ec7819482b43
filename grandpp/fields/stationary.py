r"""The stationary measure of a row-stochastic operator, differentiable in its entries.

.. math:: \pi^\top A = \pi^\top, \qquad \sum_{i \in C} \pi_i = \sum_{i \in C} d_i
          \ \text{in every component } C

(thesis Prop. 6 for the random walk, where pi = d.) The weighted sum :math:`\sum_i \pi_i x_i` is
what diffusion :math:`x' = (A - I) x` conserves, so it decides which sources let the state drift.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import LinearOperator, gmres
from torch import Tensor

from grandpp.graph import Graph

# Far below what float32 features resolve; a start at the solution returns without an iteration.
_TOLERANCE = 1e-9
_MAX_RESTARTS = 50


def stationary_measure(graph: Graph, weight: Tensor, start: Tensor) -> Tensor:
    """Return the stationary measure with the mass of ``start`` in every component.

    Args:
        graph: Prepared graph.
        weight: Row-stochastic values ``[nnz]``.
        start: Positive first guess ``[N]``, the degrees; already exact for symmetric weights
            without attention, which then costs one product.

    Returns:
        ``[N]``, differentiable in ``weight`` by the implicit function theorem; the dependence on
        ``start`` is through its mass alone and is not differentiated.

    Raises:
        RuntimeError: If the linear solve does not converge.

    Cost: one Krylov solve on the CPU in float64 forward and one backward.
    """
    return _Stationary.apply(graph, weight, start.detach())


class _Stationary(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, graph: Graph, weight: Tensor, start: Tensor) -> Tensor:
        matrix = _to_scipy(graph, weight)
        first = start.double().cpu().numpy()
        # (I - A^T)(first + correction) = 0; the right-hand side has no mass, so neither does
        # the Krylov solution, and every component keeps the mass of the first guess.
        residual = matrix.T @ first - first
        correction = _solve_singular(matrix.T, residual, scale=np.abs(first).max(initial=1.0))
        measure = torch.from_numpy(first + correction).to(weight)
        ctx.graph, ctx.matrix = graph, matrix
        ctx.save_for_backward(weight, measure)
        return measure

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
        graph: Graph = ctx.graph
        weight, measure = ctx.saved_tensors
        pi, g = measure.double(), grad.double()
        # Solvable only without the part along pi, component by component.
        mass = _per_component(graph, pi)
        mean = _per_component(graph, pi * g) / mass
        right = (g - mean).cpu().numpy()
        u = _solve_singular(ctx.matrix, right, scale=np.abs(right).max(initial=0.0))
        u = torch.from_numpy(u).to(pi)
        u = u - _per_component(graph, pi * u) / mass
        values = pi[graph.csr.row] * u[graph.csr.col_long]
        return None, values.to(weight), None


def _per_component(graph: Graph, values: Tensor) -> Tensor:
    label = graph.component
    size = int(label.max()) + 1 if label.numel() else 0
    return values.new_zeros(size).index_add(0, label, values)[label]


def _to_scipy(graph: Graph, weight: Tensor) -> csr_matrix:
    csr, n = graph.csr, graph.num_nodes
    arrays = (weight.detach().double().cpu(), csr.col.cpu(), csr.rowptr.cpu())
    return csr_matrix(tuple(a.numpy() for a in arrays), shape=(n, n))


def _solve_singular(matrix: csr_matrix, right: np.ndarray, scale: float) -> np.ndarray:
    """Solve (I - matrix) x = right for a consistent right-hand side, from zero."""
    n = len(right)
    if n == 0 or np.abs(right).max() <= _TOLERANCE * scale:
        return np.zeros(n)
    # Half the lazy walk's spectrum lies at 0 without scaling; the diagonal evens it out.
    diagonal = 1.0 - matrix.diagonal()
    inverse = 1.0 / np.where(diagonal > 1e-12, diagonal, 1.0)
    operator = LinearOperator((n, n), matvec=lambda v: v - matrix @ v)
    jacobi = LinearOperator((n, n), matvec=lambda v: inverse * v)
    restart = min(n, 100)
    target = _TOLERANCE * scale
    x, info = gmres(
        operator, right, rtol=0.0, atol=target, restart=restart, maxiter=_MAX_RESTARTS, M=jacobi
    )
    if info != 0:
        residual = np.linalg.norm(right - operator @ x)
        raise RuntimeError(
            f"the stationary measure did not converge in {restart * _MAX_RESTARTS} products "
            f"(residual {residual:.1e}, wanted {target:.1e}); use source='paper'"
        )
    return x
