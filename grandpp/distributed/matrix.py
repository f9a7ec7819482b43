"""The rows of a sparse matrix that one rank has, and products that exchange rows of features.

Rows come in two blocks: the interior ones, whose entries are all in columns of this rank, and the
boundary ones. A product sends rows of features on their way, multiplies the interior, and then the
boundary with the rows that have arrived.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from grandpp.distributed.exchange import Buffers, Halo, Pending, RankReductions, with_halo
from grandpp.linalg import CSR, add_sampled_product, multiply, overwrites, sampled_product
from grandpp.linalg.csr import ShardedCSR


@dataclass(frozen=True, eq=False)
class RowShard(ShardedCSR):
    """Rows of a square matrix, interior rows first.

    Args:
        rowptr, col, num_rows, num_cols, perm: See :class:`grandpp.linalg.CSR`; columns from
            ``num_rows`` on are those of the halo, in the order in which they arrive.
        interior: Pattern of the interior rows ``[I, N]``.
        boundary: Pattern of the others ``[N - I, M + H]``: M columns of this rank, then the halo.
        near: Those M columns, int64.
        halo: Rows to exchange.
        ranks: Reductions over all ranks.
        buffers: Memory of the rows that products exchange.
    """

    interior: CSR = None  # type: ignore[assignment]
    boundary: CSR = None  # type: ignore[assignment]
    near: Tensor = None  # type: ignore[assignment]
    halo: Halo = None  # type: ignore[assignment]
    ranks: RankReductions = None  # type: ignore[assignment]
    buffers: Buffers = field(default_factory=Buffers)

    @classmethod
    def of(
        cls, rowptr: Tensor, col: Tensor, interior: int, halo: Halo, ranks: RankReductions
    ) -> RowShard:
        """Build the blocks.

        Args:
            rowptr, col: The rows in compressed form; columns as in the class.
            interior: Number of interior rows.
            halo, ranks: As in the class.
        """
        rows, order = rowptr.numel() - 1, torch.empty(0, dtype=torch.int64, device=col.device)
        cut = int(rowptr[interior])
        inside = CSR(rowptr[: interior + 1], col[:cut], interior, rows, order)
        outer = col[cut:].long()
        used = torch.zeros(rows, dtype=torch.bool, device=col.device)
        used[outer[outer < rows]] = True
        near = used.nonzero().view(-1)
        place = torch.cat([used.cumsum(0) - 1, torch.arange(halo.size, device=col.device)])
        place[rows:] += near.numel()
        edge = CSR(
            (rowptr[interior:] - rowptr[interior]).contiguous(),
            place[outer].to(col.dtype),
            rows - interior,
            near.numel() + halo.size,
            order,
        )
        return cls(rowptr, col, rows, rows, order, 1, inside, edge, near, halo, ranks)

    @property
    def reductions(self) -> RankReductions:
        """Reductions over all ranks."""
        return self.ranks

    @cached_property
    def transpose(self) -> TransposedShard:
        """Columns of the matrix as rows; products give partial sums to the ranks that own them."""
        perm = torch.cat([
            self.interior.transpose.perm,
            self.boundary.transpose.perm + self.interior.col.numel(),
        ])  # fmt: skip
        none = self.rowptr.new_empty(0)
        return TransposedShard(none, none, self.num_rows, self.num_rows, perm, 1, self)

    def at_columns(self, x: Tensor) -> Tensor:
        """Features here and those of the halo, differentiable."""
        return with_halo(x, self.halo)

    def multiply(self, weight: Tensor, x: Tensor, spare: Tensor | None = None) -> Tensor:
        """The product ``[N, ...]``; the interior is multiplied while rows are under way."""
        cut, rows = self.interior.col.numel(), self.interior.num_rows
        columns, pending = self._begin(x)
        whole = spare if spare is not None and overwrites(x) else None
        parts = (None, None) if whole is None else (whole[:rows], whole[rows:])
        inside = _multiply(self.interior, weight[:cut], x, parts[0])
        pending.wait()
        outside = _multiply(self.boundary, weight[cut:], columns, parts[1])
        return torch.cat([inside, outside]) if whole is None else whole

    def sampled_product(self, a: Tensor, b: Tensor) -> Tensor:
        """Inner products ``[nnz]`` of rows here with rows here or of the halo."""
        rows = self.interior.num_rows
        columns, pending = self._begin(b)
        inside = _sample(self.interior, a[:rows], b)
        pending.wait()
        return torch.cat([inside, _sample(self.boundary, a[rows:], columns)])

    def add_sampled_product(self, a: Tensor, b: Tensor, total: Tensor, scale: float) -> None:
        """Add them to a total."""
        cut, rows = self.interior.col.numel(), self.interior.num_rows
        columns, pending = self._begin(b)
        if cut:
            add_sampled_product(self.interior, a[:rows], b, total[:cut], scale)
        pending.wait()
        if cut < total.numel():
            add_sampled_product(self.boundary, a[rows:], columns, total[cut:], scale)

    def _begin(self, x: Tensor) -> tuple[Tensor, Pending]:
        """The columns of the boundary, and the exchange after which those of the halo are there.

        The next product overwrites them.
        """
        near = self.near.numel()
        columns = self.buffers.get("columns", near + self.halo.size, x)
        sent = self.buffers.get("sent", self.halo.send_index.numel(), x)
        pending = self.halo.fetch(x, columns[near:], sent)
        torch.index_select(x.detach(), 0, self.near, out=columns[:near])
        return columns, pending

    def with_columns(self, rows: Tensor, columns: Tensor) -> tuple[CSR, Tensor, Tensor]:
        """The square matrix of this rank's nodes and its halo, whose rows are empty."""
        empty = rows.new_zeros(self.halo.size, *rows.shape[1:])
        return self._square, torch.cat([rows, empty]), self.at_columns(columns)

    @cached_property
    def _square(self) -> CSR:
        size = self.num_rows + self.halo.size
        rowptr = torch.cat([self.rowptr, self.rowptr[-1:].expand(self.halo.size)])
        return CSR(rowptr, self.col, size, size, self.perm)


@dataclass(frozen=True, eq=False)
class TransposedShard(ShardedCSR):
    """The transpose of a :class:`RowShard`: columns of its rows, for gradients.

    Args:
        rowptr, col: Empty: its entries are those of two blocks.
        num_rows, num_cols: Number of nodes here.
        perm: Position of each entry in the rows.
        forward: The rows.
    """

    forward: RowShard = None  # type: ignore[assignment]

    @property
    def reductions(self) -> RankReductions:
        """Reductions over all ranks."""
        return self.forward.ranks

    @property
    def transpose(self) -> CSR:
        """The rows; their entries point into those of the transpose."""
        return self._back

    @cached_property
    def _back(self) -> RowShard:
        f = self.forward
        back = torch.empty_like(self.perm)
        back[self.perm] = torch.arange(back.numel(), device=back.device)
        parts = (f.interior, f.boundary, f.near, f.halo, f.ranks, f.buffers)
        found = RowShard(f.rowptr, f.col, f.num_rows, f.num_cols, back, 1, *parts)
        found.__dict__["transpose"] = self
        return found

    def multiply(self, weight: Tensor, x: Tensor, spare: Tensor | None = None) -> Tensor:
        """The product with the transpose ``[N, ...]``; sums for other ranks are sent first."""
        f = self.forward
        cut, rows, near = f.interior.col.numel(), f.interior.num_rows, f.near.numel()
        own = f.buffers.get("partial", near + f.halo.size, x) if overwrites(x) else None
        partial = _multiply(f.boundary.transpose, weight[cut:], x[rows:], own)
        arriving = f.buffers.get("arriving", f.halo.send_index.numel(), x)
        pending = f.halo.give(partial[near:], arriving)
        whole = spare if spare is not None and overwrites(x) else None
        y = _multiply(f.interior.transpose, weight[:cut], x[:rows], whole)
        y.index_add_(0, f.near, partial[:near])
        return y.index_add_(0, f.halo.send_index, pending.wait())

    def sampled_product(self, a: Tensor, b: Tensor) -> Tensor:
        """Inner products ``[nnz]`` in the order of the transpose."""
        return self.forward.sampled_product(b, a).index_select(0, self.perm)

    def add_sampled_product(self, a: Tensor, b: Tensor, total: Tensor, scale: float) -> None:
        """Add them to a total."""
        total.add_(self.sampled_product(a, b), alpha=scale)

    def with_columns(self, rows: Tensor, columns: Tensor) -> tuple[CSR, Tensor, Tensor]:
        """Refuse: attention is along the rows of a matrix."""
        self.matrix(rows)


def _multiply(csr: CSR, weight: Tensor, x: Tensor, spare: Tensor | None = None) -> Tensor:
    if csr.col.numel() == 0:  # which kernels need not take
        zeros = x.new_zeros(csr.num_rows, *x.shape[1:])
        return zeros if spare is None else spare.copy_(zeros)
    product = multiply(csr, weight, x, spare)
    return product if spare is None or product is spare else spare.copy_(product)


def _sample(csr: CSR, a: Tensor, b: Tensor) -> Tensor:
    if csr.col.numel() == 0:
        return a.new_empty(0, *a.shape[1:-1])
    return sampled_product(csr, a.contiguous(), b)
