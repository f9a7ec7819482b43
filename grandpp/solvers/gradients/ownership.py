"""Lifetime of a right-hand side until its backward pass.

Python's garbage collector follows a tensor to its own autograd function and no further. If a
function deeper in the graph held a model which in turn holds the solution (``self.x =
solve(self, ...).ys``), neither would ever be freed. So the tensors that are handed out hold what
the backward pass needs, and everything below holds it weakly.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor

from grandpp.solvers.base import map_parts
from grandpp.solvers.gradients.counting import CountedField
from grandpp.vector_field import State


def owned(keep: object, ys: State) -> State:
    """States as they are, which keep an object alive as long as they or their graph live.

    Args:
        keep: The object.
        ys: States; the last operation before they are handed out.
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
    """A recorder that another object keeps alive, with the hooks it has.

    Args:
        counted_field: The recorder.
    """

    def __init__(self, counted_field: CountedField) -> None:
        self._recorder = weakref.ref(counted_field)

    def __call__(self, t: Tensor, y: State) -> State:
        """Evaluate and count."""
        return alive(self._recorder)(t, y)

    def __getattr__(self, name: str) -> Any:
        getattr(alive(self._recorder), name)  # raises where the recorder has no such hook
        return lambda *args: getattr(alive(self._recorder), name)(*args)


def alive(ref: weakref.ref[Any]) -> Any:
    """The object behind a weak reference.

    Raises:
        RuntimeError: If it is gone.
    """
    found = ref()
    if found is None:
        raise RuntimeError("expected the states of this solve to be alive in its backward pass")
    return found
