"""Sparse LU factors of I - A^T for one pattern and many values; what they share is worked out once.

Attention changes the values of A in every training step, never its pattern. The order of
elimination, which takes most of the time of a small factorisation, and the places of the entries
are found with the first factor and serve all others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import SuperLU, splu

# SuperLU gathers columns into panels for the sake of dense products. Factors with fewer entries
# per column than this have none worth gathering: one column at a time is twice as fast.
_SPARSE_FILL = 100


@dataclass(frozen=True)
class Factor:
    """The factors of I - A^T without one node per component.

    Args:
        lu: SuperLU's factors.
        nodes: The node of each of its unknowns ``[N - components]``.
    """

    lu: SuperLU
    nodes: np.ndarray

    def solve(self, right: np.ndarray, transposed: bool) -> np.ndarray:
        """Solve (I - A) x = right, or with I - A^T; x is 0 at the node left out per component.

        Args:
            right: Right-hand sides, float64 ``[N]`` or ``[N, F]``.
            transposed: Solve with I - A^T.
        """
        x = np.zeros_like(right)
        kept = np.ascontiguousarray(right[self.nodes])
        x[self.nodes] = self.lu.solve(kept, trans="N" if transposed else "T")
        return x


class Elimination:
    """The pattern of I - A^T without one node per component, and its order of elimination.

    Args:
        rowptr, col: Pattern of A ``[N, N]`` in compressed rows; entries may repeat.
        label: Weakly connected component of every node ``[N]``. Each loses its first node:
            without it the matrix is regular.

    Cost: linear in the entries; the first factorisation also finds the order of elimination.
    """

    def __init__(self, rowptr: np.ndarray, col: np.ndarray, label: np.ndarray) -> None:
        self.label = label
        self._ends = np.repeat(np.arange(len(label)), np.diff(rowptr)), col.astype(np.int64)
        self._ordered = False
        self._panels: dict[str, int] = {}
        left_out = np.unique(label, return_index=True)[1]
        self._arrange(np.delete(np.arange(len(label)), left_out))

    def factorize(self, values: np.ndarray) -> Factor | None:
        """Factorise for these values of A, float64 ``[nnz]``.

        Returns:
            The factors, or ``None`` where the matrix is singular (the node left out is not reached
            from the others, as in a directed graph) or has no rows.
        """
        nodes = self._nodes
        if len(nodes) == 0:
            return None
        data = self._unit - np.bincount(self._slot, values[self._kept], len(self._unit))
        matrix = csc_matrix((data, self._index, self._starts), shape=(len(nodes), len(nodes)))
        try:
            # Diagonally dominant with an all but symmetric pattern: it needs no pivoting.
            lu = splu(
                matrix,
                permc_spec="NATURAL" if self._ordered else "MMD_AT_PLUS_A",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True},
                **self._panels,
            )
        except RuntimeError:
            return None
        if not self._ordered:
            self._ordered = True
            if lu.nnz < _SPARSE_FILL * len(nodes):
                self._panels = {"relax": 1, "panel_size": 1}
            self._arrange(nodes[np.argsort(lu.perm_c)])
        return Factor(lu, nodes)

    def _arrange(self, nodes: np.ndarray) -> None:
        """Find where entries between these nodes, in this order, stand in compressed columns."""
        size = len(nodes)
        place = np.full(len(self.label), -1, dtype=np.int64)
        place[nodes] = np.arange(size)
        column, row = (place[end] for end in self._ends)  # of A^T
        self._nodes, self._kept = nodes, np.flatnonzero((row >= 0) & (column >= 0))
        diagonal = np.arange(size, dtype=np.int64) * (size + 1)
        keys = np.concatenate([column[self._kept] * size + row[self._kept], diagonal])
        slots, slot = np.unique(keys, return_inverse=True)
        self._slot = slot[: len(self._kept)]
        self._unit = np.bincount(slot[len(self._kept) :], minlength=len(slots)).astype(np.float64)
        self._index = (slots % max(size, 1)).astype(np.int32)
        self._starts = np.searchsorted(slots, np.arange(size + 1) * size).astype(np.int32)
