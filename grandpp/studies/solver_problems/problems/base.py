"""The type of a test problem, and reference solutions where there is no formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from grandpp.vector_field import Rate


@dataclass(frozen=True)
class Problem:
    """A field, its initial state, end time and exact solution there."""

    field: Rate
    y0: Tensor
    end: float
    exact: Tensor


def reference(f: Rate, y0: Tensor, end: float, method: str) -> Tensor:
    """The state at ``end`` by scipy, at tolerances below those that are measured.

    Args:
        f: Right-hand side on a float64 state ``[N]``.
        y0: Initial state ``[N]`` at time 0.
        end: End time.
        method: ``"DOP853"``, or ``"Radau"`` where the problem is stiff.
    """

    def rate(t: float, y: Any) -> Any:
        return f(torch.tensor(t, dtype=torch.float64), torch.from_numpy(y)).numpy()

    # Robertson's smallest entry is 1e-5, so the absolute tolerance lies well below it.
    solution = solve_ivp(rate, (0.0, end), y0.numpy(), method=method, rtol=1e-12, atol=1e-16)
    return torch.from_numpy(solution.y[:, -1].copy())
