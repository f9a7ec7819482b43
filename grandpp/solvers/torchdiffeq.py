"""Every method of the installed torchdiffeq behind :class:`Solution`.

This is the only file that imports torchdiffeq. Its failures (assertions, NaN states, endless step
reductions) come back as a :class:`Status`, its evaluations are counted, and its adjoint is given
clones of the tensors the field captured: without them it would treat attention weights and the
initial state inside the field as constants, and listing the originals counts a gradient twice
where one of them was computed from another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torchdiffeq import odeint, odeint_adjoint
from torchdiffeq._impl.odeint import SOLVERS
from torchdiffeq._impl.solvers import FixedGridODESolver

from grandpp.solvers.base import (
    BoundField,
    Solution,
    State,
    Status,
    VectorField,
    is_finite,
    needs_grad,
)
from grandpp.solvers.recorder import AdaptiveRecorder, BudgetError, Recorder, StepRecorder

METHODS: tuple[str, ...] = tuple(sorted(SOLVERS))
FIXED_STEP_METHODS: tuple[str, ...] = tuple(
    name for name in METHODS if issubclass(SOLVERS[name], FixedGridODESolver)
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
        adjoint: Recompute the trajectory backwards instead of storing it: memory independent of
            the number of steps. Diffusion backwards in time amplifies errors by up to
            exp(2 alpha T), so gradients are good for short T alone.

    Raises:
        ValueError: If the method is not installed or a number is out of range.
    """

    method: str = "dopri5"
    rtol: float = 1e-4
    atol: float = 1e-5
    step_size: float = 1.0
    max_nfe: int = 100_000
    adjoint: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(
                f"expected solver to be one of {', '.join(METHODS)} (got '{self.method}')"
            )
        for name in ("rtol", "atol", "step_size", "max_nfe"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"expected {name} to be positive and finite (got {value})")

    @property
    def is_fixed_step(self) -> bool:
        """Whether the method takes ``step_size`` (otherwise ``rtol`` and ``atol``)."""
        return self.method in FIXED_STEP_METHODS

    def solve(self, f: VectorField, y0: State, ts: Tensor) -> Solution:
        """Carry ``y0`` from ``ts[0]`` through ``ts[1:]``; never raises for numerical failure.

        Args:
            f: Right-hand side.
            y0: Initial state, a tensor of any shape or a tuple of tensors.
            ts: Strictly monotone times, float64 ``[1 + S]``.
        """
        recorder = self._recorder(f, t_start=float(ts[0].detach()))
        self._check_gradient(f, y0)
        status, ys = Status.SUCCESS, None
        try:
            ys = self._integrate(recorder, y0, ts)
        except BudgetError:
            status = Status.MAX_NFE
        except AssertionError as error:
            if "underflow in dt" not in str(error) and "non-finite" not in str(error):
                raise
            blown_up = "non-finite" in str(error) or recorder.saw_non_finite()
            status = Status.NON_FINITE if blown_up else Status.STEP_UNDERFLOW
        if ys is not None and not is_finite(ys):
            status = Status.NON_FINITE
        if status is Status.SUCCESS:
            recorder.t_reached = float(ts[-1].detach())
        if status is not Status.SUCCESS or ys is None:
            ys = _nan_states(y0, len(ts))
        saved = ys[1:] if isinstance(ys, Tensor) else tuple(y[1:] for y in ys)
        return Solution(ts[1:], saved, recorder.stats, status, recorder.t_reached)

    def _recorder(self, f: VectorField, t_start: float) -> Recorder:
        # torchdiffeq warns of hooks that a method never calls, so each gets the hooks it knows.
        hooks = SOLVERS[self.method].valid_callbacks()
        kind = Recorder
        if "callback_step" in hooks:
            kind = AdaptiveRecorder if "callback_reject_step" in hooks else StepRecorder
        return kind(f, self.max_nfe, t_start)

    def _integrate(self, recorder: Recorder, y0: State, ts: Tensor) -> State:
        if self.is_fixed_step:
            options: dict[str, Any] = {"grid_constructor": self._grid}
            kwargs: dict[str, Any] = {"method": self.method, "options": options}
        else:
            kwargs = {"method": self.method, "rtol": self.rtol, "atol": self.atol}
        if not self.adjoint:
            if not self.is_fixed_step:
                kwargs["options"] = {"norm": _detached_norm}
            return odeint(recorder, y0, ts, **kwargs)
        captured = _captured(recorder.f)
        clones = tuple(c.clone() for c in captured)
        if isinstance(recorder.f, BoundField):
            recorder.f = recorder.f.bind(clones)
        recorder.adjoint = True
        ys = odeint_adjoint(recorder, y0, ts, adjoint_params=clones, **kwargs)
        recorder.forward_done = True
        return ys

    def _grid(self, f: Any, y0: Tensor, ts: Tensor) -> Tensor:
        """Equal steps of at most ``step_size`` between saved times, which need no interpolation."""
        pieces = [ts[:1]]
        for start, end in pairwise(ts):
            length = abs(float((end - start).detach()))
            steps = max(1, math.ceil(length / self.step_size * (1 - 1e-12)))
            share = torch.arange(1, steps, dtype=ts.dtype, device=ts.device) / steps
            pieces += [start + share * (end - start), end.reshape(1)]
        return torch.cat(pieces)

    def _check_gradient(self, f: VectorField, y0: State) -> None:
        parts = (y0,) if isinstance(y0, Tensor) else y0
        lost = self.method == "scipy_solver" and not self.adjoint
        if lost and needs_grad((*parts, *_captured(f))):
            raise ValueError(
                "scipy_solver runs in NumPy and returns no gradient: "
                "use adjoint=True, another solver, or torch.no_grad()"
            )


def _captured(f: VectorField) -> tuple[Tensor, ...]:
    return tuple(f.captured) if isinstance(f, BoundField) else ()


@torch.no_grad()
def _detached_norm(y: State) -> Tensor:
    """RMS norm, the largest over the parts of a tuple, outside of autograd.

    Through its norm torchdiffeq lets the first step size depend on the state and back-propagates
    into it, at the price of two reductions per stage; the step size is a decision, not a part of
    the mathematics.
    """
    parts = (y,) if isinstance(y, Tensor) else y
    return torch.stack([part.abs().square().mean().sqrt() for part in parts]).max()


def _nan_states(y0: State, length: int) -> State:
    if isinstance(y0, Tensor):
        return torch.full((length, *y0.shape), math.nan, dtype=y0.dtype, device=y0.device)
    return tuple(
        torch.full((length, *y.shape), math.nan, dtype=y.dtype, device=y.device) for y in y0
    )
