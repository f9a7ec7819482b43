"""grandpp: graph neural diffusion (GRAND, GRAND++, heavy ball) as PyTorch Geometric layers."""

from grandpp.data import load_dataset, low_label_split, read_graph, rewire
from grandpp.image import ODEClassifier
from grandpp.layers import CGNNConv, GRANDConv, GRANDPPConv, HeavyBallConv, NeuralODE
from grandpp.models import DiffusionClassifier
from grandpp.sequence import ODERNN
from grandpp.solvers import Solution, SolveError, SolveStats, Status, resolve_solver, solve

__version__ = "0.1.0"

__all__ = [
    "ODERNN",
    "CGNNConv",
    "DiffusionClassifier",
    "GRANDConv",
    "GRANDPPConv",
    "HeavyBallConv",
    "NeuralODE",
    "ODEClassifier",
    "Solution",
    "SolveError",
    "SolveStats",
    "Status",
    "load_dataset",
    "low_label_split",
    "read_graph",
    "resolve_solver",
    "rewire",
    "solve",
]
