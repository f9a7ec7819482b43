"""Weakly connected components of a sparsity pattern, and the closed classes of its random walk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from grandpp.linalg import CSR, LOCAL, Reductions


@dataclass(frozen=True, eq=False)
class Components:
    """The component of each node, int64 ``[N]``, and how many there are.

    Args:
        label: The components.
        count: Their number, in all processes.
        reductions: How to sum over nodes. (default: those of one process)
    """

    label: Tensor
    count: int
    reductions: Reductions = LOCAL

    def sum(self, values: Tensor) -> Tensor:
        """Sum values ``[N]`` or ``[N, F]`` over each node's component, same shape."""
        label = self.label.to(values.device)
        total = values.new_zeros(self.count, *values.shape[1:])
        return self.reductions.sum(total.index_add(0, label, values))[label]

    def at(self, nodes: Tensor) -> Components:
        """The components of some nodes ``[M]`` alone, which may be far fewer."""
        label = self.label.to(nodes.device)[nodes]
        if self.reductions.is_local:
            numbers, label = label.unique(return_inverse=True)
            return Components(label, numbers.numel())
        met = label.new_zeros(self.count).index_fill(0, label, 1)
        number = self.reductions.max(met).cumsum(0)
        return Components(number[label] - 1, int(number[-1]), self.reductions)


@dataclass(frozen=True, eq=False)
class Classes:
    """The closed classes of the random walk from rows to columns of a pattern.

    A closed class is a strongly connected component that no walk leaves; the other nodes are
    transient. In an undirected graph the closed classes are the components.

    Args:
        components: Weakly connected components.
        groups: The closed classes; all transient nodes together are one more group, the last.
        closed: Which nodes lie in a closed class, bool ``[N]``.
        all_closed: Whether there are no transient nodes.
    """

    components: Components
    groups: Components
    closed: Tensor
    all_closed: bool

    def first_nodes(self) -> np.ndarray:
        """The first node of every closed class, rising."""
        label, closed = self.groups.label.cpu().numpy(), self.closed.cpu().numpy()
        nodes = np.flatnonzero(closed)
        return np.sort(nodes[np.unique(label[nodes], return_index=True)[1]])


def find_components(csr: CSR, present: Tensor) -> Components:
    """Find the weakly connected components of the entries that are present.

    Args:
        csr: Pattern ``[N, N]``.
        present: Which entries count, bool ``[nnz]``.

    Cost: linear in the entries, on the CPU.
    """
    count, label = connected_components(_matrix(csr, present), connection="weak")
    return Components(torch.from_numpy(label).long().to(present.device), int(count))


def find_classes(csr: CSR, present: Tensor) -> Classes:
    """Find the closed classes of the entries that are present; arguments and cost as above."""
    components = find_components(csr, present)
    matrix = _matrix(csr, present)
    count, label = connected_components(matrix, connection="strong")
    if count == components.count:
        every = torch.ones_like(components.label, dtype=torch.bool)
        return Classes(components, components, every, True)
    ends = matrix.tocoo()
    leaving = label[ends.row] != label[ends.col]
    is_closed = np.ones(count, dtype=bool)
    is_closed[label[ends.row[leaving]]] = False
    number = np.where(is_closed, np.cumsum(is_closed) - 1, is_closed.sum())
    device = present.device
    groups = Components(torch.from_numpy(number[label]).long().to(device), int(is_closed.sum()) + 1)
    closed = torch.from_numpy(is_closed[label]).to(device)
    return Classes(components, groups, closed, False)


def _matrix(csr: CSR, present: Tensor) -> csr_matrix:
    arrays = tuple(a.cpu().numpy() for a in (present, csr.col, csr.rowptr))
    # A copy: the arrays are those of the pattern itself, and zeros are taken out in place.
    matrix = csr_matrix(arrays, shape=(csr.num_rows, csr.num_cols), copy=True)
    matrix.eliminate_zeros()
    return matrix
