"""Sparse products by Triton kernels: what :mod:`grandpp.linalg.products` calls if switched on.

The kernels have been checked in Triton's interpreter and compiled for NVIDIA's compute
capabilities 8.0 and 9.0; they have not run on a GPU yet. The sizes of their blocks are guesses.

- ``multiply`` and ``attention_product`` give each piece of a row to one program, see
  :class:`~grandpp.linalg.row_chunks.RowChunks`; a second launch merges those of long rows, in
  order, so that results repeat exactly.
- ``sampled_product`` gives the same number of entries to every program.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from grandpp.linalg.csr import CSR
from grandpp.linalg.experimental import triton_kernels as kernels

INTERPRETED = not isinstance(kernels.multiply_chunks, triton.JITFunction)
"""Whether the kernels run on the CPU, in Triton's interpreter."""

# The numbers one program holds at once; a power of two.
_TILE = 4096


def multiply(csr: CSR, weight: Tensor, x: Tensor) -> Tensor:
    """The product of :func:`grandpp.linalg.multiply`, all heads in one launch."""
    heads = weight.size(1) if weight.dim() == 2 else 1
    nodes = () if weight.dim() == 1 else (heads,)
    _check("weight", weight, (csr.col.numel(), *nodes))
    _check("x", x, (csr.num_cols, *nodes, x.size(-1)))
    chunks, size = csr.chunks, x.size(-1)
    width, real = heads * size, _real(x)
    y = x.new_empty((csr.num_rows, *nodes, size))
    if y.numel() == 0:
        return y
    weight, x = weight.contiguous(), x.contiguous()
    features = _power(width, 128)
    partial = _empty(x, chunks.split, width)
    across = triton.cdiv(width, features)
    with torch.cuda.device_of(x):
        kernels.multiply_chunks[chunks.row.numel(), across](
            chunks.row, chunks.start, chunks.stop, chunks.split, csr.col, weight, x, y, partial,
            width, size, HEADS=heads, ENTRIES=min(32, 1024 // features), FEATURES=features,
            REAL=real, num_warps=1,
        )  # fmt: skip
        if chunks.split:
            kernels.add_partials[chunks.long_row.numel(), across](
                chunks.long_row, chunks.long_ptr, partial, y, width, PIECES=_TILE // 4 // features,
                FEATURES=features, REAL=real,
            )  # fmt: skip
    return y


def sampled_product(csr: CSR, a: Tensor, b: Tensor) -> Tensor:
    """The inner products of :func:`grandpp.linalg.sampled_product`, all heads in one launch."""
    shape, size = tuple(a.shape[1:]), a.size(-1)
    heads = a.size(1) if a.dim() == 3 else 1
    _check("a", a, (csr.num_rows, *shape))
    _check("b", b, (csr.num_cols, *shape))
    out = a.new_empty((csr.col.numel(), *shape[:-1]))
    if out.numel() == 0:
        return out
    a, b = a.contiguous(), b.contiguous()
    features = _power(size, 64)
    entries = min(128, _TILE // 2 // features)
    with torch.cuda.device_of(a):
        kernels.sample_entries[triton.cdiv(csr.col.numel(), entries), heads](
            csr.row, csr.col, a, b, out, csr.col.numel(), size,
            HEADS=heads, ENTRIES=entries, FEATURES=features, REAL=_real(a),
        )  # fmt: skip
    return out


def attention_product(
    csr: CSR, query: Tensor, key: Tensor, prior: Tensor, x: Tensor, softmax: bool
) -> Tensor:
    """:func:`grandpp.linalg.attention_product` without its gradient, in one pass over the rows."""
    heads, size = query.shape[1:]
    width = x.size(1)
    _check("query", query, (csr.num_rows, heads, size))
    _check("key", key, (csr.num_cols, heads, size))
    _check("prior", prior, (csr.col.numel(),))
    _check("x", x, (csr.num_cols, width))
    y = x.new_empty((csr.num_rows, width))
    if y.numel() == 0:
        return y
    query, key, prior, x = (v.contiguous() for v in (query, key, prior, x))
    padded = _power(heads, heads * 2)
    features = _power(width, max(16, min(128, _TILE // padded)))
    channels = _power(size, max(16, min(64, _TILE // padded)))
    entries = max(1, min(16, _TILE // (padded * max(features, channels))))
    chunks, across = csr.chunks, triton.cdiv(width, features)
    top, norm = _empty(x, chunks.split, heads), _empty(x, chunks.split, heads)
    partial = _empty(x, chunks.split, heads * width)
    shared = {"HEADS": padded, "FEATURES": features, "SOFTMAX": softmax, "REAL": _real(x)}
    with torch.cuda.device_of(x):
        kernels.attend_chunks[chunks.row.numel(), across](
            chunks.row, chunks.start, chunks.stop, chunks.split, csr.col, query, key, prior, x, y,
            top, norm, partial, width, size, heads, ENTRIES=entries, CHANNELS=channels, **shared,
        )  # fmt: skip
        if chunks.split:
            kernels.attend_partials[chunks.long_row.numel(), across](
                chunks.long_row, chunks.long_ptr, top, norm, partial, y, width, heads, **shared
            )
    return y


def _check(name: str, value: Tensor, shape: tuple[int, ...]) -> None:
    # A kernel would read past the end of what is too short.
    if tuple(value.shape) != shape:
        raise ValueError(f"expected '{name}' of shape {list(shape)} (got {list(value.shape)})")


def _power(number: int, most: int) -> int:
    """The power of two from a number on, ``most`` at the most."""
    return int(min(triton.next_power_of_2(max(number, 1)), most))


def _real(x: Tensor) -> tl.dtype:
    return tl.float64 if x.dtype == torch.float64 else tl.float32


def _empty(x: Tensor, *shape: int) -> Tensor:
    """Room for sums of rows of x."""
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    return x.new_empty(shape, dtype=dtype)
