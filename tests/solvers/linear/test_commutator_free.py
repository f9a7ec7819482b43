"""Nonlinear diffusion by exponentials of its frozen operator, against scipy."""

from __future__ import annotations

import gc
import math
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from grandpp.fields import ATTENTIONS, GraphDiffusion
from grandpp.layers import GRANDConv, GRANDPPConv
from grandpp.linalg import multiply
from grandpp.solvers import CommutatorFree, Status, TorchDiffEq, solve
from grandpp.solvers.linear import commutator_free, recursion

T0 = torch.zeros(())


def field(x, edge_index, std=0.5, seed=0, **kwargs):
    torch.manual_seed(seed)
    module = GraphDiffusion(x.size(1), heads=2, mode="nonlinear", **kwargs).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return module.prepare(x, edge_index)


def by_scipy(f, x, times):
    """States at rising times, by DOP853 on the right-hand side as a function of numbers."""

    def rate(t, y):
        with torch.no_grad():
            return f(T0, torch.from_numpy(y).view_as(x)).numpy().ravel()

    found = solve_ivp(rate, (0, times[-1]), x.numpy().ravel(), "DOP853", times, rtol=1e-9,
                      atol=1e-10)  # fmt: skip
    return torch.from_numpy(np.ascontiguousarray(found.y.T)).view(len(times), *x.shape)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("normalization", ["softmax", "squareplus"])
def test_solutions_keep_the_tolerance(attention, normalization, karate, features):
    f = field(features, karate, 0.3, attention=attention, normalization=normalization)
    f = replace(f, source=0.1 * features.flip(0))
    expected = by_scipy(f, features, [4.0])[0]
    for tol in (1e-3, 1e-5):
        y = solve(f, features, (0.0, 4.0), solver="commutator_free", rtol=tol, atol=tol).y
        off = (y - expected) / (tol + tol * expected.abs())
        # Errors of steps add up, and no estimate sees kinks and poles of such wild scores.
        assert off.square().mean().sqrt() < 20


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_steady_operator_takes_one_step(dtype, karate, features):
    x = (0.01 * features).to(dtype)
    conv = GRANDConv(x.size(1), time=10.0, mode="nonlinear", solver="commutator_free").to(dtype)
    torch.nn.init.normal_(conv.attention.query, std=0.1)
    solution = conv.solve(x, karate)
    assert (solution.stats.steps, solution.stats.rejected) == (1, 0)
    reference = by_scipy(conv.double().prepare(x.double(), karate), x.double(), [10.0])[0]
    torch.testing.assert_close(solution.y.double(), reference, rtol=1e-4, atol=1e-5)


def test_halving_the_steps_shows_the_orders(karate, features):
    f = field(features, karate, learn_alpha=False)

    def error(method, steps):
        y = features
        for _ in range(steps):
            y = method(f, y, 1.0 / steps)
        return float((y - expected).abs().max())

    expected = by_scipy(f, features, [1.0])[0]
    for method, order in ((midpoint, 2), (celledoni, 4)):
        rate = math.log2(error(method, 4) / error(method, 8))
        assert order - 0.4 < rate < order + 0.7
    # The solver's results are those of the dense formulas, by how much it is asked for.
    low, high = (midpoint(f, features, 0.05), celledoni(f, features, 0.2))
    options = {"solver": "commutator_free", "atol": 1e-30}
    loose = solve(f, features, (0.0, 0.05), rtol=0.02, **options)
    assert loose.stats.steps == 1
    torch.testing.assert_close(loose.y, low, rtol=5e-3, atol=5e-3)
    tight = solve(f, features, (0.0, 0.2), rtol=1e-5, atol=1e-5, solver="commutator_free")
    torch.testing.assert_close(tight.y, high, rtol=1e-3, atol=1e-3)


def dense(f, y):
    n = len(y)
    weight = f.operator(y).detach()
    out = torch.zeros(n, n, dtype=y.dtype)
    return out.index_put((f.csr.row, f.csr.col_long), weight, accumulate=True)


def flow(a, time, y):
    return torch.matrix_exp(time * (a - torch.eye(len(y), dtype=y.dtype))) @ y


def midpoint(f, y, h):
    return flow(dense(f, flow(dense(f, y), h / 2, y)), h, y)


def celledoni(f, y, h):
    a1 = dense(f, y)
    y2 = flow(a1, h / 2, y)
    a2 = dense(f, y2)
    a3 = dense(f, flow(a2, h / 2, y))
    a4 = dense(f, flow(2 * a3 - a1, h / 2, y2))
    z = flow((3 * a1 + 2 * a2 + 2 * a3 - a4) / 6, h / 2, y)
    return flow((-a1 + 2 * a2 + 2 * a3 + 3 * a4) / 6, h / 2, z)


@pytest.mark.parametrize("tol", [1e-3, 1e-6])
def test_saved_states_are_those_of_the_whole_trajectory(tol, karate, features):
    f = field(features, karate)
    times = [0.0, 0.3, 1.0, 5.0]
    options = {"rtol": tol, "atol": tol}
    solution = solve(f, features, (0.0, 5.0), solver="commutator_free", save_at=times, **options)
    expected = by_scipy(f, features, times[1:])
    assert torch.equal(solution.ys[0], features)
    assert (solution.ys[1:] - expected).square().mean().sqrt() < 10 * tol
    assert solution.t_reached == 5.0


def of_layer(solver, features, karate, **options):
    torch.manual_seed(0)
    conv = GRANDPPConv(
        features.size(1), mode="nonlinear", attention="cosine", heads=2, learn_beta=True,
        learn_gain=True, solver=solver, **options,
    ).double()  # fmt: skip
    for parameter in conv.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x = features.clone().requires_grad_()
    weight = torch.linspace(0.5, 2, karate.size(1), dtype=torch.float64).requires_grad_()
    solution = conv.solve(x, karate, weight, torch.tensor([0, 33]))
    loss = (solution.y.sin() * torch.linspace(-1, 1, 34, dtype=torch.float64)[:, None]).sum()
    return solution, torch.autograd.grad(loss, (x, weight, *conv.parameters()))


# Order 2 alone, order 4 as well, and several steps.
@pytest.mark.parametrize(("time", "tol"), [(0.02, 1e-5), (1.0, 1e-6), (4.0, 1e-7)])
def test_gradients_are_those_of_the_solution(time, tol, features, karate):
    options = {"time": time, "rtol": tol, "atol": tol}
    solution, grads = of_layer("commutator_free", features, karate, **options)
    options = {"time": time, "rtol": 1e-11, "atol": 1e-12}
    reference, expected = of_layer("dopri5", features, karate, **options)
    torch.testing.assert_close(solution.y, reference.y, rtol=3 * tol, atol=3 * tol)
    for g, e in zip(grads, expected, strict=True):
        torch.testing.assert_close(g, e, rtol=100 * tol, atol=100 * tol)
    assert solution.stats.nfe_backward > 0


@pytest.mark.parametrize("solver", ["commutator_free", "auto"])
def test_gradients_to_both_times_are_plus_and_minus_the_last_slope(solver, karate, features):
    f = field(features, karate)
    start, end = (torch.tensor(t, dtype=torch.float64, requires_grad=True) for t in (0.0, 2.0))
    y = solve(f, features, (start, end), solver=solver, rtol=1e-7, atol=1e-7).y
    cotangent = torch.randn_like(features)
    to_start, to_end = torch.autograd.grad(y, (start, end), cotangent)
    slope = (f(T0, y.detach()) * cotangent).sum()
    torch.testing.assert_close(to_end, slope, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(to_start, -slope, rtol=1e-4, atol=1e-6)


def test_constants_are_kept(karate):
    x = torch.full((34, 8), 3.0, dtype=torch.float64)
    f = field(x, karate)
    y = solve(f, x, (0.0, 50.0), solver="commutator_free").y
    torch.testing.assert_close(y, x, rtol=1e-12, atol=0)


def test_products_and_operators_are_on_the_bill(karate, features, monkeypatch):
    f, calls = field(0.1 * features, karate), [0]

    def counted(*args):
        calls[0] += 1
        return multiply(*args)

    attend = f.attend

    def attended(*args):
        calls[0] += 1
        return attend(*args)

    monkeypatch.setattr(recursion, "multiply", counted)
    monkeypatch.setattr(commutator_free, "multiply", counted)
    with torch.no_grad():
        stats = solve(
            replace(f, attend=attended), features, (0.0, 3.0), solver="commutator_free"
        ).stats
    assert stats.nfe_forward == calls[0]
    method = CommutatorFree(max_nfe=calls[0] - 1)
    short = solve(f, features, (0.0, 3.0), solver=method, throw=False)
    assert short.status is Status.MAX_NFE
    assert short.stats.nfe_forward < calls[0]
    assert bool(short.y.isnan().all())


def test_a_solution_that_is_dropped_frees_its_graph(karate, features):
    f = field(features, karate)
    dropped = weakref.ref(f)
    solution = solve(f, features, (0.0, 1.0), solver="commutator_free")
    solution.y.sum().backward()
    del f, solution
    gc.collect()
    assert dropped() is None


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_states_kept_for_the_gradient_grow_with_accepted_steps_alone(
    scale, karate, features, monkeypatch
):
    x = (scale * features).requires_grad_()
    f, made = field(x.detach(), karate), []

    def watched(*args):
        y = multiply(*args)
        made.append(weakref.ref(y))
        return y

    monkeypatch.setattr(recursion, "_KEPT_BYTES", 0)  # as if the graph were large
    monkeypatch.setattr(recursion, "multiply", watched)
    solution = solve(f, x, (0.0, 4.0), solver="commutator_free")
    stats = solution.stats
    gc.collect()
    alive = len({id(y()) for y in made if y() is not None})
    # Six exponentials of an accepted step at most, and the memory that all of them share.
    assert stats.rejected > 0
    assert alive <= 6 * stats.steps + 6
    assert len(made) > 1.5 * alive
    solution.y.square().sum().backward()
    assert x.grad is not None


def test_gradients_do_not_depend_on_what_is_kept(karate, features, monkeypatch):
    _, kept = of_layer("commutator_free", features, karate, time=2.0)
    monkeypatch.setattr(recursion, "_KEPT_BYTES", 0)
    monkeypatch.setattr(recursion, "_KEPT_AT_LEAST", 3)
    _, again = of_layer("commutator_free", features, karate, time=2.0)
    for g, e in zip(again, kept, strict=True):
        torch.testing.assert_close(g, e, rtol=1e-9, atol=1e-11)


def test_a_graph_that_is_retained_gives_its_gradient_twice(karate, features):
    x = features.clone().requires_grad_()
    y = solve(field(features, karate), x, (0.0, 2.0), solver="commutator_free").y
    (once,) = torch.autograd.grad(y.square().sum(), x, retain_graph=True)
    (twice,) = torch.autograd.grad(y.square().sum(), x)
    torch.testing.assert_close(once, twice, rtol=1e-12, atol=1e-14)


def test_what_it_cannot_solve_is_said(karate, features):
    f = field(features, karate)
    with pytest.raises(TypeError, match="row-stochastic operator"):
        solve(lambda t, y: -y, features, (0.0, 1.0), solver="commutator_free")
    with pytest.raises(ValueError, match="forwards"):
        solve(f, features, (1.0, 0.0), solver="commutator_free")
    with pytest.raises(ValueError, match="rtol"):
        CommutatorFree(rtol=0.0)
    doubled = replace(f, attend=lambda *args: 2 * f.attend(*args))
    solution = solve(doubled, features, (0.0, 1.0), solver="commutator_free", throw=False)
    assert solution.status is Status.NOT_STOCHASTIC
    broken = replace(f, source=torch.full_like(features, math.nan))
    solution = solve(broken, features, (0.0, 1.0), solver="commutator_free", throw=False)
    assert solution.status is Status.NON_FINITE


def test_auto_takes_it_for_nonlinear_diffusion(karate, features):
    features = 0.1 * features
    conv = GRANDConv(features.size(1), time=3.0, mode="nonlinear").double()
    torch.nn.init.normal_(conv.attention.query, std=0.1)
    auto = conv.solve(features, karate)
    own = CommutatorFree().solve(
        conv.prepare(features, karate), features, torch.tensor([0.0, 3.0], dtype=torch.float64)
    )
    assert torch.equal(auto.y, own.y)
    assert auto.stats.methods == [(0.0, "commutator_free")]


@pytest.mark.parametrize("save_at", [[4.0], [0.01, 0.5, 4.0]])
def test_auto_leaves_an_operator_that_changes_fast_to_dopri5(save_at, karate, features):
    f = field(2 * features, karate, std=1.0)
    auto = solve(f, 2 * features, (0.0, 4.0), solver="auto", save_at=save_at, rtol=1e-6, atol=1e-6)
    assert auto.stats.methods[-1][1] == "dopri5"
    expected = by_scipy(f, 2 * features, save_at)
    torch.testing.assert_close(auto.ys, expected, rtol=1e-3, atol=1e-3)
    assert auto.ts.tolist() == save_at
    # One account for both.
    explicit = TorchDiffEq(rtol=1e-6, atol=1e-6).solve(
        f, 2 * features, torch.tensor([0.0, *save_at], dtype=torch.float64)
    )
    assert auto.stats.nfe_forward > explicit.stats.nfe_forward / 2


@pytest.mark.parametrize(("scale", "most"), [(0.3, 300), (1.0, 360)])
def test_the_tolerance_is_met_at_a_bounded_number_of_products(scale, most, karate):
    torch.manual_seed(1)
    x = scale * torch.randn(34, 8, dtype=torch.float64)
    f = field(x, karate, attention="cosine")
    solution = solve(f, x, (0.0, 6.0), solver="commutator_free")
    expected = by_scipy(f, x, [6.0])[0]
    off = (solution.y - expected) / (1e-5 + 1e-4 * expected.abs())
    assert off.square().mean().sqrt() < 4
    assert solution.stats.nfe_forward < most
