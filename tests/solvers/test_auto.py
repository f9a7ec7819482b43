"""The solver that chooses: exact, explicit, and implicit once it is stiff."""

from __future__ import annotations

import math

import pytest
import torch

from grandpp.graph import prepare_graph
from grandpp.layers import GRANDConv
from grandpp.solvers import Auto, Status, solve

Y0 = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64)
RATES = torch.tensor([1.0, 50.0, 600.0], dtype=torch.float64)


def stiff(t, y):
    return -RATES * (y - t.cos()) - t.sin()


def names(solution):
    return [name for _, name in solution.stats.methods]


def ring(n=12):
    nodes = torch.arange(n)
    return torch.cat([torch.stack([(nodes + s) % n, nodes]) for s in (1, -1)], dim=1)


def test_linear_diffusion_is_solved_exactly():
    x = torch.eye(12, dtype=torch.float64)
    conv = GRANDConv(12, time=3.0, attention=None, solver="auto", learn_alpha=False).double()
    solution = conv.solve(x, ring())
    graph = prepare_graph(ring(), 12)
    dense = torch.zeros(12, 12, dtype=torch.float64)
    dense[graph.csr.row, graph.csr.col_long] = 1 / 3
    exact = torch.matrix_exp(3 * (dense - torch.eye(12))) @ x
    torch.testing.assert_close(solution.y, exact, rtol=0, atol=1e-5)
    assert solution.stats.methods == [(0.0, "exact")]


def test_what_is_not_stiff_is_left_to_dopri5():
    options = {"rtol": 1e-6, "atol": 1e-6}
    auto = solve(lambda t, y: y.cos() - y, Y0, (0.0, 8.0), solver="auto", **options)
    dopri5 = solve(lambda t, y: y.cos() - y, Y0, (0.0, 8.0), solver="dopri5", **options)
    assert torch.equal(auto.y, dopri5.y)
    assert auto.stats.nfe_forward == dopri5.stats.nfe_forward
    assert (auto.stats.steps, auto.stats.rejected) == (dopri5.stats.steps, dopri5.stats.rejected)
    assert auto.stats.methods == [(0.0, "dopri5")]


def test_stiffness_is_noticed_and_costs_little_from_then_on():
    auto = solve(stiff, Y0, (0.0, 10.0), solver="auto")
    dopri5 = solve(stiff, Y0, (0.0, 10.0), solver="dopri5")
    assert names(auto) == ["dopri5", "prox_adaptive"]
    switched = auto.stats.methods[1][0]
    assert 0 < switched < 0.5
    assert auto.stats.nfe_forward < dopri5.stats.nfe_forward / 10
    torch.testing.assert_close(auto.y, torch.full_like(Y0, math.cos(10)), rtol=0, atol=2e-3)
    assert auto.t_reached == 10.0
    # Both methods' steps are on the bill.
    before = solve(stiff, Y0, (0.0, switched), solver="dopri5").stats.steps
    assert auto.stats.steps > before + 20
    assert auto.stats.inner_iterations > 0
    assert auto.stats.max_residual > 0


@pytest.mark.parametrize("shape", ["tensor", "tuple"])
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_saved_times_on_both_sides_of_the_switch(shape, direction):
    times = [direction * t for t in (0.0, 1e-4, 2e-3, 0.5, 3.0)]

    def f(t, y):
        return direction * stiff(direction * t, y)

    def pair(t, y):
        return f(t, y[0]), -direction * y[1]

    one = torch.ones(2, 2, dtype=torch.float64)
    y0 = Y0 if shape == "tensor" else (Y0, one)
    solution = solve(
        f if shape == "tensor" else pair,
        y0,
        (0.0, times[-1]),
        solver="auto",
        save_at=times,
        rtol=1e-6,
        atol=1e-6,
    )
    assert names(solution) == ["dopri5", "prox_adaptive"]
    ys = solution.ys if shape == "tensor" else solution.ys[0]
    t = torch.tensor(times, dtype=torch.float64).abs().unsqueeze(1)
    exact = t.cos() + (Y0 - 1) * torch.exp(-RATES * t)
    torch.testing.assert_close(ys, exact, rtol=0, atol=2e-5)
    assert solution.ts.tolist() == times
    if shape == "tuple":
        torch.testing.assert_close(solution.ys[1][-1], one * math.exp(-3.0), rtol=0, atol=1e-5)


def test_gradients_pass_through_the_switch_and_are_counted():
    def run(solver, **options):
        y0, rates = Y0.clone().requires_grad_(), RATES.clone().requires_grad_()
        solution = solve(
            lambda t, y: -rates * (y - (t + y.flip(0)).cos()), y0, (0.0, 1.0), solver=solver,
            **options,
        )  # fmt: skip
        grads = torch.autograd.grad(solution.y.square().sum(), (y0, rates))
        return solution, grads

    tight = {"rtol": 1e-6, "atol": 1e-6}
    auto, got = run("auto", **tight)
    _, wanted = run("dopri5", rtol=1e-10, atol=1e-10)
    assert names(auto) == ["dopri5", "prox_adaptive"]
    for g, w in zip(got, wanted, strict=True):
        torch.testing.assert_close(g, w, rtol=1e-3, atol=1e-6)
    assert auto.stats.nfe_backward > 0


def test_every_evaluation_is_on_the_bill():
    calls = 0

    def counted(t, y):
        nonlocal calls
        calls += 1
        return stiff(t, y)

    solution = solve(counted, Y0, (0.0, 5.0), solver="auto")
    assert calls == solution.stats.nfe_forward
    short = solve(stiff, Y0, (0.0, 5.0), solver="auto", max_nfe=calls // 2, throw=False)
    assert short.status is Status.MAX_NFE
    assert short.stats.nfe_forward == calls // 2


def test_an_operator_that_is_not_row_stochastic_goes_to_an_explicit_method():
    conv = GRANDConv(12, time=1.0, attention=None, learn_alpha=False).double()
    x = torch.eye(12, dtype=torch.float64)
    field = conv.prepare(x, ring())
    doubled = type(field)(**{**vars(field), "weight": 2 * field.weight})
    strict = solve(doubled, x, (0.0, 1.0), solver="exact", throw=False)
    assert strict.status is Status.NOT_STOCHASTIC
    assert names(solve(doubled, x, (0.0, 1.0), solver="auto")) == ["dopri5"]


def test_diffusion_backwards_in_time_goes_to_an_explicit_method():
    conv = GRANDConv(12, time=1.0, attention=None).double()
    x = torch.eye(12, dtype=torch.float64)
    field = conv.prepare(x, ring())
    there = solve(field, x, (0.0, 1.0), solver="auto", rtol=1e-9, atol=1e-9)
    back = solve(field, there.y, (1.0, 0.0), solver="auto", rtol=1e-9, atol=1e-9)
    assert names(back) == ["dopri5"]
    torch.testing.assert_close(back.y, x, rtol=0, atol=1e-6)


def test_infinity_is_solved_for():
    conv = GRANDConv(12, time=1.0, attention=None).double()
    x = torch.eye(12, dtype=torch.float64)
    limit = solve(conv.prepare(x, ring()), x, (0.0, math.inf), solver="auto").y
    torch.testing.assert_close(limit, torch.full_like(x, 1 / 12))


def test_a_failure_before_the_switch_keeps_its_name():
    solution = solve(
        lambda t, y: y * math.nan if t > 5 else -y, Y0, (0.0, 9.0), solver="auto",
        save_at=[0.25, 9.0], throw=False,
    )  # fmt: skip
    assert solution.status is Status.NON_FINITE
    torch.testing.assert_close(solution.ys[0], Y0 * math.exp(-0.25), rtol=0, atol=1e-4)
    assert bool(torch.isnan(solution.ys[1]).all())


def test_wrong_tolerances_are_refused():
    with pytest.raises(ValueError, match="rtol"):
        Auto(rtol=-1.0)
