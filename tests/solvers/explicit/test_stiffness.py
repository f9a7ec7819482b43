"""Stiffness is detected by known eigenvalues and step lengths."""

from __future__ import annotations

import math

import pytest
import torch

from grandpp.solvers import Auto, Status, TorchDiffEq, solve
from grandpp.solvers.explicit.stiffness import StiffError, StiffnessCountedField

F64 = torch.float64


def counted_field(rate, shape="tensor"):
    f = (lambda t, y: -rate * y) if shape == "tensor" else (lambda t, y: (-rate * y[0], 0 * y[1]))
    return StiffnessCountedField(f, 10_000, t_start=0.0)


def step(watch, n, length, shape="tensor"):
    """Accept step n: its last two stages, then the start of the next."""
    for value in (1.0, 0.9):
        y = torch.full((3,), value, dtype=F64)
        watch(torch.zeros(()), y if shape == "tensor" else (y, torch.ones(2, dtype=F64)))
    state = y if shape == "tensor" else (y, torch.ones(2, dtype=F64))
    watch.callback_step(torch.tensor((n + 1) * length, dtype=F64), state, torch.tensor(length))


@pytest.mark.parametrize("shape", ["tensor", "tuple"])
@pytest.mark.parametrize(("length", "stiff"), [(0.0326, True), (0.0324, False)])
def test_fifteen_steps_beyond_the_edge_of_stability_are_stiff(shape, length, stiff):
    watch = counted_field(100.0, shape)  # the edge is at 3.25 / 100
    watch.callback_step(torch.zeros((), dtype=F64), torch.ones(3, dtype=F64), torch.tensor(length))
    for n in range(14):
        step(watch, n, length, shape)
    assert watch.stiff == (14 if stiff else 0)
    if stiff:
        with pytest.raises(StiffError):
            step(watch, 14, length, shape)
    else:
        step(watch, 14, length, shape)
    assert watch.accepted[0] == pytest.approx(15 * length)


def test_six_free_steps_in_a_row_take_the_suspicion_back():
    watch = counted_field(100.0)
    watch.callback_step(torch.zeros((), dtype=F64), torch.ones(3, dtype=F64), torch.tensor(0.1))
    time = 0.0

    def advance(length):
        nonlocal time
        time += length
        step(watch, time / length - 1, length)

    for _ in range(14):
        advance(0.1)
    for free in range(1, 7):
        advance(0.01)
        assert watch.stiff == (0 if free == 6 else 14)
    for _ in range(14):
        advance(0.1)
    with pytest.raises(StiffError):
        advance(0.1)


def test_a_repeated_attempt_at_the_same_time_is_no_further_step():
    watch = counted_field(100.0)
    for _ in range(40):
        watch.callback_step(torch.ones((), dtype=F64), torch.ones(3, dtype=F64), torch.tensor(1.0))
    assert watch.stiff == 0
    assert watch.stats.steps == 40


@pytest.mark.parametrize(("rate", "stiff"), [(1.0, False), (2000.0, True)])
def test_dopri5_is_left_where_an_eigenvalue_limits_its_steps(rate, stiff):
    f = lambda t, y: -rate * (y - t.cos())  # noqa: E731
    y0, ts = torch.ones(1, dtype=F64), torch.tensor([0.0, 2.0], dtype=F64)
    watch = StiffnessCountedField(f, 10_000, t_start=0.0)
    solver = TorchDiffEq(rtol=1e-4, atol=1e-5)
    if not stiff:
        solution = solver.run(watch, y0, ts)
        assert solution.status is Status.SUCCESS
        assert torch.equal(solution.y, solver.solve(f, y0, ts).y)
        return
    with pytest.raises(StiffError):
        solver.run(watch, y0, ts)
    time, y = watch.accepted
    assert 0 < time < 0.5
    assert y.item() == pytest.approx(math.cos(time), abs=1e-2)
    assert solve(f, y0, (0.0, 2.0), solver=Auto()).stats.methods[1][0] == time
