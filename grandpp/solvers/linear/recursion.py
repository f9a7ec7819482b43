"""Polynomials of a sparse matrix applied to features, and their states in reverse order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from grandpp.linalg import CSR, multiply, overwrites

# States kept per level of the recursion that visits them in reverse: as many as fit into this many
# bytes for each copy of the graph, so that small graphs recompute nothing, and never fewer than
# eight.
_KEPT_BYTES = 20 * 2**20
_KEPT_AT_LEAST = 8


def basis(
    csr: CSR,
    weight: Tensor,
    v: Tensor,
    products: int,
    chebyshev: bool,
    spares: list[Tensor] | None = None,
    reuse: bool = True,
) -> Iterator[Tensor]:
    """Yield B_0(A) v, ..., B_K(A) v; each may be overwritten after the next one.

    Args:
        csr, weight, chebyshev, spares: As in :class:`Recursion`.
        v: Features ``[N, F]``.
        products: K.
        reuse: Whether they may be overwritten. (default: ``True``)
    """
    spares = [] if spares is None else spares
    before, now = v, v
    for k in range(products + 1):
        if k > 0:
            following = multiply(csr, weight, now, take(spares, now))
            if chebyshev and k > 1:
                following = following.mul_(2).sub_(before)
            if reuse and before is not v:
                release(spares, before)
            before, now = now, following
        yield now
    for last in (before, now):
        if reuse and last is not v:
            release(spares, last)


def fits(csr: CSR, size: int, least: int, states: int) -> bool:
    """Whether so many states may be kept beside each other.

    Args:
        csr: Pattern of the matrix.
        size: Bytes of a state.
        least: Bytes of a state of which :data:`_KEPT_AT_LEAST` are kept in any case.
        states: Their number.
    """
    return states * size <= max(csr.copies * _KEPT_BYTES, _KEPT_AT_LEAST * least)


def take(spares: list[Tensor], like: Tensor) -> Tensor | None:
    """Take a spare tensor of the shape and type of another one, if there is one."""
    fits = bool(spares) and spares[-1].shape == like.shape and spares[-1].dtype == like.dtype
    return spares.pop() if fits else None


def release(spares: list[Tensor], v: Tensor) -> None:
    """Let a later product overwrite a tensor, where products can."""
    if overwrites(v):
        spares.append(v)


@dataclass
class Recursion:
    """Horner's rule, or Clenshaw's for Chebyshev, from index K down to the sum at index 0.

    Horner: v_k = A v_{k+1} + a_k. Clenshaw: b_k = 2 A b_{k+1} - b_{k+2} + a_k, and the sum with a
    single A in the last step; a_k = sum_i rows[i][k] inputs[i]. A state is (v_k,) or
    (b_k, b_{k+1}).

    Args:
        csr: Pattern of A, ``[N, N]``.
        weight: Values of A, ``[nnz]``.
        chebyshev: Whether the basis is Chebyshev's or powers.
        rows: K + 1 coefficients for each input.
        inputs: Tensors ``[N, F]``, or ``[R, F]`` with places; the first one ``[N, F]``.
        places: For each input the R rows it lives on, being 0 elsewhere; ``None`` for all rows.
        products: Products with A so far.
        spares: Tensors that products may overwrite; several recursions may share them.
    """

    csr: CSR
    weight: Tensor
    chebyshev: bool
    rows: list[list[float]]
    inputs: tuple[Tensor, ...]
    places: tuple[Tensor | None, ...] | None = None
    products: int = 0
    spares: list[Tensor] = field(default_factory=list)

    @property
    def last(self) -> int:
        """The top index K."""
        return len(self.rows[0]) - 1

    def top(self) -> tuple[Tensor, ...]:
        """The state at index K."""
        spare = take(self.spares, self.inputs[0])
        zeros = torch.zeros_like(self.inputs[0]) if spare is None else spare.zero_()
        first = self._add(zeros, self.last)
        return (first, torch.zeros_like(first)) if self.chebyshev else (first,)

    def run(self, state: tuple[Tensor, ...], start: int, stop: int) -> tuple[Tensor, ...]:
        """From index ``start`` to index ``stop``, keeping nothing in between."""
        given = state
        for k in range(start - 1, stop - 1, -1):
            spare = take(self.spares, state[0])
            v = multiply(self.csr, self.weight, state[0], spare)
            free = state[-1]  # after this step
            if self.chebyshev:
                v = (v.mul_(2) if k > 0 else v).sub_(state[1])
                state = (self._add(v, k), state[0])
            else:
                state = (self._add(v, k),)
            if not any(free is g for g in given):
                release(self.spares, free)
        self.products += start - stop
        return state

    def checkpoints(self, state: tuple[Tensor, ...], top: int, bottom: int) -> Checkpoints:
        """Return evenly spaced states between the indices ``top`` and ``bottom``."""
        if top < bottom:
            return Checkpoints([], [], 1)
        fit = max(_KEPT_AT_LEAST, self._room())
        stride = max(1, -(-(top - bottom + 1) // fit))
        indices = list(range(top, bottom - 1, -stride))
        kept = [state]
        for upper, lower in pairwise(indices):
            kept.append(self.run(kept[-1], upper, lower))
        return Checkpoints(indices, kept, stride)

    def exceeds(self, states: int) -> bool:
        """Whether so many states take more memory than the limit."""
        return states > self._room()

    def _room(self) -> int:
        """Number of states that fit into the memory limit."""
        first = self.inputs[0]
        # The largest of all processes, as all have to compute the same states again.
        rows = self.csr.reductions.most_rows(first.size(0))
        size = rows * first.size(1) * first.element_size() * (2 if self.chebyshev else 1)
        return self.csr.copies * _KEPT_BYTES // max(1, size)

    def ascending(self, checkpoints: Checkpoints, bottom: int) -> Iterator[Tensor]:
        """Yield the states ``bottom``, ..., top; those not kept are computed again.

        The checkpoints are consumed: each state may be overwritten once the next one is requested.
        """
        for high in reversed(checkpoints.indices):
            state = checkpoints.kept.pop()
            if checkpoints.stride == 1:
                yield state[0]
                if not self.chebyshev:  # where the next state holds it too
                    release(self.spares, state[0])
            else:
                low = max(bottom, high - checkpoints.stride + 1)
                yield from self.ascending(self.checkpoints(state, high, low), low)

    def _terms(self) -> Iterator[tuple[list[float], Tensor, Tensor | None]]:
        """The coefficients of every input, the input and its places."""
        places = self.places or (None,) * len(self.inputs)
        return zip(self.rows, self.inputs, places, strict=True)

    def _add(self, v: Tensor, k: int) -> Tensor:
        for row, tensor, place in self._terms():
            if place is None:
                v.add_(tensor, alpha=row[k])
            else:
                v.index_add_(0, place, tensor, alpha=row[k])
        return v


@dataclass
class Checkpoints:
    """Evenly spaced states of a recursion, from a top index down.

    Args:
        indices: Indices of the states, descending.
        kept: The states.
        stride: Distance of the indices.
    """

    indices: list[int]
    kept: list[tuple[Tensor, ...]]
    stride: int
