"""Convergence of the inner solvers on one backward Euler step (thesis Fig. 5.4)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from grandpp.solvers.implicit.inner import INNER_SOLVERS
from grandpp.solvers.implicit.iteration import weighted_norm
from grandpp.studies.solver_problems.base import Job, Row, StudyRequest
from grandpp.studies.solver_problems.equation import StepEquation
from grandpp.studies.solver_problems.figures import draw_inner_convergence

TOLERANCE = 1e-10
MAX_ITERATIONS = 2000


@dataclass
class Watch:
    """Records the best state so far at each evaluation.

    Newton-Krylov evaluates at displaced states too, so the last state evaluated would mislead.

    Args:
        equation: The equation.
        solution: Its solution.
        residuals: Smallest weighted residual so far, one entry per evaluation.
        distances: Distance of that state to the solution (Euclidean).
    """

    equation: StepEquation
    solution: Tensor
    residuals: list[float] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)

    def __call__(self, z: Tensor) -> Tensor:
        """The residual, watched."""
        g = self.equation.residual(z)
        norm = weighted_norm(z, g)
        if not self.residuals or norm < self.residuals[-1]:
            self.residuals.append(norm)
            self.distances.append(float((z - self.solution).norm()))
        else:
            self.residuals.append(self.residuals[-1])
            self.distances.append(self.distances[-1])
        return g


@dataclass
class InnerStudy:
    """All inner solvers, or those asked for, from the same start.

    Args:
        request: Options of the study.
    """

    request: StudyRequest
    watches: dict[str, Watch] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.equation = StepEquation.heat()
        self.solution = self.equation.newton_raphson()

    def jobs(self) -> list[Job]:
        """One step each."""
        names = dict.fromkeys(self.request.inners or INNER_SOLVERS)
        return [Job(name, partial(self._converge, name)) for name in names]

    @torch.no_grad()
    def _converge(self, name: str) -> list[Row]:
        tol = min(self.request.inner_tols or (TOLERANCE,))
        watch = self.watches[name] = Watch(self.equation, self.solution)
        start = time.perf_counter()
        result = INNER_SOLVERS[name].solve(
            watch, self.equation.base, self.equation.scale, tol, MAX_ITERATIONS
        )
        row = {
            "problem": self.request.problem,
            "inner": name,
            "inner_tol": tol,
            "nfe": result.evaluations,
            "iterations": result.iterations,
            "residual": result.residual_norm,
            "distance": float((result.z - self.solution).norm()),
            "seconds": time.perf_counter() - start,
            "status": "success" if result.converged else "inner_not_converged",
        }
        return [row]

    def summary(self, rows: Sequence[Row]) -> Row:
        """Evaluations by inner solver, None where it did not converge."""
        done = {r["inner"]: r["nfe"] if r["status"] == "success" else None for r in rows}
        return {"condition_number": self.equation.scale, "nfe": done}

    def draw(self, rows: Sequence[Row], path: Path) -> None:
        """Residual and distance against evaluations."""
        curves = {name: (w.residuals, w.distances) for name, w in self.watches.items()}
        draw_inner_convergence(curves, path)
