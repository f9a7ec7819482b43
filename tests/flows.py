"""Small fields and adjoint states that the tests of the heavy-ball family share."""

from __future__ import annotations

import torch
from torch import Tensor

from grandpp.fields import (
    Adam,
    Augmented,
    Dynamics,
    GeneralizedHeavyBall,
    HeavyBall,
    MLPField,
    SecondOrder,
)
from grandpp.solvers import solve

F64 = torch.float64
# Not dopri8, whose end state torchdiffeq interpolates with more error than its tolerance.
EXACT = {"solver": "dopri5", "rtol": 1e-9, "atol": 1e-10}
KINDS = {
    "node": Dynamics,
    "anode": lambda: Augmented(2),
    "sonode": SecondOrder,
    "hbnode": HeavyBall,
    "ghbnode": GeneralizedHeavyBall,
    "adamnode": Adam,
    "adamnode-clamp": lambda: Adam(positive="clamp", epsilon=1e-2),
}


def make(name: str, channels: int = 3, time: bool = True) -> tuple[Dynamics, MLPField]:
    """An equation and a smooth field that fits it, in float64."""
    torch.manual_seed(1)
    kind = KINDS[name]().double()
    n = channels + (2 if name == "anode" else 0)
    wide = 2 * n if name == "sonode" else n
    field = MLPField(n, (7,), in_channels=wide, activation="tanh", time=time).double()
    return kind, field


def points(batch: int = 4, channels: int = 3) -> Tensor:
    """Random positions."""
    generator = torch.Generator().manual_seed(5)
    return torch.randn(batch, channels, generator=generator, dtype=F64)


def adjoint_states(f, y0: Tensor, t: float, end: float, weights: Tensor) -> tuple[Tensor, Tensor]:
    """State at t, and the gradient by it of ``weights`` times the position at ``end``."""
    with torch.no_grad():
        y = solve(f, y0, (0.0, t), **EXACT).y if t else y0
    y = y.clone().requires_grad_()
    last = solve(f, y, (t, end), **EXACT).y
    (a,) = torch.autograd.grad((weights * last[0]).sum(), y)
    return y.detach(), a


def slope_of_adjoint(f, y0: Tensor, t: float, end: float, weights: Tensor) -> Tensor:
    """Its derivative by t, from a central difference of fourth order."""
    step = 5e-3
    before, after = [], []
    for k in (1, 2):
        before.append(adjoint_states(f, y0, t - k * step, end, weights)[1])
        after.append(adjoint_states(f, y0, t + k * step, end, weights)[1])
    return (8 * (after[0] - before[0]) - (after[1] - before[1])) / (12 * step)


def pull_back(f, t: float, h: Tensor, a: Tensor) -> Tensor:
    """a times the Jacobian of f by h."""
    h = h.clone().requires_grad_()
    (out,) = torch.autograd.grad(f(torch.tensor(t, dtype=F64), h), h, a)
    return out
