"""Types shared by all solvers: Solution, SolveStats, Status and SolveError."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from grandpp.linalg import all_finite
from grandpp.linalg.arguments import check_integer, check_number
from grandpp.vector_field import S, State

T = TypeVar("T", bound=State)


class Status(Enum):
    """How a solve ended; the value is the text of the error message."""

    SUCCESS = "reached the end of the time span"
    NON_FINITE = "the state became NaN or infinite"
    NON_FINITE_BEYOND = (
        "the right-hand side gave NaN or infinity in a step that reached beyond the end of the "
        "time span"
    )
    STEP_UNDERFLOW = "the step size fell below the resolution of the time variable"
    MAX_NFE = "the evaluation budget was used up"
    UNBALANCED = "the source is not balanced, so the state drifts for ever and has no limit"
    INNER_NOT_CONVERGED = "the inner solver of an implicit step did not converge"
    LINEAR_SOLVE_FAILED = "a linear system of the limit could not be solved"
    STEP_TOO_LARGE = "steps disagree with the slopes at their ends, too long for the method"
    NOT_STOCHASTIC = "the operator has a row that does not sum to 1, or a negative entry"


ADVICE = {
    Status.NON_FINITE: (
        "use a smaller step_size (fixed-step methods) or smaller rtol/atol, "
        "and check the inputs and the learning rate"
    ),
    Status.NON_FINITE_BEYOND: (
        "use 'tsit5' or a fixed-step method, which end on time where this one steps over the end "
        "and interpolates, or define the right-hand side a step further"
    ),
    Status.STEP_UNDERFLOW: "use larger rtol/atol, float64, or a method for stiff problems",
    Status.MAX_NFE: (
        "raise max_nfe, use larger rtol/atol, or shorten the time span; GRANDConv and GRANDPPConv "
        "in linear mode solve for the limit with time=float('inf')"
    ),
    Status.UNBALANCED: "use source='balanced' without learn_beta, or a finite time",
    Status.INNER_NOT_CONVERGED: (
        "use a smaller step_size, a larger max_inner or inner_tol, or inner='newton_krylov'"
    ),
    Status.LINEAR_SOLVE_FAILED: (
        "use a finite time, and check for edge weights of very different size"
    ),
    Status.STEP_TOO_LARGE: (
        "use a smaller step_size, or a method with error control, like 'dopri5' or 'prox_adaptive'"
    ),
    Status.NOT_STOCHASTIC: "normalise its rows, or use another solver, like 'dopri5'",
}


@dataclass
class SolveStats:
    """Cost of a solve.

    Args:
        nfe_forward: Evaluations of the right-hand side in the forward pass.
        nfe_backward: Vector-Jacobian products of the right-hand side in the backward pass (each
            costs about one to two evaluations), and repeated evaluations; counted while
            ``backward()`` runs.
        steps: Accepted steps.
        rejected: Rejected steps.
        inner_iterations: Iterations of the inner solver, over all implicit steps.
        max_residual: Largest weighted residual an implicit step was accepted with.
        methods: Methods that ``"auto"`` chose, as pairs of start time and name.
        next_step: The step that ``"tsit5"`` would take next, for the ``first_step`` of a solve
            that goes on from here; not the last one, which was shortened to end on time.
            ``None`` for other solvers.
    """

    nfe_forward: int = 0
    nfe_backward: int = 0
    steps: int = 0
    rejected: int = 0
    inner_iterations: int = 0
    max_residual: float = 0.0
    methods: list[tuple[float, str]] = field(default_factory=list)
    next_step: float | None = None


@dataclass(frozen=True)
class Solution(Generic[S]):
    """The result of a solve.

    Args:
        ts: Times of the saved states, float64 ``[S]``.
        ys: Saved states, ``[S, *state]`` (a tuple of such for a tuple state); NaN after a failure.
        stats: Its cost.
        status: How it ended.
        t_reached: The last time an accepted step reached.
    """

    ts: Tensor
    ys: S
    stats: SolveStats
    status: Status
    t_reached: float

    @property
    def y(self) -> S:
        """The last saved state."""
        return map_parts(lambda ys: ys[-1], self.ys)

    @property
    def successful(self) -> bool:
        """Whether the end of the time span was reached."""
        return self.status is Status.SUCCESS

    def with_states(self, ys: T) -> Solution[T]:
        """Return the same solution with its saved states replaced."""
        return Solution(self.ts, ys, self.stats, self.status, self.t_reached)


class SolveError(RuntimeError):
    """A solve that failed, in words.

    Args:
        solution: The failed solution; its ``status``, ``stats`` and ``t_reached`` stay readable.
        method: Name of the method.
        cause: The reason, if it is known. (default: ``""``)
    """

    def __init__(self, solution: Solution[Any], method: str, cause: str = "") -> None:
        self.solution, self.method = solution, method
        status, stats = solution.status, solution.stats
        end = float(solution.ts[-1].detach())
        super().__init__(
            f"{method} stopped at t = {solution.t_reached:g} of {end:g} after "
            f"{stats.nfe_forward} evaluations: {status.value}; {cause or ADVICE[status]}"
        )


_COUNTS = ("max_nfe", "max_inner")


def check_positive(solver: object, *names: str) -> None:
    """Refuse options of a solver that are not positive and finite; ``None`` is left alone.

    Raises:
        TypeError: If one is no number, or a budget no integer.
        ValueError: If one is out of range.
    """
    for name in names:
        value = getattr(solver, name)
        if value is None:
            continue
        check_number(name, value)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"expected {name} to be positive and finite (got {value})")
        if name in _COUNTS:
            check_integer(name, value)


def parts_of(y: State) -> tuple[Tensor, ...]:
    """The tensors of a state, one or several."""
    return (y,) if isinstance(y, Tensor) else y


def map_parts(function: Callable[[Tensor], Tensor], y: S) -> S:
    """Apply a function to every tensor of a state."""
    parts = tuple(function(part) for part in parts_of(y))
    return like_state(y, parts)


def like_state(y: S, parts: Sequence[Tensor]) -> S:
    """The tensors as a state of the kind of ``y``: one tensor, or a tuple."""
    state: Any = parts[0] if isinstance(y, Tensor) else tuple(parts)
    return state


def stack_states(states: Sequence[S]) -> S:
    """Stack states of one kind along a new first dimension."""
    parts = zip(*map(parts_of, states), strict=True)
    return like_state(states[0], [torch.stack(part) for part in parts])


def is_finite(y: State) -> bool:
    """Whether every entry of a state is finite (one device read)."""
    return all(all_finite(part) for part in parts_of(y))


def needs_grad(tensors: Sequence[Tensor]) -> bool:
    """Whether autograd is on and any of the tensors requires a gradient."""
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
