"""Polynomials of a sparse matrix applied to features, and their states in reverse order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from grandpp.solvers.series import Series

# States kept per level of the recursion that visits the states in reverse.
_KEPT_PER_LEVEL = 8


def basis(matrix: Tensor, v: Tensor, series: Series) -> Iterator[Tensor]:
    """Yield B_0(matrix) v, ..., B_K(matrix) v."""
    before, now = v, v
    for k in range(series.products + 1):
        if k > 0:
            twice = series.chebyshev and k > 1
            following = (
                torch.addmm(before, matrix, now, beta=-1, alpha=2) if twice else matrix @ now
            )
            before, now = now, following
        yield now


@dataclass
class Recursion:
    """Horner's rule, or Clenshaw's for Chebyshev, from index K down to y(T) at index 0.

    Horner: v_k = A v_{k+1} + a_k. Clenshaw: b_k = 2 A b_{k+1} - b_{k+2} + a_k, and y(T) with a
    single A in the last step; a_k = p_k y_0 + T c_k s. A state is (v_k,) or (b_k, b_{k+1}).

    Args:
        matrix: A as a sparse matrix ``[N, N]``.
        series: The coefficients.
        time: T.
        y0: Initial state ``[N, F]``.
        source: s ``[N, F]``, or ``None``.
        products: Products with A so far.
    """

    matrix: Tensor
    series: Series
    time: float
    y0: Tensor
    source: Tensor | None
    products: int = 0

    def top(self) -> tuple[Tensor, ...]:
        """The state at index K."""
        first = self._add(torch.zeros_like(self.y0), self.series.products)
        return (first, torch.zeros_like(self.y0)) if self.series.chebyshev else (first,)

    def run(self, state: tuple[Tensor, ...], start: int, stop: int) -> tuple[Tensor, ...]:
        """From index ``start`` to index ``stop``, keeping nothing in between."""
        for k in range(start - 1, stop - 1, -1):
            if self.series.chebyshev:
                now, before = state
                twice = 2 if k > 0 else 1
                v = torch.addmm(before, self.matrix, now, beta=-1, alpha=twice)
                state = (self._add(v, k), now)
            else:
                state = (self._add(self.matrix @ state[0], k),)
        self.products += start - stop
        return state

    def ascending(self, state: tuple[Tensor, ...], top: int, bottom: int) -> Iterator[Tensor]:
        """Yield the states bottom, ..., top, recomputing from a few kept ones per level."""
        if top < bottom:
            return
        stride = max(1, -(-(top - bottom + 1) // _KEPT_PER_LEVEL))
        tops = list(range(top, bottom - 1, -stride))
        kept = [state]
        for upper, lower in pairwise(tops):
            kept.append(self.run(kept[-1], upper, lower))
        while kept:
            last, high = kept.pop(), tops.pop()
            if stride == 1:
                yield last[0]
            else:
                yield from self.ascending(last, high, max(bottom, high - stride + 1))

    def _add(self, v: Tensor, k: int) -> Tensor:
        v.add_(self.y0, alpha=float(self.series.p[k]))
        if self.source is not None:
            v.add_(self.source, alpha=self.time * float(self.series.c[k]))
        return v
