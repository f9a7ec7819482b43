"""ODE solvers on tensors; they know no graph."""

from grandpp.solvers.adaptive import AdaptiveProximal
from grandpp.solvers.auto import Auto
from grandpp.solvers.base import (
    BoundField,
    Solution,
    SolveError,
    SolveStats,
    State,
    Status,
    VectorField,
)
from grandpp.solvers.commutator_free import CommutatorFree
from grandpp.solvers.explicit import Tsit5
from grandpp.solvers.exponential import Exact
from grandpp.solvers.proximal import Proximal
from grandpp.solvers.registry import SOLVER_NAMES, Solver, resolve_solver, solver_options
from grandpp.solvers.solve import solve
from grandpp.solvers.steady import Steady
from grandpp.solvers.torchdiffeq import TorchDiffEq

__all__ = [
    "SOLVER_NAMES",
    "AdaptiveProximal",
    "Auto",
    "BoundField",
    "CommutatorFree",
    "Exact",
    "Proximal",
    "Solution",
    "SolveError",
    "SolveStats",
    "Solver",
    "State",
    "Status",
    "Steady",
    "TorchDiffEq",
    "Tsit5",
    "VectorField",
    "resolve_solver",
    "solve",
    "solver_options",
]
