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
from scipy.sparse import csr_matrix, identity
from scipy.sparse.linalg import LinearOperator, SuperLU, gmres, splu
from torch import Tensor

from grandpp.graph import Components, Graph, degree, row_normalize

# Up to this many nodes a sparse factorisation beats a few hundred Krylov products by far; beyond,
# its fill-in grows out of hand.
_FACTOR_UP_TO = 50_000

# Residual relative to the largest entry. The measure must be good in float64, whatever the dtype
# of the weights: an error in it makes the singular system of the backward pass inconsistent.
_TOLERANCE = 1e-12
_GRADIENT_TOLERANCE = 1e-10
_MAX_RESTARTS = 50

# Attention can saturate until nodes are all but cut off from one another. Then a little of the
# random walk is mixed in, step by step, until the measure is well defined.
_MIXTURES = (0.0, 1e-10, 1e-7, 1e-4)


class StationaryError(RuntimeError):
    """The stationary measure could not be computed."""


def stationary_measure(graph: Graph, weight: Tensor, prior: Tensor) -> Tensor:
    """Return the stationary measure with the mass of the degrees in every component.

    Args:
        graph: Prepared graph.
        weight: Row-stochastic values ``[nnz]``.
        prior: Prior edge weights ``[nnz]``, whose row sums are the degrees; for the random walk
            with symmetric weights these are the measure, which then costs one product.

    Returns:
        ``[N]``, differentiable in ``weight`` by the implicit function theorem; ``prior`` enters
        through the mass of components alone and is not differentiated.

    Raises:
        StationaryError: If the linear system cannot be solved.

    Cost: one sparse factorisation (up to 50,000 nodes) or one Krylov solve forward and one
    backward, on the CPU in float64.
    """
    return _Stationary.apply(graph, weight, prior.detach())


class _Stationary(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, graph: Graph, weight: Tensor, prior: Tensor) -> Tensor:
        parts = graph.components_of(prior)
        start = degree(graph, prior).double().cpu()
        for mixture in _MIXTURES:
            # Rows that sum to 1 only in float32 would make the systems inconsistent.
            a, walk = (row_normalize(graph, v.detach().double()) for v in (weight, prior))
            values = (1 - mixture) * a + mixture * walk
            system = _SingularSystem(graph, values, parts)
            measure = system.null_vector(start)
            if measure is not None:
                break
        else:
            raise StationaryError(
                "the stationary measure of the attention could not be computed; use "
                "source='paper', attention=None or a smaller learning rate"
            )
        ctx.graph, ctx.system, ctx.keep = graph, system, 1 - mixture
        measure = measure.to(weight.device)
        ctx.save_for_backward(measure)  # in float64: the backward solve is singular too
        return measure.to(weight.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
        csr, parts = ctx.graph.csr, ctx.system.parts
        (pi,) = ctx.saved_tensors
        g = grad.double()
        # Solvable only without the part along pi, component by component.
        mass = parts.sum(pi)
        right = g - parts.sum(pi * g) / mass
        u = torch.from_numpy(ctx.system.solve(right.cpu().numpy())).to(pi)
        u = u - parts.sum(pi * u) / mass
        values = ctx.keep * pi[csr.row] * u[csr.col_long]
        return None, values.to(grad.dtype), None


class _SingularSystem:
    """I - A and its transpose, whose null spaces are one vector per component."""

    def __init__(self, graph: Graph, values: Tensor, parts: Components) -> None:
        csr, n = graph.csr, graph.num_nodes
        arrays = (values.cpu(), csr.col.cpu(), csr.rowptr.cpu())
        self.matrix = csr_matrix(tuple(a.numpy() for a in arrays), shape=(n, n))
        self.parts = parts
        label = parts.label.cpu().numpy()
        # All nodes but the first of each component: without them the matrix is regular.
        self.grounded = np.setdiff1d(np.arange(n), np.unique(label, return_index=True)[1])
        self.factor: SuperLU | None = None

    def null_vector(self, start: Tensor) -> Tensor | None:
        """The vector pi with pi A = pi and the mass of ``start``; ``None`` where that fails."""
        first = start.numpy()
        residual = self.matrix.T @ first - first
        target = _TOLERANCE * np.abs(first).max(initial=0.0)
        if np.linalg.norm(residual) <= target:
            return start
        correction = np.zeros_like(first)
        if len(first) <= _FACTOR_UP_TO and self._factorize() and self.factor is not None:
            correction[self.grounded] = self.factor.solve(residual[self.grounded])
        else:
            krylov = _krylov(self.matrix.T, residual, target)
            if krylov is None:
                return None
            correction = krylov
        pi = torch.from_numpy(first + correction)
        pi = pi * (self.parts.sum(start) / self.parts.sum(pi))
        left_over = np.linalg.norm(self.matrix.T @ pi.numpy() - pi.numpy())
        bad = not np.isfinite(left_over) or left_over > 1e4 * target or bool((pi < -target).any())
        return None if bad else pi

    def solve(self, right: np.ndarray) -> np.ndarray:
        """A solution x of (I - A) x = right for a consistent right-hand side."""
        target = _GRADIENT_TOLERANCE * np.abs(right).max(initial=0.0)
        x = np.zeros_like(right)
        if np.linalg.norm(right) <= target:
            return x
        small = len(right) <= _FACTOR_UP_TO
        if small and (self.factor is not None or self._factorize()) and self.factor is not None:
            x[self.grounded] = self.factor.solve(right[self.grounded], trans="T")
            return x
        krylov = _krylov(self.matrix, right, target)
        if krylov is None:
            raise StationaryError("the gradient of the stationary measure did not converge")
        return krylov

    def _factorize(self) -> bool:
        """Factorise I - A^T without one node per component; False where that is singular."""
        keep = self.grounded
        if len(keep) == 0:
            return False
        laplacian = (identity(self.matrix.shape[0]) - self.matrix.T).tocsc()
        try:
            # A diagonally dominant matrix with an all but symmetric pattern needs no pivoting.
            self.factor = splu(
                laplacian[keep][:, keep],
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True},
            )
        except RuntimeError:  # the grounded node is not reached: a directed graph
            return False
        return True


def _krylov(matrix: csr_matrix, right: np.ndarray, target: float) -> np.ndarray | None:
    """Solve (I - matrix) x = right from zero by preconditioned GMRES; ``None`` if it stalls."""
    n = len(right)
    diagonal = 1.0 - matrix.diagonal()
    inverse = 1.0 / np.where(diagonal > 1e-12, diagonal, 1.0)
    operator = LinearOperator((n, n), matvec=lambda v: v - matrix @ v)
    jacobi = LinearOperator((n, n), matvec=lambda v: inverse * v)
    restart = min(n, 100)
    x, info = gmres(
        operator, right, rtol=0.0, atol=target, restart=restart, maxiter=_MAX_RESTARTS, M=jacobi
    )
    return x if info == 0 else None
