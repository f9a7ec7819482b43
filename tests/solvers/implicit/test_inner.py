"""Every inner solver finds the root it claims, and says so when it does not."""

from __future__ import annotations

import pytest
import torch

from grandpp.solvers.implicit.inner import INNER_SOLVERS, resolve_inner
from grandpp.solvers.implicit.iteration import weighted_norm

NAMES = tuple(INNER_SOLVERS)


def quadratic(condition, dtype=torch.float64, size=60):
    generator = torch.Generator().manual_seed(2)
    raw = torch.randn(size, size, generator=generator, dtype=torch.float64)
    q = torch.linalg.qr(raw).Q
    values = torch.logspace(0, condition, size, dtype=torch.float64)
    b = torch.randn(size, generator=generator, dtype=torch.float64)
    return (q @ torch.diag(values) @ q.T).to(dtype), b.to(dtype)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_every_solver_reaches_its_tolerance_at_condition_1000(name, dtype, tol):
    a, b = quadratic(3, dtype)
    calls = 0

    def residual(z):
        nonlocal calls
        calls += 1
        return a @ z - b

    result = INNER_SOLVERS[name].solve(residual, torch.zeros_like(b), 1000.0, tol, 30_000)
    assert result.converged
    assert result.z.dtype is dtype
    assert weighted_norm(result.z, a @ result.z - b) == pytest.approx(
        result.residual_norm, rel=1e-2, abs=tol / 100
    )
    assert result.residual_norm <= tol
    assert result.evaluations == calls
    exact = torch.linalg.solve(a.double(), b.double())
    assert (result.z - exact).abs().max() < 1e3 * tol


@pytest.mark.parametrize("name", [name for name in NAMES if name != "gd"])
def test_all_but_gradient_descent_need_a_root_of_the_condition(name):
    a, b = quadratic(3)
    result = INNER_SOLVERS[name].solve(lambda z: a @ z - b, torch.zeros_like(b), 1e3, 1e-6, 30_000)
    assert result.iterations < 1500


@pytest.mark.parametrize("name", NAMES)
def test_two_iterations_are_not_called_convergence(name):
    a, b = quadratic(3)
    result = INNER_SOLVERS[name].solve(lambda z: a @ z - b, torch.zeros_like(b), 1e3, 1e-9, 2)
    assert not result.converged
    assert result.iterations <= 2
    true = weighted_norm(result.z, a @ result.z - b)
    assert result.residual_norm == pytest.approx(true)


@pytest.mark.parametrize("name", NAMES)
def test_nonlinear_roots_are_evaluated_before_they_are_believed(name):
    b = torch.linspace(-3, 3, 20, dtype=torch.float64)

    def residual(z):
        return z + z**3 - b

    result = INNER_SOLVERS[name].solve(residual, torch.zeros_like(b), 10.0, 1e-10, 5000)
    assert result.converged
    assert residual(result.z).abs().max() < 1e-8


@pytest.mark.parametrize("name", NAMES)
def test_nan_is_no_convergence(name):
    result = INNER_SOLVERS[name].solve(lambda z: z * torch.nan, torch.zeros(3), 1.0, 1e-6, 100)
    assert not result.converged


def test_an_unknown_inner_solver_is_refused_with_the_choices():
    with pytest.raises(ValueError, match=r"anderson.*got 'adam'"):
        resolve_inner("adam")
