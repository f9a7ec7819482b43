"""Time loops over implicit equations: options, failures and the bill."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from grandpp.solvers import Proximal, Status
from grandpp.solvers.implicit.equation import StepError
from grandpp.solvers.implicit.implicit_loop import check_options, first_rate, run_implicit_loop

F64 = torch.float64
TS = torch.tensor([0.0, 1.0, 2.5], dtype=F64)
Y0 = torch.tensor([1.0, -2.0], dtype=F64)
OPTIONS = Proximal()


def decay(t, y):
    return -y


def walk(loop, f=decay, y0=Y0, options=OPTIONS):
    return run_implicit_loop(f, y0, TS, options=options, tol=1e-10, loop=loop)


@pytest.mark.parametrize(
    ("span", "step", "count"), [(1.0, 0.1, 10), (1.0, 0.3, 4), (0.7, 1.0, 1), (3.0, 0.5, 6)]
)
def test_a_span_is_divided_into_the_fewest_steps_that_are_short_enough(span, step, count):
    solver = Proximal("prox_be", step_size=step, inner_tol=1e-12)
    solution = solver.solve(decay, Y0, torch.tensor([0.0, span], dtype=F64))
    assert solution.stats.steps == count
    assert solution.t_reached == span
    torch.testing.assert_close(solution.y, Y0 / (1 + span / count) ** count, rtol=0, atol=1e-9)


def test_states_come_back_in_the_shape_they_had():
    state = (torch.ones(2, dtype=F64), torch.ones(1, 3, dtype=F64))

    def loop(equation, flat, ts):
        for t in ts[1:]:
            yield flat * t

    solution = walk(loop, y0=state)
    assert solution.status is Status.SUCCESS
    assert [y.shape for y in solution.ys] == [(2, 2), (2, 1, 3)]
    assert solution.ys[1][1].tolist() == [[2.5] * 3]
    assert torch.equal(solution.ts, TS[1:])


def failing(error):
    def loop(equation, flat, ts):
        yield flat
        raise error

    return loop


def spending(equation, flat, ts):
    while True:
        equation.rate(ts[0], flat)
    yield flat


def blowing_up(equation, flat, ts):
    yield flat
    yield flat * math.inf


@pytest.mark.parametrize(
    ("loop", "status"),
    [
        (failing(StepError(Status.INNER_NOT_CONVERGED)), Status.INNER_NOT_CONVERGED),
        (failing(StepError(Status.STEP_UNDERFLOW)), Status.STEP_UNDERFLOW),
        (spending, Status.MAX_NFE),
        (blowing_up, Status.NON_FINITE),
    ],
)
def test_failures_become_statuses(loop, status):
    solution = walk(loop, options=Proximal(max_nfe=5))
    assert solution.status is status
    assert solution.ys.shape == (2, 2)
    assert not torch.isfinite(solution.ys[-1]).all()
    assert solution.stats.nfe_forward == (5 if loop is spending else 0)


@pytest.mark.parametrize("wanted", [True, False])
def test_the_first_evaluation_shows_stiffness_and_whether_a_gradient_is_wanted(wanted):
    seen = {}
    rates = torch.tensor([3.0, 40.0], dtype=F64, requires_grad=wanted)

    def loop(equation, flat, ts):
        seen["rate"] = first_rate(equation, flat, ts)
        seen["equation"] = equation
        yield from (flat, flat)

    walk(loop, f=lambda t, y: -rates * y)
    torch.testing.assert_close(seen["rate"], -rates * Y0)
    assert seen["equation"].differentiable is wanted
    assert seen["equation"].spectral == pytest.approx(44.0, rel=0.01)


def test_a_field_that_is_not_finite_is_noticed_at_the_start():
    def loop(equation, flat, ts):
        first_rate(equation, flat, ts)
        yield from (flat, flat)

    assert walk(loop, f=lambda t, y: y * math.nan).status is Status.NON_FINITE


@pytest.mark.parametrize(
    ("gradient", "changed", "error", "words"),
    [
        ("direct", {}, ValueError, "gradient='implicit'.*got 'direct'"),
        ("implicit", {"step_size": 0.0}, ValueError, "step_size to be positive.*got 0"),
        ("implicit", {"step_size": math.inf}, ValueError, "positive and finite.*got inf"),
        ("implicit", {"max_inner": 0}, ValueError, "max_inner to be positive"),
        ("implicit", {"max_inner": 2.0}, TypeError, "max_inner to be an integer"),
    ],
)
def test_wrong_options_are_refused_in_words(gradient, changed, error, words):
    options = SimpleNamespace(**{**vars(OPTIONS), **changed})
    with pytest.raises(error, match=words):
        check_options(options, gradient, "step_size")
    check_options(OPTIONS, "implicit", "step_size", "spectral")  # None is left alone
