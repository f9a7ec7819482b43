"""An adjoint method of another library inside an autograd function of this package.

torchdiffeq's adjoint returns gradients that autograd takes for constants, so that a second
derivative silently lacks terms; it evaluates f outside of the autocast of the forward pass; and it
would count a gradient twice where one captured tensor was computed from another. In a graph of its
own, which ends in leaves, it does none of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grandpp.linalg.once_differentiable import once_differentiable
from grandpp.solvers.base import parts_of
from grandpp.solvers.gradients.captured import autocast_state, bind_tensors, fresh_leaves
from grandpp.solvers.gradients.counting import CountedField
from grandpp.solvers.gradients.ownership import Borrowed, owned
from grandpp.vector_field import State

Solve = Callable[[Borrowed, State, Tensor, tuple[Tensor, ...]], State]
"""From a right-hand side, an initial state, times and parameters to states, with a gradient."""


@dataclass
class _Graph:
    """The solve in its own graph.

    Args:
        leaves: Times, initial state and captured tensors.
        ys: Parts of the states.
        autocast: As in the forward pass.
    """

    leaves: list[Tensor]
    ys: tuple[Tensor, ...]
    autocast: tuple[str, bool, torch.dtype]


def nested_adjoint(
    solve: Solve, counted_field: CountedField, y0: State, ts: Tensor, captured: Sequence[Tensor]
) -> State:
    """Solve by the adjoint method of another library.

    Args:
        solve: The method.
        counted_field: The counted right-hand side.
        y0: Initial state.
        ts: Times ``[1 + S]``.
        captured: Every other tensor that f depends on.

    Returns:
        States at ``ts[1:]``.
    """
    counted_field.adjoint = True
    leaves = fresh_leaves(counted_field.f, captured)
    counted_field.f = bind_tensors(counted_field.f, leaves)
    start = tuple(_leaf(part) for part in parts_of(y0))
    times = _leaf(ts)
    inside = start[0] if isinstance(y0, Tensor) else start
    found = parts_of(solve(Borrowed(counted_field), inside, times, leaves))
    counted_field.forward_done = True
    counted_field.release()
    graph = _Graph([times, *start, *leaves], found, autocast_state(start[0]))
    ys = _Nested.apply(graph, ts, *parts_of(y0), *captured)
    saved = tuple(y[1:] for y in ys)
    return owned(counted_field, saved[0] if isinstance(y0, Tensor) else saved)


def _leaf(x: Tensor) -> Tensor:
    return x.detach().requires_grad_(x.requires_grad)


@once_differentiable
class _Nested(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, graph: _Graph, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.graph = graph
        return tuple(y.detach() for y in graph.ys)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        graph: _Graph = ctx.graph
        used = [(y, g) for y, g in zip(graph.ys, grads, strict=True) if y.requires_grad]
        wanted = [x for x in graph.leaves if x.requires_grad]
        device, enabled, dtype = graph.autocast
        with torch.autocast(device, enabled=enabled, dtype=dtype):
            found = iter(
                torch.autograd.grad(
                    [y for y, _ in used],
                    wanted,
                    [g for _, g in used],
                    retain_graph=True,
                    allow_unused=True,
                )
            )
        return (None, *(next(found) if x.requires_grad else None for x in graph.leaves))
