"""Solvers by name."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Protocol

from torch import Tensor

from grandpp.solvers.auto import Auto
from grandpp.solvers.base import Solution
from grandpp.solvers.explicit.dormand_prince import DormandPrince
from grandpp.solvers.explicit.torchdiffeq import FIXED_STEP_METHODS, METHODS, TorchDiffEq
from grandpp.solvers.explicit.tsit5 import Tsit5
from grandpp.solvers.implicit.adaptive_bdf import AdaptiveProximal
from grandpp.solvers.implicit.proximal import Proximal
from grandpp.solvers.implicit.schemes import PROXIMAL_METHODS
from grandpp.solvers.linear.commutator_free import CommutatorFree
from grandpp.solvers.linear.exponential import Exact
from grandpp.solvers.linear.steady import Steady
from grandpp.vector_field import S, VectorField


class Solver(Protocol):
    """A method that integrates a state through a list of times."""

    @property
    def method(self) -> str:
        """Name in messages."""
        ...

    def solve(self, f: VectorField[S], y0: S, ts: Tensor) -> Solution[S]:
        """Integrate ``y0`` from ``ts[0]`` through ``ts[1:]``."""
        ...


_CLASSES: dict[str, type[Any]] = {
    "auto": Auto,
    "exact": Exact,
    "steady": Steady,
    **dict.fromkeys(PROXIMAL_METHODS, Proximal),
    "prox_adaptive": AdaptiveProximal,
    "commutator_free": CommutatorFree,
    "tsit5": Tsit5,
    "dormand_prince": DormandPrince,
    **dict.fromkeys(METHODS, TorchDiffEq),
}

SOLVER_NAMES: tuple[str, ...] = tuple(_CLASSES)
"""Names that ``solver=`` accepts."""


def resolve_solver(solver: str | Solver, **options: Any) -> Solver:
    """Turn a name and its options into a solver; a solver object is returned as it is.

    Args:
        solver: A name from :data:`SOLVER_NAMES` or a solver object.
        **options: Those of the solver's class, see :func:`solver_options`: ``step_size`` for
            fixed-step methods, ``rtol`` and ``atol`` for adaptive ones, ``gradient`` and
            ``max_nfe`` for all time-stepping methods, ``inner``, ``inner_tol`` and ``max_inner``
            for proximal ones, ``rtol`` for ``"exact"``, ``first_step`` for ``"tsit5"``
            and ``"dormand_prince"``.

    Raises:
        ValueError: For an unknown name, or a value out of range.
        TypeError: For an option the method does not take, or no solver.

    Example:
        >>> resolve_solver("dopri5", rtol=1e-3).rtol
        0.001
        >>> resolve_solver("exact").method
        'exact'
    """
    if not isinstance(solver, str):
        if not callable(getattr(solver, "solve", None)):
            raise TypeError(
                f"expected 'solver' to be a name or a solver object (got {type(solver).__name__})"
            )
        if options:
            raise TypeError(f"expected no options beside a solver object (got {sorted(options)})")
        return solver
    allowed = solver_options(solver)
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise TypeError(
            f"expected options of '{solver}' to be among {', '.join(allowed) or 'none'} "
            f"(got {', '.join(unknown)})"
        )
    kind = _CLASSES[solver]
    # A class for several names is given the name; a class for one has it as a constant.
    resolved: Solver = kind(solver, **options) if _serves_many(kind) else kind(**options)
    return resolved


def solver_options(solver: str) -> tuple[str, ...]:
    """Names of the options that a solver takes.

    Raises:
        ValueError: For an unknown name.
    """
    if solver not in _CLASSES:
        raise ValueError(
            f"expected 'solver' to be one of {', '.join(SOLVER_NAMES)} (got '{solver}')"
        )
    kind = _CLASSES[solver]
    foreign = {"method"}
    if kind is TorchDiffEq:
        foreign |= {"rtol", "atol"} if solver in FIXED_STEP_METHODS else {"step_size"}
    return tuple(f.name for f in fields(kind) if f.name not in foreign)


def _serves_many(kind: type[Any]) -> bool:
    return sum(other is kind for other in _CLASSES.values()) > 1
