"""Tsitouras's explicit Runge-Kutta method of order 5(4) with error control.

Own code, because torchdiffeq has no such method, and neither checkpoints nor evaluation counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from grandpp.linalg import reductions_of
from grandpp.solvers.base import (
    Solution,
    Status,
    check_positive,
    is_finite,
    map_parts,
    needs_grad,
    parts_of,
)
from grandpp.solvers.checks import check_state
from grandpp.solvers.explicit.adaptive_loop import AdaptiveLoop, within_span
from grandpp.solvers.explicit.flat_state import FlatState
from grandpp.solvers.explicit.stages import (
    ErrorNorm,
    StepAttempt,
    attempt_step,
    interpolate,
    is_end,
)
from grandpp.solvers.explicit.tableau import TSIT5, Tableau
from grandpp.solvers.gradients.adjoint import Equation, adjoint_states
from grandpp.solvers.gradients.captured import autocast_state, captured_tensors
from grandpp.solvers.gradients.checkpoints import GRADIENTS, Replayed, checkpointed
from grandpp.solvers.gradients.counting import BudgetError, CountedField, Step
from grandpp.solvers.gradients.ownership import owned
from grandpp.solvers.implicit.equation import StepError
from grandpp.vector_field import AnyField, State


@dataclass(frozen=True)
class Tsit5:
    r"""Explicit Runge-Kutta method of order 5(4) by Tsitouras (2011), with PI step control.

    Six evaluations per step, one device read per step that is tried, a fourth-order interpolant
    for saved times, and a last step shortened to end on time.

    Args:
        rtol: Relative tolerance.
        atol: Absolute tolerance; the root mean square of a step's error over
            ``atol + rtol * |y|`` is held below 1, in the worst part of a tuple.
        first_step: Length of the first step. (default: ``None``, chosen at the price of one
            evaluation) ``stats.next_step`` of a solve is a good first step for another one close
            to its end, as where many short spans follow one another.
        max_nfe: Evaluation budget of one forward solve, and of one adjoint solve.
        gradient: ``"direct"`` back-propagates through the accepted steps, whose lengths count as
            constants, and stores every evaluation. ``"checkpoint"`` (Zhuang et al. 2020) stores
            the state at the start of each step and takes each step again: the same gradient to
            rounding. ``"adjoint"`` (Chen et al. 2018) stores saved states alone and solves the
            adjoint equation backwards by this method, with no error control on the gradients to
            parameters, which do not feed back (Kidger et al. 2021).

    Raises:
        ValueError: For an unknown gradient or a number out of range.

    Note:
        A solve of n steps, rejected ones included, takes 6n + 1 evaluations, one more without
        ``first_step``. ``nfe_backward`` counts as in :class:`~grandpp.solvers.TorchDiffEq`, and
        the same functions and fields are refused by the last two gradients. Only ``"direct"`` can
        be differentiated twice; the others refuse.
    """

    rtol: float = 1e-4
    atol: float = 1e-5
    first_step: float | None = None
    max_nfe: int = 100_000
    gradient: str = "direct"
    method: str = "tsit5"

    tableau: ClassVar[Tableau] = TSIT5

    def __post_init__(self) -> None:
        check_positive(self, "rtol", "atol", "first_step", "max_nfe")
        if self.gradient not in GRADIENTS:
            raise ValueError(
                f"expected gradient to be one of {', '.join(GRADIENTS)} (got '{self.gradient}')"
            )

    def solve(self, f: AnyField, y0: State, ts: Tensor) -> Solution[Any]:
        """Integrate ``y0`` from ``ts[0]`` through ``ts[1:]``; a numerical failure is a status.

        Args:
            f: Right-hand side.
            y0: Initial state, a tensor of any shape or a tuple of tensors.
            ts: Strictly monotone times, float64 ``[1 + S]``.
        """
        check_state(y0)
        counted_field = CountedField(f, self.max_nfe, float(ts[0].detach()), keep_last=False)
        layout = FlatState.of(y0)
        status, ys = Status.SUCCESS, None
        try:
            ys = self._integrate(counted_field, layout, y0, ts)
        except BudgetError:
            status = Status.MAX_NFE
        except StepError as error:
            status = error.status
        if ys is not None and not is_finite(ys):
            status = Status.NON_FINITE
        if status is not Status.SUCCESS or ys is None:
            ys = map_parts(lambda y: y.new_full((len(ts) - 1, *y.shape), math.nan), y0)
        return Solution(ts[1:], ys, counted_field.stats, status, counted_field.t_reached)

    def _integrate(
        self, counted_field: CountedField, layout: FlatState, y0: State, ts: Tensor
    ) -> State:
        y = layout.join(y0)
        if self.gradient == "direct":
            return layout.split(self._march(counted_field, layout, y, ts))
        captured = captured_tensors(counted_field, ts[0], y0, self.gradient)
        wanted = needs_grad((*parts_of(y0), ts, *captured))
        if wanted and self.gradient == "checkpoint":
            counted_field.kept = []
        with torch.no_grad():
            ys = self._march(counted_field, layout, y, ts)
        if not wanted:
            return layout.split(ys)
        if self.gradient == "adjoint":
            equation = Equation(
                counted_field,
                layout,
                self.tableau,
                self.rtol,
                self.atol,
                counted_field.stats.next_step,
                autocast_state(y),
            )
            return owned(equation, layout.split(adjoint_states(equation, y, ys, ts, captured)))
        ys = torch.cat([y.detach().unsqueeze(0), ys])
        sign = math.copysign(1.0, float(ts[-1].detach() - ts[0].detach()))

        def replay(f: AnyField, step: Step, times: Tensor) -> Replayed:
            return _replay(self.tableau, layout, f, step, times, sign, ts[-1].detach())

        found, tape = checkpointed(counted_field, replay, y, ys, ts, None, captured)
        return owned(tape, layout.split(found[1:]))

    def _march(
        self, counted_field: CountedField, layout: FlatState, y: Tensor, ts: Tensor
    ) -> Tensor:
        stats = counted_field.stats

        def accepted(start: float, attempt: StepAttempt, end: float) -> None:
            stats.steps += 1
            counted_field.t_reached = end
            if counted_field.kept is not None:
                size = torch.tensor(abs(attempt.size), dtype=torch.float64)
                counted_field.kept.append(Step(start, size, attempt.y.detach(), None))

        def rejected() -> None:
            stats.rejected += 1

        reductions = reductions_of(counted_field.f)
        norm = ErrorNorm(self.rtol, self.atol, layout.sections, reductions)
        loop = AdaptiveLoop(
            layout.rate(counted_field), self.tableau, norm, accepted, rejected, self.first_step
        )
        states = torch.stack(loop.run(y, ts))
        stats.next_step = loop.next_step
        return states


def _replay(
    tableau: Tableau,
    layout: FlatState,
    f: AnyField,
    step: Step,
    times: Tensor,
    sign: float,
    end: Tensor,
) -> Replayed:
    """Take a step again through times from its start to its end."""
    rate, size = layout.rate(f), sign * float(step.size)
    (y,) = parts_of(step.y)
    real = y.dtype.to_real()
    nodes = torch.tensor(tableau.nodes, dtype=times.dtype, device=times.device)
    moments = within_span(nodes * size + times[0], end.to(times), size).to(real).unbind()
    start = times[0] if times.requires_grad else step.t
    places = [
        (time - start) / size for time in (times[1:] if times.requires_grad else times[1:].tolist())
    ]
    # Where nothing but the end was saved, its slope belongs to the next step.
    if all(isinstance(place, float) and is_end(place) for place in places):
        moments = moments[:-1]
    attempt = attempt_step(rate, tableau, y, rate(times[0].to(real), y), moments, size)
    saved = [interpolate(tableau, attempt, place) for place in places]
    return Replayed(torch.stack([y, *saved]), end=attempt.end)
