"""The sparsity pattern of a matrix in compressed rows, with its transpose cached.

A graph is used hundreds of times per solve and its transpose as often in the backward pass, so
both orders are sorted once and kept.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import torch
from torch import Tensor

from grandpp.linalg.reductions import LOCAL, Reductions
from grandpp.linalg.row_chunks import RowChunks

# torch announces on the first CSR tensor of a process that the layout is in beta and that its
# invariants go unchecked; both are known here (patterns come from CSR.from_coo alone).
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
warnings.filterwarnings("ignore", message="Sparse invariant checks are implicitly disabled")


@dataclass(frozen=True, eq=False)
class Pattern:
    """Positions of the entries of a matrix in compressed rows; values are kept apart from it.

    Args:
        rowptr: Row offsets, int32 or int64 ``[num_rows + 1]``.
        col: Column of each entry, same dtype ``[nnz]``.
        num_rows: Number of rows.
        num_cols: Number of columns.
    """

    rowptr: Tensor
    col: Tensor
    num_rows: int
    num_cols: int

    def matrix(self, values: Tensor) -> Tensor:
        """Return the ``torch.sparse_csr`` matrix with these values ``[nnz]``."""
        size = (self.num_rows, self.num_cols)
        return torch.sparse_csr_tensor(self.rowptr, self.col, values, size, check_invariants=False)

    def zeros(self, dtype: torch.dtype) -> Tensor:
        """The ``torch.sparse_csr`` matrix without values, made once per type."""
        kept = self.__dict__.setdefault("_zeros", {})
        if dtype not in kept:
            kept[dtype] = self.matrix(self.rowptr.new_zeros(self.col.numel(), dtype=dtype))
        return kept[dtype]


@dataclass(frozen=True, eq=False)
class Heads(Pattern):
    """One matrix per head as a single one, for features ``[N, H, F]`` seen as ``[N * H, F]``.

    Row i H + h holds the entries of row i in head h, so that features need no reordering; values
    ``[nnz, H]`` do, which are fewer.

    Args:
        rowptr, col, num_rows, num_cols: See :class:`Pattern`.
        order: Which of the values ``[nnz * H]`` each entry takes, int32 or int64.
        place: Which entry holds each of the values, likewise: the inverse of ``order``.
    """

    order: Tensor
    place: Tensor

    @classmethod
    def of(cls, csr: CSR, heads: int) -> Heads:
        """Repeat a pattern once per head."""
        index, head = csr.col.dtype, torch.arange(heads, device=csr.col.device)
        first, length = csr.rowptr[:-1].long(), csr.rowptr.diff().long()
        starts = heads * first.unsqueeze(1) + length.unsqueeze(1) * head
        rowptr = torch.cat([starts.view(-1), starts.new_full((1,), heads * csr.col.numel())])
        # Entry e of row i stands e - first[i] places after the start of its row in each head.
        within = torch.arange(csr.col.numel(), device=csr.col.device) - first[csr.row]
        place = (starts[csr.row] + within.unsqueeze(1)).view(-1)
        order = torch.empty_like(place)
        order[place] = torch.arange(place.numel(), device=place.device)
        col = (csr.col_long.unsqueeze(1) * heads + head).view(-1)[order]
        rows, cols = heads * csr.num_rows, heads * csr.num_cols
        small = (tensor.to(index) for tensor in (rowptr, col, order, place))
        rowptr, col, order, place = small
        return cls(rowptr, col, rows, cols, order, place)


@dataclass(frozen=True, eq=False)
class CSR(Pattern):
    """A pattern whose transpose and block matrices for several heads are cached.

    Args:
        rowptr, col, num_rows, num_cols: See :class:`Pattern`.
        perm: Position of each entry in the list the pattern was built from, int64 ``[nnz]``.
        copies: Number of equal diagonal blocks, see :func:`grandpp.linalg.block_diagonal`.
            (default: ``1``)
    """

    perm: Tensor
    copies: int = 1

    @classmethod
    def from_coo(cls, row: Tensor, col: Tensor, num_rows: int, num_cols: int) -> CSR:
        """Sort coordinates row by row; duplicates stay separate entries.

        Args:
            row: Row of each entry, int64 ``[nnz]``.
            col: Column of each entry, int64 ``[nnz]``.
            num_rows: Number of rows.
            num_cols: Number of columns.
        """
        perm = torch.argsort(row * num_cols + col, stable=True)
        counts = torch.bincount(row, minlength=num_rows)
        rowptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        # 32-bit indices halve the traffic of a product that is bound by memory.
        small = max(num_rows, num_cols, row.numel()) < 2**31
        index = torch.int32 if small else torch.int64
        return cls(rowptr.to(index), col[perm].to(index), num_rows, num_cols, perm)

    @cached_property
    def row(self) -> Tensor:
        """Row of each entry, int64 ``[nnz]``."""
        counts = (self.rowptr[1:] - self.rowptr[:-1]).long()
        rows = torch.arange(self.num_rows, device=counts.device)
        return rows.repeat_interleave(counts, output_size=self.col.numel())

    @cached_property
    def col_long(self) -> Tensor:
        """Column of each entry, int64 ``[nnz]`` (what gathers and scatters take)."""
        return self.col.long()

    @cached_property
    def transpose(self) -> CSR:
        """Pattern of the transposed matrix; its ``perm`` points into this one's entries."""
        other = CSR.from_coo(self.col_long, self.row, self.num_cols, self.num_rows)
        # A transpose of the transpose would be built again from scratch: return this one.
        back = torch.empty_like(other.perm)
        back[other.perm] = torch.arange(back.numel(), device=back.device)
        other.__dict__["transpose"] = CSR(self.rowptr, self.col, self.num_rows, self.num_cols, back)
        return other

    @cached_property
    def chunks(self) -> RowChunks:
        """The rows cut into pieces, for kernels that give each piece to one program."""
        return RowChunks.of(self.rowptr)

    def heads(self, heads: int) -> Heads:
        """The block matrix that multiplies all heads at once; made once per number."""
        kept = self.__dict__.setdefault("_heads", {})
        if heads not in kept:
            kept[heads] = Heads.of(self, heads)
        return kept[heads]

    @property
    def reductions(self) -> Reductions:
        """Reductions over the rows of features that this matrix multiplies."""
        return LOCAL

    def at_columns(self, x: Tensor) -> Tensor:
        """Features of nodes in the numbering that ``col`` has, for gathers along entries."""
        return x


@dataclass(frozen=True, eq=False)
class ShardedCSR(CSR, ABC):
    """Rows of a square matrix whose other rows are in other processes.

    Features are those of the rows here, ``[num_rows, F]``; products exchange what they need.
    Entries are in the order of ``rowptr`` and ``col``, and ``col`` counts on past ``num_rows`` for
    rows of other processes. Code that would take the pattern for a whole matrix raises.
    """

    @abstractmethod
    def multiply(self, weight: Tensor, x: Tensor, spare: Tensor | None = None) -> Tensor:
        """The product, see :func:`grandpp.linalg.multiply`."""

    @abstractmethod
    def sampled_product(self, a: Tensor, b: Tensor) -> Tensor:
        """Inner products at the entries, see :func:`grandpp.linalg.sampled_product`."""

    @abstractmethod
    def add_sampled_product(self, a: Tensor, b: Tensor, total: Tensor, scale: float) -> None:
        """Add them to a total, see :func:`grandpp.linalg.add_sampled_product`."""

    @abstractmethod
    def with_columns(self, rows: Tensor, columns: Tensor) -> tuple[CSR, Tensor, Tensor]:
        """A whole matrix with the same entries, for work that needs all columns at once.

        Args:
            rows: Values at the rows here ``[num_rows, ...]``.
            columns: Values to be had at the columns ``[num_rows, ...]``.

        Returns:
            A square pattern, whose first ``num_rows`` rows are these and whose others are empty;
            ``rows``, with zeros for the others; and ``columns`` with those of other processes,
            which are exchanged once, differentiably.
        """

    def matrix(self, values: Tensor) -> NoReturn:
        """Refuse to be taken for a whole matrix."""
        raise TypeError(
            "expected the whole graph in one process (got a sharded one): sharded graphs take "
            "'exact' in linear mode, 'tsit5' and one-step methods of torchdiffeq"
        )

    def zeros(self, dtype: torch.dtype) -> NoReturn:
        """Refuse, see :meth:`matrix`."""
        self.matrix(self.rowptr)

    def heads(self, heads: int) -> NoReturn:
        """Refuse, see :meth:`matrix`."""
        self.matrix(self.rowptr)

    @property
    def chunks(self) -> Any:
        """Refuse, see :meth:`matrix`."""
        self.matrix(self.rowptr)
