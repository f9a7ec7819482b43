"""Right-hand sides with a component that is only integrated, like the log-density of a flow."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from grandpp.vector_field import State


@runtime_checkable
class QuadratureField(Protocol):
    r"""A right-hand side on states (z, q) whose derivative depends on z alone.

    .. math:: z' = f(t, z), \qquad q' = g(t, z)

    Implicit methods solve their equation for z with f alone, because g would only add cost, and
    add up q with one evaluation of both: the same formula as for z, as in CVODES (Hindmarsh et al.
    2005, quadrature variables). Every other solver treats (z, q) as any pair.
    """

    def __call__(self, t: Tensor, y: State) -> State:
        """Evaluate (z', q') at a state (z, q)."""
        ...

    def without_quadrature(self, t: Tensor, z: Tensor) -> Tensor:
        """Evaluate z' alone."""
        ...
