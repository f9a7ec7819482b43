"""Paths of ODE, HBODE and AdamODE on two functions (HBNODE paper Fig. 2, AdamNODE paper Fig. 1).

The papers say "dopri5 with a step size" of 0.001 and 0.01. dopri5 chooses its own steps, so here
it runs at a tolerance of 1e-9 and the states are saved at multiples of those steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from grandpp.fields import Adam, Dynamics, HeavyBall
from grandpp.solvers import solve
from grandpp.studies.solver_problems.base import Job, Row, StudyRequest
from grandpp.studies.solver_problems.figures import draw_trajectories
from grandpp.studies.solver_problems.problems import BEALE, ROSENBROCK, Landscape

RTOL, ATOL = 1e-9, 1e-12  # v of Adam starts at 0 under a root, so a coarse atol would blur it
LANDSCAPES = (ROSENBROCK, BEALE)
# The equation of motion on a landscape. The paper does not print the constants of its figure for
# Adam; these are Adam's usual ones.
METHODS: dict[str, Callable[[Landscape], Dynamics]] = {
    "ODE": lambda landscape: Dynamics(),
    "HBODE": lambda landscape: HeavyBall(gamma=landscape.gamma),
    "AdamODE": lambda landscape: Adam(alpha=0.9, beta=0.999, epsilon=1e-8, positive="clamp"),
}


@dataclass
class TrajectoryStudy:
    """Every method on both functions.

    Args:
        request: Options of the study.
        paths: Positions ``[S, 2]`` by function and method.
    """

    request: StudyRequest
    paths: dict[tuple[str, str], Tensor] = field(default_factory=dict)

    def jobs(self) -> list[Job]:
        """One trajectory each."""
        return [
            Job(f"{landscape.name} {method}", partial(self._follow, landscape, method))
            for landscape, method in product(LANDSCAPES, METHODS)
        ]

    @torch.no_grad()
    def _follow(self, landscape: Landscape, method: str) -> list[Row]:
        kind = METHODS[method](landscape)
        f = kind.prepare(landscape.descend)
        y0 = kind.start(torch.zeros(2, dtype=torch.float64))
        count = round(landscape.end / landscape.dt) + 1
        ts = torch.linspace(0, landscape.end, count, dtype=torch.float64)
        start = time.perf_counter()
        solution = solve(
            f, y0, (0.0, landscape.end), solver="dopri5", save_at=ts[:-1],
            rtol=RTOL, atol=ATOL, throw=False,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        path = kind.positions(solution.ys)
        self.paths[landscape.name, method] = path
        distances = (path - torch.tensor(landscape.minimum, dtype=torch.float64)).norm(dim=-1)
        good = solution.successful
        row = {
            "problem": self.request.problem,
            "function": landscape.name,
            "method": method,
            "distance": float(distances[-1]) if good else None,
            "closest": float(distances.min()) if good else None,
            "value": float(landscape.value(path[-1])) if good else None,
            "nfe": solution.stats.nfe_forward,
            "seconds": seconds,
            "status": solution.status.name.lower(),
        }
        return [row]

    def summary(self, rows: Sequence[Row]) -> Row:
        """Whether the rows confirm the papers' claims."""
        return check_claims(rows)

    def draw(self, rows: Sequence[Row], path: Path) -> None:
        """Two panels of contour lines with the paths on them."""
        draw_trajectories(LANDSCAPES, self.paths, path)


def check_claims(rows: Sequence[Row]) -> Row:
    """Whether HBODE comes closer than ODE, and AdamODE closer than both, per function.

    Returns:
        Per function and claim: ``end``, true of the distance at the end time, and ``closest``,
        true of the smallest distance along the path; None where a trajectory is missing.
    """
    claims: Row = {}
    for name in dict.fromkeys(row["function"] for row in rows):
        own = {row["method"]: row for row in rows if row["function"] == name}
        claims[name] = {
            "HBODE_closer_than_ODE": _closest(own, "HBODE", ("ODE",)),
            "AdamODE_closest": _closest(own, "AdamODE", ("ODE", "HBODE")),
        }
    return {"claims": claims}


def _closest(rows: dict[str, Row], method: str, others: tuple[str, ...]) -> Row:
    verdict: Row = {}
    for verdict_name, column in (("end", "distance"), ("closest", "closest")):
        found = [rows[m][column] for m in (method, *others) if m in rows]
        values = [v for v in found if v is not None]
        known = len(values) == 1 + len(others)
        verdict[verdict_name] = values[0] < min(values[1:]) if known else None
    return verdict
