"""The solver 'auto': choose a method by the kind of the problem and its stiffness."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor

from grandpp.linalg.arguments import check_number
from grandpp.solvers.base import Solution, Status, map_parts, stack_states
from grandpp.solvers.explicit.stiffness import StiffError, StiffnessCountedField
from grandpp.solvers.explicit.torchdiffeq import TorchDiffEq
from grandpp.solvers.implicit.adaptive_bdf import AdaptiveProximal
from grandpp.solvers.linear.commutator_free import (
    CommutatorFree,
    Evolution,
    QuasilinearField,
    ShortStepError,
)
from grandpp.solvers.linear.exponential import Exact, LinearField
from grandpp.solvers.linear.system import LinearSystem
from grandpp.vector_field import AnyField, S, State

# Where alpha h of the exponential integrator has to be below this, the explicit method's steps are
# longer.
_SHORTEST = 0.5


@dataclass(frozen=True)
class Auto:
    """Linear diffusion exactly, nonlinear diffusion by exponentials, all else by dopri5.

    Nonlinear diffusion, whose operator changes little along a solution, is solved by
    :class:`~grandpp.solvers.CommutatorFree`; where the operator changes so fast that its steps
    are short, dopri5 takes over from the last accepted state. dopri5 itself gives way to proximal
    BDF once the problem is stiff.

    Stiffness is detected as in Hairer and Wanner II, section IV.2: fifteen steps at the edge of
    dopri5's stability. From the last accepted state on
    :class:`~grandpp.solvers.AdaptiveProximal` takes over, for good; ``stats.methods`` lists each
    method with its start time. It also takes over where dopri5's steps would underflow.

    Args:
        rtol: Relative tolerance.
        atol: Absolute tolerance; ``"exact"`` is given the smaller of both.
        max_nfe: Evaluation budget of one forward solve.

    Raises:
        ValueError: If a number is out of range.

    Note:
        The cost is that of the method that runs; detecting stiffness takes no evaluations.
        Gradients are those of ``"exact"`` and ``"commutator_free"``, direct ones through dopri5 and
        implicit ones through proximal BDF.
    """

    rtol: float = 1e-4
    atol: float = 1e-5
    max_nfe: int = 100_000
    method: str = "auto"

    def __post_init__(self) -> None:
        check_number("rtol", self.rtol)
        check_number("atol", self.atol)
        self._exact()
        AdaptiveProximal(self.rtol, self.atol, max_nfe=self.max_nfe)

    def solve(self, f: AnyField, y0: State, ts: Tensor) -> Solution[Any]:
        """Integrate ``y0`` from ``ts[0]`` through ``ts[1:]``; a numerical failure is a status.

        Args:
            f: Right-hand side.
            y0: Initial state, a tensor of any shape or a tuple of tensors.
            ts: Strictly monotone times, float64 ``[1 + S]``.
        """
        start = float(ts[0].detach())
        # Backwards in time the series of linear diffusion has no bound.
        linear = isinstance(f, LinearField | LinearSystem)
        if linear and isinstance(y0, Tensor) and _rise(ts):
            solution = self._exact().solve(f, y0, ts)
            if solution.status is not Status.NOT_STOCHASTIC:
                solution.stats.methods.append((start, "exact"))
                return solution
        if isinstance(f, QuasilinearField) and isinstance(y0, Tensor) and not linear and _rise(ts):
            return self._freeze(f, y0, ts)
        return self._explicit(StiffnessCountedField(f, self.max_nfe, start), y0, ts)

    def _freeze(self, f: QuasilinearField, y0: Tensor, ts: Tensor) -> Solution[Tensor]:
        """Nonlinear diffusion by the exponential integrator while its steps are long."""
        start = float(ts[0].detach())
        evolution = Evolution(f, y0, ts, self.rtol, self.atol, self.max_nfe, _SHORTEST)
        stats, done = evolution.stats, evolution.saved
        try:
            status = evolution.run()
        except ShortStepError:
            status = None
        if evolution.t > start or status not in (None, Status.NOT_STOCHASTIC):
            stats.methods.append((start, CommutatorFree.method))
        if status is None or status is Status.NOT_STOCHASTIC:
            watch = StiffnessCountedField(f, self.max_nfe, evolution.t, stats=stats)
            last = ts[len(done)]
            first = last + (evolution.t - float(last.detach()))
            left = torch.cat([first.view(1), ts[1 + len(done) :]])
            rest = self._explicit(watch, evolution.y, left)
            ys = torch.cat([*(y.unsqueeze(0) for y in done), rest.ys])
            return Solution(ts[1:], ys, stats, rest.status, rest.t_reached)
        missing = [torch.full_like(y0, torch.nan)] * (len(ts) - 1 - len(done))
        return Solution(ts[1:], torch.stack([*done, *missing]), stats, status, evolution.t)

    def _explicit(self, watch: StiffnessCountedField, y: S, ts: Tensor) -> Solution[S]:
        watch.stats.methods.append((watch.t_start, "dopri5"))
        try:
            return self._march(watch, y, ts)
        finally:
            watch.release()

    def _exact(self) -> Exact:
        return Exact(rtol=min(self.rtol, self.atol), max_nfe=self.max_nfe)

    def _march(self, watch: StiffnessCountedField, y: S, ts: Tensor) -> Solution[S]:
        explicit = TorchDiffEq(rtol=self.rtol, atol=self.atol, max_nfe=self.max_nfe)
        done: list[S] = []
        # One saved time after the other: states from before a switch are kept.
        for i, span in enumerate(pairwise(ts)):
            watch.begin_span()
            try:
                solution = explicit.run(watch, y, torch.stack(span))
            except StiffError:
                return self._switch(watch, done, ts)
            if solution.status is Status.STEP_UNDERFLOW:
                return self._switch(watch, done, ts)
            if not solution.successful:
                unknown = map_parts(lambda part: torch.full_like(part, torch.nan), y)
                missing = [unknown] * (len(ts) - 1 - i)
                return Solution(
                    ts[1:],
                    stack_states([*done, *missing]),
                    watch.stats,
                    solution.status,
                    watch.t_reached,
                )
            y = solution.y
            done.append(y)
        return Solution(ts[1:], stack_states(done), watch.stats, Status.SUCCESS, watch.t_reached)

    def _switch(self, watch: StiffnessCountedField, done: list[S], ts: Tensor) -> Solution[S]:
        """Continue from the last accepted state by proximal BDF, with the same counter."""
        reached, y = watch.accepted
        left = ts[1 + len(done) :]
        start = torch.full((1,), reached, dtype=ts.dtype, device=ts.device)
        implicit = AdaptiveProximal(self.rtol, self.atol, max_nfe=self.max_nfe)
        solution = implicit.solve(watch, y, torch.cat([start, left]))
        stats, more = watch.stats, solution.stats
        stats.methods.append((reached, implicit.method))
        stats.steps += more.steps
        stats.rejected += more.rejected
        stats.inner_iterations += more.inner_iterations
        stats.max_residual = more.max_residual
        rest = _unstack(solution.ys, len(left))
        return Solution(
            ts[1:], stack_states([*done, *rest]), stats, solution.status, solution.t_reached
        )


def _rise(ts: Tensor) -> bool:
    return bool(ts[-1] > ts[0])


def _unstack(ys: S, length: int) -> list[S]:
    return [map_parts(itemgetter(i), ys) for i in range(length)]
