"""Errors over time of three Euler methods on (5.10) and (5.11), thesis Fig. 5.2."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from grandpp.solvers import solve
from grandpp.studies.solver_problems.problems import GROWTH, PROTHERO, ScalarLinear

EULER_PROBLEMS: dict[str, ScalarLinear] = {"growth": GROWTH, "prothero": PROTHERO}
STEP = 0.01
INNER_TOLS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True)
class EulerErrors:
    """Absolute errors at the times ``ts``, all ``[S]``.

    Args:
        ts: Times from the first step on.
        backward: Of backward Euler with its equations solved by formula.
        forward: Of forward Euler.
        proximal: Of proximal backward Euler, by inner tolerance.
    """

    ts: Tensor
    backward: Tensor
    forward: Tensor
    proximal: dict[float, Tensor]


@torch.no_grad()
def euler_errors(name: str, inner_tols: tuple[float, ...] = INNER_TOLS) -> EulerErrors:
    """Solve with steps of 0.01 and compare with the exact solution at each of them."""
    equation = EULER_PROBLEMS[name]
    ts = equation.times(STEP)
    exact, y0 = equation.exact(ts[1:]), torch.ones(1, dtype=torch.float64)

    def error(solver: str, **options: float) -> Tensor:
        solution = solve(
            equation, y0, (0.0, equation.end), solver=solver, save_at=ts[1:], step_size=STEP,
            throw=False, **options,
        )  # fmt: skip
        return (solution.ys[:, 0] - exact).abs()

    return EulerErrors(
        ts[1:],
        (equation.backward_euler(ts)[1:] - exact).abs(),
        error("euler"),
        {tol: error("prox_be", inner_tol=tol) for tol in inner_tols},
    )
