"""Linear systems with I - A for row-stochastic A, singular once per closed class."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import LinearOperator, gmres
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from grandpp.linalg import CSR, normalize_rows
from grandpp.linalg.components import Classes, find_classes
from grandpp.linalg.elimination import Elimination, Factor

# Up to this many nodes a sparse factorisation beats a few hundred Krylov products by far; beyond,
# its fill-in grows out of hand.
_FACTOR_UP_TO = 50_000

# Residuals relative to the largest entry. A null vector must be good in float64, whatever the
# dtype of the weights: an error in it makes every further singular system inconsistent.
_TOLERANCE = 1e-12
_SOLVE_TOLERANCE = 1e-10
_MAX_RESTARTS = 50

# Row-stochastic values below this are lost in the rounding of 1 - a_ii; they count as 0.
_NEGLIGIBLE = 1e-12

# Eliminations of every living pattern by the nodes left out: those that count edges of weight 0,
# and those that do not, may be used in turns.
_ELIMINATIONS: WeakIdKeyDictionary = WeakIdKeyDictionary()
_KEPT = 4


class ConvergenceError(RuntimeError):
    """A singular system could not be solved."""


class SingularSystem:
    r"""I - A and its transpose for row-stochastic A, solved in float64 on the CPU.

    The null space of I - A^T has one vector in every closed class, its stationary measure; that of
    I - A has the probabilities to end up in each of these classes. Transient nodes make no matrix
    singular: with C the closed classes and t the transient nodes

    .. math:: I - A = \begin{pmatrix} I - A_{CC} & 0 \\ -A_{tC} & I - A_{tt} \end{pmatrix} .

    Args:
        csr: Pattern of A ``[N, N]``.
        weight: Its values ``[nnz]``. Rows are scaled to the sum 1 in float64, and values below
            1e-12 count as 0.

    Cost: one sparse factorisation for all right-hand sides (up to 50,000 nodes), or one or two
    Krylov solves for each. Systems with the same pattern and classes share the order of
    elimination.
    """

    def __init__(self, csr: CSR, weight: Tensor) -> None:
        values = _stochastic(csr, weight.detach().double())
        arrays = tuple(a.cpu().numpy() for a in (values, csr.col, csr.rowptr))
        self.matrix = csr_matrix(arrays, shape=(csr.num_rows, csr.num_cols))
        self.classes: Classes = find_classes(csr, values > 0)
        self.csr = csr
        self._closed = self.classes.closed.cpu().numpy()
        self._factor: Factor | None = None
        self._regular = csr.num_rows <= _FACTOR_UP_TO

    def null_vector(self, start: Tensor) -> Tensor | None:
        """The measure pi with pi A = pi that has the mass of ``start`` in every closed class.

        Args:
            start: Positive masses ``[N]``; those of transient nodes do not count.

        Returns:
            float64 ``[N]`` on the CPU, 0 at transient nodes; ``None`` on failure.
        """
        first = np.where(self._closed, start.detach().double().cpu().numpy(), 0.0)
        residual = self.matrix.T @ first - first
        target = _TOLERANCE * np.abs(first).max(initial=0.0)
        if np.linalg.norm(residual) <= target:
            return torch.from_numpy(first)
        correction = self._solve(residual, target, transposed=True)
        if correction is None:
            return None
        label = self.classes.groups.label.cpu().numpy()
        count = self.classes.groups.count
        pi = np.where(self._closed, first + correction, 0.0)
        mass, wanted = (np.bincount(label, v, count) for v in (pi, first))
        pi = pi * (wanted / np.where(mass == 0, 1.0, mass))[label]
        left_over = np.linalg.norm(self.matrix.T @ pi - pi)
        bad = not np.isfinite(left_over) or left_over > 1e4 * target or bool((pi < -target).any())
        return None if bad else torch.from_numpy(pi)

    def solve(self, right: Tensor, transposed: bool = False) -> Tensor:
        """A solution x of (I - A) x = right, or of the transposed system, ``[N]`` or ``[N, F]``.

        Args:
            right: Consistent right-hand side: its pi-weighted sum is 0 in every closed class, or
                for the transposed system its sum weighted by the probabilities to end up there.
            transposed: Solve with I - A^T. (default: ``False``)

        Raises:
            ConvergenceError: If the solve does not converge.
        """
        b = right.detach().double().cpu().numpy()
        x = self._solve(b, _SOLVE_TOLERANCE * np.abs(b).max(initial=0.0), transposed)
        if x is None:
            raise ConvergenceError("a linear system with I - A did not converge")
        return torch.from_numpy(x).to(right.device)

    def carry_to_transient(self, values: Tensor) -> Tensor:
        """Extend values ``[N, F]`` from closed classes to transient nodes so that A x = x there.

        Args:
            values: Constant in every closed class; those of transient nodes do not count.

        Raises:
            ConvergenceError: If the solve does not converge.
        """
        if self.classes.all_closed:
            return values
        device = values.device
        known = np.where(self._closed[:, None], values.detach().double().cpu().numpy(), 0.0)
        right = np.where(self._closed[:, None], 0.0, self.matrix @ known)
        return torch.from_numpy(known).to(device) + self.solve(torch.from_numpy(right)).to(device)

    def carry_to_closed(self, values: Tensor) -> Tensor:
        """Add the shares of transient nodes to the values ``[N, F]`` of closed classes.

        This is the transpose of :meth:`carry_to_transient`: the share of every value that arrives
        at each node of a closed class; 0 at transient nodes.

        Raises:
            ConvergenceError: If the solve does not converge.
        """
        if self.classes.all_closed:
            return values
        closed = self.classes.closed.to(values.device).unsqueeze(-1)
        outside = values.double().masked_fill(closed, 0.0).cpu().numpy()
        target = _SOLVE_TOLERANCE * np.abs(outside).max(initial=0.0)
        x = self._solve(outside, target, transposed=True, transient_only=True)
        if x is None:
            raise ConvergenceError("a linear system with I - A did not converge")
        x = np.where(self._closed[:, None], 0.0, x)
        arriving = torch.from_numpy(self.matrix.T @ x).to(values.device)
        return (values.double() + arriving).masked_fill(~closed, 0.0)

    def _solve(
        self, right: np.ndarray, target: float, transposed: bool, transient_only: bool = False
    ) -> np.ndarray | None:
        if np.linalg.norm(right) <= target:
            return np.zeros_like(right)
        factor = self._factorize()
        if factor is not None:
            return factor.solve(right, transposed)
        columns = [
            self._iterate(b, target, transposed, transient_only)
            for b in right.reshape(len(right), -1).T
        ]
        found = [c for c in columns if c is not None]
        return np.stack(found, axis=1).reshape(right.shape) if len(found) == len(columns) else None

    def _iterate(
        self, b: np.ndarray, target: float, transposed: bool, transient_only: bool
    ) -> np.ndarray | None:
        """Solve block by block: closed classes first, transient nodes first if transposed."""
        matrix = self.matrix.T.tocsr() if transposed else self.matrix
        blocks = [np.flatnonzero(~self._closed), np.flatnonzero(self._closed)]
        x = np.zeros_like(b)
        for number, nodes in enumerate(blocks if transposed else blocks[::-1]):
            if len(nodes) == 0 or (transient_only and number == 1):
                continue
            rows = matrix[nodes]
            right = b[nodes] + rows @ x  # with the solution of the previous block
            if transposed and number == 1:
                right = right - self._class_means(right, nodes)  # consistent to the last digit
            found = _krylov(rows[:, nodes], right, target)
            if found is None:
                return None
            x[nodes] = found
        return x

    def _class_means(self, values: np.ndarray, nodes: np.ndarray) -> np.ndarray:
        label = self.classes.groups.label.cpu().numpy()[nodes]
        count = self.classes.groups.count
        size = np.bincount(label, minlength=count)
        return (np.bincount(label, values, count) / np.maximum(size, 1))[label]

    def _factorize(self) -> Factor | None:
        """The factors, found once; ``None`` where a Krylov solver is to be used."""
        if self._factor is None and self._regular:
            ways = _elimination(self.csr, self.classes.first_nodes())
            self._factor = ways.factorize(self.matrix.data)
            self._regular = self._factor is not None  # if not, it need not be tried again
        return self._factor


def _stochastic(csr: CSR, values: Tensor) -> Tensor:
    """Values whose rows sum to 1 in float64: the systems would be inconsistent otherwise."""
    values = normalize_rows(csr, values)
    small = values < _NEGLIGIBLE
    return normalize_rows(csr, values.masked_fill(small, 0.0)) if bool(small.any()) else values


def _elimination(csr: CSR, left_out: np.ndarray) -> Elimination:
    """The elimination of a pattern without these nodes; the last few of a pattern are kept."""
    kept = _ELIMINATIONS.setdefault(csr, {})
    key = left_out.tobytes()
    found = kept.get(key)
    if found is None:
        while len(kept) >= _KEPT:
            kept.pop(next(iter(kept)), None)
        found = kept[key] = Elimination(csr.rowptr.cpu().numpy(), csr.col.cpu().numpy(), left_out)
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
