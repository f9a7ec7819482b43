"""Every solver with every way it has to compute a gradient."""

from __future__ import annotations

from typing import Any

from grandpp.solvers import SOLVER_NAMES
from grandpp.solvers.explicit.torchdiffeq import FIXED_STEP_METHODS, METHODS, ONE_STEP_METHODS

STEPS = {"step_size": 0.25}
TIGHT = {"rtol": 1e-8, "atol": 1e-8}


def options_of(solver: str) -> dict[str, Any]:
    """Options that make a solver accurate enough, or short."""
    if solver in ("exact", "steady"):
        return {}
    if solver in FIXED_STEP_METHODS:
        return dict(STEPS)
    if solver.startswith("prox_") and solver != "prox_adaptive":
        return {**STEPS, "inner_tol": 1e-11}
    return dict(TIGHT)


def gradients_of(solver: str) -> tuple[str, ...]:
    """Names of the gradients that a solver of nonlinear fields offers."""
    if solver.startswith("prox_"):
        return ("implicit",)
    if solver in ("tsit5", "dormand_prince"):
        return ("direct", "checkpoint", "adjoint")
    if solver in METHODS:
        checkpoint = ("checkpoint",) if solver in ONE_STEP_METHODS else ()
        direct = () if solver == "scipy_solver" else ("direct",)
        return (*direct, *checkpoint, "adjoint")
    return ("",)  # "auto" decides itself


# These know the structure of the field, so that they take fields of graph diffusion alone.
OF_DIFFUSION = ("exact", "steady", "commutator_free")
MARCHING = tuple(s for s in SOLVER_NAMES if s not in OF_DIFFUSION)
EVERY = tuple((s, g) for s in MARCHING for g in gradients_of(s))
RECOMPUTING = tuple((s, g) for s, g in EVERY if g in ("checkpoint", "adjoint"))


def options(solver: str, gradient: str) -> dict[str, Any]:
    """Keywords for ``solve``."""
    chosen = {"gradient": gradient} if gradient else {}
    return {"solver": solver, **options_of(solver), **chosen}
