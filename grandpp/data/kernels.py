r"""Sparse approximations of diffusion kernels on large graphs, a few rows at a time.

On an undirected graph with weights :math:`A` and degrees :math:`d`, the random walk
:math:`Q = D^{-1} A` and its kernel :math:`K = \sum_k \theta_k Q^k` have a reversal law,
:math:`d_t K_{ts} = d_s K_{st}`, so :math:`Q^k` applied to :math:`d` from the left gives :math:`d`
back. Both kernels below drop entries only where they are small *relative to the degree*: an amount
of at most :math:`\varepsilon d` at every node stays at most :math:`\varepsilon d` after any number
of further steps. Dropped amounts are positive, so that

.. math:: 0 \le K_{ts} - \tilde K_{ts} \le \varepsilon\, d_s \quad \text{for all } t, s .
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import gammainc, gammaln

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_CUT_OFF = 0.1  # share of the heat kernel's tolerance for truncating its series


@dataclass(frozen=True)
class RandomWalk:
    """The random walk on an undirected graph.

    Args:
        step: Transition probabilities Q ``[N, N]``; rows of nodes without edges are empty.
        degree: Sum of the weights at each node, ``[N]``.
    """

    step: sp.csr_array
    degree: FloatArray

    @classmethod
    def on(cls, adjacency: sp.csr_array) -> RandomWalk:
        """Build the walk from a symmetric matrix of non-negative weights ``[N, N]``."""
        degree = np.asarray(adjacency.sum(axis=1), dtype=np.float64)
        inverse = np.divide(1.0, degree, out=np.zeros_like(degree), where=degree > 0)
        return cls(sp.csr_array(sp.diags_array(inverse) @ adjacency), degree)

    def starts(self, nodes: IntArray) -> sp.csr_array:
        """One row per node with all probability on that node, ``[B, N]``."""
        ends = np.arange(nodes.size + 1)
        shape = (nodes.size, self.degree.size)
        return sp.csr_array((np.ones(nodes.size), nodes, ends), shape=shape)


class Kernel(Protocol):
    """A diffusion kernel: its arguments for PyG's GDC, and rows of it on a large graph."""

    def of_gdc(self) -> dict[str, Any]:
        """The ``diffusion_kwargs`` of :class:`torch_geometric.transforms.GDC`."""

    def rows(self, walk: RandomWalk, nodes: IntArray, tolerance: float) -> sp.csr_array:
        r"""Rows :math:`\tilde K_{t \cdot}` for ``nodes`` t, ``[B, N]``, sorted by column.

        Entries are too small by at most ``tolerance`` times the degree of the column's node.
        """


@dataclass(frozen=True)
class PersonalizedPageRank:
    r"""The kernel of a walk that stops with probability alpha at every step.

    .. math:: K = \alpha \sum_{k \ge 0} (1 - \alpha)^k Q^k = \alpha (I - (1 - \alpha) Q)^{-1}

    Rows are computed by the push method (Andersen, Chung and Lang, 2006): at every node whose
    residual r exceeds ``tolerance`` times its degree, the residual is pushed to the neighbours, for
    all nodes of all rows at once. The error is r K.

    Args:
        alpha: Probability to stop, in (0, 1).
    """

    alpha: float

    def of_gdc(self) -> dict[str, Any]:
        """See :class:`Kernel`."""
        return {"method": "ppr", "alpha": self.alpha}

    def rows(self, walk: RandomWalk, nodes: IntArray, tolerance: float) -> sp.csr_array:
        """See :class:`Kernel`; at most 1 / (alpha tolerance) steps over an edge per row."""
        enough = tolerance * walk.degree
        rest = walk.starts(nodes)
        stopped: list[sp.csr_array] = []
        while True:
            moving = rest.data > enough[rest.indices]
            if not moving.any():
                return _total(stopped, rest.shape)
            moved = choose(rest, moving)
            rest.data[moving] = 0.0
            stopped.append(self.alpha * moved)
            rest = rest + (1.0 - self.alpha) * (moved @ walk.step)


@dataclass(frozen=True)
class HeatKernel:
    r"""The kernel of a walk with steps at the events of a Poisson process of rate 1, at time t.

    .. math:: K = e^{-t (I - Q)} = \sum_{k \ge 0} e^{-t} \frac{t^k}{k!}\, Q^k

    Rows are computed by the series. At step k entries below :math:`\varepsilon_k d` are dropped.
    With the probability :math:`\psi_k` of k or more steps, the error is at most
    :math:`\sum_k \psi_k \varepsilon_k d`; :math:`\varepsilon_k \propto \psi_k^{-1/2}` divides the
    tolerance with the least work if work is proportional to :math:`1/\varepsilon_k`.

    Args:
        t: Time, positive.
    """

    t: float

    def of_gdc(self) -> dict[str, Any]:
        """See :class:`Kernel`."""
        return {"method": "heat", "t": self.t}

    def rows(self, walk: RandomWalk, nodes: IntArray, tolerance: float) -> sp.csr_array:
        """See :class:`Kernel`."""
        present = walk.degree[walk.degree > 0]
        # (Q^k)_ts <= d_s / d_t bounds the truncated part of the series.
        last = self._last_step(_CUT_OFF * tolerance * present.min()) if present.size else 0
        steps = np.arange(1, last + 1)
        late = gammainc(steps, self.t)  # psi
        cut = (1.0 - _CUT_OFF) * tolerance / np.sqrt(late) / max(np.sqrt(late).sum(), 1e-300)
        chance = np.exp(steps * math.log(self.t) - self.t - gammaln(steps + 1))
        there = walk.starts(nodes)
        parts = [math.exp(-self.t) * there]
        for theta, below in zip(chance.tolist(), cut.tolist(), strict=True):
            there = there @ walk.step
            there = choose(there, there.data > below * walk.degree[there.indices])
            parts.append(theta * there)
        return _total(parts, there.shape)

    def _last_step(self, allowed: float) -> int:
        """Smallest number of steps exceeded with at most the allowed probability."""
        last = 0
        while gammainc(last + 1, self.t) > allowed:
            last += 1
        return last


def largest(matrix: sp.csr_array, count: int) -> sp.csr_array:
    """Keep the ``count`` largest entries of every row; ties are broken by the column.

    Args:
        matrix: ``[B, N]``, sorted by column.
        count: Entries to keep in each row, at least 1.
    """
    row = _row_of_entries(matrix)
    order = np.lexsort((-matrix.data, row))  # stable, and row by row as before
    rank = np.empty(row.size, dtype=np.int64)
    rank[order] = np.arange(row.size) - matrix.indptr[row]
    return choose(matrix, rank < count)


def choose(matrix: sp.csr_array, kept: NDArray[np.bool_]) -> sp.csr_array:
    """Keep only the entries marked by ``kept`` ``[nnz]``."""
    before = np.concatenate([[0], np.cumsum(kept)])
    parts = (matrix.data[kept], matrix.indices[kept], before[matrix.indptr])
    return sp.csr_array(parts, shape=matrix.shape)


def _total(parts: list[sp.csr_array], shape: tuple[int, int]) -> sp.csr_array:
    """Sum of matrices, sorted by column; one sort for all is faster than adding one by one."""
    row = np.concatenate([_row_of_entries(part) for part in parts])
    col = np.concatenate([part.indices for part in parts])
    value = np.concatenate([part.data for part in parts])
    total = sp.csr_array(sp.coo_array((value, (row, col)), shape=shape))
    total.sum_duplicates()
    return total


def _row_of_entries(matrix: sp.csr_array) -> IntArray:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
