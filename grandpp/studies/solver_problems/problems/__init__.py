"""Problems with known solutions that solvers are measured on, one family per file."""

from grandpp.studies.solver_problems.problems.base import Problem
from grandpp.studies.solver_problems.problems.descent import (
    BEALE,
    ROSENBROCK,
    Landscape,
    gradient_flow,
)
from grandpp.studies.solver_problems.problems.diffusion import diffusion1d, grand
from grandpp.studies.solver_problems.problems.scalar import GROWTH, PROTHERO, ScalarLinear
from grandpp.studies.solver_problems.problems.stiff import robertson

__all__ = [
    "BEALE",
    "GROWTH",
    "PROTHERO",
    "ROSENBROCK",
    "Landscape",
    "Problem",
    "ScalarLinear",
    "diffusion1d",
    "gradient_flow",
    "grand",
    "robertson",
]
