r"""Attention and the product with it in one: what nonlinear diffusion evaluates at every step.

.. math::
    y_i = \frac{1}{H} \sum_h \frac{\sum_j w_{ij}\, \nu(\langle q^h_i, k^h_j \rangle)\, x_j}
        {\sum_j w_{ij}\, \nu(\langle q^h_i, k^h_j \rangle)}

with :math:`\nu = \exp` (softmax) or squareplus.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from grandpp.linalg.csr import CSR
from grandpp.linalg.products import sddmm, spmm
from grandpp.linalg.softmax import edge_softmax, normalize_rows, squareplus
from grandpp.linalg.switch import triton_for


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
