"""Default solvers, steps and tolerances of every problem."""

from __future__ import annotations

from dataclasses import dataclass

from grandpp.solvers import solver_options

_PROXIMAL = ("prox_be", "prox_cn", "prox_bdf2", "prox_bdf3", "prox_bdf4")


@dataclass(frozen=True)
class Settings:
    """Defaults of one problem.

    Args:
        title: Title of its picture.
        solvers: Solvers measured.
        implicit: Steps of methods that solve an equation per step.
        explicit: Steps of the other fixed-step methods.
        adaptive: Tolerances of adaptive methods.
        series: Tolerances of ``"exact"``; empty where the field is not linear diffusion.
        inner_tol: Tolerance of inner solvers: small enough that the error is that of the steps.
    """

    title: str
    solvers: tuple[str, ...]
    implicit: tuple[float, ...]
    explicit: tuple[float, ...]
    adaptive: tuple[float, ...]
    series: tuple[float, ...] = ()
    inner_tol: float = 1e-12

    def values(self, solver: str) -> tuple[float, ...]:
        """The steps or tolerances that a solver is measured at."""
        options = solver_options(solver)
        if "step_size" in options:
            return self.implicit if "inner_tol" in options else self.explicit
        return self.series if solver == "exact" else self.adaptive


_DECADES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
_SCALAR = (0.1, 0.05, 0.02, 0.01, 0.001)

SETTINGS: dict[str, Settings] = {
    # An explicit solve is held to 150,000 evaluations by stability alone, so three show it.
    "diffusion1d": Settings(
        "Heat equation on 128 periodic points (thesis 5.18, Fig. 5.3)",
        ("exact", *_PROXIMAL, "prox_adaptive", "dopri5"),
        (0.2, 0.1, 1 / 50, 1 / 200, 1 / 2000),
        (3e-5, 1e-5),
        (1e-2, 1e-4, 1e-6),
        _DECADES,
        inner_tol=1e-8,
    ),
    "grand": Settings(
        "GRAND-l, T = 18.3, random attention",
        ("exact", "dopri5"),
        (4.0, 2.0, 1.0, 0.5, 0.1),
        (1.0, 0.5, 0.1),
        _DECADES,
        _DECADES,
        inner_tol=1e-8,
    ),
    "stiff": Settings(
        "Robertson's reactions to t = 40",
        (*_PROXIMAL, "prox_adaptive", "dopri5"),
        (4.0, 1.0, 0.1, 0.01),
        (1e-3, 5e-4),
        (1e-3, 1e-5, 1e-7),
        inner_tol=1e-9,  # its Jacobian is large against the one at the start, so rounding is too
    ),
    "growth": Settings(
        "h' = 3h - 2 cos t - 4 sin t (thesis 5.10)",
        ("euler", "rk4", *_PROXIMAL, "dopri5"),
        _SCALAR,
        _SCALAR,
        (1e-2, 1e-4, 1e-6, 1e-8),
    ),
    "prothero": Settings(
        "h' = -50 (h - cos t) (thesis 5.11)",
        ("euler", "rk4", *_PROXIMAL, "dopri5"),
        _SCALAR,
        _SCALAR,
        (1e-2, 1e-4, 1e-6, 1e-8),
    ),
    "rosenbrock": Settings(
        "Gradient flow of the Rosenbrock function to t = 1",
        ("rk4", *_PROXIMAL, "dopri5"),
        (0.1, 0.02, 0.005, 0.001),
        (0.005, 0.002, 0.001, 0.0005),
        (1e-2, 1e-4, 1e-6, 1e-8),
    ),
    "beale": Settings(
        "Gradient flow of the Beale function to t = 2",
        ("rk4", *_PROXIMAL, "dopri5"),
        (0.2, 0.05, 0.01, 0.001),
        (0.1, 0.05, 0.02, 0.01),
        (1e-2, 1e-4, 1e-6, 1e-8),
    ),
}
