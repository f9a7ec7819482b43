r"""Sparse products on a matrix whose transpose is known, with their gradients.

Every gradient is again one of two products:

.. math::
    \mathrm{spmm}(w, x)_i = \sum_{j} w_{ij} x_j, \qquad
    \mathrm{sddmm}(a, b)_{ij} = \langle a_i, b_j \rangle \ \text{on the pattern of } w .

The gradient of spmm to x is spmm on the transpose, to w it is sddmm, and the two gradients of
sddmm are spmm on the pattern and on its transpose; both can be differentiated twice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from grandpp.linalg.csr import CSR, Pattern, ShardedCSR
from grandpp.linalg.eager import eager
from grandpp.linalg.switch import triton_for

# Up to this many weights of all heads are multiplied at once, by a block matrix that is kept.
# Beyond, it would take much memory, and one head after the other is as fast.
_HEADS_AT_ONCE = 2**22
# On the CPU a product gathers a row of features per entry of the matrix. Once features fill more
# than the cache of a core, a block of channels that fits is several times as fast per number, where
# rows of features are gathered so often that reading the matrix once per block counts for little.
_CACHED_BYTES = 2 * 2**20
_LEAST_BLOCK = 32
_MANY_ENTRIES = 12
# On the CPU an inner product of fewer numbers than this takes several times as long.
_LANES = 8


def multiply(csr: CSR, weight: Tensor, x: Tensor, spare: Tensor | None = None) -> Tensor:
    """:func:`spmm` without its gradients: the product alone, for loops that have their own.

    Args:
        csr, weight, x: As in :func:`spmm`.
        spare: A tensor of the shape and type of the result that may be overwritten and become it:
            fresh memory for every product costs page faults, and fragments the heap.
            (default: ``None``)
    """
    if isinstance(csr, ShardedCSR):
        return csr.multiply(weight, x, spare)
    launchers = triton_for(weight, x)
    if launchers is not None:
        return launchers.multiply(csr, weight, x)
    if weight.dim() == 1:
        if spare is not None and overwrites(x):
            matrix = csr.matrix(weight.detach())
            return torch.addmm(spare, matrix, x.detach(), beta=0, out=spare)
        return _multiply(csr, weight, x)
    heads, size = weight.size(1), x.size(2)
    if weight.numel() > _HEADS_AT_ONCE:
        parts = [_multiply(csr, weight[:, h], x[:, h]) for h in range(heads)]
        return torch.stack(parts, dim=1)
    wide = csr.heads(heads)
    values = weight.reshape(-1).index_select(0, wide.order)
    return _multiply(wide, values, x.reshape(-1, size)).view(csr.num_rows, heads, size)


def overwrites(x: Tensor) -> bool:
    """Whether :func:`multiply` uses a spare tensor for such features."""
    known = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
    return known and x.numel() > 0 and torch.backends.mkl.is_available()


def _multiply(pattern: Pattern, weight: Tensor, x: Tensor) -> Tensor:
    if x.device.type != "cpu" or x.dtype == torch.float64:
        return pattern.matrix(weight) @ x
    # On the CPU a sum of weighted rows in single or half precision is what embedding_bag is tuned
    # for: a third of the time of the library behind torch.sparse (benchmarks/kernels.py). Past the
    # checks of torch.nn.functional: no frequencies, mode "sum", a dense gradient, and the last
    # offset is the end. Where an input wants a gradient it would also list the bag of every entry.
    x, weight = x.detach(), weight.detach().contiguous()
    parts = [
        torch.embedding_bag(
            part.contiguous(), pattern.col, pattern.rowptr, False, 0, False, weight, True
        )[0]
        for part in x.split(max(1, x.size(1) // channel_blocks(pattern, x)), dim=1)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def channel_blocks(pattern: Pattern, x: Tensor) -> int:
    """Return the number of blocks of channels in which features are multiplied fastest.

    Args:
        pattern: The matrix ``[num_rows, num_cols]``.
        x: Features ``[num_cols, F]``.

    Returns:
        A divisor of F; 1 where the features fit into the cache of a core, or not even a block of a
        few channels does, or they are gathered too seldom; 1 for a sharded matrix, whose parts
        decide for themselves.
    """
    rows, channels = x.shape
    if isinstance(pattern, ShardedCSR):
        return 1
    if x.device.type != "cpu" or pattern.col.numel() < _MANY_ENTRIES * rows:
        return 1
    fit = _CACHED_BYTES // max(1, rows * x.element_size())
    if fit >= channels or 2 * fit < _LEAST_BLOCK:
        return 1
    widths = range(max(fit, _LEAST_BLOCK), _LEAST_BLOCK // 2, -1)
    return next((channels // width for width in widths if channels % width == 0), 1)


def add_sampled_product(csr: CSR, a: Tensor, b: Tensor, total: Tensor, scale: float = 1.0) -> None:
    """Add the inner products of :func:`sddmm`, times a factor, to ``total`` ``[nnz]`` in place."""
    if isinstance(csr, ShardedCSR):
        csr.add_sampled_product(a, b, total, scale)
        return
    if (
        a.device.type != "cpu"
        or a.dtype not in (torch.float32, torch.float64)
        or (triton_for(a, b) is not None or a.size(1) < _LANES)
        or csr.col.numel() > csr.num_rows * csr.num_cols  # repeated edges, see below
    ):
        total.add_(sampled_product(csr, a, b), alpha=scale)
        return
    matrix = csr.matrix(total)  # its values are those of total
    torch.sparse.sampled_addmm(matrix, a, b.t(), alpha=scale, out=matrix)


def sampled_product(csr: CSR, a: Tensor, b: Tensor) -> Tensor:
    """:func:`sddmm` without its gradients; half precision is summed in single."""
    if isinstance(csr, ShardedCSR):
        return csr.sampled_product(a, b)
    launchers = triton_for(a, b)
    if launchers is not None:
        return launchers.sampled_product(csr, a, b)
    if a.dtype in (torch.float16, torch.bfloat16):
        return sampled_product(csr, a.float(), b.float()).to(a.dtype)
    if a.dim() == 2:
        return _sampled_product(csr, a, b)
    heads, size = a.shape[1:]
    if heads * csr.col.numel() > _HEADS_AT_ONCE:
        parts = [
            _sampled_product(csr, a[:, h].contiguous(), b[:, h].contiguous()) for h in range(heads)
        ]
        return torch.stack(parts, dim=1)
    wide = csr.heads(heads)
    values = _sampled_product(wide, a.reshape(-1, size), b.reshape(-1, size))
    return values.index_select(0, wide.place).view(-1, heads)


def _sampled_product(pattern: Pattern, a: Tensor, b: Tensor) -> Tensor:
    if pattern.col.numel() > pattern.num_rows * pattern.num_cols:
        # torch refuses a matrix with more entries than places, which repeated edges can make.
        rows = torch.arange(pattern.num_rows, device=a.device)
        rows = rows.repeat_interleave(pattern.rowptr.diff().long())
        return (a.index_select(0, rows) * b.index_select(0, pattern.col)).sum(-1)
    if a.device.type == "cpu" and a.dtype == torch.float32 and 1 < a.size(1) < _LANES:
        a, b = (torch.nn.functional.pad(v, (0, _LANES - v.size(1))) for v in (a, b))
    zeros = pattern.zeros(a.dtype)
    return torch.sparse.sampled_addmm(zeros, a, b.t(), beta=0.0).values()


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
        return sampled_product(csr, a, b)

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


@eager
def spmm(csr: CSR, weight: Tensor, x: Tensor) -> Tensor:
    """Multiply a sparse matrix with a dense one, differentiable twice in both.

    Args:
        csr: Pattern of the matrix ``[num_rows, num_cols]``.
        weight: Its values in the order of ``csr``, ``[nnz]``, or ``[nnz, H]`` for H matrices.
        x: Dense matrix ``[num_cols, F]``, or ``[num_cols, H, F]``, one for each head.

    Returns:
        Dense matrix ``[num_rows, F]`` or ``[num_rows, H, F]``.

    Cost: forward nnz*F multiply-adds per head and no memory of size nnz*F; each gradient the same.

    Example:
        >>> from grandpp.linalg import CSR
        >>> csr = CSR.from_coo(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), 2, 2)
        >>> spmm(csr, torch.tensor([1.0, 2.0, 3.0]), torch.eye(2))
        tensor([[1., 2.],
                [0., 3.]])
    """
    return _SpMM.apply(csr, weight, x)


@eager
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
