"""Detection of stiffness while an explicit method runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from grandpp.solvers.base import parts_of
from grandpp.solvers.gradients.counting import AdaptiveCountedField
from grandpp.vector_field import State

# Boundary of dopri5's stability region on the negative axis, and the steps in a row beyond it
# that prove stiffness or its absence (Hairer and Wanner II, section IV.2).
_BOUNDARY = 3.25
_STIFF_STEPS = 15
_FREE_STEPS = 6


class StiffError(Exception):
    """Stability, not accuracy, limits the steps."""


@dataclass
class StiffnessCountedField(AdaptiveCountedField):
    r"""Raises :class:`StiffError` when dopri5's steps stay at the limit of its stability.

    Its last two stages lie at the same time, so
    :math:`\rho = |f(y_7) - f(y_6)| / |y_7 - y_6|` estimates the largest eigenvalue they differ
    along, and costs no evaluation. The last accepted state stays in ``accepted``.
    """

    before: tuple[State, State] | None = None
    accepted: tuple[float, State] = (math.nan, ())
    stiff: int = field(default=0)
    free: int = field(default=0)

    def begin_span(self) -> None:
        """Discard the last step: the next one does not start where it ended."""
        self.accepted = (math.nan, ())

    def release(self) -> None:
        """Release the states kept for the solve only; the accepted one has its graph."""
        super().release()
        self.before, self.accepted = None, (math.nan, ())

    def __call__(self, t: Tensor, y: State) -> State:
        """Evaluate, count, and keep the last two evaluations."""
        self.before = self.last
        return super().__call__(t, y)

    def callback_step(self, t0: Tensor, y0: State, dt: Tensor) -> None:
        """Test the step accepted before this one for stiffness."""
        now = float(t0.detach())
        if now != self.accepted[0]:
            length = abs(now - self.accepted[0])
            self.accepted = (now, y0)
            self._check_step(length)
        super().callback_step(t0, y0, dt)

    def _check_step(self, length: float) -> None:
        if length * self._rate() > _BOUNDARY:
            self.stiff, self.free = self.stiff + 1, 0
        else:
            self.free += 1
            if self.free == _FREE_STEPS:
                self.stiff = 0
        if self.stiff == _STIFF_STEPS:
            raise StiffError

    def _rate(self) -> float:
        if self.before is None or self.last is None:
            return 0.0
        (y6, f6), (y7, f7) = self.before, self.last
        apart, change = _distance(y7, y6), _distance(f7, f6)
        return change / apart if apart > 0 and math.isfinite(change) else 0.0


def _distance(a: State, b: State) -> float:
    pairs = zip(parts_of(a), parts_of(b), strict=True)
    squares = [(x - y).abs().square().sum() for x, y in pairs]
    return math.sqrt(float(torch.stack([s.to(squares[0]) for s in squares]).sum()))
