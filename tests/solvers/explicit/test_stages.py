"""One explicit step, its interpolant and the size of its error."""

from __future__ import annotations

import math

import pytest
import torch

from grandpp.solvers.explicit.stages import ErrorNorm, attempt_step, interpolate, is_end
from grandpp.solvers.explicit.tableau import TSIT5

F64 = torch.float64


def field(t, y):
    return -4 * y * torch.as_tensor(8 * t, dtype=F64).sin() * torch.tensor([1.0, -2.0], dtype=F64)


def exact(t):
    """exp(c (cos(8 t) - 1) / 2)."""
    c = (math.cos(8 * t) - 1) / 2
    return torch.tensor([math.exp(c), math.exp(-2 * c)], dtype=F64)


def take(size, start=0.0):
    y = exact(start)
    times = [torch.tensor(start + c * size, dtype=F64) for c in TSIT5.nodes]
    return attempt_step(field, TSIT5, y, field(torch.tensor(start, dtype=F64), y), times, size)


def slope_of(errors, sizes):
    return (math.log(errors[0]) - math.log(errors[-1])) / (math.log(sizes[0]) - math.log(sizes[-1]))


def test_a_step_its_estimate_and_its_interpolant_have_their_orders():
    sizes = (0.04, 0.02, 0.01)
    trials = [take(h, start=0.3) for h in sizes]
    norm = ErrorNorm(rtol=0.0, atol=1.0)
    ends = [float((t.end - exact(0.3 + h)).norm()) for t, h in zip(trials, sizes, strict=True)]
    inside = [
        float((interpolate(TSIT5, t, 0.4) - exact(0.3 + 0.4 * h)).norm())
        for t, h in zip(trials, sizes, strict=True)
    ]
    estimates = [norm.error(TSIT5, t) for t in trials]
    # 6, and more before the last digits: what is left at sixth order is small.
    assert 5.7 < slope_of(ends, sizes) < 7
    assert slope_of(inside, sizes) == pytest.approx(5, abs=0.3)
    assert slope_of(estimates, sizes) == pytest.approx(5, abs=0.3)
    # The estimate is one of the lower order: it is above the error of the result.
    assert all(estimate > end for estimate, end in zip(estimates, ends, strict=True))


def test_steps_go_backwards_and_the_last_slope_is_that_at_the_end():
    attempt = take(-0.05, start=0.3)
    torch.testing.assert_close(attempt.end, exact(0.25), rtol=0, atol=2e-6)
    torch.testing.assert_close(attempt.slopes[-1], field(0.25, attempt.end), rtol=1e-14, atol=0)


def test_without_the_last_time_the_last_slope_is_left_out():
    y, calls = exact(0.0), []

    def counted(t, y):
        calls.append(float(t))
        return field(t, y)

    times = [torch.tensor(c * 0.1, dtype=F64) for c in TSIT5.nodes[:-1]]
    attempt = attempt_step(counted, TSIT5, y, field(0.0, y), times, 0.1)
    assert calls == pytest.approx([c * 0.1 for c in TSIT5.nodes[:-1]])
    assert torch.equal(attempt.end, take(0.1).end)


def test_interpolation_by_a_tensor_agrees_and_has_the_slope_of_the_field():
    attempt = take(0.02)
    theta = torch.tensor(0.6, dtype=F64, requires_grad=True)
    y = interpolate(TSIT5, attempt, theta)
    torch.testing.assert_close(y, interpolate(TSIT5, attempt, 0.6), rtol=1e-14, atol=1e-14)
    (slope,) = torch.autograd.grad(y[0], theta)
    assert float(slope) == pytest.approx(0.02 * float(field(0.012, exact(0.012))[0]), rel=1e-5)


def test_the_end_is_the_result_of_higher_order():
    attempt = take(0.5)
    assert is_end(1.0)
    assert not is_end(1.0 - 1e-9)
    assert interpolate(TSIT5, attempt, 1.0) is attempt.end


def test_sizes_are_root_mean_squares_in_units_of_the_tolerance():
    x, y = torch.tensor([3.0, 4.0, 6.0]), torch.tensor([0.0, 10.0, 20.0])
    norm = ErrorNorm(rtol=0.1, atol=1.0)
    assert float(norm(x, y)) == pytest.approx(math.sqrt((9 + 4 + 4) / 3))
    assert float(norm(x + 0j, y)) == pytest.approx(math.sqrt((9 + 4 + 4) / 3))
    worst = ErrorNorm(rtol=0.1, atol=1.0, sections=(1, 0, 2))
    assert float(worst(x, y)) == pytest.approx(3.0)


def test_the_scale_of_an_error_is_the_larger_end_of_the_step():
    attempt = take(0.3)
    wrong = sum(e * k for e, k in zip(TSIT5.errors, attempt.slopes, strict=True)) * 0.3
    scale = 1e-3 + 0.1 * torch.maximum(attempt.y.abs(), attempt.end.abs())
    expected = float((wrong / scale).square().mean().sqrt())
    assert ErrorNorm(0.1, 1e-3).error(TSIT5, attempt) == pytest.approx(expected)
