r"""The stationary measure of a row-stochastic operator, differentiable in its entries.

.. math:: \pi^\top A = \pi^\top, \qquad \sum_{i \in C} \pi_i = \sum_{i \in C} d_i
          \ \text{in every component } C

(thesis Prop. 6 for the random walk, where pi = d.) The weighted sum :math:`\sum_i \pi_i x_i` is
what diffusion :math:`x' = (A - I) x` conserves, so it decides which sources let the state drift.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix, identity
from scipy.sparse.linalg import LinearOperator, SuperLU, gmres, splu
from torch import Tensor

from grandpp.graph import Graph, row_normalize

# Up to this many nodes a sparse factorisation beats a few hundred Krylov products by far (20,000
# nodes: 0.4 s against 5 s); beyond, its fill-in grows out of hand.
_FACTOR_UP_TO = 50_000

# Residual relative to the largest entry. The measure must be good in float64, whatever the dtype
# of the weights: an error in it makes the singular system of the backward pass inconsistent.
_TOLERANCE = 1e-12
_GRADIENT_TOLERANCE = 1e-10
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

    Cost: one sparse factorisation (up to 50,000 nodes) or one Krylov solve forward and one
    backward, on the CPU in float64.
    """
    return _Stationary.apply(graph, weight, start.detach())


class _Stationary(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, graph: Graph, weight: Tensor, start: Tensor) -> Tensor:
        system = _SingularSystem(graph, weight)
        measure = system.null_vector(start.double()).to(weight.device)
        ctx.graph, ctx.system = graph, system
        ctx.save_for_backward(measure)  # in float64: the backward solve is singular too
        return measure.to(weight.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
        graph: Graph = ctx.graph
        (pi,) = ctx.saved_tensors
        g = grad.double()
        # Solvable only without the part along pi, component by component.
        mass = component_sum(graph, pi)
        right = g - component_sum(graph, pi * g) / mass
        u = torch.from_numpy(ctx.system.solve(right.cpu().numpy())).to(pi)
        u = u - component_sum(graph, pi * u) / mass
        values = pi[graph.csr.row] * u[graph.csr.col_long]
        return None, values.to(grad.dtype), None


def component_sum(graph: Graph, values: Tensor) -> Tensor:
    """Sum of values ``[N]`` or ``[N, F]`` over each node's component, same shape."""
    label = graph.component.to(values.device)
    size = int(label.max()) + 1 if label.numel() else 0
    return values.new_zeros(size, *values.shape[1:]).index_add(0, label, values)[label]


class _SingularSystem:
    """I - A and its transpose, whose null spaces are one vector per component."""

    def __init__(self, graph: Graph, weight: Tensor) -> None:
        csr, n = graph.csr, graph.num_nodes
        # Rows that sum to 1 only in float32 would make the systems inconsistent.
        values = row_normalize(graph, weight.detach().double())
        arrays = (values.cpu(), csr.col.cpu(), csr.rowptr.cpu())
        self.matrix = csr_matrix(tuple(a.numpy() for a in arrays), shape=(n, n))
        self.graph = graph
        self.factor: SuperLU | None = None

    @cached_property
    def grounded(self) -> np.ndarray:
        """All nodes but the first of each component."""
        label = self.graph.component.cpu().numpy()
        return np.setdiff1d(np.arange(len(label)), np.unique(label, return_index=True)[1])

    def null_vector(self, start: Tensor) -> Tensor:
        """The vector pi with pi A = pi and the mass of ``start`` in every component."""
        first = start.cpu().numpy()
        residual = self.matrix.T @ first - first
        target = _TOLERANCE * np.abs(first).max(initial=0.0)
        if np.linalg.norm(residual) <= target:
            return torch.from_numpy(first)
        correction = np.zeros_like(first)
        if len(first) <= _FACTOR_UP_TO and self._factorize():
            assert self.factor is not None  # noqa: S101 (narrows the type)
            correction[self.grounded] = self.factor.solve(residual[self.grounded])
        else:
            correction = _krylov(self.matrix.T, residual, target)
        pi = torch.from_numpy(first + correction)
        host = start.cpu()
        return pi * (component_sum(self.graph, host) / component_sum(self.graph, pi))

    def solve(self, right: np.ndarray) -> np.ndarray:
        """A solution x of (I - A) x = right for a consistent right-hand side."""
        target = _GRADIENT_TOLERANCE * np.abs(right).max(initial=0.0)
        if np.linalg.norm(right) <= target:
            return np.zeros_like(right)
        if self.factor is None and (len(right) > _FACTOR_UP_TO or not self._factorize()):
            return _krylov(self.matrix, right, target)
        x = np.zeros_like(right)
        assert self.factor is not None  # noqa: S101 (narrows the type)
        x[self.grounded] = self.factor.solve(right[self.grounded], trans="T")
        return x

    def _factorize(self) -> bool:
        """Factorise I - A^T without one node per component; False where that is singular."""
        keep = self.grounded
        if len(keep) == 0:
            return False
        laplacian = (identity(self.matrix.shape[0]) - self.matrix.T).tocsc()
        try:
            self.factor = splu(laplacian[keep][:, keep])
        except RuntimeError:  # the grounded node is not reached: a directed graph
            return False
        return True


def _krylov(matrix: csr_matrix, right: np.ndarray, target: float) -> np.ndarray:
    """Solve (I - matrix) x = right from zero by preconditioned GMRES."""
    n = len(right)
    diagonal = 1.0 - matrix.diagonal()
    inverse = 1.0 / np.where(diagonal > 1e-12, diagonal, 1.0)
    operator = LinearOperator((n, n), matvec=lambda v: v - matrix @ v)
    jacobi = LinearOperator((n, n), matvec=lambda v: inverse * v)
    restart = min(n, 100)
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
