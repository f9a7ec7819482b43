r"""Proximal implicit solvers (thesis chapter 5): each step is a minimisation, or its equation.

With -grad F = f, the proximal backward Euler step

.. math:: h_{k+1} = \arg\min_z \tfrac{1}{2s} |z - h_k|^2 + F(z)

(eq. 5.5) has the stationary point z = h_k + s f(z); Crank-Nicolson (section 5.2.2), the BDF methods
(section 5.2.3) and the stages of the multi-stage methods (section 5.5), divided through, have
z = b + beta s f(z) with b from earlier states. Only f is needed, and the equation keeps its meaning
where f is no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from grandpp.solvers.base import Solution, Status
from grandpp.solvers.implicit.equation import ImplicitEquation, StepError
from grandpp.solvers.implicit.implicit_loop import (
    check_options,
    estimate_spectrum,
    first_rate,
    run_implicit_loop,
)
from grandpp.solvers.implicit.iteration import InnerSolver
from grandpp.solvers.implicit.schemes import SCHEMES, Scheme
from grandpp.vector_field import AnyField, State


@dataclass(frozen=True)
class Proximal:
    r"""A fixed-step proximal method.

    Args:
        method: ``"prox_be"``, ``"prox_cn"``, ``"prox_bdf2"`` to ``"prox_bdf4"``, or the
            multi-stage ``"prox_ms2"`` (3 equations per step) and ``"prox_ms3"`` (6).
        step_size: Largest step; saved times are met by equal steps, and multi-step methods start
            again where the step changes.
        inner: Name of an inner solver, or an object. One that stagnates (a Jacobian far from
            symmetric) is replaced by ``"newton_krylov"`` for the rest of the solve.
        inner_tol: Tolerance on :math:`\mathrm{RMS}(r / (1 + |z|))`, r the residual of a step's
            equation, and on its gradient; raised to what the precision of the state allows.
        max_inner: Most inner iterations per equation; also bounds the backward solve.
        max_nfe: Evaluation budget of one forward solve.
        gradient: ``"implicit"``, the only choice.
        spectral: Largest eigenvalue of the Jacobian of f, in size, where it is roughly known;
            0 where a step times it is well below 1. ``None`` estimates it.

    Raises:
        ValueError: For an unknown method, inner solver or gradient, or a number out of range.

    Note:
        Cost: one evaluation and, with an eigenvalue estimate, 10 more per solve; then the inner
        iterations and one or two checks per step (the estimate is repeated where an inner solve
        fails). The error of a step is not estimated, and of several roots of a strongly nonlinear
        equation any may be found: ``"prox_adaptive"`` controls the error. Gradients are those of
        the implicit function theorem, with one stored evaluation per step and none of the inner
        iterations.
    """

    method: str = "prox_be"
    step_size: float = 1.0
    inner: str | InnerSolver = "fr"
    inner_tol: float = 1e-6
    max_inner: int = 500
    max_nfe: int = 100_000
    gradient: str = "implicit"
    spectral: float | None = None

    def __post_init__(self) -> None:
        if self.method not in SCHEMES:
            raise ValueError(
                f"expected method to be one of {', '.join(SCHEMES)} (got '{self.method}')"
            )
        check_options(self, self.gradient, "step_size", "inner_tol")
        if self.spectral is not None and not (math.isfinite(self.spectral) and self.spectral >= 0):
            raise ValueError(
                f"expected spectral to be finite and not negative (got {self.spectral})"
            )

    @property
    def order(self) -> int:
        """Nominal order."""
        return SCHEMES[self.method].order

    def solve(self, f: AnyField, y0: State, ts: Tensor) -> Solution[Any]:
        """Integrate ``y0`` from ``ts[0]`` through ``ts[1:]``; a numerical failure is a status.

        Args:
            f: Right-hand side.
            y0: Initial state, a tensor of any shape or a tuple of tensors.
            ts: Strictly monotone times, float64 ``[1 + S]``.
        """
        return run_implicit_loop(f, y0, ts, options=self, tol=self.inner_tol, loop=self._states)

    def _states(self, equation: ImplicitEquation, y: Tensor, ts: Tensor) -> Iterator[Tensor]:
        trapezoidal = self.method == "prox_cn"
        loop = _FixedStepLoop(
            equation, SCHEMES[self.method], self.step_size, trapezoidal, self.spectral
        )
        return loop.states(y, ts)


@dataclass
class _FixedStepLoop:
    """The time loop: earlier states, their spacing, and the steps between saved times."""

    equation: ImplicitEquation
    scheme: Scheme
    step_size: float
    trapezoidal: bool
    spectral: float | None = None
    history: list[Tensor] = field(default_factory=list)
    spacing: float = 0.0
    slope: Tensor | None = None  # f(h_k), kept for Crank-Nicolson

    def states(self, y: Tensor, ts: Tensor) -> Iterator[Tensor]:
        """Yield the state at each of ``ts[1:]``."""
        first = first_rate(self.equation, y, ts, self.spectral)
        self.slope = first if self.trapezoidal else None
        self.history = [y]
        counted_field = self.equation.f
        for start, end in pairwise(ts):
            length = float((end - start).detach())
            steps = max(1, math.ceil(abs(length) / self.step_size * (1 - 1e-6)))
            s = (end - start) / steps
            self._expect_spacing(length / steps)
            for i in range(steps):
                y = self._step(start + i * s, s)
                self.history = [y, *self.history[: self.scheme.order]]
                counted_field.stats.steps += 1
                counted_field.t_reached = float((start + (i + 1) * s).detach())
            yield y

    def _expect_spacing(self, spacing: float) -> None:
        """Keep one state where earlier ones lie at another distance."""
        if not math.isclose(spacing, self.spacing, rel_tol=1e-9):
            self.history = self.history[:1]
        self.spacing = spacing

    def _step(self, t: Tensor, s: Tensor) -> Tensor:
        scheme, known = self.scheme, len(self.history)
        if not scheme.history or known < len(scheme.history):
            return self._stages(t, s)
        sigma = scheme.beta * s
        b = torch.zeros_like(self.history[0])
        for weight, state in zip(scheme.history, self.history, strict=False):
            b = b + weight * state
        if self.slope is not None:
            b = b + sigma.to(b.dtype) * self.slope
        z = self._solve(t + s, b, sigma, self._guess())
        if self.slope is not None:
            # The equation itself gives f(z) without an evaluation, smoother than f would.
            self.slope = (z - b) / sigma.to(b.dtype)
        return z

    def _stages(self, t: Tensor, s: Tensor) -> Tensor:
        """A step of a diagonally implicit method; its stages are equations of the same form."""
        y = self.history[0]
        pulls: list[Tensor] = []  # s f of each stage, read off its equation
        z = y
        for row in self.scheme.stages:
            b, gamma = y, row[-1]
            for a, pull in zip(row, pulls, strict=False):
                b = b + a * pull
            z = self._solve(t + sum(row) * s, b, gamma * s, z.detach())
            pulls.append((z - b) / gamma)
        return z

    def _solve(self, t: Tensor, b: Tensor, sigma: Tensor, guess: Tensor) -> Tensor:
        try:
            return self.equation.solve(t, b, sigma, guess)
        except StepError as error:
            if error.status is not Status.INNER_NOT_CONVERGED:
                raise
        # Nonlinear fields change: look at the Jacobian again, and start where we stand.
        y, now = self.history[0].detach(), t.detach()
        with torch.no_grad():
            estimate_spectrum(self.equation, now, y, self.equation.rate(now, y))
        return self.equation.solve(t, b, sigma, y)

    def _guess(self) -> Tensor:
        """Continue the polynomial through the states known, one degree per state."""
        states = [h.detach() for h in self.history]
        n = len(states)
        signs = [(-1) ** j * math.comb(n, j + 1) for j in range(n)]
        guess = torch.zeros_like(states[0])
        for sign, state in zip(signs, states, strict=True):
            guess.add_(state, alpha=sign)
        return guess
