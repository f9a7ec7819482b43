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
        rows = np.repeat(np.arange(len(label)), np.diff(rowptr))
        self._ends = rows, col.astype(np.int64)
        left_out = np.unique(label, return_index=True)[1]
        nodes = np.delete(np.arange(len(label)), left_out)
        self._places = _Places.of(self._ends, len(label), nodes)

    def factorize(self, values: np.ndarray) -> Factor | None:
        """Factorise for these values of A, float64 ``[nnz]``.

        Returns:
            The factors, or ``None`` where the matrix is singular (the node left out is not reached
            from the others, as in a directed graph) or has no rows.
        """
        places = self._places  # read once: threads may find the order at the same time
        if len(places.nodes) == 0:
            return None
        try:
            # Diagonally dominant with an all but symmetric pattern: it needs no pivoting.
            lu = splu(
                places.matrix(values),
                permc_spec="MMD_AT_PLUS_A" if places.panels is None else "NATURAL",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True},
                **(places.panels or {}),
            )
        except RuntimeError:
            return None
        if places.panels is None:
            sparse = lu.nnz < _SPARSE_FILL * len(places.nodes)
            panels = {"relax": 1, "panel_size": 1} if sparse else {}
            nodes = places.nodes[np.argsort(lu.perm_c)]
            self._places = _Places.of(self._ends, len(self.label), nodes, panels)
        return Factor(lu, places.nodes)


@dataclass(frozen=True)
class _Places:
    """Where entries between some nodes, in an order, stand in compressed columns.

    Args:
        nodes: The nodes ``[M]``.
        kept: Which entries of A lie between them.
        slot: Where each of those stands; entries that repeat share a place.
        unit: The identity matrix in these places.
        index, starts: Rows and column offsets of the places.
        panels: SuperLU's options for this order; ``None`` where it is to find a better one.
    """

    nodes: np.ndarray
    kept: np.ndarray
    slot: np.ndarray
    unit: np.ndarray
    index: np.ndarray
    starts: np.ndarray
    panels: dict[str, int] | None

    @classmethod
    def of(
        cls,
        ends: tuple[np.ndarray, np.ndarray],
        total: int,
        nodes: np.ndarray,
        panels: dict[str, int] | None = None,
    ) -> _Places:
        """Find the places of entries with these rows and columns in A, which has ``total`` rows."""
        size = len(nodes)
        place = np.full(total, -1, dtype=np.int64)
        place[nodes] = np.arange(size)
        column, row = (place[end] for end in ends)  # of A^T
        kept = np.flatnonzero((row >= 0) & (column >= 0))
        diagonal = np.arange(size, dtype=np.int64) * (size + 1)
        keys = np.concatenate([column[kept] * size + row[kept], diagonal])
        places, slot = np.unique(keys, return_inverse=True)
        unit = np.bincount(slot[len(kept) :], minlength=len(places)).astype(np.float64)
        starts = np.searchsorted(places, np.arange(size + 1) * size)
        index = (places % max(size, 1)).astype(np.int32)
        return cls(nodes, kept, slot[: len(kept)], unit, index, starts.astype(np.int32), panels)

    def matrix(self, values: np.ndarray) -> csc_matrix:
        """The matrix I - A^T between the nodes for values of A ``[nnz]``."""
        data = self.unit - np.bincount(self.slot, values[self.kept], len(self.unit))
        size = len(self.nodes)
        return csc_matrix((data, self.index, self.starts), shape=(size, size))
