"""The hot kernels: products on a matrix whose transpose is known, and normalised rows."""

from grandpp.linalg.attention import attention_product, attention_weights
from grandpp.linalg.block_matrices import side_by_side
from grandpp.linalg.csr import CSR
from grandpp.linalg.eager import eager
from grandpp.linalg.finite import all_finite, check_range
from grandpp.linalg.products import add_samples, multiply, overwrites, sample, sddmm, spmm
from grandpp.linalg.softmax import edge_softmax, normalize_rows, squareplus
from grandpp.linalg.switch import triton_for, use_triton

__all__ = [
    "CSR",
    "add_samples",
    "all_finite",
    "attention_product",
    "attention_weights",
    "check_range",
    "eager",
    "edge_softmax",
    "multiply",
    "normalize_rows",
    "overwrites",
    "sample",
    "sddmm",
    "side_by_side",
    "spmm",
    "squareplus",
    "triton_for",
    "use_triton",
]
