"""Proximal BDF with error control: accuracy, stiffness, gradients, failures."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import solve_ivp

from grandpp.solvers import SolveError, Status, solve

TIMES = torch.linspace(0.5, 10, 20, dtype=torch.float64)
Y0 = torch.tensor([1.0, 0.5], dtype=torch.float64)


def prothero(rate):
    """y' = -rate (y - cos t) - sin t: the solution cos t, whatever the rate."""
    return lambda t, y: -rate * (y - t.cos()) - t.sin()


def van_der_pol(mu):
    return lambda t, y: torch.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])


@pytest.mark.parametrize("rate", [1.0, 1e2, 1e6])
def test_the_error_follows_the_tolerance_and_the_cost_does_not_follow_the_stiffness(rate):
    y0 = torch.ones(1, dtype=torch.float64)
    errors = []
    for tol in (1e-3, 1e-5, 1e-7):
        solution = solve(
            prothero(rate), y0, (0.0, 10.0), solver="prox_adaptive", save_at=TIMES,
            rtol=tol, atol=tol,
        )  # fmt: skip
        errors.append(float((solution.ys - TIMES.cos().unsqueeze(1)).abs().max()))
        assert errors[-1] < 100 * tol  # usual for BDF, whose steps are alike
        assert solution.stats.nfe_forward < 2500
    assert errors[2] < errors[0] / 100


def test_a_relaxation_oscillation_agrees_with_radau():
    mu, end = 100.0, 150.0
    y0 = torch.tensor([2.0, 0.0], dtype=torch.float64)
    solution = solve(van_der_pol(mu), y0, (0.0, end), solver="prox_adaptive", rtol=1e-6, atol=1e-6)
    exact = solve_ivp(
        lambda t, y: [y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]],
        (0, end),
        [2.0, 0.0],
        method="Radau",
        rtol=1e-9,
        atol=1e-11,
    ).y[0, -1]
    assert abs(float(solution.y[0]) - exact) < 1e-3
    # dopri5 needs mu / 3.3 steps per unit of time along the slow branch.
    assert solution.stats.nfe_forward < 6000
    assert solution.stats.rejected > 0


def test_smooth_stretches_are_crossed_with_few_long_steps_of_high_order():
    solution = solve(lambda t, y: -y, Y0, (0.0, 50.0), solver="prox_adaptive", rtol=1e-6, atol=1e-9)
    assert solution.stats.steps < 300  # order 1 alone would take tens of thousands
    torch.testing.assert_close(solution.y, Y0 * math.exp(-50), rtol=0, atol=1e-8)


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_tuples_saved_times_and_both_directions(direction):
    ends = [direction * t for t in (0.5, 1.0, 2.0)]
    y0 = (Y0, torch.ones(2, 1, dtype=torch.complex128))
    solution = solve(
        lambda t, y: (-direction * y[0], 1j * direction * y[1]),
        y0,
        (0.0, ends[-1]),
        solver="prox_adaptive",
        save_at=[0.0, *ends],
        rtol=1e-7,
        atol=1e-7,
    )
    for i, t in enumerate((0.0, 0.5, 1.0, 2.0)):
        torch.testing.assert_close(solution.ys[0][i], Y0 * math.exp(-t), rtol=0, atol=2e-6)
        turned = y0[1] * complex(math.cos(t), math.sin(t))
        torch.testing.assert_close(solution.ys[1][i], turned, rtol=0, atol=1e-5)
    assert solution.t_reached == ends[-1]


def test_single_precision_works_at_the_usual_tolerances():
    generator = torch.Generator().manual_seed(0)
    y0 = torch.randn(50, generator=generator)
    solution = solve(lambda t, y: -100 * (y - 1), y0, (0.0, 1.0), solver="prox_adaptive")
    assert solution.y.dtype == torch.float32
    torch.testing.assert_close(solution.y, torch.ones(50), rtol=0, atol=1e-3)


def test_gradients_are_those_of_the_solution():
    # y' = -a y + sin t: derivatives to y0, a and the end time, through about a hundred steps.
    a = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    y0 = torch.tensor([0.7], dtype=torch.float64, requires_grad=True)
    end = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)

    def exact(y0, a, t):
        q = 1 + a * a
        return (y0 + 1 / q) * torch.exp(-a * t) + (a * t.sin() - t.cos()) / q

    y = solve(
        lambda t, y: -a * y + t.sin(), y0, (0.0, end), solver="prox_adaptive", rtol=1e-9, atol=1e-9
    ).y
    got = torch.autograd.grad(y.sum(), (y0, a, end))
    wanted = torch.autograd.grad(exact(y0, a, end).sum(), (y0, a, end))
    for g, w in zip(got, wanted, strict=True):
        torch.testing.assert_close(g, w, rtol=1e-5, atol=1e-6)


def test_the_gradient_to_a_saved_time_is_the_slope_there():
    times = torch.tensor([0.4, 1.0], dtype=torch.float64, requires_grad=True)
    y = solve(
        lambda t, y: -y, Y0, (0.0, 1.0), solver="prox_adaptive", save_at=times, rtol=1e-8, atol=1e-8
    ).ys[0]
    (grad,) = torch.autograd.grad(y.sum(), times)
    assert float(grad[0]) == pytest.approx(-float(Y0.sum()) * math.exp(-0.4), rel=1e-5)


@pytest.mark.parametrize(
    ("field", "status"),
    [
        (lambda t, y: y * math.nan if t > 0.5 else -y, Status.NON_FINITE),
        (lambda t, y: y * y, Status.STEP_UNDERFLOW),
    ],
)
def test_failures_are_values(field, status):
    solution = solve(
        field, torch.ones(2, dtype=torch.float64), (0.0, 2.0), solver="prox_adaptive", throw=False
    )
    assert solution.status is status
    assert 0.4 < solution.t_reached < 1.01
    assert bool(torch.isnan(solution.y).all())
    with pytest.raises(SolveError, match="prox_adaptive stopped at t ="):
        solve(field, torch.ones(2, dtype=torch.float64), (0.0, 2.0), solver="prox_adaptive")


def test_the_budget_is_kept():
    solution = solve(
        lambda t, y: -y, Y0, (0.0, 9.0), solver="prox_adaptive", max_nfe=40, throw=False
    )
    assert solution.status is Status.MAX_NFE
    assert solution.stats.nfe_forward == 40


def test_equations_that_do_not_converge_are_tried_again_with_shorter_steps():
    # Two inner iterations are enough for short steps alone.
    def f(t, y):
        return torch.stack([-y[0], -30 * y[1], -300 * y[2], -1000 * y[3]])

    y0 = torch.ones(4, dtype=torch.float64)
    solution = solve(
        f, y0, (0.0, 0.2), solver="prox_adaptive", max_inner=2, inner="gd", max_nfe=10**6
    )
    assert solution.stats.rejected > 0
    assert float(solution.y[0]) == pytest.approx(math.exp(-0.2), abs=1e-3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rtol": 0.0}, "rtol to be positive"),
        ({"inner_tol": -1.0}, "inner_tol to be positive"),
        ({"inner": "cg"}, "'inner' to be one of"),
        ({"gradient": "direct"}, "gradient='implicit'"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        solve(lambda t, y: -y, Y0, (0.0, 1.0), solver="prox_adaptive", **options)
