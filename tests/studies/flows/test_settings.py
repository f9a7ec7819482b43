"""Settings of flows build solvers and flows."""

from __future__ import annotations

import pytest

from grandpp.studies.flows.settings import FlowSettings


def solver(name: str, **settings):
    return FlowSettings(solver=name, **settings).build_solver()


def test_a_solver_gets_the_options_it_takes() -> None:
    implicit = solver("prox_bdf3", step_size=0.1, inner_tol=1e-3, gradient="adjoint")
    assert (implicit.step_size, implicit.inner_tol, implicit.spectral) == (0.1, 1e-3, 0.0)
    explicit = solver("dopri5", tol=1e-4, gradient="adjoint")
    assert (explicit.rtol, explicit.atol, explicit.gradient) == (1e-4, 1e-4, "adjoint")
    assert solver("rk4", step_size=0.5).step_size == 0.5
    assert solver("prox_adaptive", tol=1e-3).inner_tol is None
    assert next(iter(FlowSettings().reference_solvers())) == "dopri5 1e-07"
    with pytest.raises(ValueError, match="'solver' to be one of"):
        solver("newton")


def test_what_the_data_set_decides_is_filled_in() -> None:
    dense = FlowSettings().settings()
    assert (dense.architecture, dense.gradient) == ("dense", "direct")
    large = FlowSettings(dataset="mnist").settings()
    assert (large.architecture, large.gradient) == ("multiscale", "adjoint")
    assert FlowSettings(gradient="checkpoint").settings().gradient == "checkpoint"
