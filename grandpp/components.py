"""Weakly connected components of a sparsity pattern."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from grandpp.ops import CSR


@dataclass(frozen=True, eq=False)
class Components:
    """The component of each node, int64 ``[N]``, and how many there are."""

    label: Tensor
    count: int

    def sum(self, values: Tensor) -> Tensor:
        """Sum values ``[N]`` or ``[N, F]`` over each node's component, same shape."""
        label = self.label.to(values.device)
        total = values.new_zeros(self.count, *values.shape[1:])
        return total.index_add(0, label, values)[label]


def find_components(csr: CSR, present: Tensor) -> Components:
    """Find the weakly connected components of the entries that are present.

    Args:
        csr: Pattern ``[N, N]``.
        present: Which entries count, bool ``[nnz]``.

    Cost: linear in the entries, on the CPU.
    """
    arrays = tuple(a.cpu().numpy() for a in (present, csr.col, csr.rowptr))
    # A copy: the arrays are those of the pattern itself, and zeros are taken out in place.
    matrix = csr_matrix(arrays, shape=(csr.num_rows, csr.num_cols), copy=True)
    matrix.eliminate_zeros()
    count, label = connected_components(matrix, directed=True, connection="weak")
    return Components(torch.from_numpy(label).long().to(present.device), int(count))
