"""Solve an ODE-RNN from one observation to the next, and collect states and statistics."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from grandpp.fields.bound import names_all_tensors
from grandpp.fields.dynamics import Dynamics, TimeScaled
from grandpp.sequence.affine import ExactIntervals
from grandpp.sequence.observations import Observations
from grandpp.sequence.output import ODERNNOutput
from grandpp.solvers import Exact, Solution, Solver, SolveStats, Status, Tsit5
from grandpp.solvers.base import is_finite
from grandpp.vector_field import BoundField


class Rollout:
    """Integrate a batch of states over the intervals between observations and up to the horizons.

    Args:
        dynamics: The equation of motion.
        f: Its right-hand side on states, prepared once for all intervals.
        solver: The solver.
        seen: The observations.
        state: The state before the first of them.

    Raises:
        TypeError: If the solver is ``"exact"`` and the equation not affine.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        f: BoundField[Tensor],
        solver: Solver,
        seen: Observations,
        state: Tensor,
    ) -> None:
        self.dynamics, self.f, self.seen = dynamics, f, seen
        self.solver: Solver | ExactIntervals = solver
        if isinstance(solver, Exact):
            self.solver = ExactIntervals(f, state, dynamics.batch_dim, seen.durations)
        self.step: float | None = None  # last step size in units of time: the next interval's first
        # The solver searches a plain function for captured tensors; a field that names them is not
        # searched.
        self.named = names_all_tensors(f)
        self.unit = torch.tensor([0.0, 1.0], dtype=torch.float64, device=seen.x.device)
        self.solves: list[SolveStats] = []
        self.failure: Solution[Tensor] | None = None
        self.observation: int | None = None
        self.post_jump: list[Tensor] = []
        self.pre_jump: list[Tensor] = []
        self.forecast: list[Tensor] = []

    def advance(self, k: int, state: Tensor) -> Tensor:
        """Integrate from right after the jump at observation k to the next one or to the horizons.

        Args:
            k: Number of the observation.
            state: The state.
        """
        seen = self.seen
        self.observation, self.state = k, state
        self.post_jump.append(self.dynamics.position(state))
        if k + 1 < len(seen.x):
            new = self._integrate(state, seen.times[k], seen.gaps[k], seen.longest[k])
            state = seen.select_present(k + 1, new, state)
            self.pre_jump.append(self.dynamics.position(state))
        else:
            self._forecast(state)
        return state

    def _forecast(self, state: Tensor) -> None:
        now = self.seen.last
        if not is_finite(state.detach()):
            self.failure = Solution(
                self.unit[1:], state.unsqueeze(0), SolveStats(), Status.NON_FINITE, 0.0
            )
        for then in () if self.seen.horizon is None else self.seen.horizon:
            if self.failure is not None:
                break
            longest = float((then - now).detach().max())
            if longest > 0:
                state = self._integrate(state, now, then - now, longest)
            self.forecast.append(self.dynamics.position(state))
            now = then
        self.state = state

    def _integrate(self, state: Tensor, start: Tensor, duration: Tensor, longest: float) -> Tensor:
        if self.seen.present is None:
            return self._solve(state, start, duration, longest)
        # Elements past their end are left out of the solve: they would cost evaluations, and their
        # zero errors would lower the error norm of the others.
        dim = self.dynamics.batch_dim
        moving = (duration.detach() > 0).nonzero().squeeze(1)
        parts = (state.index_select(dim, moving), start[moving], duration[moving])
        return state.index_copy(dim, moving, self._solve(*parts, longest))

    def _solve(self, state: Tensor, start: Tensor, duration: Tensor, longest: float) -> Tensor:
        solver = self.solver
        if self.step is not None and isinstance(solver, Tsit5):
            solver = replace(solver, first_step=self.step / longest)
        f = TimeScaled(self.f, start, duration.to(state.dtype), self.dynamics.batch_dim)
        if isinstance(solver, ExactIntervals):
            solution = solver.solve(f, state, self.unit)
        else:
            solution = solver.solve(f if self.named else f.__call__, state, self.unit)
        self.solves.append(solution.stats)
        if not solution.successful:
            self.failure = solution
        elif solution.stats.next_step is not None:
            self.step = solution.stats.next_step * longest
        return solution.y

    def output(self, decoder: nn.Module, steps: int, batch_first: bool) -> ODERNNOutput:
        """Decode the states before and after the jumps and at the horizons.

        Args:
            decoder: From positions to predictions.
            steps: Number of rows of the input, padding included.
            batch_first: Whether the batch comes first.
        """
        seen = self.seen
        rows = len(seen.x)
        post_jump = _filled(self.post_jump, rows, self.post_jump[0])
        reconstruction = decoder(post_jump)
        pre_jump = _filled(self.pre_jump, rows - 1, post_jump[0])
        outputs = decoder(torch.cat([pre_jump, post_jump[-1:]]))
        forecast = None
        if seen.horizon is not None:
            forecast = decoder(_filled(self.forecast, len(seen.horizon), post_jump[0]))
            outputs = torch.where(seen.is_last.unsqueeze(-1), forecast[0], outputs)
        if seen.present is not None:
            there = seen.present.unsqueeze(-1)
            outputs, reconstruction = (
                torch.where(there, y, 0.0) for y in (outputs, reconstruction)
            )
        outputs, reconstruction = (
            nn.functional.pad(y, (0, 0, 0, 0, 0, steps - rows)) for y in (outputs, reconstruction)
        )
        failure = self.failure
        out = ODERNNOutput(
            outputs=outputs,
            reconstruction=reconstruction,
            forecast=forecast,
            state=self.state if failure is None else torch.full_like(self.state, math.nan),
            solves=tuple(self.solves),
            status=Status.SUCCESS if failure is None else failure.status,
            failed_at=None if failure is None else self.observation,
        )
        return out.transposed() if batch_first else out


def _filled(positions: list[Tensor], rows: int, like: Tensor) -> Tensor:
    """Stack positions ``[B, n]``; rows that a failed run did not reach are NaN."""
    missing = like.new_full((rows - len(positions), *like.shape), math.nan)
    return torch.cat([torch.stack(positions), missing]) if positions else missing
