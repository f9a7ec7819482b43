"""grandpp: graph neural diffusion (GRAND, GRAND++, heavy ball) as PyTorch Geometric layers.

The public names are imported on first use, so that ``grandpp --help`` does not import torch, which
takes seconds.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # type checkers and editors see the names here, below is where they come from
    from grandpp.data import load_dataset, low_label_split, read_graph, rewire
    from grandpp.estimator import NodeClassifier
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
    "NodeClassifier",
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

_ROOMS = ("solvers", "layers", "data", "models", "estimator", "sequence", "image")


def __getattr__(name: str) -> Any:
    """Import a public name, or a subpackage, on its first use (PEP 562)."""
    if name in __all__:
        for room in _ROOMS:
            module = import_module(f"{__name__}.{room}")
            if name in module.__all__:
                globals()[name] = found = getattr(module, name)
                return found
    elif not name.startswith("_") and find_spec(f"{__name__}.{name}") is not None:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
