"""Time tsit5 and torchdiffeq's dopri5 at equal error, forward and backward, in turns.

Examples:
    python benchmarks/explicit.py
    python benchmarks/explicit.py --problem mlp --error 1e-6 --gradient direct --rounds 50 --json

Problems: "mlp", a perceptron on 64 x 42 states over a short span; "grand-nl", tuned GRAND-nl on a
graph of Cora's size (2485 x 80), both float32; "point-cloud", HBNODE on a batch of 50 points in
float64. Perceptrons have twice their initial weights, for fields as lively as trained ones.
Each solver gets the tolerance (rtol = atol) with which it reaches the wanted "error" of the final
state, relative in the 2-norm and against a tight solve in float64, with the fewest evaluations.
"gradient_error" is that of all parameters' gradient; "ms" is forward and backward. "ratio" is
dopri5's time over the row's.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from common import Row, alternate, median_ms, parser, run
from torch import Tensor, nn

from grandpp.data import sbm
from grandpp.fields import MLPField
from grandpp.image import PointCloudClassifier, point_cloud
from grandpp.solvers import Solution, solve
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training.command import resolve_device
from grandpp.training.memory import keep_freed_memory

SOLVERS = ("dopri5", "tsit5")
TOLERANCES = tuple(10 ** (-k / 4) for k in range(4, 41))
TIGHT = 1e-10


class Problem(NamedTuple):
    """A module, and what it solves: the right-hand side and the initial state, and the end."""

    module: nn.Module
    start: Callable[[Any], tuple[Any, Tensor]]
    end: float


@torch.no_grad()
def lively(module: nn.Module) -> Any:
    """The same module, its linear maps doubled."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            part.weight *= 2
    return module


def mlp(device: torch.device) -> Problem:
    """A perceptron with time, as between two observations of a sequence."""
    y0 = torch.randn(64, 42, device=device)
    field = lively(MLPField(42, (64, 64), activation="tanh", time=True)).to(device)
    return Problem(field, lambda f: (f, y0.to(next(f.parameters()))), 0.3)


def grand_nl(device: torch.device) -> Problem:
    """The layer of a tuned GRAND-nl on a random state."""
    config = tuned_run("cora", "grand-nl", 20)
    data = sbm(num_features=64).to(device)
    conv: Any = config.settings.build(64, 7).conv.to(device)
    x = torch.randn(data.num_nodes, config.settings.hidden, device=device)

    def start(layer: Any) -> tuple[Any, Tensor]:
        state = x.to(next(layer.parameters()))
        return layer.prepare(state, data.edge_index), state

    return Problem(conv, start, float(config.settings.time))


def cloud(device: torch.device) -> Problem:
    """HBNODE on a batch of the paper."""
    flow = lively(PointCloudClassifier("hbnode").flow).to(device)
    x = point_cloud(0)[0][::2][:50].to(device)
    return Problem(flow, lambda f: (f.dynamics.prepare(f.field), f.initial_state(x)), flow.time)


PROBLEMS: dict[str, Callable[[torch.device], Problem]] = {
    "mlp": mlp,
    "grand-nl": grand_nl,
    "point-cloud": cloud,
}


def solved(problem: Problem, solver: str, tolerance: float, **options: Any) -> Solution:
    """Solve a problem once."""
    f, y0 = problem.start(problem.module)
    both = {"rtol": tolerance, "atol": tolerance}
    return solve(f, y0, (0.0, problem.end), solver=solver, **both, **options)


def trained(problem: Problem, solver: str, tolerance: float, **options: Any) -> tuple[Any, Tensor]:
    """Solve and go back; return what it cost and the gradient of all parameters."""
    solution = solved(problem, solver, tolerance, **options)
    found = [p for p in problem.module.parameters() if p.requires_grad]
    loss = torch.as_tensor(solution.y).square().mean()
    grads = torch.autograd.grad(loss, found, materialize_grads=True, allow_unused=True)
    return solution.stats, torch.cat([g.reshape(-1) for g in grads])


def apart(a: Tensor, b: Tensor) -> float:
    """Relative distance."""
    return float((a.detach().double() - b).norm() / b.norm())


@torch.no_grad()
def cheapest(problem: Problem, solver: str, exact: Tensor, error: float) -> tuple[float, float]:
    """Tolerance that reaches an error with the fewest evaluations, and the error."""
    found = []
    for tolerance in TOLERANCES:
        solution = solved(problem, solver, tolerance)
        reached = apart(torch.as_tensor(solution.y), exact)
        found.append((solution.stats.nfe_forward, reached, tolerance))
        if reached < error / 10:  # the cost only grows from here
            break
    good = [entry for entry in found if entry[1] <= error]
    if not good:
        raise ValueError(f"expected an 'error' that {solver} reaches (got {error:g})")
    _, reached, tolerance = min(good)
    return tolerance, reached


def measure(args: argparse.Namespace, rows: list[Row]) -> None:
    """Append one row per problem, gradient and solver."""
    device = resolve_device(args.device)
    for name in args.problem or PROBLEMS:
        torch.manual_seed(0)
        problem = PROBLEMS[name](device)
        precise = problem._replace(module=copy.deepcopy(problem.module).double())
        exact = torch.as_tensor(solved(precise, "tsit5", TIGHT).y).detach()
        slope = trained(precise, "tsit5", TIGHT)[1]
        chosen = {s: cheapest(problem, s, exact, args.error) for s in SOLVERS}
        for gradient in args.gradient or ("direct", "adjoint"):
            options = {s: {"tolerance": t, "gradient": gradient} for s, (t, _) in chosen.items()}
            ways = {s: partial(trained, problem, s, **options[s]) for s in SOLVERS}
            ahead = {f"{s} ahead": partial(solved, problem, s, **options[s]) for s in SOLVERS}
            seconds = alternate({**ways, **ahead}, args.rounds, device)
            for s, (tolerance, reached) in chosen.items():
                stats, found = ways[s]()
                ms = median_ms(seconds[s])
                rows.append({
                    "problem": name, "gradient": gradient, "solver": s, "tolerance": tolerance,
                    "error": reached, "gradient_error": apart(found, slope),
                    "nfe_forward": stats.nfe_forward, "nfe_backward": stats.nfe_backward,
                    "ms_forward": median_ms(seconds[f"{s} ahead"]), "ms": ms,
                    "ratio": median_ms(seconds["dopri5"]) / ms,
                })  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    p = parser("explicit", __doc__, rounds=9)
    p.add_argument("--problem", action="append", choices=tuple(PROBLEMS), help="(default: all)")
    p.add_argument("--gradient", action="append", choices=("direct", "adjoint", "checkpoint"),
                   help="(default: direct and adjoint)")  # fmt: skip
    p.add_argument("--error", type=float, default=1e-5, metavar="E", help="(default: 1e-5)")
    args = p.parse_args(argv)
    keep_freed_memory()
    return run("explicit", partial(measure, args), args.json)


if __name__ == "__main__":
    sys.exit(main())
