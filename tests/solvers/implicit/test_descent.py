"""Fletcher-Reeves and L-BFGS on quadratics, where theory says what each step does."""

from __future__ import annotations

import pytest
import torch

from grandpp.solvers.implicit.descent import LBFGS, FletcherReeves
from grandpp.solvers.implicit.iteration import weighted_norm

SOLVERS = pytest.mark.parametrize("solver", [FletcherReeves(), LBFGS()], ids=lambda s: s.name)


def quadratic(values):
    """A symmetric matrix with these eigenvalues, and a right-hand side."""
    generator = torch.Generator().manual_seed(6)
    n = len(values)
    q = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64)).Q
    a = q @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ q.T
    return a, torch.randn(n, generator=generator, dtype=torch.float64)


@SOLVERS
def test_as_many_iterations_as_different_eigenvalues_at_one_evaluation_each(solver):
    a, b = quadratic([1.0, 5.0, 20.0] * 8)
    result = solver.solve(lambda z: a @ z - b, torch.zeros_like(b), 20.0, 1e-9, 100)
    assert result.converged
    assert result.iterations == 3
    # One to start, one per iteration, one to check what the secants promised.
    assert result.evaluations == 5
    torch.testing.assert_close(result.z, torch.linalg.solve(a, b), rtol=1e-7, atol=1e-7)


@SOLVERS
def test_both_follow_the_iterates_of_conjugate_gradients(solver):
    a, b = quadratic([1.0, 2.0, 4.0, 9.0, 13.0, 30.0])
    z, r = torch.zeros_like(b), b.clone()
    p = r.clone()
    path = [(weighted_norm(z, r), z)]
    for steps in range(1, 5):
        eta = (r @ r) / (p @ a @ p)
        z, fresh = z + eta * p, r - eta * a @ p
        p, r = fresh + (fresh @ fresh) / (r @ r) * p, fresh
        path.append((weighted_norm(z, r), z))
        norm, best = min(path, key=lambda pair: pair[0])
        got = solver.solve(lambda z: a @ z - b, torch.zeros_like(b), 30.0, 1e-12, steps)
        assert not got.converged
        assert got.residual_norm == pytest.approx(norm, rel=1e-6)
        torch.testing.assert_close(got.z, best, rtol=1e-7, atol=1e-9)


@SOLVERS
def test_a_direction_of_negative_curvature_ends_the_search_without_a_claim(solver):
    a, b = quadratic([-1.0, -2.0, -3.0])
    result = solver.solve(lambda z: a @ z - b, torch.zeros_like(b), 3.0, 1e-9, 100)
    assert not result.converged
    assert torch.isfinite(result.z).all()


@SOLVERS
def test_a_broken_promise_is_found_out_and_the_root_found_all_the_same(solver):
    b = torch.linspace(-3, 3, 20, dtype=torch.float64)

    def residual(z):
        return z + z**3 - b

    result = solver.solve(residual, torch.zeros_like(b), 10.0, 1e-10, 2000)
    assert result.converged
    assert weighted_norm(result.z, residual(result.z)) == pytest.approx(
        result.residual_norm, rel=1e-6
    )
    assert result.evaluations > result.iterations + 2  # residuals were evaluated, not predicted


def test_the_memory_of_lbfgs_is_as_long_as_it_says():
    a, b = quadratic([float(k) for k in range(1, 25)])
    counts = [
        LBFGS(memory).solve(lambda z: a @ z - b, torch.zeros_like(b), 24.0, 1e-8, 500).iterations
        for memory in (1, 10)
    ]
    assert counts[1] <= counts[0]
    assert LBFGS(3) != LBFGS()
