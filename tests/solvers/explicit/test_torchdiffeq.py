"""Every installed method of torchdiffeq: right, of its order, counted."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from grandpp.solvers import SolveError, Status, TorchDiffEq, solve
from grandpp.solvers.explicit.torchdiffeq import METHODS


def decay(t, y):
    return -y


def options_for(name):
    fixed = TorchDiffEq(name).is_fixed_step
    return {"step_size": 0.001} if fixed else {"rtol": 1e-6, "atol": 1e-7}


@pytest.mark.parametrize("name", METHODS)
def test_every_installed_method_solves_exponential_decay_and_counts(name):
    y0 = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    solution = solve(decay, y0, (0.0, 1.0), solver=name, **options_for(name))
    assert solution.status is Status.SUCCESS
    assert solution.stats.nfe_forward > 0
    torch.testing.assert_close(solution.y, y0 * math.exp(-1), rtol=2e-3, atol=0)


@pytest.mark.parametrize(
    ("name", "order"), [("euler", 1), ("midpoint", 2), ("heun2", 2), ("heun3", 3), ("rk4", 4)]
)
def test_fixed_step_methods_have_their_order_against_the_matrix_exponential(name, order):
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(4, 4, generator=generator, dtype=torch.float64) / 2
    y0 = torch.randn(4, 2, generator=generator, dtype=torch.float64)
    exact = torch.matrix_exp(a) @ y0
    steps = torch.tensor([1 / 8, 1 / 16, 1 / 32, 1 / 64], dtype=torch.float64)
    solutions = [
        solve(lambda t, y: a @ y, y0, (0.0, 1.0), solver=name, step_size=float(h)) for h in steps
    ]
    errors = torch.stack([(s.y - exact).norm() for s in solutions])
    x, e = steps.log(), errors.log()
    slope = float(((x - x.mean()) * (e - e.mean())).sum() / (x - x.mean()).square().sum())
    assert abs(slope - order) < 0.3


@pytest.mark.parametrize(("name", "per_step"), [("euler", 1), ("midpoint", 2), ("rk4", 4)])
def test_fixed_step_methods_count_exactly_their_stages(name, per_step):
    y0 = torch.ones(2, requires_grad=True)
    solution = solve(decay, y0, (0.0, 1.0), solver=name, step_size=0.1)
    assert solution.stats.nfe_forward == 10 * per_step
    assert solution.stats.steps == 10
    assert solution.stats.nfe_backward == 0
    solution.y.sum().backward()
    assert solution.stats.nfe_backward == 10 * per_step


def test_a_rejected_step_is_counted_as_rejected():
    y0 = torch.ones(1, dtype=torch.float64)
    solution = solve(lambda t, y: -200 * (y - (5 * t).cos()), y0, (0.0, 3.0), rtol=1e-6, atol=1e-8)
    stats = solution.stats
    assert stats.rejected > 0
    assert stats.nfe_forward == 2 + 6 * (stats.steps + stats.rejected)


def test_saved_states_of_fixed_step_methods_lie_on_the_grid_and_keep_the_order():
    y0 = torch.ones(1, dtype=torch.float64)
    times = [0.4, 1.0, 1.6]
    errors = []
    for step in (0.2, 0.1):
        solution = solve(decay, y0, (0.0, 2.0), solver="rk4", step_size=step, save_at=times)
        exact = torch.tensor(times, dtype=torch.float64).neg().exp()
        errors.append(float((solution.ys.squeeze() - exact).abs().max()))
    assert errors[0] < 2e-5
    assert errors[0] / errors[1] > 12


def test_an_adjoint_that_blows_up_says_so_in_words():
    # Forward decay is backward growth: exp(60) drowns the state in its own rounding.
    w = torch.tensor(60.0, requires_grad=True)

    class Field:
        def __init__(self, w):
            self.w = w

        @property
        def captured(self):
            return (self.w,)

        def bind(self, captured):
            return Field(captured[0])

        def __call__(self, t, y):
            return -self.w * y**3

    y0 = torch.full((4,), 3.0, requires_grad=True)
    solution = solve(Field(w), y0, (0.0, 30.0), gradient="adjoint")
    with pytest.raises(SolveError, match="adjoint of this solve stopped"):
        solution.y.sum().backward()


ADAMS = ("explicit_adams", "implicit_adams", "fixed_adams")


def pulled(rate):
    """Pulled towards a cosine, with the exact solution from a start."""

    def f(t, y):
        return -rate * (y - t.cos()) - t.sin()

    def exact(y0, t):
        return math.cos(t) + (y0 - 1) * math.exp(-rate * t)

    return f, exact


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("step", [0.05, 0.1, 1.0])
@pytest.mark.parametrize("rate", [0.1, 1.0, 2.0, 4.0, 20.0])
@pytest.mark.parametrize("name", ADAMS)
def test_an_adams_method_that_reports_success_is_right(name, rate, step, dtype):
    f, exact = pulled(rate)
    y0 = torch.tensor([2.0, 1.5], dtype=dtype)
    solution = solve(f, y0, (0.0, 10.0), solver=name, step_size=step, throw=False)
    if rate * step <= 0.2 and step < 1:
        assert solution.successful
    if rate * step >= (0.8 if name == "explicit_adams" else 2.0):
        assert solution.status is not Status.SUCCESS
    if solution.successful:
        error = (solution.y - exact(y0, 10.0)).abs().max()
        assert error < (1e-4 if step < 1 else 0.05)


def test_a_corrector_that_does_not_converge_is_said_in_words():
    f, _ = pulled(8.0)
    y0 = torch.tensor([2.0, 1.5])
    with pytest.raises(
        SolveError, match=r"too long for the method; use a smaller step_size.*dopri5"
    ):
        solve(f, y0, (0.0, 10.0), solver="implicit_adams", step_size=0.5)
    pair = solve(
        lambda t, y: (f(t, y[0]), -y[1]), (y0, y0), (5.0, 0.0), solver="implicit_adams",
        step_size=0.5, throw=False,
    )  # fmt: skip
    assert pair.status is Status.STEP_TOO_LARGE


@pytest.mark.parametrize("name", ADAMS)
def test_saved_times_that_change_the_step_do_not_change_the_accuracy_of_an_adams_method(name):
    f, exact = pulled(1.0)
    y0 = torch.tensor([2.0, 1.5], dtype=torch.float64, requires_grad=True)
    times = [0.51, 1.0, 1.9, 3.0]
    solution = solve(f, y0, (0.0, 3.0), solver=name, step_size=0.1, save_at=times)
    for y, t in zip(solution.ys, times, strict=True):
        torch.testing.assert_close(y, exact(y0, t), rtol=0, atol=5e-5)
    (grad,) = torch.autograd.grad(solution.ys[-1].sum(), y0)
    torch.testing.assert_close(grad, torch.full_like(y0, math.exp(-3)), rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match=r"no save_at.*'adjoint'"):
        solve(f, y0, (0.0, 3.0), solver=name, save_at=times, gradient="adjoint")


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("name", ["dopri5", "adaptive_heun"])
def test_a_field_that_ends_with_the_time_span_is_told_that_a_step_went_beyond_it(name, backward):
    y0 = torch.zeros(2, dtype=torch.float64)
    sign = -1.0 if backward else 1.0
    with pytest.raises(SolveError, match="beyond the end of the time span; use 'tsit5'"):
        solve(lambda t, y: (1 - sign * t).sqrt() + 0 * y, y0, (0.0, sign), solver=name)
    with pytest.raises(SolveError, match="became NaN or infinite"):
        solve(lambda t, y: (0.5 - sign * t).sqrt() + 0 * y, y0, (0.0, sign), solver=name)


def test_steps_that_end_with_the_time_span_never_leave_it():
    y0 = torch.zeros(2, dtype=torch.float64)
    y = solve(lambda t, y: (1 - t).sqrt() + 0 * y, y0, (0.0, 1.0), solver="dopri8").y
    torch.testing.assert_close(y, torch.full_like(y, 2 / 3), rtol=0, atol=1e-3)


def test_a_scipy_solve_that_falls_short_of_the_end_is_no_success():
    y0 = torch.ones(1, dtype=torch.float64)
    with torch.no_grad():
        solution = solve(lambda t, y: y**2, y0, (0.0, 3.0), solver="scipy_solver", throw=False)
    assert not solution.successful
    assert bool(solution.ys.isnan().all())
    assert len(solution.ys) == 1


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("gradient", ["direct", "checkpoint", "adjoint"])
def test_saved_states_are_as_accurate_as_steps(gradient, backwards):
    a = torch.tensor([[0.0, 1.0], [-3.0, -0.3]], dtype=torch.float64)
    weight, y0 = nn.Parameter(a.clone()), torch.tensor([1.0, 2.0], dtype=torch.float64)

    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = weight

        def forward(self, t, y):
            return self.weight @ y

    times = torch.tensor([0.4, 1.0], dtype=torch.float64) * (-1 if backwards else 1)
    chosen = {"rtol": 1e-10, "atol": 1e-11, "gradient": gradient}
    span = (0.0, float(times[-1]))
    ys = solve(Field(), y0, span, solver="dopri8", save_at=times, **chosen).ys
    expected = torch.stack([torch.matrix_exp(weight * t) @ y0 for t in times])
    torch.testing.assert_close(ys, expected, rtol=0, atol=1e-8)
    (found,) = torch.autograd.grad(ys.square().sum(), weight)
    (wanted,) = torch.autograd.grad(expected.square().sum(), weight)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gradient", ["direct", "checkpoint", "adjoint"])
@pytest.mark.parametrize("name", ["bosh3", "dopri5", "dopri8", "adaptive_heun"])
def test_a_saved_state_is_no_less_accurate_than_the_steps(name, gradient):
    y0 = torch.ones(1, dtype=torch.float64, requires_grad=True)
    chosen = {"rtol": 1e-6, "atol": 1e-6, "gradient": gradient}
    rate = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(rate.weight, -1.0)

    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.rate = rate

        def forward(self, t, y):
            return self.rate(y)

    times = torch.tensor([0.3, 0.77, 1.3], dtype=torch.float64)
    ys = solve(Field(), y0, (0.0, 1.3), solver=name, save_at=times, **chosen).ys
    torch.testing.assert_close(ys, (-times)[:, None].exp(), rtol=0, atol=5e-6)
    (found,) = torch.autograd.grad(ys[-1].sum(), rate.weight)
    torch.testing.assert_close(
        found, torch.full_like(found, 1.3 * math.exp(-1.3)), atol=2e-5, rtol=0
    )
