"""GMRES for linear systems given by a matrix-vector product.

Own code, because scipy's GMRES works on NumPy vectors, and these are tensors on any device.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def gmres(
    product: Callable[[Tensor], Tensor],
    rhs: Tensor,
    rtol: float,
    max_iterations: int,
    restart: int = 40,
) -> tuple[Tensor, int, bool]:
    r"""Solve M x = rhs for any non-singular M (Saad and Schultz 1986), from x = 0.

    Args:
        product: Computes M v.
        rhs: Right-hand side, flat.
        rtol: Stop at :math:`\|M x - rhs\| \le rtol \, \|rhs\|`.
        max_iterations: Most products spent on directions.
        restart: Directions kept at once. (default: ``40``)

    Returns:
        (x, products spent on directions, whether the tolerance was met). Each costs one product
        and two passes over the kept directions; a restart costs one more product.
    """
    x, residual = torch.zeros_like(rhs), rhs
    size = float(rhs.norm())
    goal, used = rtol * size, 0
    while size > goal and used < max_iterations and math.isfinite(size):
        length = min(restart, max_iterations - used)
        update, spent = _cycle(product, residual, size, goal, length)
        used += spent
        x = x + update
        residual = rhs - product(x)
        before, size = size, float(residual.norm())
        if size > 0.9 * before and spent == length == restart:
            break  # a full cycle without progress: stagnation
    return x, used, size <= goal


def _cycle(
    product: Callable[[Tensor], Tensor], residual: Tensor, size: float, goal: float, length: int
) -> tuple[Tensor, int]:
    """One Arnoldi cycle; the small least-squares problem lives on the CPU in float64."""
    basis = residual.new_empty(length + 1, residual.numel())
    basis[0] = residual / size
    h = torch.zeros(length + 1, length, dtype=torch.float64)
    # After rounding no column can be trusted to lower the residual below this.
    goal = max(goal, 0.5 * torch.finfo(residual.dtype).eps * size)
    y, j = torch.zeros(0, dtype=torch.float64), 0
    for j in range(length):
        w = product(basis[j])
        known = basis[: j + 1]
        first = known @ w
        w = w - first @ known
        second = known @ w  # a second pass keeps the directions orthogonal
        w = w - second @ known
        norm = w.norm()
        column = torch.cat([first + second, norm.reshape(1)]).to("cpu", torch.float64)
        if not bool(torch.isfinite(column).all()):
            return torch.full_like(residual, math.nan), j + 1
        h[: j + 2, j] = column
        y, left = _least_squares(h[: j + 2, : j + 1], size)
        if left <= goal or float(column[-1]) <= 1e-14 * float(column.norm()):
            break
        basis[j + 1] = w / norm
    return y.to(residual) @ basis[: j + 1], j + 1


def _least_squares(h: Tensor, size: float) -> tuple[Tensor, float]:
    target = torch.zeros(h.shape[0], dtype=torch.float64)
    target[0] = size
    y = torch.linalg.lstsq(h, target.unsqueeze(1), driver="gelsd").solution.squeeze(1)
    return y, float((h @ y - target).norm())
