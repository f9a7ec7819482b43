"""Wrappers of a right-hand side that count evaluations, steps and backward passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from grandpp.solvers.base import (
    Solution,
    SolveError,
    SolveStats,
    Status,
    is_finite,
    map_parts,
    parts_of,
)
from grandpp.solvers.checks import Evaluation
from grandpp.solvers.quadrature import QuadratureField
from grandpp.vector_field import AnyField, State


class BudgetError(Exception):
    """A solve needs more evaluations of the right-hand side than max_nfe."""


@dataclass(frozen=True)
class Step:
    """One accepted step, with the data to recompute it.

    Args:
        t: Its start time.
        size: Its length, positive in either direction of time.
        y: The state it started from.
        slope: The derivative it started with; ``None`` where that is f(t, y).
    """

    t: float
    size: Tensor
    y: State
    slope: State | None


class First(NamedTuple):
    """An evaluation made before the solve: time, state and derivative, without graph."""

    t: float
    y: State
    dy: State


@dataclass
class CountedField:
    """Counts evaluations, forward and backward; keeps the accepted steps where ``kept`` is a list.

    The adjoint method evaluates and multiplies in one call, which counts once; a checkpointed
    backward pass counts a recomputed evaluation and its product as two.

    A graph refers to the counts only. A reference to this object, which refers to f and states,
    would be a cycle that Python's garbage collector cannot see.
    """

    f: AnyField
    max_nfe: int
    t_start: float
    adjoint: bool = False
    forward_done: bool = False
    stats: SolveStats = field(default_factory=SolveStats)
    last: tuple[State, State] | None = None
    last_t: Tensor | None = None
    kept: list[Step] | None = None
    keep_slopes: bool = False
    keep_last: bool = True
    first: First | None = None
    retain: bool = False
    evaluation: Evaluation = field(default_factory=Evaluation)

    def __post_init__(self) -> None:
        self.t_reached = self.t_start

    def __call__(self, t: Tensor, y: State) -> State:
        """Evaluate and count; raise :class:`BudgetError` beyond the budget."""
        if self.forward_done:
            self.stats.nfe_backward += 1
        else:
            known, self.first = self.first, None
            if known is not None and _same(known, t, y):
                return known.dy
            self.spend()
        dy = self.evaluation(self.f, t, y)
        if self.keep_last and not self.forward_done:
            self.last, self.last_t = (detached(y), detached(dy)), t.detach()
        if not self.adjoint:
            self._count_backward(dy)
        return dy

    def spend(self) -> None:
        """Count one evaluation forward; raise :class:`BudgetError` beyond the budget."""
        if self.stats.nfe_forward >= self.max_nfe:
            raise BudgetError
        self.stats.nfe_forward += 1

    def release(self) -> None:
        """Release the states kept for the solve only."""
        self.last = self.first = None

    def coupled(self, t: Tensor, z: Tensor) -> Tensor:
        """Evaluate the first part of a :class:`QuadratureField` alone and count, without graph."""
        if not isinstance(self.f, QuadratureField):
            raise TypeError(f"expected a QuadratureField (got a {type(self.f).__name__})")
        self.spend()
        return self.evaluation(self.f.without_quadrature, t, z)

    def _count_backward(self, dy: State) -> None:
        first = parts_of(dy)[0]
        if first.requires_grad:
            first.register_hook(_counting(self.stats))

    def saw_non_finite(self) -> bool:
        """Whether the last evaluation met or gave a value that is not finite."""
        return self.last is not None and not (is_finite(self.last[0]) and is_finite(self.last[1]))


class StepCountedField(CountedField):
    """Counts steps as well; torchdiffeq calls the hooks by name."""

    _slope: State | None = None

    def callback_step(self, t0: Tensor, y0: State, dt: Tensor) -> None:
        """Count a step as taken."""
        self.stats.steps += 1
        self.t_reached = float(t0.detach())
        if self.kept is not None:
            self.kept.append(Step(self.t_reached, dt.detach(), detached(y0), self._slope))


class AdaptiveCountedField(StepCountedField):
    """Counts accepted and rejected steps."""

    def callback_step_adjoint(self, t0: Tensor, y0: State, dt: Tensor) -> None:
        """Raise ``SolveError`` where torchdiffeq would fail an assertion in the backward pass."""
        status = None if is_finite(y0) else Status.NON_FINITE
        if status is None and not bool(t0 + dt > t0):
            status = Status.STEP_UNDERFLOW
        if status is not None:
            end = torch.tensor([self.t_start], dtype=torch.float64)
            reached = abs(float(t0))  # the backward pass runs on negated time
            failed = Solution(end, end, self.stats, status, reached)
            raise SolveError(failed, "the adjoint of this solve")

    def callback_reject_step(self, t0: Tensor, y0: State, dt: Tensor) -> None:
        """Undo the count of the last step."""
        self.stats.steps -= 1
        self.stats.rejected += 1
        if self.kept is not None:
            self.kept.pop()

    def callback_accept_step(self, t0: Tensor, y0: State, dt: Tensor) -> None:
        """Keep the slope that the next step starts with, the last one of this step."""
        if self.keep_slopes and self.last is not None:
            self._slope = self.last[1]


class FirstAndLast:
    """A right-hand side that can be given its first value and keeps its last call.

    Args:
        f: The right-hand side.
        first: Value of the first call. (default: ``None``, f's own)
    """

    def __init__(self, f: AnyField, first: State | None = None) -> None:
        self.f, self._first = f, first

    def __call__(self, t: Tensor, y: State) -> State:
        """Evaluate, unless the value was given."""
        given, self._first = self._first, None
        self.last_state, self.last_value = y, self.f(t, y) if given is None else given
        return self.last_value


def _counting(stats: SolveStats) -> Callable[[Tensor], None]:
    def one_more(grad: Tensor) -> None:
        stats.nfe_backward += 1

    return one_more


def _same(first: First, t: Tensor, y: State) -> bool:
    """Whether an evaluation is the one made before the solve (one read per solve)."""
    parts = zip(parts_of(first.y), parts_of(y), strict=True)
    return float(t.detach()) == first.t and all(torch.equal(a, b) for a, b in parts)


def detached(y: State) -> State:
    """The state without its graph."""
    return map_parts(Tensor.detach, y)
