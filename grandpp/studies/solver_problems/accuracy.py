"""Error at the end time against evaluations, per solver and tolerance or step (thesis Fig. 5.3)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

from grandpp.solvers import solve, solver_options
from grandpp.studies.solver_problems.base import Job, Row, StudyRequest
from grandpp.studies.solver_problems.euler import EULER_PROBLEMS, euler_errors
from grandpp.studies.solver_problems.figures import draw_error_against_nfe, draw_error_over_time
from grandpp.studies.solver_problems.problems import Problem
from grandpp.studies.solver_problems.settings import SETTINGS

MAX_NFE = 500_000
TARGET = 1e-4


@dataclass(frozen=True)
class SolverRun:
    """One solve to be made.

    Args:
        solver: Name of the solver.
        value: Its tolerance or step.
        inner: Name of the inner solver of a proximal method.
        inner_tol: Tolerance of the inner solver.
    """

    solver: str
    value: float
    inner: str | None = None
    inner_tol: float | None = None

    @property
    def options(self) -> dict[str, Any]:
        """Options of the solve, as far as the solver takes them."""
        given = {
            "rtol": self.value,
            "atol": self.value,
            "step_size": self.value,
            "max_nfe": MAX_NFE,
            "inner": self.inner,
            "inner_tol": self.inner_tol,
        }
        takes = solver_options(self.solver)
        return {k: v for k, v in given.items() if k in takes and v is not None}


@dataclass
class AccuracyStudy:
    """Solvers on one problem.

    Args:
        request: Options of the study.
        problem: The problem.

    Raises:
        ValueError: If a solver cannot be used on the problem, or an option does nothing.
    """

    request: StudyRequest
    problem: Problem
    trials: list[SolverRun] = field(default_factory=list)

    def __post_init__(self) -> None:
        request, settings = self.request, SETTINGS[self.request.problem]
        solvers = dict.fromkeys(request.solvers or settings.solvers)
        if "exact" in solvers and not settings.series:
            raise ValueError(
                f"expected another solver than 'exact' for --problem {request.problem}, "
                "whose field is no linear diffusion"
            )
        inner = bool(request.inners or request.inner_tols)
        if inner and not any("inner" in solver_options(s) for s in solvers):
            raise ValueError("expected a proximal --solver beside --inner and --inner-tol")
        for solver in solvers:
            for value in request.tolerances or settings.values(solver):
                self.trials += [SolverRun(solver, value, *i) for i in self._inners(solver)]

    def _inners(self, solver: str) -> list[tuple[Any, ...]]:
        """The pairs of inner solver and inner tolerance to try, (None, None) where none is."""
        options, request = solver_options(solver), self.request
        if "inner" not in options:
            return [(None, None)]
        # Without a given value, adaptive methods derive the inner tolerance from their own.
        own = SETTINGS[request.problem].inner_tol if "step_size" in options else None
        return list(product(request.inners or (None,), request.inner_tols or (own,)))

    def jobs(self) -> list[Job]:
        """One solve each."""
        name = self.request.problem
        return [
            Job(f"{t.solver} {t.value:g}", partial(lambda t: [measure(name, self.problem, t)], t))
            for t in self.trials
        ]

    def summary(self, rows: Sequence[Row]) -> Row:
        """The evaluations for the target error."""
        return summarise(rows)

    def draw(self, rows: Sequence[Row], path: Path) -> None:
        """Error against evaluations; for (5.10) and (5.11) over time as well."""
        name = self.request.problem
        title = SETTINGS[name].title
        if name in EULER_PROBLEMS:
            draw_error_over_time(euler_errors(name), rows, title, path)
        else:
            draw_error_against_nfe(rows, title, TARGET, path)


@torch.no_grad()
def measure(name: str, problem: Problem, trial: SolverRun) -> Row:
    """Solve once.

    Returns:
        A row whose ``error`` is relative to the largest entry of the solution and whose
        ``max_error`` is not; both are None after a failure, which ``status`` names.
    """
    start = time.perf_counter()
    solution = solve(
        problem.field, problem.y0, (0.0, problem.end), solver=trial.solver, throw=False,
        **trial.options,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    gap = float((solution.y - problem.exact).abs().max())
    largest = float(problem.exact.abs().max())
    return {
        "problem": name,
        "solver": trial.solver,
        "tolerance": trial.value,
        "inner": trial.inner,
        "inner_tol": trial.inner_tol,
        "error": gap / largest if solution.successful else None,
        "max_error": gap if solution.successful else None,
        "nfe": solution.stats.nfe_forward,
        "seconds": seconds,
        "status": solution.status.name.lower(),
    }


def summarise(rows: Sequence[Row], target: float = TARGET, against: str = "dopri5") -> Row:
    """Return the evaluations that each solver needs for an error of at most ``target``.

    Returns:
        ``nfe``, the fewest evaluations among a solver's rows that good, or None; and
        ``times_fewer``, how many times more ``against`` needs, or None where one is not known.
    """
    nfe: dict[str, int | None] = {}
    for row in rows:
        best = nfe.setdefault(row["solver"], None)
        good = row["error"] is not None and row["error"] <= target
        if good and (best is None or row["nfe"] < best):
            nfe[row["solver"]] = row["nfe"]
    base = nfe.get(against)
    times = {s: base / n if base is not None and n else None for s, n in nfe.items()}
    return {"target_error": target, "nfe": nfe, "against": against, "times_fewer": times}
