"""Every method of the installed torchdiffeq, returning a :class:`Solution`.

This is the only file that imports torchdiffeq. Its failures (assertions, NaN states, endless step
reductions) come back as a :class:`Status`, its evaluations are counted, and its adjoint runs in a
graph of its own (:mod:`grandpp.solvers.gradients.nested_adjoint`). Gradients from checkpoints are
this package's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torchdiffeq import odeint, odeint_adjoint
from torchdiffeq._impl.fixed_adams import AdamsBashforth, AdamsBashforthMoulton
from torchdiffeq._impl.odeint import SOLVERS
from torchdiffeq._impl.rk_common import RKAdaptiveStepsizeODESolver
from torchdiffeq._impl.solvers import FixedGridODESolver

from grandpp.linalg import Reductions, reductions_of
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
from grandpp.solvers.explicit import adams_checks
from grandpp.solvers.explicit.spans import equal_steps, span_by_span
from grandpp.solvers.explicit.stages import root_mean_square
from grandpp.solvers.gradients.captured import captured_tensors
from grandpp.solvers.gradients.checkpoints import GRADIENTS, Replayed, checkpointed
from grandpp.solvers.gradients.counting import (
    AdaptiveCountedField,
    BudgetError,
    CountedField,
    FirstAndLast,
    Step,
    StepCountedField,
)
from grandpp.solvers.gradients.nested_adjoint import nested_adjoint
from grandpp.solvers.gradients.ownership import owned
from grandpp.vector_field import AnyField, State

METHODS: tuple[str, ...] = tuple(sorted(SOLVERS))
FIXED_STEP_METHODS: tuple[str, ...] = tuple(
    name for name in METHODS if issubclass(SOLVERS[name], FixedGridODESolver)
)
ONE_STEP_METHODS: tuple[str, ...] = tuple(
    name
    for name in METHODS
    if issubclass(SOLVERS[name], FixedGridODESolver | RKAdaptiveStepsizeODESolver)
    and not issubclass(SOLVERS[name], AdamsBashforthMoulton)
)


@dataclass(frozen=True)
class TorchDiffEq:
    """One method of torchdiffeq (Chen 2018).

    Args:
        method: Name of an installed method.
        rtol: Relative tolerance of adaptive methods.
        atol: Absolute tolerance of adaptive methods.
        step_size: Step of fixed-step methods; the last step is shortened to end on time.
        max_nfe: Evaluation budget of one forward solve.
        gradient: ``"direct"`` back-propagates through the solve, which stores every evaluation.
            ``"checkpoint"`` (Zhuang et al. 2020; one-step methods) stores the state at the start
            of each step, two where the method carries a slope over (``"adaptive_heun"``,
            ``"fehlberg2"``), and takes each step again in the backward pass: the same gradient
            to rounding (to the solution's error for the times of ``"bosh3"`` and ``"dopri8"``), for
            one more forward pass. ``"adjoint"`` (Chen 2018) stores the end state
            alone and recomputes the trajectory backwards. Diffusion backwards in time amplifies
            errors by up to exp(2 alpha T), so its gradients are good for short T alone.

    Raises:
        ValueError: If the method is not installed, does not go with the gradient, or a number is
            out of range.

    Note:
        Adams methods have order five at most and start anew at saved times; steps that did not
        converge or disagree with the slopes at their ends are a failure (not so in the backward
        pass of the adjoint). Other fixed steps have no error estimate: too long ones are
        inaccurate, or let the state grow without bound.

        ``nfe_backward`` counts one per vector-Jacobian product in direct mode, one per evaluation
        with its product in adjoint mode, and each recomputed evaluation and each product in
        checkpoint mode. The last two evaluate f again: they reach every tensor that a module or a
        bound field touches, and refuse a plain function that captured tensors which want a
        gradient, and random fields. Only ``"direct"`` can be differentiated twice.
    """

    method: str = "dopri5"
    rtol: float = 1e-4
    atol: float = 1e-5
    step_size: float = 1.0
    max_nfe: int = 100_000
    gradient: str = "direct"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(
                f"expected solver to be one of {', '.join(METHODS)} (got '{self.method}')"
            )
        check_positive(self, "rtol", "atol", "step_size", "max_nfe")
        if self.gradient not in GRADIENTS:
            raise ValueError(
                f"expected gradient to be one of {', '.join(GRADIENTS)} (got '{self.gradient}')"
            )
        if self.gradient == "checkpoint" and self.method not in ONE_STEP_METHODS:
            raise ValueError(
                "expected a one-step method for gradient='checkpoint', one of "
                f"{', '.join(ONE_STEP_METHODS)} (got '{self.method}')"
            )

    @property
    def is_fixed_step(self) -> bool:
        """Whether the method takes ``step_size`` (otherwise ``rtol`` and ``atol``)."""
        return self.method in FIXED_STEP_METHODS

    def solve(self, f: AnyField, y0: State, ts: Tensor) -> Solution[Any]:
        """Integrate ``y0`` from ``ts[0]`` through ``ts[1:]``; a numerical failure is a status.

        Args:
            f: Right-hand side.
            y0: Initial state, a tensor of any shape or a tuple of tensors.
            ts: Strictly monotone times, float64 ``[1 + S]``.
        """
        if self.method == "scipy_solver" and self.gradient == "direct":
            adams_checks.check_no_gradient(f, y0)
        counted_field = self._counted_field(f, t_start=float(ts[0].detach()))
        solution = self.run(counted_field, y0, ts)
        counted_field.release()
        return solution

    def run(self, counted_field: CountedField, y0: State, ts: Tensor) -> Solution:
        """:meth:`solve` with a given counter, which may count several time spans.

        Args:
            counted_field: The counted right-hand side, with the hooks that the method calls.
            y0, ts: As in :meth:`solve`.
        """
        check_state(y0)
        status, ys = Status.SUCCESS, None
        try:
            ys = self._integrate(counted_field, y0, ts)
        except BudgetError:
            status = Status.MAX_NFE
        except AssertionError as error:
            status = adams_checks.status_of_error(error, counted_field, ts)
        if ys is not None:
            status = adams_checks.status_of_states(counted_field, ys, ts)
        if status is Status.SUCCESS:
            counted_field.t_reached = float(ts[-1].detach())
        if status is not Status.SUCCESS or ys is None:
            ys = map_parts(lambda y: y.new_full((len(ts) - 1, *y.shape), torch.nan), y0)
        return Solution(ts[1:], ys, counted_field.stats, status, counted_field.t_reached)

    def _counted_field(self, f: AnyField, t_start: float) -> CountedField:
        # torchdiffeq warns of hooks that a method never calls, so each gets its own hooks only.
        if self._is_adams:
            implicit = not issubclass(SOLVERS[self.method], AdamsBashforth)
            return adams_checks.adams_counted_field(implicit)(f, self.max_nfe, t_start)
        hooks = SOLVERS[self.method].valid_callbacks()
        kind = CountedField
        if "callback_step" in hooks:
            kind = AdaptiveCountedField if "callback_reject_step" in hooks else StepCountedField
        return kind(f, self.max_nfe, t_start)

    def _integrate(self, counted_field: CountedField, y0: State, ts: Tensor) -> State:
        if self._is_adams and len(ts) > 2:
            return self._span_by_span(counted_field, y0, ts)
        if self.is_fixed_step:
            options: dict[str, Any] = {
                "grid_constructor": lambda f, y, t: equal_steps(t, self.step_size)
            }
            if self._is_adams:
                options["max_order"] = adams_checks.MAX_ORDER
            kwargs: dict[str, Any] = {"method": self.method, "options": options}
        else:
            kwargs = {"method": self.method, "rtol": self.rtol, "atol": self.atol}
            kwargs["options"] = self._landing(ts)
        if self.gradient == "adjoint":
            captured = captured_tensors(counted_field, ts[0], y0, self.gradient)

            def adjoint(f: Any, y: State, times: Tensor, params: tuple[Tensor, ...]) -> State:
                return odeint_adjoint(f, y, times, adjoint_params=params, **kwargs)

            return nested_adjoint(adjoint, counted_field, y0, ts, captured)
        if not self.is_fixed_step:
            kwargs["options"]["norm"] = _norm_over(reductions_of(counted_field.f))
        if self.gradient == "direct":
            return _later(odeint(counted_field, y0, ts, **kwargs))
        captured = captured_tensors(counted_field, ts[0], y0, self.gradient)
        wanted = needs_grad((*parts_of(y0), ts, *captured))
        if wanted:
            counted_field.kept, counted_field.keep_slopes = [], self._carries_slope
        with torch.no_grad():
            ys = odeint(counted_field, y0, ts, **kwargs)
        grid = equal_steps(ts, self.step_size) if self.is_fixed_step else None
        if not (wanted and is_finite(ys)):
            return _later(ys)
        if self._landing(ts):
            _shorten(counted_field, ts)
        found, tape = checkpointed(counted_field, self._replay, y0, ys, ts, grid, captured)
        return owned(tape, _later(found))

    def _landing(self, ts: Tensor) -> dict[str, Any]:
        """Let steps end at saved times where interpolation is less accurate than they are.

        The polynomial of torchdiffeq is of fourth order, whatever the method, and that of "bosh3"
        passes through a midpoint of second order.
        """
        return {"step_t": ts[1:].detach()} if self.method in ("bosh3", "dopri8") else {}

    @property
    def _is_adams(self) -> bool:
        return issubclass(SOLVERS[self.method], AdamsBashforthMoulton)

    def _span_by_span(self, counted_field: CountedField, y0: State, ts: Tensor) -> State:
        """Start anew at every saved time, because these methods need steps of one length."""
        if self.gradient == "adjoint":
            raise ValueError(
                f"expected no save_at for solver='{self.method}' with gradient='adjoint' "
                f"(got {len(ts) - 1} times): use gradient='direct', or another solver"
            )

        def solve(y: State, span: Tensor) -> State:
            adams_checks.begin_span(counted_field, y)
            return self._integrate(counted_field, y, span)

        return _later(span_by_span(solve, y0, ts))

    @property
    def _carries_slope(self) -> bool:
        """Whether a step starts with a slope of the step before that is not f at its end."""
        if self.is_fixed_step:
            return False
        weights = SOLVERS[self.method].tableau
        return not torch.equal(weights.c_sol[:-1], weights.beta[-1]) or bool(weights.c_sol[-1])

    def _replay(self, f: AnyField, step: Step, times: Tensor) -> Replayed:
        f = FirstAndLast(f, step.slope)
        if self.is_fixed_step:
            ys = odeint(f, step.y, times, method=self.method)
            return Replayed(ys)
        # Errors of norm zero accept the step whatever its size was.
        options = {"first_step": step.size, "norm": lambda y: torch.zeros_like(step.size)}
        ys = odeint(f, step.y, times, method=self.method, options=options)
        if self._carries_slope:
            return Replayed(ys, slope=f.last_value)
        # The last stage is f at the new state, which interpolation gives with more rounding.
        return Replayed(ys, end=f.last_state)


def _shorten(counted_field: CountedField, ts: Tensor) -> None:
    """Give kept steps the length they had, where they ended sooner than they were begun for."""
    steps = counted_field.kept or []
    starts = [*(step.t for step in steps[1:]), float(ts[-1].detach())]
    counted_field.kept = [
        replace(step, size=step.size.clamp(max=abs(end - step.t)))
        for step, end in zip(steps, starts, strict=True)
    ]


def _later(ys: State) -> State:
    """The states without the initial one."""
    return map_parts(lambda y: y[1:], ys)


def _norm_over(reductions: Reductions) -> Callable[[State], Tensor]:
    if reductions.is_local:
        return _detached_norm

    @torch.no_grad()
    def norm(y: State) -> Tensor:
        return torch.stack([root_mean_square(part, reductions) for part in parts_of(y)]).max()

    return norm


@torch.no_grad()
def _detached_norm(y: State) -> Tensor:
    """RMS norm, the largest over the parts of a tuple, outside of autograd.

    Through its norm torchdiffeq lets the first step size depend on the state and back-propagates
    into it, at the price of two reductions per stage; the step size is a decision, not a part of
    the mathematics.
    """
    return torch.stack([part.abs().square().mean().sqrt() for part in parts_of(y)]).max()
