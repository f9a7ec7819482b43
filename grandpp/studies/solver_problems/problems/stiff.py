r"""Robertson's chemical reactions, a stiff nonlinear problem (Hairer and Wanner II, eq. IV.1.4).

.. math:: y_1' = -0.04 y_1 + 10^4 y_2 y_3, \quad
    y_2' = 0.04 y_1 - 10^4 y_2 y_3 - 3 \cdot 10^7 y_2^2, \quad y_3' = 3 \cdot 10^7 y_2^2
"""

from __future__ import annotations

import torch
from torch import Tensor

from grandpp.studies.solver_problems.problems.base import Problem, reference


def robertson_rate(t: Tensor, y: Tensor) -> Tensor:
    """The right-hand side on a state ``[3]``; its entries sum to zero."""
    a, b, c = y.unbind()
    first, second = 0.04 * a - 1e4 * b * c, 3e7 * b * b
    return torch.stack([-first, first - second, second])


def robertson() -> Problem:
    """Robertson's problem from (1, 0, 0) to t = 40, reference by Radau at 1e-12.

    After a start of 1e-3 units of time its Jacobian has eigenvalues near 0 and about -2200, and
    it is far from symmetric, so that f is no gradient.
    """
    y0 = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    return Problem(robertson_rate, y0, 40.0, reference(robertson_rate, y0, 40.0, "Radau"))
