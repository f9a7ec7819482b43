"""The time loop of explicit Runge-Kutta methods with error control."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from grandpp.linalg import all_finite
from grandpp.solvers.base import Status
from grandpp.solvers.explicit.stages import ErrorNorm, Rate, StepAttempt, attempt_step, interpolate
from grandpp.solvers.explicit.step_size import StepSize
from grandpp.solvers.explicit.tableau import Tableau
from grandpp.solvers.implicit.equation import StepError

# Sizes h with h^k max(|y'|, |y''|) at this many tolerances. Hairer, Norsett and Wanner have 0.01,
# which on neural fields starts ten times too short: every solve then pays one step for nothing.
_FIRST = 0.5


@dataclass
class AdaptiveLoop:
    """Steps through a list of times, reading from the device once per step that is tried.

    Step sizes are plain numbers: a decision, not a part of the mathematics. A rejected step leaves
    no graph behind.

    Args:
        rate: The right-hand side.
        tableau: The method.
        norm: Measures errors.
        accepted: Called with every accepted step, its start time and its end time.
        rejected: Called for every rejected one.
        next_step: Length of the first step, positive in either direction of time; ``None`` for
            a choice after Hairer, Norsett and Wanner I, section II.4, at one evaluation. After
            :meth:`run`, what the controller proposes.
    """

    rate: Rate
    tableau: Tableau
    norm: ErrorNorm
    accepted: Callable[[float, StepAttempt, float], None]
    rejected: Callable[[], None]
    next_step: float | None = None

    def run(self, y: Tensor, ts: Tensor) -> list[Tensor]:
        """States at ``ts[1:]`` from ``y`` at ``ts[0]``, differentiable in both.

        Raises:
            StepError: Where no step is short enough.
        """
        times, real = ts.tolist(), y.dtype.to_real()
        slope = self.rate(ts[0].to(real), y)
        if self.next_step is None:
            self.next_step = self._first_length(y, slope, times)
        control = StepSize(self.tableau.order, self.next_step)
        self._nodes = torch.tensor(self.tableau.nodes, dtype=ts.dtype, device=ts.device)
        saved: list[Tensor] = []
        t = times[0]
        while len(saved) < len(times) - 1:
            attempt, end = self._step(control, y, slope, t, ts, times)
            self.accepted(t, attempt, end)
            for row in range(len(saved) + 1, len(times)):
                if (times[row] - end) * attempt.size > 0:
                    break
                since = ts[row] - (ts[0] + (t - times[0])) if ts.requires_grad else times[row] - t
                saved.append(interpolate(self.tableau, attempt, since / attempt.size))
            t, y, slope = end, attempt.end, attempt.slopes[-1]
        self.next_step = control.length
        return saved

    def _step(
        self,
        control: StepSize,
        y: Tensor,
        slope: Tensor,
        t: float,
        ts: Tensor,
        times: list[float],
    ) -> tuple[StepAttempt, float]:
        """One accepted step and the time it reaches, after as many trials as it needs."""
        while True:
            left = reaching(t, times[-1])
            length = control.within(left)
            size = math.copysign(length, times[-1] - times[0])
            end = times[-1] if length == left else t + size
            if end == t:
                raise StepError(Status.STEP_UNDERFLOW)
            moments = self._moments(ts, t - times[0], size, y.dtype.to_real())
            attempt = attempt_step(self.rate, self.tableau, y, slope, moments, size)
            error = self.norm.error(self.tableau, attempt)
            if error <= 1:
                control.accept(length, error)
                return attempt, end
            self.rejected()
            control.reject(length, error)
            self._check(control.length, error, slope, t, times)

    def _moments(
        self, ts: Tensor, since: float, size: float, dtype: torch.dtype
    ) -> tuple[Tensor, ...]:
        """Times of all stages but the first; no copy from the host, which would wait for it."""
        moments = (self._nodes * size + since) + ts[0]
        return within_span(moments, ts[-1], size).to(dtype).unbind()

    @staticmethod
    def _check(length: float, error: float, slope: Tensor, t: float, times: list[float]) -> None:
        """Raise an error if a shorter step cannot help or is below the resolution of time."""
        finite = math.isfinite(error)
        smallest = 16 * sys.float_info.epsilon * max(abs(t), abs(times[-1] - times[0]))
        if length <= smallest or not (finite or all_finite(slope)):
            raise StepError(Status.STEP_UNDERFLOW if finite else Status.NON_FINITE)

    @torch.no_grad()
    def _first_length(self, y: Tensor, slope: Tensor, times: list[float]) -> float:
        span = times[-1] - times[0]
        scale = y.abs()
        size, speed = self.norm(y, scale), self.norm(slope, scale)
        # How long the state takes to change by 1 % of itself; a state at rest or at zero gives no
        # bound on the step.
        known = torch.minimum(size, speed) > 1e-5
        probe = torch.where(known, 0.01 * size / speed, 1e-6).clamp_max(abs(span))
        signed = math.copysign(1.0, span) * probe.to(y.dtype.to_real())
        bent = self.rate(signed + times[0], y + signed * slope) - slope
        curvature = self.norm(bent, scale) / probe
        bound = torch.where(known, 100 * probe, math.inf)
        read = torch.stack([speed, curvature, probe, bound])
        fast, bend, short, longest = read.tolist()
        if not math.isfinite(fast):
            raise StepError(Status.NON_FINITE)
        if not math.isfinite(bend):
            return short
        most = max(fast, bend)
        length = (_FIRST / most) ** (1 / self.tableau.order) if most > 1e-15 else math.inf
        return min(longest, length, abs(span))


def within_span(moments: Tensor, end: Tensor, size: float) -> Tensor:
    """Times without the rounding that would carry them beyond the end, where f may not exist."""
    inside = torch.minimum(moments, end) if size > 0 else torch.maximum(moments, end)
    return moments + (inside - moments).detach()  # rounding has no gradient


def reaching(t: float, end: float) -> float:
    """Length of the step from t to the end, which rounding does not shorten."""
    length, direction = abs(end - t), math.copysign(1.0, end - t)
    while direction * (t + direction * length) < direction * end:
        length = math.nextafter(length, math.inf)
    return length
