"""Flatten tuple states to one tensor for Runge-Kutta steps."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from grandpp.solvers.base import parts_of
from grandpp.solvers.explicit.stages import Rate
from grandpp.solvers.implicit.equation import Packing
from grandpp.vector_field import AnyField, State


@dataclass(frozen=True)
class FlatState:
    """A tensor stays as it is; the parts of a tuple are laid end to end.

    Args:
        packing: Packing of tuples. (default: ``None``, the state is one tensor)
        sections: Lengths of the parts; ``None`` for one tensor.
    """

    packing: Packing | None = None
    sections: tuple[int, ...] | None = None

    @classmethod
    def of(cls, y: State) -> FlatState:
        """The layout of states like ``y``."""
        if isinstance(y, Tensor):
            return cls()
        lengths = tuple(p.numel() * (2 if p.is_complex() else 1) for p in parts_of(y))
        return cls(Packing.of(y), lengths)

    def join(self, y: State) -> Tensor:
        """The state as one tensor."""
        if self.packing is None:
            (single,) = parts_of(y)
            return single
        return self.packing.pack(y)

    def split(self, x: Tensor) -> State:
        """Undo :meth:`join`; dimensions of saved times in front stay."""
        return x if self.packing is None else self.packing.unpack(x)

    def rate(self, f: AnyField) -> Rate:
        """The right-hand side on joined states, in their precision."""

        def rate(t: Tensor, x: Tensor) -> Tensor:
            slope = self.join(f(t, self.split(x)))
            return slope if slope.dtype == x.dtype else slope.to(x.dtype)

        return rate
