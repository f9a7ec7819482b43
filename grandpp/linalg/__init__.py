"""Sparse linear algebra: products with cached transposes, normalised rows, and solvers."""

from grandpp.linalg.attention import (
    attention_product,
    attention_weights,
    paired_attention_weights,
    unit_rows,
)
from grandpp.linalg.block_matrices import block_diagonal
from grandpp.linalg.csr import CSR, ShardedCSR
from grandpp.linalg.eager import eager
from grandpp.linalg.finite import all_finite, check_range
from grandpp.linalg.products import (
    add_sampled_product,
    multiply,
    overwrites,
    sampled_product,
    sddmm,
    spmm,
)
from grandpp.linalg.reductions import LOCAL, Reductions, reductions_of
from grandpp.linalg.softmax import edge_softmax, normalize_rows, squareplus
from grandpp.linalg.switch import triton_for, use_triton

__all__ = [
    "CSR",
    "LOCAL",
    "Reductions",
    "ShardedCSR",
    "add_sampled_product",
    "all_finite",
    "attention_product",
    "attention_weights",
    "block_diagonal",
    "check_range",
    "eager",
    "edge_softmax",
    "multiply",
    "normalize_rows",
    "overwrites",
    "paired_attention_weights",
    "reductions_of",
    "sampled_product",
    "sddmm",
    "spmm",
    "squareplus",
    "triton_for",
    "unit_rows",
    "use_triton",
]
