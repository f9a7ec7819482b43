r"""Scalar linear equations with exact solutions: thesis (5.10) and (5.11).

.. math:: h' = \lambda h + p \cos t + q \sin t, \qquad
    h(t) = A \cos t + B \sin t + (h(0) - A)\, e^{\lambda t}
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from grandpp.studies.solver_problems.problems.base import Problem


@dataclass(frozen=True)
class ScalarLinear:
    """One equation h' = rate h + cosine cos t + sine sin t with h(0) = 1.

    Args:
        rate: Growth rate lambda; negative decays.
        cosine: p.
        sine: q.
        end: End time.
    """

    rate: float
    cosine: float
    sine: float
    end: float

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        """The right-hand side."""
        return self.rate * y + self._forcing(t)

    def _forcing(self, t: Tensor) -> Tensor:
        return self.cosine * t.cos() + self.sine * t.sin()

    def exact(self, t: Tensor) -> Tensor:
        """The exact solution at the times ``t``."""
        size = 1 + self.rate**2
        a = -(self.rate * self.cosine + self.sine) / size
        b = (self.cosine - self.rate * self.sine) / size
        return a * t.cos() + b * t.sin() + (1 - a) * (self.rate * t).exp()

    def backward_euler(self, ts: Tensor) -> Tensor:
        """Backward Euler through equally spaced ``ts`` [S], its equations solved by formula."""
        step, states = float(ts[1] - ts[0]), [torch.ones((), dtype=ts.dtype)]
        for t in ts[1:]:
            states.append((states[-1] + step * self._forcing(t)) / (1 - step * self.rate))
        return torch.stack(states)

    def times(self, step: float) -> Tensor:
        """Times 0, ``step``, ..., end (float64)."""
        count = math.ceil(self.end / step - 1e-9) + 1
        return torch.linspace(0.0, self.end, count, dtype=torch.float64)

    def problem(self) -> Problem:
        """The problem with states ``[1]``."""
        end = torch.tensor([self.end], dtype=torch.float64)
        return Problem(self, torch.ones(1, dtype=torch.float64), self.end, self.exact(end))


# The solution is cos t + sin t, and every error made grows by exp(3 t).
GROWTH = ScalarLinear(3.0, -2.0, -4.0, end=2.0)
# Stiff: the solution follows cos t, and errors decay 50 times per unit of time.
PROTHERO = ScalarLinear(-50.0, 50.0, 0.0, end=1.5)
