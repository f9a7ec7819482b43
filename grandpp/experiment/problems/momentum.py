r"""The second-order flows of hbnode.md eq. (7) and adamnode.md eq. (6), on any gradient.

.. math:: \text{HBODE:}\; x' = m,\; m' = -\gamma m - \nabla F(x); \qquad
    \text{AdamODE:}\; x' = \frac{-m}{\sqrt{v + \epsilon}},\; m' = (1 - \alpha)(\nabla F(x) - m),\;
    v' = (1 - \beta)(\nabla F(x)^2 - v)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from grandpp.solvers import State


@dataclass(frozen=True)
class HeavyBallFlow:
    """The heavy ball on states ``[2 d]``: position, then velocity.

    Args:
        gradient: Gradient of F on ``[d]``.
        gamma: Damping.
    """

    gradient: Callable[[Tensor], Tensor]
    gamma: float

    def __call__(self, t: Tensor, y: State) -> Tensor:
        """The right-hand side."""
        x, m = torch.as_tensor(y).chunk(2)
        return torch.cat([m, -self.gamma * m - self.gradient(x)])


@dataclass(frozen=True)
class AdamFlow:
    """Adam on states ``[3 d]``: position, first and second moment.

    Args:
        gradient: Gradient of F on ``[d]``.
        alpha: Memory of the first moment. The paper does not print the three numbers of its
            figure; these are the usual ones of Adam. (default: ``0.9``)
        beta: Memory of the second moment. (default: ``0.999``)
        epsilon: Keeps the root from zero, where v starts. (default: ``1e-8``)
    """

    gradient: Callable[[Tensor], Tensor]
    alpha: float = 0.9
    beta: float = 0.999
    epsilon: float = 1e-8

    def __call__(self, t: Tensor, y: State) -> Tensor:
        """The right-hand side."""
        x, m, v = torch.as_tensor(y).chunk(3)
        g = self.gradient(x)
        # The exact v never falls below zero, but a trial step of a solver may.
        speed = m / (v.clamp_min(0) + self.epsilon).sqrt()
        return torch.cat([-speed, (1 - self.alpha) * (g - m), (1 - self.beta) * (g * g - v)])
