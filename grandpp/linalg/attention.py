r"""Attention weights, and their product with features in one pass, for nonlinear diffusion.

.. math::
    y_i = \frac{1}{H} \sum_h \frac{\sum_j w_{ij}\, \nu(\langle q^h_i, k^h_j \rangle)\, x_j}
        {\sum_j w_{ij}\, \nu(\langle q^h_i, k^h_j \rangle)}

with :math:`\nu = \exp` (softmax) or squareplus. On the CPU the weights
:math:`a_{ij} = \frac{1}{H} \sum_h a^h_{ij}` of inner products are summed head by head, forward and
backward.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch_geometric.utils import segment

from grandpp.linalg.csr import CSR, ShardedCSR
from grandpp.linalg.eager import eager
from grandpp.linalg.products import multiply, sampled_product, sddmm, spmm
from grandpp.linalg.softmax import edge_softmax, normalize_rows, row_weights, squareplus
from grandpp.linalg.switch import triton_for

# With fewer edges all heads at once are faster, and small.
_EDGES_ONE_BY_ONE = 2**16
# Weights of all heads that are kept for a gradient, at most.
_KEPT_BYTES = 8 * 2**20
# Vectors shorter than this are not scaled to length 1 (what torch.nn.functional.normalize does).
_SHORTEST = 1e-12


def attention_weights(
    csr: CSR, scores: Tensor, prior: Tensor, normalization: str = "softmax"
) -> Tensor:
    """Turn scores ``[nnz, H]`` and priors ``[nnz]`` into head-averaged rows that sum to 1.

    Args:
        csr: Pattern ``[num_rows, num_cols]``.
        scores: ``[nnz, H]`` in the order of ``csr``.
        prior: Non-negative weights ``[nnz]``, the same for all heads.
        normalization: ``"softmax"``, else squareplus. (default: ``"softmax"``)

    Returns:
        ``[nnz]``; a row whose priors are all 0 stays 0.
    """
    if normalization == "softmax":
        return edge_softmax(csr, scores, prior).mean(dim=-1)
    return normalize_rows(csr, squareplus(scores) * prior.unsqueeze(-1)).mean(dim=-1)


@eager
def paired_attention_weights(
    csr: CSR, ends: Tensor, prior: Tensor, normalization: str = "softmax"
) -> Tensor:
    """The attention of inner products, averaged over heads; differentiable twice.

    Args:
        csr: Pattern ``[N, N]``.
        ends: Queries of all heads, scaled already, then their keys, ``[N, 2 H, D]``.
        prior: Non-negative weights ``[nnz]``.
        normalization: ``"softmax"``, else squareplus. (default: ``"softmax"``)

    Returns:
        ``[nnz]`` in the order of ``csr``; a row whose priors are all 0 stays 0.

    Cost: on the CPU a few arrays of size nnz in either pass; the weights of all heads are kept for
    the gradient where they take at most 8 MiB, and else computed again. Elsewhere, on graphs of
    few edges, and for second derivatives or the gradient to ``prior``, several arrays of nnz * H.
    """
    if isinstance(csr, ShardedCSR):
        csr, queries, keys = csr.with_columns(*ends.chunk(2, dim=1))
        ends = torch.cat([queries, keys], dim=1)
    known = ends.dtype in (torch.float32, torch.float64) and prior.dtype == ends.dtype
    small = prior.numel() < _EDGES_ONE_BY_ONE and ends.size(1) > 2
    if ends.device.type != "cpu" or not known or small or triton_for(ends, prior) is not None:
        return _from_scores(csr, normalization, ends, prior)
    return _PairedAttention.apply(csr, normalization, ends, prior)


def _from_scores(csr: CSR, normalization: str, ends: Tensor, prior: Tensor) -> Tensor:
    query, key = ends.chunk(2, dim=1)
    return attention_weights(csr, sddmm(csr, query, key), prior, normalization)


class _PairedAttention(torch.autograd.Function):
    """One head after the other; the gradient computes again what is too large to keep."""

    @staticmethod
    def forward(ctx: Any, csr: CSR, normalization: str, ends: Tensor, prior: Tensor) -> Tensor:
        ctx.csr, ctx.softmax = csr, normalization == "softmax"
        ctx.save_for_backward(ends, prior)
        heads = ends.size(1) // 2
        arrays = heads if ctx.softmax else 2 * heads
        keeps = arrays * prior.numel() * prior.element_size() <= _KEPT_BYTES
        ctx.kept = [] if keeps and ctx.needs_input_grad[2] else None
        total = torch.zeros_like(prior)
        for query, key in _pairs(ends):
            found = _weights(ctx, query, key, prior, ctx.kept is not None)
            total.add_(found[0])
            if ctx.kept is not None:
                ctx.kept.append(found)
        return total.mul_(1 / heads)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        csr: CSR = ctx.csr
        ends, prior = ctx.saved_tensors
        if torch.is_grad_enabled() or ctx.needs_input_grad[3]:
            return None, None, *_by_autograd(ctx, ends, prior, grad)
        result, heads = torch.empty_like(ends), ends.size(1) // 2
        back, rowptr = csr.transpose, csr.rowptr.long()
        grad = grad / heads
        for h, (query, key) in enumerate(_pairs(ends)):
            kept = ctx.kept[h] if ctx.kept else _weights(ctx, query, key, prior, True)
            weights, slope = kept
            to_scores = weights * grad
            mean = segment(to_scores, rowptr, reduce="sum").index_select(0, csr.row)
            to_scores.addcmul_(mean, weights, value=-1)
            if slope is not None:
                to_scores.mul_(slope)
            result[:, h] = multiply(csr, to_scores, key)
            result[:, heads + h] = multiply(back, to_scores.index_select(0, back.perm), query)
        return None, None, result, None


def _weights(
    ctx: Any, query: Tensor, key: Tensor, prior: Tensor, wants_slope: bool
) -> tuple[Tensor, Tensor | None]:
    """The weights of a head, see :func:`grandpp.linalg.softmax.row_weights`."""
    scores = sampled_product(ctx.csr, query, key)
    return row_weights(ctx.csr, scores, prior, ctx.softmax, wants_slope)


def _pairs(ends: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The query and the key ``[N, D]`` of each head."""
    heads = ends.size(1) // 2
    for h in range(heads):
        yield ends[:, h].contiguous(), ends[:, heads + h].contiguous()


def _by_autograd(
    ctx: Any, ends: Tensor, prior: Tensor, grad: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """Both gradients by separate operations, themselves differentiable."""
    twice, needed = torch.is_grad_enabled(), ctx.needs_input_grad[2:]
    with torch.enable_grad():
        inputs = [
            v.view_as(v) if twice else v.detach().requires_grad_(need)
            for v, need in zip((ends, prior), needed, strict=True)
        ]
        y = _from_scores(ctx.csr, "softmax" if ctx.softmax else "squareplus", *inputs)
        wanted = [v for v, need in zip(inputs, needed, strict=True) if need]
        found = iter(torch.autograd.grad(y, wanted, grad, create_graph=twice))
    to_ends, to_prior = (next(found) if need else None for need in needed)
    return to_ends, to_prior


class _UnitRows(torch.autograd.Function):
    """Rows of length 1 with a gradient in three passes; that of separate operations takes nine."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        inverse = _inverse_length(x)
        y = x * inverse
        ctx.save_for_backward(x, inverse, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x, inverse, y = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative also passes through the lengths
            inverse = _inverse_length(x)
            return (grad - y * (grad * y).sum(-1, keepdim=True)) * inverse
        along = (grad * y).sum(-1, keepdim=True)
        return torch.addcmul(grad, y, along, value=-1).mul_(inverse)


def _inverse_length(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp(min=_SHORTEST).reciprocal()


def unit_rows(x: Tensor) -> Tensor:
    """Scale vectors along the last dimension to length 1, differentiable twice; 0 stays 0."""
    return _UnitRows.apply(x)


def attention_product(
    csr: CSR,
    query: Tensor,
    key: Tensor,
    prior: Tensor,
    x: Tensor,
    normalization: str = "softmax",
) -> Tensor:
    """Multiply with the attention of inner products, differentiable twice in all four tensors.

    Args:
        csr: Pattern ``[num_rows, num_cols]``.
        query: ``[num_rows, H, D]``, scaled already.
        key: ``[num_cols, H, D]``.
        prior: Non-negative weights ``[nnz]``.
        x: ``[num_cols, F]``.
        normalization: ``"softmax"``, else squareplus. (default: ``"softmax"``)

    Returns:
        ``[num_rows, F]``; a row whose priors are all 0 is 0.

    Cost: with the Triton kernels the forward pass holds nothing of size nnz * H; the backward pass
    computes the scores again and holds a few arrays of that size. Else both do.
    """
    launchers = triton_for(query, key, prior, x)
    if launchers is None:
        return _unfused(csr, normalization, query, key, prior, x)
    return _AttentionProduct.apply(launchers, csr, normalization, query, key, prior, x)


def _unfused(
    csr: CSR, normalization: str, query: Tensor, key: Tensor, prior: Tensor, x: Tensor
) -> Tensor:
    weights = attention_weights(csr, sddmm(csr, query, key), prior, normalization)
    return spmm(csr, weights, x)


class _AttentionProduct(torch.autograd.Function):
    """The fused product; its gradient is that of the separate operations, computed anew."""

    @staticmethod
    def forward(ctx: Any, launchers: Any, csr: CSR, normalization: str, *inputs: Tensor) -> Tensor:
        ctx.csr, ctx.normalization = csr, normalization
        ctx.save_for_backward(*inputs)
        return launchers.attention_product(csr, *inputs, softmax=normalization == "softmax")

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        twice, needed = torch.is_grad_enabled(), ctx.needs_input_grad[3:]
        with torch.enable_grad():
            # Views where a second derivative follows: one tensor may be several of the inputs.
            inputs = [
                v.view_as(v) if twice else v.detach().requires_grad_(need)
                for v, need in zip(ctx.saved_tensors, needed, strict=True)
            ]
            y = _unfused(ctx.csr, ctx.normalization, *inputs)
            wanted = [v for v, need in zip(inputs, needed, strict=True) if need]
            found = iter(torch.autograd.grad(y, wanted, grad, create_graph=twice))
        return None, None, None, *(next(found) if need else None for need in needed)
