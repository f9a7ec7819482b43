"""Dormand and Prince's explicit Runge-Kutta method of order 5(4) with error control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from grandpp.solvers.explicit.tableau import DORMAND_PRINCE, Tableau
from grandpp.solvers.explicit.tsit5 import Tsit5


@dataclass(frozen=True)
class DormandPrince(Tsit5):
    r"""Explicit Runge-Kutta method of order 5(4) by Dormand and Prince (1980), steps by PI control.

    The coefficients of torchdiffeq's ``"dopri5"`` with the steps, the gradients and the counts of
    :class:`~grandpp.solvers.Tsit5`, whose arguments it has.

    It is the method for right-hand sides with rounding errors, as in bfloat16: its coefficients
    pass independent errors of the slopes on to a step 0.9 times and to the error estimate 0.08
    times, those of ``"tsit5"`` 4.3 and 0.8 times, which then takes steps for rounding.

    Args:
        rtol, atol, first_step, max_nfe, gradient: As in :class:`~grandpp.solvers.Tsit5`.

    Raises:
        ValueError: Likewise.
    """

    method: str = "dormand_prince"

    tableau: ClassVar[Tableau] = DORMAND_PRINCE
