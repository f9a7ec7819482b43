"""Sparse LU factorisation of I - A^T; the symbolic analysis of a pattern is cached.

Attention changes the values of A in every training step, never its pattern. The order of
elimination, which takes most of the time of a small factorisation, and the places of the entries
are found with the first factor and serve all others.

Own code around SuperLU, because scipy's ``splu`` repeats the ordering for every matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import SuperLU, splu

# SuperLU gathers columns into panels for the sake of dense products. Factors with fewer entries
# per column than this have none worth gathering: one column at a time is twice as fast.
_SPARSE_FILL = 100


@dataclass(frozen=True, eq=False)
class Factor:
    """The factors of I - A^T without the nodes left out.

    Args:
        lu: SuperLU's factors.
        nodes: The node of each of its unknowns.
    """

    lu: SuperLU
    nodes: np.ndarray

    def solve(self, right: np.ndarray, transposed: bool) -> np.ndarray:
        """Solve (I - A) x = right, or with I - A^T; x is 0 at the nodes left out.

        Args:
            right: Right-hand sides, float64 ``[N]`` or ``[N, F]``.
            transposed: Solve with I - A^T.
        """
        x = np.zeros_like(right)
        kept = np.ascontiguousarray(right[self.nodes])
        x[self.nodes] = self.lu.solve(kept, trans="N" if transposed else "T")
        return x


class Elimination:
    """The pattern of I - A^T without some nodes, and its order of elimination.

    Args:
        rowptr, col: Pattern of A ``[N, N]`` in compressed rows; entries may repeat.
        left_out: Nodes to leave out. Without one node of every closed class the matrix is
            regular, and an M-matrix, which needs no pivoting.

    Cost: a sort of the entries for the first factorisation, which also finds the order of
    elimination, and another one for the second.
    """

    def __init__(self, rowptr: np.ndarray, col: np.ndarray, left_out: np.ndarray) -> None:
        size = len(rowptr) - 1
        rows = np.repeat(np.arange(size), np.diff(rowptr))
        nodes = np.delete(np.arange(size), left_out)
        self._order = _Order((rows, col.astype(np.int64)), size, nodes, None)

    def factorize(self, values: np.ndarray) -> Factor | None:
        """Factorise for these values of A, float64 ``[nnz]``.

        Returns:
            The factors, or ``None`` where the matrix is singular (a closed class has lost no node,
            or values are too small to count) or has no rows.
        """
        order = self._order  # read once: another thread may replace it
        if len(order.nodes) == 0:
            return None
        try:
            # An M-matrix, whose pivots stay positive in any order: it needs no pivoting.
            lu = splu(
                order.matrix(values),
                permc_spec="MMD_AT_PLUS_A" if order.panels is None else "NATURAL",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True},
                **(order.panels or {}),
            )
        except RuntimeError:
            return None
        if order.panels is None:
            sparse = lu.nnz < _SPARSE_FILL * len(order.nodes)
            panels = {"relax": 1, "panel_size": 1} if sparse else {}
            nodes = order.nodes[np.argsort(lu.perm_c)]
            self._order = _Order(order.ends, order.total, nodes, panels)
        return Factor(lu, order.nodes)


@dataclass(frozen=True, eq=False)
class _Order:
    """Some nodes of a pattern in an order.

    Args:
        ends: Rows and columns of the entries of A, int64 ``[nnz]`` each.
        total: Number of rows of A.
        nodes: The nodes ``[M]``.
        panels: SuperLU's options for this order; ``None`` where it is to find a better one.
    """

    ends: tuple[np.ndarray, np.ndarray]
    total: int
    nodes: np.ndarray
    panels: dict[str, int] | None

    @cached_property
    def places(self) -> _Places:
        """Where the entries stand, found when they are first needed."""
        return _Places.of(self.ends, self.total, self.nodes)

    def matrix(self, values: np.ndarray) -> csc_matrix:
        """The matrix I - A^T between the nodes for values of A ``[nnz]``."""
        p, size = self.places, len(self.nodes)
        data = p.unit - np.bincount(p.slot, values[p.kept], len(p.unit))
        return csc_matrix((data, p.index, p.starts), shape=(size, size))


@dataclass(frozen=True, eq=False)
class _Places:
    """Where entries between some nodes, in an order, stand in compressed columns.

    Args:
        kept: Which entries of A lie between them.
        slot: Where each of those stands; entries that repeat share a place.
        unit: The identity matrix in these places.
        index, starts: Rows and column offsets of the places.
    """

    kept: np.ndarray
    slot: np.ndarray
    unit: np.ndarray
    index: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, ends: tuple[np.ndarray, np.ndarray], total: int, nodes: np.ndarray) -> _Places:
        """Find the places; arguments as in :class:`_Order`."""
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
        return cls(kept, slot[: len(kept)], unit, index, starts.astype(np.int32))
