"""Evaluations of a solve and of its adjoint against the tolerance (thesis Fig. 5.1).

The thesis counts them while it trains GRAND on CoauthorCS, T = 10, tolerance by tolerance. Here
it is one forward and one backward solve of GRAND-l at T = 10 with random attention.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import torch
from torch_geometric.data import Data

from grandpp.layers import GRANDConv
from grandpp.solvers import SolveError, solve, solver_options
from grandpp.studies.solver_problems.base import Job, Row, StudyRequest
from grandpp.studies.solver_problems.figures import draw_nfe_against_tolerance

SOLVERS = ("adaptive_heun", "dopri5", "dopri8")
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
CHANNELS, END = 16, 10.0
MAX_NFE = 5_000


@dataclass
class AdjointStudy:
    """Forward and backward evaluations of adaptive solvers.

    Args:
        request: Options of the study.
        data: A graph.

    Raises:
        ValueError: If a solver has no adjoint or no tolerance.
    """

    request: StudyRequest
    data: Data

    def __post_init__(self) -> None:
        self.solvers = dict.fromkeys(self.request.solvers or SOLVERS)
        for solver in self.solvers:
            options = solver_options(solver)
            if not {"gradient", "atol"} <= set(options) or "inner" in options:
                raise ValueError(
                    "expected an adaptive explicit --solver, such as "
                    f"{', '.join(SOLVERS)} (got '{solver}')"
                )
        torch.manual_seed(0)
        self.conv = GRANDConv(CHANNELS, time=END, heads=4, attention_channels=16).double()
        self.x = torch.randn(self.data.num_nodes, CHANNELS, dtype=torch.float64)

    def jobs(self) -> list[Job]:
        """One solve and its adjoint each."""
        return [
            Job(f"{solver} {tolerance:g}", partial(self._measure, solver, tolerance))
            for solver, tolerance in product(self.solvers, self.request.tolerances or TOLERANCES)
        ]

    def _measure(self, solver: str, tolerance: float) -> list[Row]:
        x = self.x.clone().requires_grad_()
        start = time.perf_counter()
        with torch.enable_grad():
            solution = solve(
                self.conv.prepare(x, self.data.edge_index), x, (0.0, END), solver=solver,
                rtol=tolerance, atol=tolerance, gradient="adjoint", max_nfe=MAX_NFE, throw=False,
            )  # fmt: skip
            status, backward = solution.status, None
            if solution.successful:
                try:
                    solution.y.square().mean().backward()
                    backward = solution.stats.nfe_backward
                except SolveError as error:
                    status = error.solution.status
        row = {
            "problem": self.request.problem,
            "solver": solver,
            "tolerance": tolerance,
            "nfe": solution.stats.nfe_forward,
            "nfe_backward": backward,
            "seconds": time.perf_counter() - start,
            "status": status.name.lower(),
        }
        return [row]

    def summary(self, rows: Sequence[Row]) -> Row:
        """Nothing beyond the rows."""
        return {}

    def draw(self, rows: Sequence[Row], path: Path) -> None:
        """Two panels: forward and backward evaluations."""
        draw_nfe_against_tolerance(rows, path)
