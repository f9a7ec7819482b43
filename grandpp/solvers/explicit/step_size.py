"""Step size control of methods with error control."""

from __future__ import annotations

import math
from dataclasses import dataclass

_SAFETY = 0.9
# Against 1 and 0, or 0.7 and 0.4: fewer evaluations at equal error on most problems tried.
_INTEGRAL, _PROPORTIONAL = 0.85, 0.2
_GROWTH = 10.0
_SHRINK = 0.2
_RESCUE = 0.1  # after an attempt with NaN or infinity, which has no error estimate
_STRETCH = 1.05  # so much more than was proposed rarely fails, and spares a sliver of a step


@dataclass
class StepSize:
    r"""The PI controller with the exponents of the code DOPRI5 (Hairer and Wanner II, IV.2).

    With the error :math:`e_n` of step n in units of the tolerance, and k its order in h,

    .. math:: h_{n+1} = 0.9\, h_n\, e_n^{-0.85/k}\, e_{n-1}^{0.2/k}

    between a fifth of :math:`h_n` and ten times it; :math:`0.9\, h_n\, e_n^{-1/k}` after the
    first step, after one shortened to end on time, and after a rejected one, which is not followed
    by a longer step.

    Args:
        order: k, one more than the order of the error estimate.
        length: Proposal for the next step, positive in either direction of time.
    """

    order: int
    length: float
    previous: float | None = None
    failed: bool = False

    def within(self, left: float) -> float:
        """Length of the next step where ``left`` remains of the time span."""
        return left if self.length * _STRETCH >= left else self.length

    def accept(self, taken: float, error: float) -> None:
        """Propose the step after an accepted one.

        Args:
            taken: Its length. A step shortened to end on time, with too small an error to show how
                long it could have been, does not change the proposal.
            error: Its error in units of the tolerance, at most 1.
        """
        shortened = taken < self.length
        # The error of a shortened step fell because the step did, which is no trend to damp.
        if self.previous is None or self.failed or shortened:
            factor = _power(error, -1 / self.order)
        else:
            factor = _power(error, -_INTEGRAL / self.order)
            factor *= _power(self.previous, _PROPORTIONAL / self.order)
        factor = min(max(_SAFETY * factor, _SHRINK), 1.0 if self.failed else _GROWTH)
        unknown = shortened and factor >= (1.0 if self.failed else _GROWTH)
        self.length = max(self.length, taken * factor) if unknown else taken * factor
        self.previous, self.failed = max(error, 1e-4), False

    def reject(self, taken: float, error: float) -> None:
        """Propose a shorter step after a rejected one, whose error may be NaN or infinite."""
        if math.isfinite(error):
            self.length = taken * max(_SHRINK, _SAFETY * _power(error, -1 / self.order))
        else:
            self.length = taken * _RESCUE
        self.failed = True


def _power(error: float, exponent: float) -> float:
    return max(error, 1e-10) ** exponent
