"""Linear systems with I - A for row-stochastic A, singular once per component."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import LinearOperator, gmres
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from grandpp.components import Components
from grandpp.elimination import Elimination, Factor
from grandpp.ops import CSR

# Up to this many nodes a sparse factorisation beats a few hundred Krylov products by far; beyond,
# its fill-in grows out of hand.
_FACTOR_UP_TO = 50_000

# Residuals relative to the largest entry. A null vector must be good in float64, whatever the
# dtype of the weights: an error in it makes every further singular system inconsistent.
_TOLERANCE = 1e-12
_SOLVE_TOLERANCE = 1e-10
_MAX_RESTARTS = 50

# Eliminations of every living pattern by the labels of its components: those that count edges of
# weight 0, and those that do not, may be asked for in turns.
_ELIMINATIONS: WeakIdKeyDictionary = WeakIdKeyDictionary()
_KEPT = 4


class ConvergenceError(RuntimeError):
    """A singular system could not be solved."""


class SingularSystem:
    """I - A and its transpose, solved in float64 on the CPU.

    Args:
        csr: Pattern of A ``[N, N]``.
        values: Row-stochastic values, float64 ``[nnz]``.
        parts: Components; the null spaces of both matrices have one vector in each.

    Cost: one sparse factorisation for all right-hand sides (up to 50,000 nodes), or one Krylov
    solve for each. Systems with the same pattern and components share the order of elimination.
    """

    def __init__(self, csr: CSR, values: Tensor, parts: Components) -> None:
        arrays = (values.detach().cpu(), csr.col.cpu(), csr.rowptr.cpu())
        shape = (csr.num_rows, csr.num_cols)
        self.matrix = csr_matrix(tuple(a.numpy() for a in arrays), shape=shape)
        self.parts = Components(parts.label.cpu(), parts.count)
        self.csr = csr
        self._factor: Factor | None = None
        self._regular = csr.num_rows <= _FACTOR_UP_TO

    def null_vector(self, start: Tensor) -> Tensor | None:
        """The vector pi with pi A = pi and the mass of ``start`` ``[N]``; ``None`` on failure."""
        first = start.double().cpu().numpy()
        residual = self.matrix.T @ first - first
        target = _TOLERANCE * np.abs(first).max(initial=0.0)
        if np.linalg.norm(residual) <= target:
            return torch.from_numpy(first)
        correction = self._solve(residual, target, transposed=True)
        if correction is None:
            return None
        pi, host = torch.from_numpy(first + correction), torch.from_numpy(first)
        pi = pi * (self.parts.sum(host) / self.parts.sum(pi))
        left_over = np.linalg.norm(self.matrix.T @ pi.numpy() - pi.numpy())
        bad = not np.isfinite(left_over) or left_over > 1e4 * target or bool((pi < -target).any())
        return None if bad else pi

    def solve(self, right: Tensor, transposed: bool = False) -> Tensor:
        """A solution x of (I - A) x = right, or of the transposed system, ``[N]`` or ``[N, F]``.

        Args:
            right: Consistent right-hand side: pi-weighted sum 0 in every component, or plain sum
                0 for the transposed system.
            transposed: Solve with I - A^T. (default: ``False``)

        Raises:
            ConvergenceError: If the solve does not converge.
        """
        b = right.detach().double().cpu().numpy()
        x = self._solve(b, _SOLVE_TOLERANCE * np.abs(b).max(initial=0.0), transposed)
        if x is None:
            raise ConvergenceError("a singular linear system with I - A did not converge")
        return torch.from_numpy(x).to(right.device)

    def _solve(self, right: np.ndarray, target: float, transposed: bool) -> np.ndarray | None:
        x = np.zeros_like(right)
        if np.linalg.norm(right) <= target:
            return x
        factor = self._factorize()
        if factor is not None:
            return factor.solve(right, transposed)
        matrix = self.matrix.T if transposed else self.matrix
        columns = [_krylov(matrix, b, target) for b in right.reshape(len(right), -1).T]
        found = [c for c in columns if c is not None]
        return np.stack(found, axis=1).reshape(right.shape) if len(found) == len(columns) else None

    def _factorize(self) -> Factor | None:
        """The factors, found once; ``None`` where a Krylov solver is to be used."""
        if self._factor is None and self._regular:
            self._factor = _elimination(self.csr, self.parts).factorize(self.matrix.data)
            self._regular = self._factor is not None  # if not, it need not be tried again
        return self._factor


def _elimination(csr: CSR, parts: Components) -> Elimination:
    """The elimination of a pattern with these components; the last few of a pattern are kept."""
    kept = _ELIMINATIONS.setdefault(csr, {})
    label = parts.label.numpy()
    key = label.tobytes()
    found = kept.get(key)
    if found is None:
        while len(kept) >= _KEPT:
            kept.pop(next(iter(kept)), None)
        found = kept[key] = Elimination(csr.rowptr.cpu().numpy(), csr.col.cpu().numpy(), label)
    return found


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
