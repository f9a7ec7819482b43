"""The protocols between right-hand sides and solvers: a field f(t, y) and its tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from torch import Tensor

State: TypeAlias = Tensor | tuple[Tensor, ...]


class VectorField(Protocol):
    """A right-hand side f(t, y); deterministic, so that error control can trust it."""

    def __call__(self, t: Tensor, y: State) -> State:
        """Evaluate the derivative of the state ``y`` at the time ``t`` (a scalar tensor)."""
        ...


@runtime_checkable
class BoundField(VectorField, Protocol):
    """A right-hand side that names the tensors it captured.

    A solver that recomputes f during the backward pass (the adjoint method) can only return
    gradients to listed tensors; ``captured`` lists them and ``bind`` swaps them.
    """

    @property
    def captured(self) -> tuple[Tensor, ...]:
        """Every tensor besides t and y that the derivative depends on."""
        ...

    def bind(self, captured: Sequence[Tensor]) -> BoundField:
        """Return the same field with other tensors in place of ``captured``."""
        ...


Rate = Callable[[Tensor, Tensor], Tensor]
"""A right-hand side f(t, h)."""


@runtime_checkable
class Bound(Protocol):
    """A right-hand side that names what it captured; solvers call it a ``BoundField``."""

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        """Evaluate the derivative of ``y`` at time ``t``."""
        ...

    @property
    def captured(self) -> tuple[Tensor, ...]:
        """Every tensor besides t and y that the derivative depends on."""
        ...

    def bind(self, captured: Sequence[Tensor]) -> Bound:
        """Return the same field with other tensors in place of ``captured``."""
        ...
