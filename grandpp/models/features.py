"""Dense and sparse node features, and a linear map that skips zeros."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from grandpp.linalg import CSR, spmm

# Patterns of torch.sparse_csr matrices by the tensor object. PyG's layers pass such a matrix to
# their linear map unchanged; a stored pattern sorts the transpose for its gradient only once.
_patterns: MutableMapping[Tensor, CSR] = WeakIdKeyDictionary()


# Up to this share of non-zero entries products with sparse features pay, and up to the second one
# random numbers for non-zero entries alone.
_DENSITY = 0.15
_DROPOUT_DENSITY = 0.5


class Filled(NamedTuple):
    """Features that have zeros, but too few for sparse products: on the CPU drawing the random
    numbers of a dropout takes longer there than the product.

    Args:
        dense: The features ``[N, F]``.
        places: Where the non-zero entries lie in it, int64 ``[nnz]``.
    """

    dense: Tensor
    places: Tensor

    def with_values(self, values: Tensor) -> Filled:
        """The same pattern with other entries ``[nnz]``."""
        dense = torch.zeros_like(self.dense)
        dense.view(-1).index_copy_(0, self.places, values)
        return self._replace(dense=dense)


@dataclass(frozen=True, eq=False)
class SparseFeatures:
    """Node features stored as their non-zero entries.

    Args:
        csr: Pattern ``[N, F]``.
        values: Its entries ``[nnz]``.
        filled: The same as a dense tensor, where products take that. (default: ``None``)
    """

    csr: CSR
    values: Tensor
    filled: Filled | None = None

    @classmethod
    def from_dense(cls, x: Tensor) -> SparseFeatures:
        """Store the non-zero entries of ``x`` ``[N, F]``."""
        row, col = x.nonzero().unbind(1)
        csr = CSR.from_coo(row, col, *x.shape)
        return cls(csr, x[row, col][csr.perm])

    @classmethod
    def from_csr(cls, x: Tensor) -> SparseFeatures:
        """Use the stored entries of a ``torch.sparse_csr`` matrix ``[N, F]``.

        Its pattern is cached by the tensor object, so it must not be changed between calls.
        """
        return cls(_pattern_of(x), x.values())

    @classmethod
    def filled_from(cls, x: Tensor) -> SparseFeatures:
        """Use the non-zero entries of ``x`` ``[N, F]`` for dropout and ``x`` for products."""
        sparse, dense = cls.from_dense(x), x.contiguous()
        places = sparse.csr.row.long() * x.size(1) + sparse.csr.col_long
        return cls(sparse.csr, sparse.values, Filled(dense, places))

    def with_values(self, values: Tensor) -> SparseFeatures:
        """The same pattern with other entries ``[nnz]``."""
        filled = None if self.filled is None else self.filled.with_values(values)
        return SparseFeatures(self.csr, values, filled)

    @property
    def num_nodes(self) -> int:
        """Number of nodes N."""
        return self.csr.num_rows

    def matrix(self) -> Tensor:
        """The same features as a ``torch.sparse_csr`` matrix, with its pattern cached."""
        made = self.csr.matrix(self.values)
        _patterns[made] = self.csr
        return made


def is_csr(x: object) -> bool:
    """Whether an object is a ``torch.sparse_csr`` matrix."""
    return isinstance(x, Tensor) and x.layout == torch.sparse_csr


def sparse_if_sparse(x: Tensor, density: float = _DENSITY) -> Tensor | SparseFeatures:
    """Return features as :class:`SparseFeatures` if at most a share ``density`` is non-zero.

    At a share of 0.15 to 0.2, dense and sparse maps from 500 to 3000 features to 64 channels, with
    gradient, take the same time; with dropout, which draws a random number per entry, the sparse
    map is 3 to 5 times as fast. Up to a share of 0.5 the CPU therefore drops non-zero entries alone
    and multiplies densely. A ``torch.sparse_csr`` matrix stays sparse.

    Args:
        x: Features ``[N, F]``.
        density: Largest share of non-zero entries. (default: ``0.15``)
    """
    if is_csr(x):
        return SparseFeatures.from_csr(x)
    share = float((x != 0).float().mean())
    if share <= density:
        return SparseFeatures.from_dense(x)
    on_cpu = x.device.type == "cpu"
    return SparseFeatures.filled_from(x) if on_cpu and share <= _DROPOUT_DENSITY else x


def to_dense(x: Tensor | SparseFeatures) -> Tensor:
    """Return features as a dense tensor ``[N, F]``."""
    if isinstance(x, Tensor):
        return x.to_dense() if is_csr(x) else x
    if x.filled is not None:
        return x.filled.dense
    out = x.values.new_zeros(x.csr.num_rows, x.csr.num_cols)
    return torch.index_put(out, (x.csr.row, x.csr.col_long), x.values)


def map_features(x: Tensor | SparseFeatures, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    r"""The linear map :math:`x W^\top + b` of dense or sparse features, differentiable in W and b.

    Args:
        x: Features ``[N, F]``: dense, ``torch.sparse_csr`` or :class:`SparseFeatures`.
        weight: W ``[C, F]``.
        bias: b ``[C]``. (default: ``None``)

    Returns:
        ``[N, C]``; results for dense and sparse features agree up to rounding.

    Cost: N F C multiply-adds for dense and nnz C for sparse features, and as many for the gradient.
    """
    if isinstance(x, SparseFeatures) and x.filled is not None:
        x = x.filled.dense
    if isinstance(x, Tensor) and not is_csr(x):
        return F.linear(x, weight, bias)
    sparse = x if isinstance(x, SparseFeatures) else SparseFeatures.from_csr(x)
    y = spmm(sparse.csr, sparse.values, weight.t())
    return y if bias is None else y + bias


def mean_features(x: Tensor | SparseFeatures) -> Tensor:
    """Mean over the nodes of features ``[N, F]``, dense or sparse: ``[F]``."""
    if isinstance(x, Tensor) and not is_csr(x):
        return x.mean(dim=0)
    sparse = x if isinstance(x, SparseFeatures) else SparseFeatures.from_csr(x)
    total = sparse.values.new_zeros(sparse.csr.num_cols)
    return total.index_add(0, sparse.csr.col_long, sparse.values) / max(sparse.num_nodes, 1)


def _pattern_of(x: Tensor) -> CSR:
    if x not in _patterns:
        rowptr, col = x.crow_indices(), x.col_indices()
        # 32-bit indices halve the memory traffic of a memory-bound product.
        small = max(*x.shape, col.numel()) < 2**31
        index = torch.int32 if small else torch.int64
        order = torch.arange(col.numel(), device=col.device)
        rows, cols = x.shape
        _patterns[x] = CSR(rowptr.to(index), col.to(index), rows, cols, order)
    return _patterns[x]
