"""Lifetime of a right-hand side until its backward pass.

Python's garbage collector follows a tensor to its own autograd function and no further. If a
function deeper in the graph held a model which in turn holds the solution (``self.x =
solve(self, ...).ys``), neither would ever be freed. So the returned tensors hold the data of the
backward pass, and everything below refers to it weakly.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor

from grandpp.solvers.base import map_parts
from grandpp.solvers.gradients.counting import CountedField
from grandpp.vector_field import S, State


def owned(keep: object, ys: S) -> S:
    """Return the states unchanged; they keep an object alive as long as they or their graph live.

    Args:
        keep: The object.
        ys: States; this is the last operation before they are returned.
    """
    return map_parts(lambda part: _Owned.apply(keep, part), ys)


class _Owned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, keep: object, y: Tensor) -> Tensor:
        ctx.keep = keep
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        return None, grad


class Borrowed:
    """A weak reference to a counted field, with its hooks.

    Args:
        counted_field: The counted field.
    """

    def __init__(self, counted_field: CountedField) -> None:
        self._counted_field = weakref.ref(counted_field)

    def __call__(self, t: Tensor, y: State) -> State:
        """Evaluate and count."""
        return alive(self._counted_field)(t, y)

    def __getattr__(self, name: str) -> Any:
        getattr(alive(self._counted_field), name)  # raises if the field has no such hook
        return lambda *args: getattr(alive(self._counted_field), name)(*args)


def alive(ref: weakref.ref[Any]) -> Any:
    """The object behind a weak reference.

    Raises:
        RuntimeError: If it is gone.
    """
    found = ref()
    if found is None:
        raise RuntimeError("expected the states of this solve to be alive in its backward pass")
    return found
