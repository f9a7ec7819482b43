r"""The proximal method with error control: BDF of order 1 to 4 on steps of varying length.

The thesis leaves it as future work (section 5.6). With the Lagrange polynomials
:math:`\ell_j` of the times :math:`t_{n+1}, t_n, \dots, t_{n-k+1}`, a step of order k is

.. math:: \sum_{j=0}^{k} \ell_j'(t_{n+1})\, h_{n+1-j} = f(t_{n+1}, h_{n+1}),

for equal steps the BDF of section 5.2.3. Its leading error is the next divided difference,

.. math:: e_k = \sigma \prod_{j=0}^{k-1} (t_{n+1} - t_{n-j}) \; h[t_{n+1}, \dots, t_{n-k}],
    \qquad \sigma = 1 / \ell_0'(t_{n+1}),

and that of the neighbouring orders costs no evaluation either.

Own code, because torchdiffeq has no BDF, and that of scipy has no gradients.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
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
from grandpp.solvers.interpolation import bdf_error_weights, combine, lagrange, slopes
from grandpp.vector_field import AnyField, State

_MAX_ORDER = 4
_SAFETY = 0.9
_WORTHWHILE = 1.2  # a smaller gain does not pay for the changed spacing
_GROWTH = 2.0  # at most; longer jumps make varying BDF unstable, but not at order 1
_FIRST_GROWTH = 10.0
_SHRINK = 0.2
_INNER_SHRINK = 0.25
_INNER_SHARE = 0.02  # of the tolerance, left to the equations


@dataclass(frozen=True)
class AdaptiveProximal:
    """Variable-order, variable-step proximal BDF; for stiff fields.

    Args:
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        inner: As in :class:`~grandpp.solvers.Proximal`.
        inner_tol: Tolerance on a step's equation. (default: ``None``, 2 % of the smaller of
            ``rtol`` and ``atol``)
        max_inner: Most inner iterations per equation; also bounds the backward solve. An
            equation that needs more is tried again with a quarter of the step.
        max_nfe: Evaluation budget of one forward solve.
        gradient: ``"implicit"``, the only choice.

    Raises:
        ValueError: For an unknown inner solver or gradient, or a number out of range.

    Note:
        The error of a step is held below ``atol + rtol * |h|`` (RMS). Gradients are those of the
        steps taken: their lengths count as constants, as fractions of the time span.
    """

    rtol: float = 1e-4
    atol: float = 1e-5
    inner: str | InnerSolver = "fr"
    inner_tol: float | None = None
    max_inner: int = 200
    max_nfe: int = 100_000
    gradient: str = "implicit"
    method: str = "prox_adaptive"

    def __post_init__(self) -> None:
        check_options(self, self.gradient, "rtol", "atol", "inner_tol")

    def solve(self, f: AnyField, y0: State, ts: Tensor) -> Solution[Any]:
        """Integrate ``y0`` from ``ts[0]`` through ``ts[1:]``; a numerical failure is a status.

        Args:
            f: Right-hand side.
            y0: Initial state, a tensor of any shape or a tuple of tensors.
            ts: Strictly monotone times, float64 ``[1 + S]``.
        """
        tol = self.inner_tol or _INNER_SHARE * min(self.rtol, self.atol)
        return run_implicit_loop(f, y0, ts, options=self, tol=tol, loop=self._states)

    def _states(self, equation: ImplicitEquation, y: Tensor, ts: Tensor) -> Iterator[Tensor]:
        start, span = ts[0], ts[-1] - ts[0]
        saved = (ts[1:] - start) / span
        loop = _AdaptiveBDFLoop(equation, self.rtol, self.atol, start, span)
        loop.begin(y, ts)
        for time in saved[:-1]:
            while loop.times[0] < float(time.detach()):
                loop.advance()
            yield loop.interpolate(time)
        while loop.times[0] < 1:
            loop.advance()
        yield loop.states[0]


@dataclass
class _AdaptiveBDFLoop:
    """Steps in fractions of the time span; earlier states lie in ``states``, newest first."""

    equation: ImplicitEquation
    rtol: float
    atol: float
    start: Tensor
    span: Tensor
    times: list[float] = field(default_factory=lambda: [0.0])
    states: list[Tensor] = field(default_factory=list)
    order: int = 1
    length: float = 0.0
    since_change: int = 0
    failures: int = 0
    trouble: Status = Status.STEP_UNDERFLOW  # status of a step that cannot shrink any more

    def begin(self, y: Tensor, ts: Tensor) -> None:
        """Choose the first step (Hairer, Norsett and Wanner I, section II.4, for order 1)."""
        self.states = [y]
        first = first_rate(self.equation, y, ts).detach() * float(self.span.detach())
        y = y.detach()
        size, speed = self._norm(y, y), self._norm(first, y)
        probe = 0.01 * size / speed if min(size, speed) > 1e-5 else 1e-6
        probe = min(probe, 1.0)
        bent = self._rate(probe, y + probe * first) - first
        curvature = self._norm(bent, y) / probe
        most = max(speed, curvature)
        length = math.sqrt(0.01 / most) if most > 1e-15 else 1.0
        self.length = min(100 * probe, length, 1.0)
        # An artificial earlier state on the tangent gives the first step an error estimate.
        self.times.append(-self.length)
        self.states.append(y - self.length * first)

    def advance(self) -> None:
        """Take one step, as many attempts as it needs."""
        stats = self.equation.f.stats
        while True:
            time = self._next_time()
            z = self._attempt(time)
            if z is None:
                self._reject(_INNER_SHRINK)
                continue
            errors = self._errors(time, z.detach())
            if errors[self.order] <= 1:
                break
            self._reject(max(_SHRINK, _SAFETY * errors[self.order] ** (-1 / (self.order + 1))))
        stats.steps += 1
        self._accept(time, z, errors)

    def interpolate(self, time: Tensor) -> Tensor:
        """The state between the last two steps, to the order of the method."""
        n = self.order + 1
        weights = lagrange(self.times[:n], time)
        return combine([w.to(self.states[0].dtype) for w in weights], self.states[:n])

    def _attempt(self, time: float) -> Tensor | None:
        """Solve the step's equation; ``None`` where the inner solver gives up."""
        k = self.order
        weights = slopes([time, *self.times[:k]])
        b = combine([-w / weights[0] for w in weights[1:]], self.states[:k])
        known = min(k + 1, len(self.states))
        earlier = [state.detach() for state in self.states[:known]]
        guess = combine(lagrange(self.times[:known], time), earlier)
        t = self.start + time * self.span
        try:
            return self.equation.solve(t, b, self.span / weights[0], guess)
        except StepError as error:
            self.trouble = error.status
            if error.status is Status.INNER_NOT_CONVERGED:
                self._look_again()
            return None

    def _errors(self, time: float, z: Tensor) -> dict[int, float]:
        """Norm of the local error in units of the tolerance, for every order it is known for."""
        states = [z, *[state.detach() for state in self.states]]
        times = [time, *self.times]
        errors = {}
        for k in (self.order - 1, self.order, self.order + 1):
            if 1 <= k <= _MAX_ORDER and k + 2 <= len(states):
                weights = bdf_error_weights(times[: k + 2])
                missing = combine(weights, states[: k + 2])
                scale = torch.maximum(z.abs(), states[1].abs())
                errors[k] = self._norm(missing, scale)
        return errors

    def _accept(self, time: float, z: Tensor, errors: dict[int, float]) -> None:
        counted_field = self.equation.f
        counted_field.t_reached = float((self.start + time * self.span).detach())
        made_up = self.times[1] < 0 if len(self.times) > 1 else False
        kept = 1 if made_up else _MAX_ORDER + 2
        self.times = [time, *self.times[:kept]]
        self.states = [z, *self.states[:kept]]
        self.since_change += 1
        self.failures, self.trouble = 0, Status.STEP_UNDERFLOW
        if self.since_change <= self.order:
            return
        gains = {k: _SAFETY * max(e, 1e-10) ** (-1 / (k + 1)) for k, e in errors.items()}
        best = max(gains, key=lambda k: gains[k])
        most = _FIRST_GROWTH if self.order == 1 and best == 1 else _GROWTH
        gain = min(gains[best], most)
        if gain >= _WORTHWHILE:
            self._change(best, self.length * gain)

    def _reject(self, factor: float) -> None:
        stats = self.equation.f.stats
        stats.rejected += 1
        self.failures += 1
        # After several failures the earlier states say little about what comes.
        order = 1 if self.failures > 3 else self.order
        self._change(order, min(self.length, 1 - self.times[0]) * min(factor, _SAFETY))
        t = abs(float((self.start + self.times[0] * self.span).detach()))
        span = abs(float(self.span.detach()))
        if self.length * span <= 16 * torch.finfo(torch.float64).eps * max(t, span):
            raise StepError(self.trouble)

    def _change(self, order: int, length: float) -> None:
        self.order, self.length, self.since_change = order, length, 0

    def _next_time(self) -> float:
        left = 1 - self.times[0]
        # Exactly 1, and no sliver of a step before it.
        return 1.0 if self.length > left * (1 - 1e-10) else self.times[0] + self.length

    def _look_again(self) -> None:
        """The Jacobian may have changed since its largest eigenvalue was estimated."""
        t = (self.start + self.times[0] * self.span).detach()
        y = self.states[0].detach()
        with torch.no_grad():
            estimate_spectrum(self.equation, t, y, self.equation.rate(t, y))

    @torch.no_grad()
    def _rate(self, time: float, z: Tensor) -> Tensor:
        span = float(self.span.detach())
        return self.equation.rate((self.start + time * self.span).detach(), z) * span

    def _norm(self, v: Tensor, scale: Tensor) -> float:
        norm = float((v / (self.atol + self.rtol * scale.abs())).square().mean().sqrt())
        if not math.isfinite(norm):
            raise StepError(Status.NON_FINITE)
        return norm
