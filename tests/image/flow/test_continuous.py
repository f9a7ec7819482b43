"""Continuous flows against densities that are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from grandpp.fields import MLPField
from grandpp.image.flow import ContinuousFlow
from grandpp.solvers import Proximal, SolveError, TorchDiffEq

F64 = torch.float64
SHARP = TorchDiffEq("dopri5", rtol=1e-9, atol=1e-9)
A = torch.tensor([[-0.7, 0.9], [-0.4, 0.5]], dtype=F64)


class Linear(nn.Module):
    """z' = A z."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(A.clone())

    def forward(self, t, z):
        return z @ self.a.T


def gaussian_log_prob(x):
    """Of x with exp(A) x standard normal."""
    inverse = torch.linalg.matrix_exp(-A)
    covariance = inverse @ inverse.T
    zero = torch.zeros(2, dtype=F64)
    return torch.distributions.MultivariateNormal(zero, covariance).log_prob(x)


def mlp(**options):
    torch.manual_seed(0)
    return ContinuousFlow(
        MLPField(3, (8,), activation="softplus", time=True).double(), (3,), **options
    )


@pytest.mark.parametrize("divergence", ["exact", "rademacher"])
def test_a_linear_field_gives_the_gaussian_density(divergence):
    x = torch.randn(6, 2, dtype=F64)
    flow = ContinuousFlow(Linear(), (2,), divergence=divergence, solver=SHARP)
    if divergence == "exact":
        torch.testing.assert_close(flow.log_prob(x), gaussian_log_prob(x), atol=1e-8, rtol=0)
        return
    many = x[:1].expand(4000, 2).contiguous()
    found = flow.log_prob(many, torch.Generator().manual_seed(0)).detach()
    error = float(found.std()) / len(many) ** 0.5
    assert abs(float(found.mean() - gaussian_log_prob(x[:1]))) < 4 * error


@pytest.mark.parametrize(("method", "order"), [("prox_cn", 2), ("prox_bdf2", 2), ("prox_bdf3", 3)])
def test_proximal_densities_converge_with_the_order_of_the_method(method, order):
    x = torch.randn(6, 2, dtype=F64)

    def error(step):
        solver = Proximal(method, step_size=step, inner_tol=1e-12, inner="newton_krylov")
        flow = ContinuousFlow(Linear(), (2,), divergence="exact", solver=solver)
        with torch.no_grad():
            return float((flow.log_prob(x) - gaussian_log_prob(x)).abs().max())

    slope = math.log2(error(0.05) / error(0.025))
    assert slope == pytest.approx(order, abs=0.25)


def test_samples_have_the_covariance_of_the_density():
    flow = ContinuousFlow(Linear(), (2,), solver=SHARP)
    x = flow.sample(20_000, torch.Generator().manual_seed(0)).detach()
    inverse = torch.linalg.matrix_exp(-A)
    assert x.dtype == F64
    torch.testing.assert_close(x.T.cov(), inverse @ inverse.T, atol=0.1, rtol=0)


def test_the_density_of_a_nonlinear_flow_integrates_to_one():
    torch.manual_seed(3)
    field = MLPField(2, (16,), activation="softplus", time=True).double()
    for parameter in field.parameters():
        parameter.data *= 1.7
    solver = TorchDiffEq("dopri5", rtol=1e-5, atol=1e-5)
    flow = ContinuousFlow(field, (2,), divergence="exact", solver=solver)
    axis = torch.linspace(-12, 12, 81, dtype=F64)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        mass = flow.log_prob(grid).exp().sum() * 0.3**2
    assert float(mass) == pytest.approx(1, abs=2e-3)


def test_the_inverse_undoes_the_flow():
    flow = mlp(solver=SHARP)
    x = torch.randn(5, 3, dtype=F64)
    torch.testing.assert_close(flow.inverse(flow(x).value), x, atol=1e-7, rtol=0)


def test_noise_is_drawn_once_per_solve_by_the_generator():
    flow = mlp()
    x = torch.randn(5, 3, dtype=F64)
    first = flow.log_prob(x, torch.Generator().manual_seed(4))
    assert torch.equal(first, flow.log_prob(x, torch.Generator().manual_seed(4)))
    assert not torch.equal(first, flow.log_prob(x, torch.Generator().manual_seed(5)))


@pytest.mark.parametrize(
    "solver",
    [
        TorchDiffEq("dopri5", rtol=1e-8, atol=1e-8, gradient="adjoint"),
        TorchDiffEq("dopri5", rtol=1e-8, atol=1e-8, gradient="checkpoint"),
        Proximal("prox_bdf4", step_size=0.05, inner_tol=1e-10, inner="fixed_point"),
        Proximal("prox_cn", step_size=0.02, inner_tol=1e-10, inner="anderson"),
    ],
    ids=["adjoint", "checkpoint", "bdf4", "cn"],
)
def test_every_gradient_agrees_with_back_propagation(solver):
    def gradients(solver):
        flow = mlp(solver=solver)
        x = torch.linspace(-1, 1, 12, dtype=F64).view(4, 3).requires_grad_()
        flow.log_prob(x, torch.Generator().manual_seed(0)).sum().backward()
        assert all(p.grad is not None for p in flow.parameters())
        return [x.grad, *(p.grad for p in flow.parameters())]

    for found, exact in zip(gradients(solver), gradients(SHARP), strict=True):
        torch.testing.assert_close(found, exact, atol=2e-4, rtol=2e-4)


def test_implicit_gradients_are_those_of_the_discrete_solution():
    x = torch.linspace(-1, 1, 6, dtype=F64).view(2, 3)
    solver = Proximal("prox_bdf2", step_size=0.25, inner_tol=1e-13, inner="newton_krylov")
    flow = mlp(solver=solver, divergence="exact")

    def loss():
        return flow.log_prob(x).sum()

    loss().backward()
    parameter = flow.field.layers[0].weight
    eps, places = 1e-5, [(0, 0), (3, 2), (7, 3)]
    for place in places:
        with torch.no_grad():
            parameter[place] += eps
            up = loss()
            parameter[place] -= 2 * eps
            down = loss()
            parameter[place] += eps
        slope = float(up - down) / (2 * eps)
        assert float(parameter.grad[place]) == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match=r"expected samples \[B, 3\] .got \[2, 4\]"):
        mlp()(torch.zeros(2, 4))
    with pytest.raises(ValueError, match="'time' to be positive"):
        mlp(time=0.0)
    with pytest.raises(ValueError, match="'divergence' to be one of"):
        mlp(divergence="trace")
    with pytest.raises(SolveError):
        mlp(solver=TorchDiffEq("dopri5", rtol=1e-9, atol=1e-9, max_nfe=9))(
            torch.ones(1, 3, dtype=F64)
        )


def test_what_changes_the_mathematics_is_shown():
    text = repr(mlp(divergence="gaussian"))
    for words in ("shape=(3,)", "time=1", "divergence=gaussian", "dopri5"):
        assert words in text
