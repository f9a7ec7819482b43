"""dormand_prince: the steps of SciPy's RK45, and little of the rounding of its right-hand side."""

from __future__ import annotations

import pytest
import torch
from scipy.integrate import RK45

from grandpp.solvers import DormandPrince, Tsit5, resolve_solver, solve

F64 = torch.float64
Y0 = torch.tensor([1.0, 0.5], dtype=F64)


def pendulum(t, y):
    return torch.stack([y[1], -y[0].sin() + 0.1 * t])


def test_one_step_is_that_of_scipy():
    scipy = RK45(
        lambda t, y: pendulum(t, torch.as_tensor(y)).numpy(), 0.0, Y0.numpy(), 0.3,
        first_step=0.3, rtol=1.0, atol=1.0,
    )  # fmt: skip
    scipy.step()
    times = [0.1, 0.17, 0.3]
    ours = solve(pendulum, Y0, (0.0, 0.3), solver="dormand_prince", save_at=times, first_step=0.3,
                 rtol=1.0, atol=1.0)  # fmt: skip
    assert ours.stats.steps == 1
    expected = torch.as_tensor(scipy.dense_output()(times)).T
    torch.testing.assert_close(ours.ys, expected, rtol=1e-13, atol=1e-13)


def test_the_error_follows_the_tolerance_at_the_cost_of_dopri5():
    exact = solve(pendulum, Y0, (0.0, 5.0), solver="dopri8", rtol=1e-12, atol=1e-12).y
    for tol in (1e-4, 1e-6, 1e-8):
        options = {"rtol": tol, "atol": tol}
        ours = solve(pendulum, Y0, (0.0, 5.0), solver="dormand_prince", **options)
        theirs = solve(pendulum, Y0, (0.0, 5.0), solver="dopri5", **options)
        assert float((ours.y - exact).norm()) < 20 * tol
        assert ours.stats.nfe_forward <= 1.2 * theirs.stats.nfe_forward


def test_rounding_of_the_slopes_reaches_the_state_less_than_with_tsit5():
    noise = torch.Generator().manual_seed(0)

    def rounded(t, y):
        return y.cos() + 1e-3 * torch.randn(y.shape, generator=noise, dtype=y.dtype)

    y0 = torch.zeros(1000, dtype=F64)
    exact = solve(lambda t, y: y.cos(), y0, (0.0, 1.0), solver="dopri8", rtol=1e-9, atol=1e-9).y

    def noisy(solver):
        found = solve(rounded, y0, (0.0, 1.0), solver=solver, first_step=0.5, rtol=1.0, atol=1.0)
        return float((found.y - exact).square().mean().sqrt())

    assert noisy("dormand_prince") < 0.4 * noisy("tsit5")


@pytest.mark.parametrize("gradient", ["direct", "checkpoint", "adjoint"])
def test_gradients_are_those_of_finite_differences(gradient):
    rate = torch.nn.Linear(2, 2).double()

    class Field(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rate = rate

        def forward(self, t, y):
            return self.rate(y).tanh() + t

    field = Field()

    def loss(y):
        return solve(field, y, (0.0, 1.5), solver="dormand_prince", gradient=gradient, rtol=1e-10,
                     atol=1e-10).y.square().sum()  # fmt: skip

    y = Y0.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(y), y)
    for i, step in enumerate(1e-5 * torch.eye(2, dtype=F64)):
        with torch.no_grad():
            slope = (loss(Y0 + step) - loss(Y0 - step)) / 2e-5
        assert float(found[i]) == pytest.approx(float(slope), rel=1e-6)


def test_the_name_gives_a_method_with_the_options_of_tsit5():
    solver = resolve_solver("dormand_prince", rtol=1e-3, first_step=0.2)
    assert isinstance(solver, DormandPrince) and isinstance(solver, Tsit5)
    assert (solver.rtol, solver.first_step, solver.method) == (1e-3, 0.2, "dormand_prince")
