r"""The Triton kernels behind :mod:`grandpp.linalg.experimental.triton_products`, which launches and
explains them.

All matrices are contiguous. Half precision is summed in single: ``REAL`` is the type of every sum.
Node and entry numbers become 64 bits wide before they are multiplied by a row's length.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def multiply_chunks(
    row, start, stop, split, col, weight, x, y, partial, width, size,
    HEADS: tl.constexpr, ENTRIES: tl.constexpr, FEATURES: tl.constexpr, REAL: tl.constexpr,
):  # fmt: skip
    """Sum the weighted rows of x over one piece: the rows [num_cols, width] are H heads of size."""
    piece = tl.program_id(0).to(tl.int64)
    f = tl.program_id(1) * FEATURES + tl.arange(0, FEATURES)
    exists = f < width
    total = tl.full([FEATURES], 0, REAL)
    first, last = tl.load(start + piece), tl.load(stop + piece)
    for at in range(first, last, ENTRIES):
        e = at + tl.arange(0, ENTRIES).to(tl.int64)
        counts = e < last
        both = counts[:, None] & exists[None, :]
        j = tl.load(col + e, mask=counts, other=0).to(tl.int64)
        if HEADS == 1:
            w = tl.load(weight + e, mask=counts, other=0).to(REAL)[:, None]
        else:
            w = tl.load(weight + e[:, None] * HEADS + (f // size)[None, :], mask=both, other=0)
        v = tl.load(x + j[:, None] * width + f[None, :], mask=both, other=0)
        total += tl.sum(w.to(REAL) * v.to(REAL), axis=0)
    if piece < split:
        tl.store(partial + piece * width + f, total, mask=exists)
    else:
        tl.store(y + tl.load(row + piece) * width + f, total.to(y.dtype.element_ty), mask=exists)


@triton.jit
def add_partials(
    long_row, long_ptr, partial, y, width,
    PIECES: tl.constexpr, FEATURES: tl.constexpr, REAL: tl.constexpr,
):  # fmt: skip
    """Sum the partial results of one long row."""
    long = tl.program_id(0)
    f = tl.program_id(1) * FEATURES + tl.arange(0, FEATURES)
    exists = f < width
    total = tl.full([FEATURES], 0, REAL)
    first, last = tl.load(long_ptr + long), tl.load(long_ptr + long + 1)
    for at in range(first, last, PIECES):
        p = at + tl.arange(0, PIECES).to(tl.int64)
        both = (p < last)[:, None] & exists[None, :]
        part = tl.load(partial + p[:, None] * width + f[None, :], mask=both, other=0)
        total += tl.sum(part, axis=0)
    target = tl.load(long_row + long)
    tl.store(y + target * width + f, total.to(y.dtype.element_ty), mask=exists)


@triton.jit
def sample_entries(
    row, col, a, b, out, entries, size,
    HEADS: tl.constexpr, ENTRIES: tl.constexpr, FEATURES: tl.constexpr, REAL: tl.constexpr,
):  # fmt: skip
    """Inner products of some entries and one head; every program has as many."""
    e = tl.program_id(0).to(tl.int64) * ENTRIES + tl.arange(0, ENTRIES)
    h = tl.program_id(1)
    counts = e < entries
    i = tl.load(row + e, mask=counts, other=0).to(tl.int64)
    j = tl.load(col + e, mask=counts, other=0).to(tl.int64)
    left, right = (i * HEADS + h) * size, (j * HEADS + h) * size
    total = tl.full([ENTRIES], 0, REAL)
    for at in range(0, size, FEATURES):
        f = at + tl.arange(0, FEATURES)
        both = counts[:, None] & (f < size)[None, :]
        u = tl.load(a + left[:, None] + f[None, :], mask=both, other=0).to(REAL)
        v = tl.load(b + right[:, None] + f[None, :], mask=both, other=0).to(REAL)
        total += tl.sum(u * v, axis=1)
    tl.store(out + e * HEADS + h, total.to(out.dtype.element_ty), mask=counts)


@triton.jit
def scores(
    i, j, counts, query, key, size, heads,
    HEADS: tl.constexpr, ENTRIES: tl.constexpr, CHANNELS: tl.constexpr, REAL: tl.constexpr,
):  # fmt: skip
    """Inner products of one query with the keys of some entries, all heads: [ENTRIES, HEADS]."""
    h = tl.arange(0, HEADS)
    total = tl.full([ENTRIES, HEADS], 0, REAL)
    for at in range(0, size, CHANNELS):
        c = at + tl.arange(0, CHANNELS)
        exists = (h < heads)[:, None] & (c < size)[None, :]
        place = h[:, None] * size + c[None, :]
        q = tl.load(query + i * heads * size + place, mask=exists, other=0).to(REAL)
        both = counts[:, None, None] & exists[None, :, :]
        k = tl.load(key + j[:, None, None] * heads * size + place[None, :, :], mask=both, other=0)
        total += tl.sum(q[None, :, :] * k.to(REAL), axis=2)
    return total


@triton.jit
def mean_of_heads(total, strength, is_head, heads):
    """Divide the sums [HEADS, FEATURES] by their strengths and average; 0 where that is 0."""
    divisor = tl.where(strength == 0, 1.0, strength) * heads
    share = tl.where(is_head, 1 / divisor, 0.0)
    return tl.sum(total * share[:, None], axis=0)


@triton.jit
def attend_chunks(
    row, start, stop, split, col, query, key, prior, x, y, top, norm, partial, width, size,
    heads, HEADS: tl.constexpr, ENTRIES: tl.constexpr, CHANNELS: tl.constexpr,
    FEATURES: tl.constexpr, SOFTMAX: tl.constexpr, REAL: tl.constexpr,
):  # fmt: skip
    """One pass over a piece: scores, their strengths, and the features these weigh, per head.

    HEADS is the power of two from ``heads`` on. Under softmax all sums are relative to the largest
    score so far, ``most``, and shrink when it grows.
    """
    piece = tl.program_id(0).to(tl.int64)
    f = tl.program_id(1) * FEATURES + tl.arange(0, FEATURES)
    h = tl.arange(0, HEADS)
    exists, is_head = f < width, h < heads
    target = tl.load(row + piece)
    most = tl.full([HEADS], float("-inf"), REAL)
    strength = tl.full([HEADS], 0, REAL)
    total = tl.full([HEADS, FEATURES], 0, REAL)
    first, last = tl.load(start + piece), tl.load(stop + piece)
    for at in range(first, last, ENTRIES):
        e = at + tl.arange(0, ENTRIES).to(tl.int64)
        counts = e < last
        j = tl.load(col + e, mask=counts, other=0).to(tl.int64)
        w = tl.load(prior + e, mask=counts, other=0).to(REAL)
        s = scores(target, j, counts, query, key, size, heads, HEADS, ENTRIES, CHANNELS, REAL)
        if SOFTMAX:
            # An entry with prior 0 must not set the maximum: the others could all underflow.
            s = tl.where((w > 0)[:, None], s, float("-inf"))
            new = tl.maximum(most, tl.max(s, axis=0))
            base = tl.where(new == float("-inf"), 0.0, new)
            shrink = tl.exp(most - base)
            strength *= shrink
            total *= shrink[:, None]
            most = new
            p = tl.exp(s - base[None, :]) * w[:, None]
        else:
            far = 2 / (tl.sqrt(s * s + 4) + tl.abs(s))
            p = (tl.maximum(s, 0.0) + far) * w[:, None]
        strength += tl.sum(p, axis=0)
        both = counts[:, None] & exists[None, :]
        v = tl.load(x + j[:, None] * width + f[None, :], mask=both, other=0).to(REAL)
        total += tl.sum(p[:, :, None] * v[:, None, :], axis=0)
    if piece < split:
        tl.store(top + piece * heads + h, most, mask=is_head)
        tl.store(norm + piece * heads + h, strength, mask=is_head)
        place = (piece * heads + h)[:, None] * width + f[None, :]
        tl.store(partial + place, total, mask=is_head[:, None] & exists[None, :])
    else:
        mean = mean_of_heads(total, strength, is_head, heads)
        tl.store(y + target * width + f, mean.to(y.dtype.element_ty), mask=exists)


@triton.jit
def attend_partials(
    long_row, long_ptr, top, norm, partial, y, width, heads,
    HEADS: tl.constexpr, FEATURES: tl.constexpr, SOFTMAX: tl.constexpr, REAL: tl.constexpr,
):  # fmt: skip
    """Merge the pieces of one long row, each relative to its own largest score."""
    long = tl.program_id(0)
    f = tl.program_id(1) * FEATURES + tl.arange(0, FEATURES)
    h = tl.arange(0, HEADS)
    exists, is_head = f < width, h < heads
    most = tl.full([HEADS], float("-inf"), REAL)
    strength = tl.full([HEADS], 0, REAL)
    total = tl.full([HEADS, FEATURES], 0, REAL)
    for p in range(tl.load(long_ptr + long), tl.load(long_ptr + long + 1)):
        part = tl.load(norm + p * heads + h, mask=is_head, other=0)
        place = (p * heads + h)[:, None] * width + f[None, :]
        v = tl.load(partial + place, mask=is_head[:, None] & exists[None, :], other=0)
        if SOFTMAX:
            own = tl.load(top + p * heads + h, mask=is_head, other=float("-inf"))
            new = tl.maximum(most, own)
            base = tl.where(new == float("-inf"), 0.0, new)
            shrink, grow = tl.exp(most - base), tl.exp(own - base)
            strength = strength * shrink + part * grow
            total = total * shrink[:, None] + v * grow[:, None]
            most = new
        else:
            strength += part
            total += v
    mean = mean_of_heads(total, strength, is_head, heads)
    target = tl.load(long_row + long)
    tl.store(y + target * width + f, mean.to(y.dtype.element_ty), mask=exists)
