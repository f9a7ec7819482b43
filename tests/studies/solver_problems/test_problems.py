"""Exact solutions satisfy their equations; gradients and flows are what their names say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from grandpp.fields import Adam, HeavyBall
from grandpp.studies.solver_problems.problems import (
    BEALE,
    GROWTH,
    PROTHERO,
    ROSENBROCK,
    diffusion1d,
    gradient_flow,
    robertson,
)
from grandpp.studies.solver_problems.problems.stiff import robertson_rate


@pytest.mark.parametrize("equation", [GROWTH, PROTHERO], ids=["growth", "prothero"])
def test_the_exact_solution_satisfies_its_equation(equation):
    t = torch.linspace(0, equation.end, 50, dtype=torch.float64).requires_grad_()
    h = equation.exact(t)
    (slope,) = torch.autograd.grad(h.sum(), t)
    assert h[0].item() == pytest.approx(1, abs=1e-15)
    assert torch.allclose(slope, equation(t, h), rtol=1e-12, atol=1e-12)


def test_the_right_hand_sides_are_those_printed():
    t, h = torch.tensor(0.3, dtype=torch.float64), torch.tensor([0.7], dtype=torch.float64)
    assert torch.allclose(GROWTH(t, h), 3 * h - 2 * t.cos() - 4 * t.sin())
    assert torch.allclose(PROTHERO(t, h), -50 * (h - t.cos()))


@pytest.mark.parametrize("equation", [GROWTH, PROTHERO], ids=["growth", "prothero"])
def test_backward_euler_by_formula_solves_its_equations(equation):
    ts = equation.times(0.01)
    h = equation.backward_euler(ts)
    rates = torch.stack([equation(t, y) for t, y in zip(ts[1:], h[1:], strict=True)])
    assert torch.allclose(h[1:] - h[:-1], 0.01 * rates, rtol=0, atol=1e-13)
    assert ts[-1].item() == equation.end


@pytest.mark.parametrize("landscape", [ROSENBROCK, BEALE], ids=lambda x: x.name)
def test_gradients_are_those_of_autograd_and_vanish_at_the_minimum(landscape):
    h = torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    h.requires_grad_()
    (expected,) = torch.autograd.grad(landscape.value(h).sum(), h)
    assert torch.allclose(landscape.gradient(h.detach()), expected, rtol=1e-12)
    minimum = torch.tensor(landscape.minimum, dtype=torch.float64)
    assert landscape.value(minimum).item() == 0
    assert landscape.gradient(minimum).abs().max() == 0


def rk4(rate, y, end, steps):
    """Classical Runge-Kutta in NumPy, written without the package."""
    s = end / steps
    for _ in range(steps):
        a = rate(y)
        b = rate(y + s / 2 * a)
        c = rate(y + s / 2 * b)
        y = y + s / 6 * (a + 2 * b + 2 * c + rate(y + s * c))
    return y


def slope(value, x, y, eps=1e-6):
    """Gradient of a Python function of two numbers by central differences."""
    return np.array([
        (value(x + eps, y) - value(x - eps, y)) / (2 * eps),
        (value(x, y + eps) - value(x, y - eps)) / (2 * eps),
    ])  # fmt: skip


def beale(x, y):
    return sum((c - x + x * y**k) ** 2 for c, k in ((1.5, 1), (2.25, 2), (2.625, 3)))


def test_the_gradient_flow_agrees_with_small_steps_of_another_method():
    expected = rk4(lambda h: -slope(beale, *h), np.zeros(2), 2.0, 1000)
    assert np.allclose(gradient_flow(BEALE).exact.numpy(), expected, atol=1e-7)


@pytest.mark.parametrize("momentum", ["hbnode", "adamnode"])
def test_momentum_flows_agree_with_small_steps_of_the_update_rules(momentum):
    # A start with v > 0, for the limit of small steps is slow where the root begins at zero.
    gamma, alpha, beta, s, steps = 0.7, 0.9, 0.999, 5e-5, 4000
    x, m, v = np.array([0.5, 0.2]), np.array([0.3, -0.1]), np.array([2.0, 1.0])
    if momentum == "adamnode":
        kind = Adam(alpha=alpha, beta=beta, epsilon=1e-8, positive="clamp")
        y0 = np.stack([x, m, v])
    else:
        kind, y0 = HeavyBall(gamma=gamma), np.stack([x, m])
    flow = kind.prepare(BEALE.descend)
    for _ in range(steps):
        x_old = x
        x = x - s * m / np.sqrt(v + 1e-8) if momentum == "adamnode" else x + s * m
        g = slope(beale, *x_old)
        if momentum == "adamnode":
            m, v = m + s * (1 - alpha) * (g - m), v + s * (1 - beta) * (g * g - v)
        else:
            m = m - s * (gamma * m + g)
    zero = torch.zeros(())
    got = rk4(lambda y: flow(zero, torch.from_numpy(y)).numpy(), y0, s * steps, 200)
    assert np.allclose(got[0], x, atol=2e-4)
    assert np.abs(x - [0.5, 0.2]).max() > 0.01  # it moved


def test_robertson_keeps_its_mass_and_reaches_the_values_of_the_literature():
    y = torch.tensor([0.5, 1e-3, 0.4], dtype=torch.float64)
    assert robertson_rate(torch.zeros(()), y).sum().abs() < 1e-12
    # t = 40: Hindmarsh's LSODE example, to the 5 digits printed there.
    expected = torch.tensor([7.1582e-1, 9.1851e-6, 2.8416e-1], dtype=torch.float64)
    assert torch.allclose(robertson().exact, expected, rtol=1e-4)


def test_the_heat_equation_agrees_with_the_matrix_exponential():
    problem = diffusion1d(16)
    zero = torch.zeros((), dtype=torch.float64)
    operator = problem.field(zero, torch.eye(16, dtype=torch.float64))
    assert torch.allclose(operator[0, :2], 15.0**2 * torch.tensor([-2, 1]).double())
    assert torch.allclose(torch.matrix_exp(operator) @ problem.y0, problem.exact, atol=1e-12)
