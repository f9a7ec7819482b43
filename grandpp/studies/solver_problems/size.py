"""Time of a backward Euler step against the number of grid points (thesis Fig. 5.5)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from grandpp.solvers.implicit.inner import INNER_SOLVERS
from grandpp.solvers.implicit.iteration import weighted_norm
from grandpp.studies.solver_problems.base import Job, Row, StudyRequest
from grandpp.studies.solver_problems.equation import StepEquation
from grandpp.studies.solver_problems.figures import draw_time_against_size

SIZES = (32, 64, 128, 256, 512, 1024, 2048, 4096)
CONTESTANTS = ("fr", "fixed_point", "newton_krylov")
DENSE = "newton_raphson"
TOLERANCE = 1e-8
MAX_ITERATIONS = 20_000
REPEATS = 5


@dataclass
class SizeStudy:
    """Inner solvers and the dense Newton-Raphson method, alternating, medians of five.

    Args:
        request: Options of the study.
        sizes: Numbers of grid points.
    """

    request: StudyRequest
    sizes: tuple[int, ...] = SIZES

    def jobs(self) -> list[Job]:
        """One grid each, so that the methods alternate."""
        return [Job(f"{n} points", partial(self._measure, n)) for n in self.sizes]

    @torch.no_grad()
    def _measure(self, points: int) -> list[Row]:
        equation = StepEquation.heat(points)
        names = (*dict.fromkeys(self.request.inners or CONTESTANTS), DENSE)
        tol = min(self.request.inner_tols or (TOLERANCE,))
        runs: dict[str, list[Row]] = {name: [] for name in names}
        for _ in range(REPEATS):
            for name in names:
                runs[name].append(self._once(equation, name, tol))
        rows = []
        for name in names:
            seconds = statistics.median(run["seconds"] for run in runs[name])
            rows.append({**runs[name][-1], "seconds": seconds})
        return rows

    def _once(self, equation: StepEquation, name: str, tol: float) -> Row:
        points = len(equation.base)
        start = time.perf_counter()
        if name == DENSE:
            z, nfe = equation.newton_raphson(), points + 1
        else:
            result = INNER_SOLVERS[name].solve(
                equation.residual, equation.base, equation.scale, tol, MAX_ITERATIONS
            )
            z, nfe = result.z, result.evaluations
        seconds = time.perf_counter() - start
        # Convergence is tested here, in the same way for all and outside the measured time. Where
        # # rounding keeps the dense method above the tolerance, its limit is that of rounding.
        norm = weighted_norm(z, equation.residual(z))
        floor = 100 * torch.finfo(z.dtype).eps * equation.scale
        return {
            "problem": self.request.problem,
            "points": points,
            "inner": name,
            "inner_tol": tol,
            "nfe": nfe,
            "residual": norm,
            "seconds": seconds,
            "status": "success" if norm <= max(tol, floor) else "inner_not_converged",
        }

    def summary(self, rows: Sequence[Row]) -> Row:
        """The fastest on each grid."""
        fastest: dict[int, Row] = {}
        for row in rows:
            best = fastest.get(row["points"])
            good = row["status"] == "success"
            if good and (best is None or row["seconds"] < best["seconds"]):
                fastest[row["points"]] = row
        return {"fastest": {str(points): row["inner"] for points, row in fastest.items()}}

    def draw(self, rows: Sequence[Row], path: Path) -> None:
        """Seconds against grid points."""
        draw_time_against_size(rows, path)
