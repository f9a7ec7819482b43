"""Wrappers that count what a foreign solver does with a right-hand side."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from grandpp.solvers.base import (
    Solution,
    SolveError,
    SolveStats,
    State,
    Status,
    VectorField,
    is_finite,
)


class BudgetError(Exception):
    """The right-hand side was asked for more evaluations than max_nfe."""


@dataclass
class Recorder:
    """Counts evaluations, forward and backward."""

    f: VectorField
    max_nfe: int
    t_start: float
    adjoint: bool = False
    forward_done: bool = False
    stats: SolveStats = field(default_factory=SolveStats)
    last: tuple[State, State] | None = None

    def __post_init__(self) -> None:
        self.t_reached = self.t_start

    def __call__(self, t: Tensor, y: State) -> State:
        """Evaluate and count; raise :class:`BudgetError` beyond the budget."""
        if self.forward_done:
            self.stats.nfe_backward += 1
            return self.f(t, y)
        if self.stats.nfe_forward >= self.max_nfe:
            raise BudgetError
        self.stats.nfe_forward += 1
        dy = self.f(t, y)
        self.last = (_detach(y), _detach(dy))
        if not self.adjoint:
            self._count_backward(dy)
        return dy

    def _count_backward(self, dy: State) -> None:
        first = dy if isinstance(dy, Tensor) else dy[0]
        if first.requires_grad:
            first.register_hook(self._one_more_backward)

    def _one_more_backward(self, grad: Tensor) -> None:
        self.stats.nfe_backward += 1

    def saw_non_finite(self) -> bool:
        """Whether the last evaluation met or gave a value that is not finite."""
        return self.last is not None and not (is_finite(self.last[0]) and is_finite(self.last[1]))


class StepRecorder(Recorder):
    """Counts steps as well; torchdiffeq calls the hooks by name."""

    def callback_step(self, t0: Tensor, y0: State, dt: Tensor) -> None:
        """Count a step as taken."""
        self.stats.steps += 1
        self.t_reached = float(t0.detach())


class AdaptiveRecorder(StepRecorder):
    """Tells accepted from rejected steps."""

    def callback_step_adjoint(self, t0: Tensor, y0: State, dt: Tensor) -> None:
        """Say in words what torchdiffeq would only assert in the backward pass."""
        status = None if is_finite(y0) else Status.NON_FINITE
        if status is None and not bool(t0 + dt > t0):
            status = Status.STEP_UNDERFLOW
        if status is not None:
            end = torch.tensor([self.t_start], dtype=torch.float64)
            reached = abs(float(t0))  # the backward pass runs on negated time
            failed = Solution(end, end, self.stats, status, reached)
            raise SolveError(failed, "the adjoint of this solve")

    def callback_reject_step(self, t0: Tensor, y0: State, dt: Tensor) -> None:
        """Take back the step counted last."""
        self.stats.steps -= 1
        self.stats.rejected += 1


def _detach(y: State) -> State:
    return y.detach() if isinstance(y, Tensor) else tuple(part.detach() for part in y)
