"""ODE solvers on tensors, independent of graphs."""

from grandpp.solvers.auto import Auto
from grandpp.solvers.base import Solution, SolveError, SolveStats, Status
from grandpp.solvers.explicit.dormand_prince import DormandPrince
from grandpp.solvers.explicit.torchdiffeq import TorchDiffEq
from grandpp.solvers.explicit.tsit5 import Tsit5
from grandpp.solvers.implicit.adaptive_bdf import AdaptiveProximal
from grandpp.solvers.implicit.proximal import Proximal
from grandpp.solvers.linear.commutator_free import CommutatorFree
from grandpp.solvers.linear.exponential import Exact
from grandpp.solvers.linear.steady import Steady
from grandpp.solvers.registry import SOLVER_NAMES, Solver, resolve_solver, solver_options
from grandpp.solvers.solve import solve
from grandpp.vector_field import BoundField, State, VectorField

__all__ = [
    "SOLVER_NAMES",
    "AdaptiveProximal",
    "Auto",
    "BoundField",
    "CommutatorFree",
    "DormandPrince",
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
