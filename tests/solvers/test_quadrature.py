"""States with a part that is only added up: the same formula, without the inner iterations."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from grandpp.solvers import AdaptiveProximal, Proximal, solve
from grandpp.solvers.implicit.schemes import PROXIMAL_METHODS
from grandpp.solvers.quadrature import QuadratureField

F64 = torch.float64


@dataclass(eq=False)
class Counted:
    """z' = tanh(A z) + t, q' = |z|^2 + t, with its own count of both kinds of calls."""

    a: Tensor
    whole: int = 0
    alone: int = 0

    def __call__(self, t, y):
        self.whole += 1
        z = y[0]
        return self.rate(t, z), (z * z).sum(-1) + t

    def without_quadrature(self, t, z):
        self.alone += 1
        return self.rate(t, z)

    def rate(self, t, z):
        return (z @ self.a.T).tanh() + t


def matrix():
    return torch.randn(3, 3, generator=torch.Generator().manual_seed(5), dtype=F64)


def start():
    z = torch.linspace(-1, 1, 6, dtype=F64).view(2, 3)
    return z.requires_grad_(), torch.tensor([0.5, -0.5], dtype=F64, requires_grad=True)


def outcome(f, a, y0, solver, save_at=None):
    solution = solve(f, y0, (0.0, 1.0), solver=solver, save_at=save_at)
    z, q = solution.ys
    wanted = [a, *y0]
    loss = (z * torch.arange(1, 4)).sum() + (q * q).sum()
    return solution, torch.autograd.grad(loss, wanted)


@pytest.mark.parametrize("method", PROXIMAL_METHODS)
def test_states_and_gradients_are_those_of_the_plain_pair(method):
    solver = Proximal(method, step_size=0.2, inner="newton_krylov", inner_tol=1e-13)
    a, b = matrix().requires_grad_(), matrix().requires_grad_()
    f, g = Counted(a), Counted(b)
    assert isinstance(f, QuadratureField)
    split, gradients = outcome(f, a, start(), solver, [0.4, 1.0])
    plain, expected = outcome(lambda t, y: g(t, y), b, start(), solver, [0.4, 1.0])
    torch.testing.assert_close(split.ys, plain.ys, atol=1e-10, rtol=0)
    for found, exact in zip(gradients, expected, strict=True):
        torch.testing.assert_close(found, exact, atol=1e-9, rtol=0)
    assert f.whole + f.alone == split.stats.nfe_forward
    assert f.whole < f.alone


def test_the_sum_is_evaluated_once_per_step_and_at_the_start():
    f = Counted(matrix())
    with torch.no_grad():
        solution = solve(
            f, start(), (0.0, 1.0), solver="prox_be", step_size=0.1, inner_tol=1e-8, spectral=0.0
        )
    assert f.whole == 10 + 1
    assert solution.stats.nfe_forward == f.whole + f.alone


def test_error_control_looks_at_both_parts():
    a = matrix().requires_grad_()
    y0 = start()
    solver = AdaptiveProximal(rtol=1e-6, atol=1e-6)
    split, gradients = outcome(Counted(a), a, y0, solver)
    sharp = solve(Counted(a), y0, (0.0, 1.0), rtol=1e-10, atol=1e-10)
    for found, exact in zip(split.y, sharp.y, strict=True):
        torch.testing.assert_close(found, exact, atol=1e-4, rtol=0)
    assert all(bool(torch.isfinite(g).all()) for g in gradients)


def test_a_known_eigenvalue_saves_its_estimate():
    def evaluations(**options):
        with torch.no_grad():
            solution = solve(
                Counted(matrix()), start(), (0.0, 1.0), solver="prox_be", step_size=0.1, **options
            )
        return solution.stats.nfe_forward, solution.y[0]

    (dear, z), (cheap, same) = evaluations(), evaluations(spectral=2.0)
    assert dear - cheap == pytest.approx(10, abs=3)
    torch.testing.assert_close(z, same, atol=1e-4, rtol=0)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_an_impossible_eigenvalue_is_refused(value):
    with pytest.raises(ValueError, match="spectral to be finite and not negative"):
        Proximal(spectral=value)


def test_a_solve_without_gradients_ends_where_one_with_them_does():
    solver = Proximal("prox_bdf3", step_size=0.2, inner_tol=1e-12)
    a = matrix().requires_grad_()
    with_gradients, _ = outcome(Counted(a), a, start(), solver)
    with torch.no_grad():
        plain = solve(Counted(a), start(), (0.0, 1.0), solver=solver)
    torch.testing.assert_close(plain.ys, with_gradients.ys, atol=1e-10, rtol=0, check_stride=False)
