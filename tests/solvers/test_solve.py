"""solve(): names of solvers, saved times, failures."""

from __future__ import annotations

import math

import pytest
import torch

from grandpp.solvers import SolveError, Status, solve


def decay(t, y):
    return -y


def rotation(t, y):
    a, b = y
    return (b, -a)


def test_tuple_states_saved_times_and_backward_time():
    y0 = (torch.tensor([1.0], dtype=torch.float64), torch.tensor([0.0], dtype=torch.float64))
    times = [0.0, math.pi / 2, math.pi]
    solution = solve(rotation, y0, (0.0, math.pi), save_at=times, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(
        solution.ys[0].squeeze(),
        torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64),
        rtol=0,
        atol=1e-6,
    )
    back = solve(rotation, solution.y, (math.pi, 0.0), rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(back.y, y0, rtol=0, atol=1e-6)


def test_zero_time_returns_the_initial_state_without_an_evaluation():
    y0 = torch.randn(3)
    solution = solve(decay, y0, (2.0, 2.0))
    assert torch.equal(solution.y, y0)
    assert solution.stats.nfe_forward == 0


def test_gradients_to_the_initial_state_and_the_end_time_are_right():
    y0 = torch.randn(3, dtype=torch.float64, requires_grad=True)
    # Not a multiple of the step: there the number of steps jumps under the finite difference.
    t1 = torch.tensor(0.67, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda y, t: solve(lambda s, v: -v * v, y.abs(), (0.0, t), solver="rk4", step_size=0.05).y,
        (y0, t1),
        atol=1e-4,
    )


def test_blow_up_underflow_and_budget_are_told_apart_and_say_what_to_do():
    y0 = torch.ones(1, dtype=torch.float64)
    blow_up = solve(
        lambda t, y: y**3, 10 * y0, (0.0, 3.0), solver="euler", step_size=0.5, throw=False
    )
    assert blow_up.status is Status.NON_FINITE
    assert torch.isnan(blow_up.y).all()

    singular = solve(lambda t, y: y * y, y0, (0.0, 2.0), throw=False)  # pole at t = 1
    assert singular.status in (Status.STEP_UNDERFLOW, Status.NON_FINITE)
    assert singular.t_reached == pytest.approx(1.0, abs=1e-3)

    with pytest.raises(SolveError, match=r"after 20 evaluations.*budget.*raise max_nfe") as caught:
        solve(lambda t, y: -1e5 * (y - t.cos()), y0, (0.0, 1.0), max_nfe=20)
    assert caught.value.solution.status is Status.MAX_NFE


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: solve(decay, torch.tensor([math.nan]), (0, 1)), ValueError, "initial state"),
        (lambda: solve(decay, torch.ones(1), (0, math.inf)), ValueError, "finite time span"),
        (lambda: solve(decay, torch.ones(1), (0, 1), save_at=[0.5, 0.2]), ValueError, "save_at"),
        (lambda: solve(decay, torch.ones(1), (0, 1), save_at=[2.0]), ValueError, "save_at"),
        (
            lambda: solve(decay, torch.ones(1), (0, 1), save_at="end"),
            TypeError,
            "save_at.*got a str",
        ),
        (
            lambda: solve(decay, torch.ones(1), (0, 1), save_at=torch.ones(1) * 1j),
            TypeError,
            "save_at.*complex64",
        ),
        (lambda: solve(decay, torch.ones(1), (0, 1), save_at=[0.5, None]), TypeError, "save_at"),
        (lambda: solve(decay, torch.ones(1), (0, "1")), TypeError, "time span.*got a str"),
        (lambda: solve(decay, torch.ones(1), (0, 1j)), TypeError, "time span.*got a complex"),
        (lambda: solve(decay, torch.ones(1), (0, 1), solver="exact"), TypeError, "linear"),
        (
            lambda: solve(decay, torch.ones(1, requires_grad=True), (0, 1), solver="scipy_solver"),
            ValueError,
            "gradient='adjoint'",
        ),
    ],
)
def test_wrong_arguments_are_refused_in_words(call, error, words):
    with pytest.raises(error, match=words):
        call()
