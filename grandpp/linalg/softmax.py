r"""Rows that sum to one: the softmax over the entries of each row, plain normalisation, squareplus.

.. math::
    \mathrm{normalize\_rows}(v)_{ij} = \frac{v_{ij}}{\sum_k v_{ik}}, \qquad
    \mathrm{edge\_softmax}(s, w)_{ij} = \frac{w_{ij} e^{s_{ij}}}{\sum_k w_{ik} e^{s_{ik}}} .
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch_geometric.utils import segment

from grandpp.linalg.csr import CSR


def normalize_rows(csr: CSR, values: Tensor) -> Tensor:
    """Divide non-negative values by the sum of their row, differentiable twice.

    Args:
        csr: Pattern ``[num_rows, num_cols]``; rows may be empty.
        values: ``[nnz]`` or ``[nnz, H]`` in the order of ``csr``; half precision is summed in
            single.

    Returns:
        Values of the same shape and type. A row whose values are all 0 stays 0, with gradient 0.

    Example:
        >>> from grandpp.linalg import CSR
        >>> csr = CSR.from_coo(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), 2, 2)
        >>> normalize_rows(csr, torch.tensor([1.0, 3.0, 5.0]))
        tensor([0.2500, 0.7500, 1.0000])
    """
    if values.dtype in (torch.float16, torch.bfloat16):
        return normalize_rows(csr, values.float()).to(values.dtype)
    return _Normalize.apply(csr, values)


def edge_softmax(csr: CSR, scores: Tensor, prior: Tensor | None = None) -> Tensor:
    """Softmax of scores over the entries of each row, differentiable twice in scores and prior.

    Args:
        csr: Pattern ``[num_rows, num_cols]``; with :attr:`Graph.csr <grandpp.graph.Graph>` a row
            holds the edges that lead to one target. Rows may be empty.
        scores: ``[nnz]`` or ``[nnz, H]`` in the order of ``csr``, of any size: the largest of a
            row is subtracted. Half precision is computed in single.
        prior: Non-negative weights ``[nnz]`` of the exponentials, the same for all heads. The
            gradient to one that is 0 is the one-sided derivative. (default: ``None``, 1 for every
            entry)

    Returns:
        Values of the shape and type of ``scores`` that sum to 1 in every row with a positive
        prior, and are 0 in the others.

    Example:
        >>> from grandpp.linalg import CSR
        >>> csr = CSR.from_coo(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), 2, 2)
        >>> edge_softmax(csr, torch.zeros(3))
        tensor([0.5000, 0.5000, 1.0000])
    """
    if scores.dtype in (torch.float16, torch.bfloat16):
        wide = None if prior is None else prior.float()
        return edge_softmax(csr, scores.float(), wide).to(scores.dtype)
    weights = None if prior is None else prior.view(-1, *[1] * (scores.dim() - 1))
    counted = scores.detach()
    if weights is not None:
        # An entry with prior 0 must not set the maximum: the others could all underflow.
        counted = counted.masked_fill(weights == 0, -torch.inf)
    top = segment(counted, csr.rowptr.long(), reduce="max")
    top = top.masked_fill(top == -torch.inf, 0)  # rows without any positive prior
    relative = scores - top.index_select(0, csr.row)
    if weights is None:
        return normalize_rows(csr, relative.exp())
    return normalize_rows(csr, _Strength.apply(relative, weights))


class _Strength(torch.autograd.Function):
    """w exp(r), where r > 0 for entries with w = 0 alone.

    The exponential of such an entry is the derivative by its w and may be larger than any number,
    so it is left out of the value, and enters the gradient as two roots: the gradient is right
    wherever it can be represented, and the largest number where it cannot.
    """

    @staticmethod
    def forward(ctx: Any, r: Tensor, w: Tensor) -> Tensor:
        y = r.clamp(max=0).exp_().mul_(w)
        ctx.save_for_backward(r, w, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        r, w, y = ctx.saved_tensors
        grad_r = grad_w = None
        if ctx.needs_input_grad[0]:
            grad_r = grad * y
        if ctx.needs_input_grad[1]:
            largest = torch.finfo(r.dtype).max
            root = (r / 2).clamp(max=0.99 * math.log(largest)).exp()
            most = largest / max(1, r.numel() // max(1, w.numel()))
            grad_w = (grad * root * root).clamp(-most, most).sum_to_size(w.shape)
        return grad_r, grad_w


class _RowSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, csr: CSR, values: Tensor) -> Tensor:
        ctx.csr = csr
        return segment(values, csr.rowptr.long(), reduce="sum")

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        return None, grad.index_select(0, ctx.csr.row)


def _inverse_sums(csr: CSR, values: Tensor) -> Tensor:
    total = _RowSum.apply(csr, values)
    return total.masked_fill(total == 0, torch.inf).reciprocal()


class _Normalize(torch.autograd.Function):
    """Normalised rows; the gradient is one more row sum, where autograd scatters three times."""

    @staticmethod
    def forward(ctx: Any, csr: CSR, values: Tensor) -> Tensor:
        inverse = _inverse_sums(csr, values)
        y = values * inverse.index_select(0, csr.row)
        ctx.csr = csr
        ctx.save_for_backward(values, inverse, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        csr: CSR = ctx.csr
        values, inverse, y = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative also passes through the sums
            inverse = _inverse_sums(csr, values)
        mean = _RowSum.apply(csr, grad * y).index_select(0, csr.row)
        return None, (grad - mean) * inverse.index_select(0, csr.row)


class _SquarePlus(torch.autograd.Function):
    """Squareplus; its slope, the value over the root, takes three operations, autograd's twenty."""

    @staticmethod
    def forward(ctx: Any, s: Tensor) -> Tensor:
        y = s.clamp(min=0) + 2 / (s.square().add_(4).sqrt_().add_(s.abs()))
        ctx.save_for_backward(s, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        s, y = ctx.saved_tensors
        return grad * y * (s.square() + 4).rsqrt()


def squareplus(s: Tensor) -> Tensor:
    r"""The positive function :math:`(s + \sqrt{s^2 + 4}) / 2`, without cancellation at s << 0."""
    return _SquarePlus.apply(s)


@torch.no_grad()
def row_weights(
    csr: CSR, scores: Tensor, prior: Tensor, softmax: bool, wants_slope: bool = False
) -> tuple[Tensor, Tensor | None]:
    r"""The weights :math:`w \nu(s)` over the sum of their row, for one head and without gradients.

    Args:
        csr: Pattern ``[num_rows, num_cols]``.
        scores: ``[nnz]``; overwritten.
        prior: Non-negative weights ``[nnz]``.
        softmax: Whether :math:`\nu` is the exponential, else squareplus.
        wants_slope: Whether to return the logarithmic derivative as well. (default: ``False``)

    Returns:
        The weights ``[nnz]``, and :math:`\nu'(s) / \nu(s)` for squareplus, if requested.
    """
    rowptr, slope = csr.rowptr.long(), None
    if softmax:
        # An entry with prior 0 must not set the maximum: the others could all underflow.
        empty = prior == 0
        counted = scores.masked_fill(empty, -torch.inf) if bool(empty.any()) else scores
        top = segment(counted, rowptr, reduce="max")
        top.masked_fill_(top == -torch.inf, 0)
        values = scores.sub_(top.index_select(0, csr.row)).clamp_(max=0).exp_().mul_(prior)
    else:
        root = scores.square().add_(4).sqrt_()
        slope = root.reciprocal() if wants_slope else None
        values = root.add_(scores.abs()).reciprocal_().mul_(2).add_(scores.clamp_(min=0))
        values.mul_(prior)
    total = segment(values, rowptr, reduce="sum")
    inverse = total.masked_fill_(total == 0, torch.inf).reciprocal_()
    return values.mul_(inverse.index_select(0, csr.row)), slope
