"""Implicit equations against dense solves, in value and gradient."""

from __future__ import annotations

import pytest
import torch

from grandpp.solvers.base import SolveError, Status
from grandpp.solvers.gradients.counting import CountedField
from grandpp.solvers.implicit.equation import (
    ImplicitEquation,
    Packing,
    StepError,
    spectral_estimate,
)
from grandpp.solvers.implicit.inner import INNER_SOLVERS, NewtonKrylov

F64 = torch.float64
T, S = torch.tensor(0.5, dtype=F64), torch.tensor(0.3, dtype=F64)


def matrix(size=6, shift=2.0):
    generator = torch.Generator().manual_seed(8)
    return torch.randn(size, size, generator=generator, dtype=F64) - shift * torch.eye(size)


def equation(f, y, inner="newton_krylov", tol=1e-12, most=200, **options):
    counted_field = CountedField(f, 10_000, t_start=0.0)
    return ImplicitEquation(
        counted_field, Packing.of(y), INNER_SOLVERS[inner], tol, most, **options
    )


@pytest.mark.parametrize(
    "state",
    [
        torch.randn(2, 3),
        torch.randn(4, dtype=torch.complex64),
        (torch.randn(2, dtype=F64), torch.randn(3, 1, dtype=torch.complex128)),
        (torch.randn(()), torch.empty(0, 2)),
    ],
    ids=["tensor", "complex", "tuple", "scalar and empty"],
)
def test_packing_can_be_undone_also_with_leading_dimensions(state):
    packing = Packing.of(state)
    flat = packing.pack(state)
    assert flat.dim() == 1
    assert not flat.is_complex()
    torch.testing.assert_close(packing.unpack(flat), state)
    twice = packing.unpack(torch.stack([flat, 2 * flat]))
    first = twice[1] if isinstance(twice, torch.Tensor) else tuple(part[1] for part in twice)
    doubled = 2 * state if isinstance(state, torch.Tensor) else tuple(2 * p for p in state)
    torch.testing.assert_close(first, doubled)


def test_a_linear_equation_has_the_dense_solution_and_its_cost_is_counted():
    a, b = matrix(), torch.linspace(-1, 1, 6, dtype=F64)
    one = equation(lambda t, y: a @ y + t, b)
    z = one.solve(T, b, S, b)
    expected = torch.linalg.solve(torch.eye(6) - S * a, b + S * T)
    torch.testing.assert_close(z, expected)
    assert one.f.stats.inner_iterations > 0
    assert one.f.stats.nfe_forward > 0
    assert 0 < one.f.stats.max_residual <= 1e-12
    assert not z.requires_grad


def test_the_gradient_is_that_of_the_implicit_function_theorem():
    a = matrix().requires_grad_()
    b, s = torch.linspace(-1, 1, 6, dtype=F64).requires_grad_(), S.clone().requires_grad_()

    def solve(a, b, s):
        one = equation(lambda t, y: (a @ y).tanh() * t, b, differentiable=True)
        return one.solve(T, b, s, b.detach())

    assert torch.autograd.gradcheck(solve, (a, b, s))


def test_where_the_inner_solver_stagnates_newton_krylov_takes_over_for_good():
    turn = 5 * torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=F64)  # no gradient field at all
    b = torch.tensor([1.0, 2.0], dtype=F64)
    one = equation(lambda t, y: turn @ y, b, inner="fr", spectral=5.0)
    z = one.solve(T, b, S, b)
    torch.testing.assert_close(z, torch.linalg.solve(torch.eye(2) - S * turn, b))
    assert isinstance(one.inner, NewtonKrylov)


@pytest.mark.parametrize(
    ("f", "most", "status"),
    [
        (lambda t, y: y.exp(), 50, Status.INNER_NOT_CONVERGED),  # z = b + e^z has no solution
        (lambda t, y: -1e3 * y.cumsum(0), 1, Status.INNER_NOT_CONVERGED),
        (lambda t, y: y * torch.nan, 50, Status.NON_FINITE),
    ],
)
def test_an_equation_without_solution_fails_by_its_status(f, most, status):
    b = torch.ones(6, dtype=F64)
    with pytest.raises(StepError) as stop:
        equation(f, b, most=most).solve(T, b, torch.ones((), dtype=F64), b)
    assert stop.value.status is status
    assert str(stop.value) == status.value


def test_a_gradient_that_does_not_converge_raises_in_words():
    a = matrix().requires_grad_()
    b = torch.ones(6, dtype=F64)
    one = equation(lambda t, y: a @ y, b, differentiable=True)
    z = one.solve(T, b, S, b)
    # From the solution itself one iteration is enough, but not for the gradient.
    z = equation(lambda t, y: a @ y, b, most=1, differentiable=True).solve(T, b, S, z.detach())
    with pytest.raises(SolveError, match="implicit gradient"):
        z.sum().backward()


@pytest.mark.parametrize("values", [[-10.0, -1.0, 0.5], [7.0, -2.0, 1.0], [0.0, 0.0, 0.0]])
def test_the_largest_eigenvalue_is_found_in_size_with_a_margin(values):
    d = torch.tensor(values, dtype=F64)
    z = torch.tensor([0.3, -0.2, 0.9], dtype=F64)
    estimate = spectral_estimate(lambda y: d * y, z, d * z)
    assert estimate == pytest.approx(1.1 * d.abs().max().item(), rel=0.02, abs=1e-6)
