"""Give any right-hand side a list of its tensors, so that one field can wrap another.

The adjoint and the checkpointed gradient reach only the tensors that a field lists: a module lists
its parameters, a bound field the tensors it captured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.func import functional_call

from grandpp.vector_field import BoundField, Rate


@dataclass(frozen=True, eq=False)
class BoundModule:
    """A module f(t, h) whose captured tensors are its parameters.

    Args:
        module: The module; deterministic, so no dropout and no batch statistics.
        captured: Its parameters, or the tensors in their place.
        places: Every name of a parameter with its position in ``captured``; a shared parameter
            has several. Listed once, because listing takes longer than a small network.
        swapped: Whether ``captured`` are other tensors than the module's own.
    """

    module: nn.Module
    captured: tuple[Tensor, ...]
    places: tuple[tuple[str, int], ...]
    swapped: bool = False

    @classmethod
    def of(cls, module: nn.Module) -> BoundModule:
        """Bind a module to its own parameters."""
        own = tuple(module.parameters())
        position = {id(p): i for i, p in enumerate(own)}
        named = module.named_parameters(remove_duplicate=False)
        return cls(module, own, tuple((name, position[id(p)]) for name, p in named))

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        """Evaluate the module, with the swapped tensors where there are some."""
        if not self.swapped:
            out: Tensor = self.module(t, y)
            return out
        tensors = {name: self.captured[i] for name, i in self.places}
        return functional_call(self.module, tensors, (t, y), tie_weights=False)

    def bind(self, captured: Sequence[Tensor]) -> BoundModule:
        """Swap the parameters."""
        return replace(self, captured=tuple(captured), swapped=True)


@dataclass(frozen=True, eq=False)
class BoundFunction:
    """A plain function, which lists no tensors.

    Args:
        function: The function.
    """

    function: Rate

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        """Evaluate the function."""
        return self.function(t, y)

    @property
    def captured(self) -> tuple[Tensor, ...]:
        """No tensors."""
        return ()

    def bind(self, captured: Sequence[Tensor]) -> BoundFunction:
        """Return the same function."""
        return self


def as_bound(f: Rate) -> BoundField[Tensor]:
    """Return a bound field as it is, and a module or a function as one.

    Args:
        f: Right-hand side f(t, h).

    Raises:
        TypeError: If it cannot be called.
    """
    if isinstance(f, nn.Module):
        return BoundModule.of(f)
    if isinstance(f, BoundField):
        return f
    if not callable(f):
        raise TypeError(f"expected a right-hand side f(t, h) (got a {type(f).__name__})")
    return BoundFunction(f)


def names_all_tensors(f: BoundField[Tensor]) -> bool:
    """Whether the innermost field is something else than a plain function."""
    inner = getattr(f, "f", None)
    if isinstance(inner, BoundField):
        return names_all_tensors(inner)
    return not isinstance(f, BoundFunction)


def as_solver_field(f: BoundField[Tensor]) -> Rate:
    """Return a wrapped field in the form that solvers check correctly.

    A plain function may capture tensors that want a gradient without listing them. Its wrapper is
    returned as a function, whose graph solvers examine; they trust the list of a bound field.
    """
    return f if names_all_tensors(f) else f.__call__
