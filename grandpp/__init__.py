"""grandpp: graph neural diffusion (GRAND, GRAND++, heavy ball) as PyTorch Geometric layers."""

from grandpp.layers import GRANDConv, GRANDPPConv
from grandpp.solvers import Solution, SolveError, Status, solve

__version__ = "0.1.0"

__all__ = ["GRANDConv", "GRANDPPConv", "Solution", "SolveError", "Status", "solve"]
