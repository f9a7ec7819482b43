"""Compare solvers: error at the end time against the evaluations it took.

Examples:
    python scripts/solver_benchmark.py --problem grand
    python scripts/solver_benchmark.py --problem diffusion1d --solver exact --solver dopri5 --json

Problems: "grand" is a forward solve of GRAND-l at T = 18.3 with random attention, on Cora where
its files are found (else on the embedded set); "diffusion1d" is the heat equation on 128 periodic
points of thesis (5.18), whose fastest mode decays 64,516 times per unit of time.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib
import torch
from tqdm import tqdm

from grandpp.data import DatasetError, DatasetNotFoundError, load_dataset
from grandpp.experiment.cli import OneLineParser, fail
from grandpp.experiment.problems import Problem, diffusion1d, grand
from grandpp.solvers import SOLVER_NAMES, solve, solver_options

PROGRAM = "solver_benchmark"
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True)
class Measurement:
    """One solve; ``error`` is relative to the largest entry of the solution."""

    problem: str
    solver: str
    tolerance: float
    error: float | None
    nfe: int
    seconds: float
    status: str


def build(name: str, root: Path | None) -> Problem:
    """Build a problem; "grand" falls back to the embedded graph where Cora is not to be had."""
    if name == "diffusion1d":
        return diffusion1d()
    try:
        return grand(load_dataset("Cora", root, progress=False))
    except DatasetNotFoundError as error:
        sys.stderr.write(f"{PROGRAM}: notice: {error}; using the embedded set 'sbm'\n")
        return grand(load_dataset("sbm"))


@torch.no_grad()
def measure(name: str, problem: Problem, solver: str, tolerance: float) -> Measurement:
    """Solve once; a fixed-step method takes the tolerance as its step size."""
    given: dict[str, Any] = {
        "rtol": tolerance,
        "atol": tolerance,
        "step_size": tolerance,
        "max_nfe": 500_000,
    }
    options = {k: v for k, v in given.items() if k in solver_options(solver)}
    start = time.perf_counter()
    solution = solve(problem.field, problem.y0, (0.0, problem.end), solver=solver, throw=False,
                     **options)  # fmt: skip
    seconds = time.perf_counter() - start
    gap = (torch.as_tensor(solution.y) - problem.exact).abs().max() / problem.exact.abs().max()
    error = float(gap) if solution.successful else None
    status = solution.status.name.lower()
    return Measurement(name, solver, tolerance, error, solution.stats.nfe_forward, seconds, status)


def plot(measurements: list[Measurement], path: Path) -> None:
    """Draw error against evaluations, one line per solver."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for solver in dict.fromkeys(m.solver for m in measurements):
        own = [m for m in measurements if m.solver == solver and m.error]
        axes.loglog([m.nfe for m in own], [m.error for m in own], "o-", label=solver)
    axes.set(xlabel="evaluations of the right-hand side", ylabel="relative error at the end",
             title=measurements[0].problem)  # fmt: skip
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    form = argparse.RawDescriptionHelpFormatter
    parser = OneLineParser(prog=PROGRAM, description=__doc__, formatter_class=form)
    names = [n for n in SOLVER_NAMES if n != "steady"]
    add = parser.add_argument
    add("--problem", required=True, choices=("grand", "diffusion1d"))
    add("--solver", action="append", choices=names, metavar="NAME", dest="solvers",
        help=f"repeatable: {', '.join(names)} (default: exact, dopri5)")  # fmt: skip
    add("--tolerance", action="append", type=float, dest="tolerances",
        help=f"repeatable; the step of fixed-step methods (default: {TOLERANCES})")  # fmt: skip
    add("--root", type=Path, help="folder of raw data files")
    add("--json", action="store_true", help="print one JSON line per solve")
    add("--plot", type=Path, metavar="FILE", help="save error against evaluations")
    args = parser.parse_args(argv)
    solvers = dict.fromkeys(args.solvers or ["exact", "dopri5"])
    jobs = [(s, t) for s in solvers for t in args.tolerances or TOLERANCES]
    rows: list[Measurement] = []
    code = 0
    try:
        problem = build(args.problem, args.root)
        if args.plot and not args.plot.parent.is_dir():
            raise ValueError(f"expected an existing folder for {args.plot}")
        for s, t in tqdm(jobs, unit="solve"):
            rows.append(measure(args.problem, problem, s, t))
        if args.plot:
            plot(rows, args.plot)
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{PROGRAM}: interrupted; the finished solves follow\n")
        code = 130
    except (ValueError, TypeError, DatasetError, OSError) as error:
        fail(PROGRAM, error)
    if not args.json:
        print(f"{'solver':<16}{'tolerance':>10}{'error':>11}{'NFE':>9}{'seconds':>9}  status")
    for m in rows:
        error_text = "-" if m.error is None else f"{m.error:.1e}"
        print(json.dumps(asdict(m)) if args.json else f"{m.solver:<16}{m.tolerance:>10.0e}"
              f"{error_text:>11}{m.nfe:>9}{m.seconds:>9.2f}  {m.status}")  # fmt: skip
    return code


if __name__ == "__main__":
    sys.exit(main())
