"""The protocol between right-hand sides and solvers: a field f(t, y) and its tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from torch import Tensor

State: TypeAlias = Tensor | tuple[Tensor, ...]

S = TypeVar("S", bound=State)
"""The kind of state of a field: a tensor, or a tuple of tensors."""


class VectorField(Protocol[S]):
    """A right-hand side f(t, y); deterministic, so that error control can trust it."""

    def __call__(self, t: Tensor, y: S, /) -> S:
        """Evaluate the derivative of the state ``y`` at the time ``t`` (a scalar tensor)."""
        ...


@runtime_checkable
class BoundField(VectorField[S], Protocol[S]):
    """A right-hand side that lists the tensors it captured.

    A solver that recomputes f during the backward pass (the adjoint method) can only return
    gradients to listed tensors; ``captured`` lists them and ``bind`` swaps them.
    """

    @property
    def captured(self) -> tuple[Tensor, ...]:
        """Every tensor besides t and y that the derivative depends on."""
        ...

    def bind(self, captured: Sequence[Tensor]) -> BoundField[S]:
        """Return the same field with other tensors in place of ``captured``."""
        ...


Rate: TypeAlias = VectorField[Tensor]
"""A right-hand side whose state is one tensor."""

AnyField: TypeAlias = VectorField[Any]
"""A right-hand side on states of either kind, as solvers take it."""
