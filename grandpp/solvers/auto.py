"""The solver for those who do not want to choose one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter

import torch
from torch import Tensor

from grandpp.solvers.adaptive import AdaptiveProximal
from grandpp.solvers.base import Solution, State, Status, VectorField, map_parts
from grandpp.solvers.exponential import Exact, LinearField
from grandpp.solvers.stiffness import StiffError, StiffnessRecorder
from grandpp.solvers.system import LinearSystem
from grandpp.solvers.torchdiffeq import TorchDiffEq


@dataclass(frozen=True)
class Auto:
    """Linear diffusion exactly; everything else by dopri5, by proximal BDF once it is stiff.

    Stiffness is judged as in Hairer and Wanner II, section IV.2: fifteen steps at the edge of
    dopri5's stability. From the last accepted state on
    :class:`~grandpp.solvers.AdaptiveProximal` takes over, for good; ``stats.methods`` says what
    ran from which time on. It also takes over where dopri5's steps would underflow.

    Args:
        rtol: Relative tolerance.
        atol: Absolute tolerance; ``"exact"`` is given the smaller of both.
        max_nfe: Evaluation budget of one forward solve.

    Raises:
        ValueError: If a number is out of range.

    Note:
        Costs what the method that runs costs; judging is free of evaluations. Gradients are
        those of ``"exact"``, direct ones through dopri5 and implicit ones through proximal BDF.
    """

    rtol: float = 1e-4
    atol: float = 1e-5
    max_nfe: int = 100_000
    method: str = "auto"

    def __post_init__(self) -> None:
        self._exact()
        AdaptiveProximal(self.rtol, self.atol, max_nfe=self.max_nfe)

    def solve(self, f: VectorField, y0: State, ts: Tensor) -> Solution:
        """Carry ``y0`` from ``ts[0]`` through ``ts[1:]``; never raises for numerical failure.

        Args:
            f: Right-hand side.
            y0: Initial state, a tensor of any shape or a tuple of tensors.
            ts: Strictly monotone times, float64 ``[1 + S]``.
        """
        start = float(ts[0].detach())
        # Backwards in time the series of linear diffusion has no bound.
        linear = isinstance(f, LinearField | LinearSystem) and isinstance(y0, Tensor)
        if linear and bool(ts[-1] > ts[0]):
            solution = self._exact().solve(f, y0, ts)
            if solution.status is not Status.NOT_STOCHASTIC:
                solution.stats.methods.append((start, "exact"))
                return solution
        watch = StiffnessRecorder(f, self.max_nfe, start)
        watch.stats.methods.append((start, "dopri5"))
        try:
            return self._march(watch, y0, ts)
        finally:
            watch.release()

    def _exact(self) -> Exact:
        return Exact(rtol=min(self.rtol, self.atol), max_nfe=self.max_nfe)

    def _march(self, watch: StiffnessRecorder, y: State, ts: Tensor) -> Solution:
        explicit = TorchDiffEq(rtol=self.rtol, atol=self.atol, max_nfe=self.max_nfe)
        done: list[State] = []
        # One saved time after the other: what was reached before a switch stays.
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
                    ts[1:], _stack([*done, *missing]), watch.stats, solution.status, watch.t_reached
                )
            y = solution.y
            done.append(y)
        return Solution(ts[1:], _stack(done), watch.stats, Status.SUCCESS, watch.t_reached)

    def _switch(self, watch: StiffnessRecorder, done: list[State], ts: Tensor) -> Solution:
        """Go on from the last accepted state by proximal BDF, on the same account."""
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
        return Solution(ts[1:], _stack([*done, *rest]), stats, solution.status, solution.t_reached)


def _stack(states: list[State]) -> State:
    if isinstance(states[0], Tensor):
        return torch.stack([s for s in states if isinstance(s, Tensor)])
    return tuple(torch.stack(list(parts)) for parts in zip(*states, strict=True))


def _unstack(ys: State, length: int) -> list[State]:
    return [map_parts(itemgetter(i), ys) for i in range(length)]
