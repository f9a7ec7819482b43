"""Solvers for flows, from the few numbers that a command line asks for."""

from __future__ import annotations

from typing import Any

from grandpp.solvers import Solver, resolve_solver, solver_options


def flow_solver(
    name: str,
    *,
    tol: float = 1e-5,
    step_size: float = 0.2,
    inner: str = "fixed_point",
    inner_tol: float = 2e-3,
    gradient: str | None = None,
) -> Solver:
    """A solver for flows from the options that it takes; the others are not looked at.

    Args:
        name: As :func:`grandpp.solvers.resolve_solver`.
        tol: rtol and atol. (default: ``1e-5``)
        step_size: Of fixed-step methods. (default: ``0.2``, thesis section 5.4.2)
        inner: Inner solver of proximal methods. Steps times eigenvalues of flows are below 1, so
            that a fixed point is found in two or three evaluations; no eigenvalue is estimated.
            (default: ``"fixed_point"``)
        inner_tol: Its tolerance. (default: ``2e-3``, thesis section 5.4.2)
        gradient: Of torchdiffeq's methods. (default: ``None``, the solver's own)

    Raises:
        ValueError: For an unknown name or a number out of range.
    """
    known = solver_options(name)
    given: dict[str, Any] = {"rtol": tol, "atol": tol, "step_size": step_size, "inner": inner,
             "inner_tol": inner_tol, "spectral": 0.0}  # fmt: skip
    if name == "prox_adaptive":
        del given["inner_tol"]  # it knows better what its error control needs
    if gradient is not None and "inner" not in known:
        given["gradient"] = gradient
    return resolve_solver(name, **{k: v for k, v in given.items() if k in known})


def reference_solvers(
    step_size: float = 0.2,
    inner: str = "fixed_point",
    inner_tol: float = 2e-3,
    gradient: str | None = None,
) -> dict[str, Solver]:
    """Solvers to compare on one flow, the reference first, by the names to report.

    Args:
        step_size, inner, inner_tol: Of the proximal ones, as in :func:`flow_solver`.
        gradient: Of the others. (default: ``None``, the solver's own)
    """
    chosen = {
        f"dopri5 {tol:.0e}": flow_solver("dopri5", tol=tol, gradient=gradient)
        for tol in (1e-7, 1e-5, 1e-3)
    }
    for name in ("prox_cn", "prox_bdf2", "prox_bdf3", "prox_bdf4"):
        chosen[f"{name} {step_size:g}"] = flow_solver(
            name, step_size=step_size, inner=inner, inner_tol=inner_tol
        )
    return chosen
