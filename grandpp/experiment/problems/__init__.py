"""Problems with known solutions that solvers are measured on, one family per file."""

from grandpp.experiment.problems.base import Problem
from grandpp.experiment.problems.descent import BEALE, ROSENBROCK, Landscape, gradient_flow
from grandpp.experiment.problems.diffusion import diffusion1d, grand
from grandpp.experiment.problems.scalar import GROWTH, PROTHERO, ScalarLinear
from grandpp.experiment.problems.stiff import robertson

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
