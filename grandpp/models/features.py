"""Node features, dense or as the entries that are not zero, and the linear map that skips zeros."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from grandpp.linalg import CSR, spmm

# Patterns of torch.sparse_csr matrices by the tensor object: PyG's layers hand such a matrix on to
# their linear map as it is, and the transpose that its gradient needs is sorted once, not per call.
_patterns: MutableMapping[Tensor, CSR] = WeakIdKeyDictionary()


@dataclass(frozen=True, eq=False)
class SparseFeatures:
    """Node features stored as the entries that are not zero.

    Args:
        csr: Pattern ``[N, F]``.
        values: Its entries ``[nnz]``.
    """

    csr: CSR
    values: Tensor

    @classmethod
    def from_dense(cls, x: Tensor) -> SparseFeatures:
        """Keep the entries of ``x`` ``[N, F]`` that are not zero."""
        row, col = x.nonzero().unbind(1)
        csr = CSR.from_coo(row, col, *x.shape)
        return cls(csr, x[row, col][csr.perm])

    @classmethod
    def from_csr(cls, x: Tensor) -> SparseFeatures:
        """Take the stored entries of a ``torch.sparse_csr`` matrix ``[N, F]``; its pattern is kept.

        A matrix that is passed again has its pattern already: it must not be changed in between.
        """
        return cls(_pattern_of(x), x.values())

    @property
    def num_nodes(self) -> int:
        """Number of nodes N."""
        return self.csr.num_rows

    def matrix(self) -> Tensor:
        """The same features as a ``torch.sparse_csr`` matrix, whose pattern is known."""
        made = self.csr.matrix(self.values)
        _patterns[made] = self.csr
        return made


def is_csr(x: object) -> bool:
    """Whether something is a ``torch.sparse_csr`` matrix."""
    return isinstance(x, Tensor) and x.layout == torch.sparse_csr


def sparse_if_sparse(x: Tensor, density: float = 0.15) -> Tensor | SparseFeatures:
    """Return features as :class:`SparseFeatures` if at most this share of them is not zero.

    The map from 500 to 3000 features to 64 channels, with its gradient, takes the same time either
    way at a share of 0.15 to 0.2; with dropout, which draws a random number per entry, the sparse
    one is 3 to 5 times as fast there. A ``torch.sparse_csr`` matrix stays sparse.

    Args:
        x: Features ``[N, F]``.
        density: Largest share of entries that are not zero. (default: ``0.15``)
    """
    if is_csr(x):
        return SparseFeatures.from_csr(x)
    return SparseFeatures.from_dense(x) if bool((x != 0).float().mean() <= density) else x


def to_dense(x: Tensor | SparseFeatures) -> Tensor:
    """Return features as an ordinary ``[N, F]`` tensor."""
    if isinstance(x, Tensor):
        return x.to_dense() if is_csr(x) else x
    out = x.values.new_zeros(x.csr.num_rows, x.csr.num_cols)
    return torch.index_put(out, (x.csr.row, x.csr.col_long), x.values)


def map_features(x: Tensor | SparseFeatures, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    r"""The linear map :math:`x W^\top + b` of dense or sparse features, differentiable in W and b.

    Args:
        x: Features ``[N, F]``: dense, ``torch.sparse_csr`` or :class:`SparseFeatures`.
        weight: W ``[C, F]``.
        bias: b ``[C]``. (default: ``None``)

    Returns:
        ``[N, C]``; for sparse features the same numbers up to rounding.

    Cost: N F C multiply-adds, or nnz C of sparse features; their gradient to W takes the same.
    """
    if isinstance(x, Tensor) and not is_csr(x):
        return F.linear(x, weight, bias)
    sparse = x if isinstance(x, SparseFeatures) else SparseFeatures.from_csr(x)
    y = spmm(sparse.csr, sparse.values, weight.t())
    return y if bias is None else y + bias


def _pattern_of(x: Tensor) -> CSR:
    if x not in _patterns:
        rowptr, col = x.crow_indices(), x.col_indices()
        # 32-bit indices halve the traffic of a product that is bound by memory.
        small = max(*x.shape, col.numel()) < 2**31
        index = torch.int32 if small else torch.int64
        order = torch.arange(col.numel(), device=col.device)
        rows, cols = x.shape
        _patterns[x] = CSR(rowptr.to(index), col.to(index), rows, cols, order)
    return _patterns[x]
