r"""Sparse products on a matrix whose transpose is known, with their gradients.

A graph is used hundreds of times per solve and its transpose as often in the backward pass, so
both orders are sorted once (:class:`CSR`) and every gradient is again one of two products:

.. math::
    \mathrm{spmm}(w, x)_i = \sum_{j} w_{ij} x_j, \qquad
    \mathrm{sddmm}(a, b)_{ij} = \langle a_i, b_j \rangle \ \text{on the pattern of } w .

The gradient of spmm to x is spmm on the transpose, to w it is sddmm, and the two gradients of
sddmm are spmm on the pattern and on its transpose; both can be differentiated twice.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

# torch announces on the first CSR tensor of a process that the layout is in beta and that its
# invariants go unchecked; both are known here (patterns come from CSR.from_coo alone).
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
warnings.filterwarnings("ignore", message="Sparse invariant checks are implicitly disabled")

# Up to this many weights of all heads are multiplied at once, by a repeated pattern that is kept.
_HEADS_AT_ONCE = 2**24
_GATHERED = 2**20  # numbers gathered at once from each end of the edges


@dataclass(frozen=True, eq=False)
class CSR:
    """The sparsity pattern of a matrix in compressed rows; values are kept apart from it.

    Args:
        rowptr: Row offsets, int32 or int64 ``[num_rows + 1]``.
        col: Column of each entry, same dtype ``[nnz]``.
        perm: Position of each entry in the list the pattern was built from, int64 ``[nnz]``.
        num_rows: Number of rows.
        num_cols: Number of columns.
    """

    rowptr: Tensor
    col: Tensor
    perm: Tensor
    num_rows: int
    num_cols: int

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
        return cls(rowptr.to(index), col[perm].to(index), perm, num_rows, num_cols)

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
        # A transpose of the transpose would be built again from scratch: hand over this one.
        back = torch.empty_like(other.perm)
        back[other.perm] = torch.arange(back.numel(), device=back.device)
        other.__dict__["transpose"] = CSR(self.rowptr, self.col, back, self.num_rows, self.num_cols)
        return other

    def matrix(self, values: Tensor) -> Tensor:
        """Return the ``torch.sparse_csr`` matrix with these values ``[nnz]``."""
        size = (self.num_rows, self.num_cols)
        return torch.sparse_csr_tensor(self.rowptr, self.col, values, size, check_invariants=False)

    def heads(self, heads: int) -> tuple[Tensor, Tensor]:
        """Columns and row offsets of this pattern repeated along the diagonal, once per head."""
        kept = self.__dict__.setdefault("_heads", {})
        if heads not in kept:
            head = torch.arange(heads, dtype=self.col.dtype, device=self.col.device).unsqueeze(1)
            col = (self.col + head * self.num_cols).view(-1)
            starts = (self.rowptr[:-1] + head * self.col.numel()).view(-1)
            last = starts.new_full((1,), heads * self.col.numel())
            kept[heads] = (col, torch.cat([starts, last]))
        return kept[heads]

    def zeros(self, dtype: torch.dtype) -> Tensor:
        """The ``torch.sparse_csr`` matrix without values, made once per type."""
        kept = self.__dict__.setdefault("_zeros", {})
        if dtype not in kept:
            kept[dtype] = self.matrix(self.rowptr.new_zeros(self.col.numel(), dtype=dtype))
        return kept[dtype]


def multiply(csr: CSR, weight: Tensor, x: Tensor) -> Tensor:
    """:func:`spmm` without its gradients: the product alone, for loops that have their own.

    On the CPU a sum of weighted rows in single or half precision is what ``embedding_bag`` is
    tuned for: a third of the time of the library behind ``torch.sparse`` (benchmarks/kernels.py).
    """
    tuned = x.device.type == "cpu" and x.dtype != torch.float64
    if weight.dim() == 1:
        if not tuned:
            return csr.matrix(weight) @ x
        return _bags(csr.col, x.contiguous(), csr.rowptr, weight.contiguous())
    heads = weight.size(1)
    if not tuned or weight.numel() > _HEADS_AT_ONCE:
        parts = [multiply(csr, weight[:, h], x[:, h]) for h in range(heads)]
        return torch.stack(parts, dim=1)
    col, rowptr = csr.heads(heads)
    size = x.size(2)
    rows = x.transpose(0, 1).reshape(heads * csr.num_cols, size)
    y = _bags(col, rows, rowptr, weight.t().reshape(-1))
    return y.view(heads, csr.num_rows, size).transpose(0, 1)


def _bags(col: Tensor, x: Tensor, rowptr: Tensor, weight: Tensor) -> Tensor:
    # Past the checks of torch.nn.functional: no frequencies, mode "sum", a dense gradient, and
    # the last offset is the end.
    return torch.embedding_bag(x, col, rowptr, False, 0, False, weight, True)[0]


def sample(csr: CSR, a: Tensor, b: Tensor) -> Tensor:
    """:func:`sddmm` without its gradients; half precision is summed in single."""
    if a.dtype in (torch.float16, torch.bfloat16):
        return sample(csr, a.float(), b.float()).to(a.dtype)
    if a.dim() == 2:
        return torch.sparse.sampled_addmm(csr.zeros(a.dtype), a, b.t(), beta=0.0).values()
    heads, size = a.shape[1:]
    a, b = a.reshape(len(a), heads * size), b.reshape(len(b), heads * size)
    out = a.new_empty(csr.col.numel(), heads)
    # Gathering both ends of some edges at a time keeps memory at a few MiB, whatever their number.
    length = max(1, _GATHERED // (heads * size))
    pieces = zip(out.split(length), csr.row.split(length), csr.col_long.split(length), strict=True)
    for piece, row, col in pieces:
        products = a.index_select(0, row).mul_(b.index_select(0, col))
        torch.sum(products.view(-1, heads, size), dim=-1, out=piece)
    return out


class _SpMM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, csr: CSR, weight: Tensor, x: Tensor) -> Tensor:
        ctx.csr = csr
        ctx.save_for_backward(weight, x)
        return multiply(csr, weight, x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        csr: CSR = ctx.csr
        weight, x = ctx.saved_tensors
        grad_weight = grad_x = None
        if ctx.needs_input_grad[1]:
            grad_weight = _SDDMM.apply(csr, grad, x)
        if ctx.needs_input_grad[2]:
            back = csr.transpose
            grad_x = _SpMM.apply(back, weight.index_select(0, back.perm), grad)
        return None, grad_weight, grad_x


class _SDDMM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, csr: CSR, a: Tensor, b: Tensor) -> Tensor:
        ctx.csr = csr
        ctx.save_for_backward(a, b)
        return sample(csr, a, b)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        csr: CSR = ctx.csr
        a, b = ctx.saved_tensors
        grad_a = grad_b = None
        if ctx.needs_input_grad[1]:
            grad_a = _SpMM.apply(csr, grad, b)
        if ctx.needs_input_grad[2]:
            back = csr.transpose
            grad_b = _SpMM.apply(back, grad.index_select(0, back.perm), a)
        return None, grad_a, grad_b


def spmm(csr: CSR, weight: Tensor, x: Tensor) -> Tensor:
    """Multiply a sparse matrix with a dense one, differentiable twice in both.

    Args:
        csr: Pattern of the matrix ``[num_rows, num_cols]``.
        weight: Its values in the order of ``csr``, ``[nnz]``, or ``[nnz, H]`` for H matrices.
        x: Dense matrix ``[num_cols, F]``, or ``[num_cols, H, F]``, one for each head.

    Returns:
        Dense matrix ``[num_rows, F]`` or ``[num_rows, H, F]``.

    Cost: forward nnz*F multiply-adds per head and no memory of size nnz*F; each gradient the same.
    """
    return _SpMM.apply(csr, weight, x)


def sddmm(csr: CSR, a: Tensor, b: Tensor) -> Tensor:
    """Inner products of rows of ``a`` and ``b`` at the entries of a pattern, per head.

    Args:
        csr: Pattern ``[num_rows, num_cols]``.
        a: ``[num_rows, F]`` or ``[num_rows, H, F]``.
        b: ``[num_cols, F]`` or ``[num_cols, H, F]``.

    Returns:
        ``[nnz]`` or ``[nnz, H]`` in the order of ``csr``; differentiable twice.
    """
    return _SDDMM.apply(csr, a, b)


def all_finite(x: Tensor) -> bool:
    """Whether no entry is NaN or infinite (one device read, two where the sum overflows)."""
    # A sum passes NaN and infinity on, and is several times faster than looking at each entry.
    return bool(torch.isfinite(x.sum())) or bool(torch.isfinite(x).all())
