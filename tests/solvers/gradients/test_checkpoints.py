"""Direct, adjoint, checkpoint and implicit gradients: equal, counted, and never lost in silence."""

from __future__ import annotations

import pytest
import torch

from grandpp.layers import GRANDConv
from grandpp.solvers import SolveError, Status, TorchDiffEq, resolve_solver, solve
from grandpp.solvers.explicit.torchdiffeq import METHODS, ONE_STEP_METHODS

F64 = torch.float64
ADAPTIVE = ("adaptive_heun", "bosh3", "dopri5", "dopri8", "fehlberg2")
CHECKPOINTED = (*ONE_STEP_METHODS, "tsit5")
OPTIONS = {
    name: {"rtol": 1e-3, "atol": 1e-4} if name in (*ADAPTIVE, "tsit5") else {"step_size": 0.07}
    for name in CHECKPOINTED
}


class Net(torch.nn.Module):
    """Depends on time, on parameters, and on parameters of a module inside."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.inner = torch.nn.Linear(3, 3).double()
        self.scale = torch.nn.Parameter(torch.tensor(0.7, dtype=F64))
        self.frozen = torch.nn.Parameter(torch.ones(3, dtype=F64), requires_grad=False)

    def forward(self, t, y):
        return self.scale * torch.tanh(self.inner(y)) * (1 + t.sin()) - self.frozen * y


class Pull:
    """Names what it captured; one of the two was computed from the other."""

    def __init__(self, rate, target):
        self.rate, self.target = rate, target

    @property
    def captured(self):
        return (self.rate, self.target)

    def bind(self, captured):
        return Pull(*captured)

    def __call__(self, t, y):
        return self.rate * (self.target - y) + t.cos() * y.sin()


class Pendulum(Pull):
    """On a tuple of parts of different shapes."""

    def bind(self, captured):
        return Pendulum(*captured)

    def __call__(self, t, y):
        x, v = y
        return v.sum(0), -self.rate * x.sin() - v * self.target + t


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7), dtype=F64)


def of_module(gradient, method, times, **options):
    net = Net()
    y0 = draw(4, 3).requires_grad_()
    ts = torch.tensor(times, dtype=F64, requires_grad=gradient != "adjoint")
    solution = solve(
        net, y0, (ts[0], ts[-1]), solver=method, save_at=ts[1:], gradient=gradient, **options
    )
    solution.ys.pow(3).sum().backward()
    assert net.frozen.grad is None
    return [y0.grad, *(p.grad for p in net.parameters() if p.requires_grad), ts.grad], solution


def of_bound(gradient, method, times, field=Pull, **options):
    seed = torch.tensor(0.8, dtype=F64, requires_grad=True)
    rate = seed.exp()
    target = (rate * draw(3)).tanh()
    y0 = seed * draw(3)
    if field is Pendulum:
        y0 = (y0, draw(2, 3).requires_grad_())
    span = (times[0], times[-1])
    if gradient is not None:
        options["gradient"] = gradient
    solution = solve(field(rate, target), y0, span, solver=method, save_at=times[1:], **options)
    ys = solution.ys if field is Pendulum else (solution.ys,)
    sum((k + 1) * y.pow(2).cumsum(0).sum() for k, y in enumerate(ys)).backward()
    return [seed.grad, y0[1].grad if field is Pendulum else None], solution


def assert_equal(found, expected, tol=1e-10):
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert bool(b.abs().max() > 1e-3)
            torch.testing.assert_close(a, b, rtol=tol, atol=tol)


@pytest.mark.parametrize("method", CHECKPOINTED)
@pytest.mark.parametrize("times", [(0.0, 2.0), (0.0, 0.3, 0.35, 1.1, 2.0), (1.5, 1.2, 0.1, -0.2)])
def test_checkpoint_gradients_are_the_direct_ones_for_states_parameters_and_times(method, times):
    direct, expected = of_module("direct", method, times, **OPTIONS[method])
    found, solution = of_module("checkpoint", method, times, **OPTIONS[method])
    assert torch.equal(solution.ys, expected.ys)
    stats, of_direct = solution.stats, expected.stats
    assert (stats.steps, stats.rejected) == (of_direct.steps, of_direct.rejected)
    assert stats.nfe_forward == of_direct.nfe_forward
    # Where steps end at saved times, their length moves with those in torchdiffeq, not so here:
    # gradients to times then differ by the error of the solution.
    assert_equal(found[:-1], direct[:-1])
    accuracy = {"dopri8": 1e-6, "bosh3": 1e-2}.get(method, 1e-10)
    assert_equal(found[-1:], direct[-1:], accuracy)


@pytest.mark.parametrize("gradient", ["direct", "checkpoint"])
@pytest.mark.parametrize("method", [*ADAPTIVE, "tsit5"])
def test_gradients_to_times_are_the_derivatives_of_the_solution(method, gradient):
    times = (0.0, 0.3, 0.35, 1.1, 2.0)
    # The derivative of an interpolant is less accurate than its states, most of all in low order.
    low = method in ("adaptive_heun", "fehlberg2")
    tolerance, accuracy = (1e-8, 2e-3) if low else (1e-9, 1e-6)
    found, solution = of_module(gradient, method, times, rtol=tolerance, atol=tolerance)
    # The loss is the sum of cubes, so its derivative to a saved time is 3 y^2 f(t, y).
    field = Net()
    expected = [
        (3 * y.square() * field(t, y)).sum()
        for t, y in zip(solution.ts.detach(), solution.ys.detach(), strict=True)
    ]
    torch.testing.assert_close(found[-1][1:], torch.stack(expected), rtol=accuracy, atol=accuracy)


@pytest.mark.parametrize("method", CHECKPOINTED)
@pytest.mark.parametrize("field", [Pull, Pendulum])
@pytest.mark.parametrize("times", [(0.0, 0.4, 0.5, 2.0), (2.0, 1.0, 0.5)])
def test_checkpoint_gradients_reach_what_a_field_captured_and_parts_of_a_state(
    method, field, times
):
    direct, _ = of_bound("direct", method, times, field, **OPTIONS[method])
    found, _ = of_bound("checkpoint", method, times, field, **OPTIONS[method])
    assert_equal(found, direct)


def test_rejected_steps_leave_the_gradient_alone():
    def run(gradient):
        y0 = torch.tensor([3.0, 1.0], dtype=F64, requires_grad=True)
        f = torch.nn.Linear(2, 2, bias=False).double()
        torch.nn.init.eye_(f.weight)

        class Stiff(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.f = f

            def forward(self, t, y):
                return -200 * (self.f(y) - (5 * t).cos())

        solution = solve(Stiff(), y0, (0.0, 1.0), rtol=1e-6, atol=1e-8, gradient=gradient)
        solution.y.square().sum().backward()
        return solution.stats.rejected, f.weight.grad

    (rejected, expected), (same, found) = run("direct"), run("checkpoint")
    assert rejected == same > 0
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("method", ["dopri5", "rk4", "bosh3", "tsit5"])
@pytest.mark.parametrize("run", [of_module, of_bound])
def test_adjoint_gradients_are_the_direct_ones_to_tolerance(method, run):
    options = {"rtol": 1e-8, "atol": 1e-9} if method != "rk4" else {"step_size": 0.01}
    times = (0.0, 0.3, 0.9)
    direct, _ = run("direct", method, times, **options)
    found, _ = run("adjoint", method, times, **options)
    if run is of_module:  # no gradient to times was asked for here
        direct, found = direct[:-1], found[:-1]
    assert_equal(found, direct, tol=3e-5)


def test_implicit_gradients_agree_with_those_of_all_others():
    times = (0.0, 0.3, 0.9)
    tight = {"rtol": 1e-9, "atol": 1e-10}
    direct, _ = of_bound("direct", "dopri5", times, **tight)
    assert_equal(of_bound("checkpoint", "dopri5", times, **tight)[0], direct)
    assert_equal(of_bound("adjoint", "dopri5", times, **tight)[0], direct, tol=1e-6)
    implicit, _ = of_bound(None, "prox_bdf4", times, step_size=0.01, inner_tol=1e-11)
    assert_equal(implicit, direct, tol=1e-5)


@pytest.mark.parametrize("method", ["heun3", "dopri5", "tsit5"])
def test_checkpoint_gradients_pass_gradcheck(method):
    # Tight, because finite differences also see the step sizes change.
    options = {"step_size": 0.23} if method == "heun3" else {"rtol": 1e-11, "atol": 1e-12}

    def run(y0, rate, target):
        field = Pull(rate, target)
        return solve(
            field,
            y0,
            (0.0, 1.0),
            solver=method,
            save_at=[0.4, 1.0],
            gradient="checkpoint",
            **options,
        ).ys

    inputs = (draw(2), torch.tensor(0.9, dtype=F64), draw(2).flip(0))
    assert torch.autograd.gradcheck(run, [x.requires_grad_() for x in inputs], atol=1e-5)


class Deep(Pull):
    """Stores more than one state per evaluation, as attention does."""

    def bind(self, captured):
        return Deep(*captured)

    def __call__(self, t, y):
        for _ in range(4):
            y = y.tanh() + y.square() * 0.01
        return super().__call__(t, y)


class Held:
    """A tensor that autograd holds; the peak counts those held at once."""

    now = peak = 0

    def __init__(self, tensor):
        # Detached: an output that held its own graph would never be freed.
        self.tensor, self.size = tensor.detach(), tensor.numel()
        Held.now += self.size
        Held.peak = max(Held.peak, Held.now)

    def __del__(self):
        Held.now -= self.size


def held(gradient, method, end):
    """Numbers held at the end of the forward pass, at most, and what the solve cost."""
    Held.now = Held.peak = 0
    y0 = draw(1000).requires_grad_()
    field = Deep(torch.tensor(1.2, dtype=F64, requires_grad=True), draw(1000))
    options = dict(OPTIONS[method], gradient=gradient)
    with torch.autograd.graph.saved_tensors_hooks(Held, lambda h: h.tensor):
        solution = solve(field, y0, (0.0, end), solver=method, **options)
        forward = Held.now
        solution.y.sum().backward()
    return forward, Held.peak, solution.stats


@pytest.mark.parametrize("method", ["rk4", "dopri5", "adaptive_heun", "tsit5"])
def test_checkpoints_keep_one_state_per_step_and_the_graph_of_one_step(method):
    kept, peak, stats = held("checkpoint", method, 12.0)
    direct, direct_peak, _ = held("direct", method, 12.0)
    assert stats.steps >= 10
    # This method also keeps the slope that a step takes over from the one before it.
    states = 2 * stats.steps - 1 if method == "adaptive_heun" else stats.steps
    others = 1001 + (stats.steps + 1 if method == "rk4" else 2)  # captured, times
    assert kept == 1000 * states + others
    # Beyond that, about one step's share of what back-propagation through all steps holds.
    assert peak - kept < 5 * direct / stats.steps
    assert peak < direct_peak / 2


@pytest.mark.parametrize(("method", "stages"), [("rk4", 4), ("dopri5", 6)])
def test_recomputed_evaluations_and_products_are_both_counted(method, stages):
    stats = held("checkpoint", method, 1.0)[2]
    recomputed = stages + (method == "dopri5")  # a step's first slope is recomputed as well
    assert stats.nfe_backward == stats.steps * recomputed + stats.steps * stages + (
        method == "dopri5"
    )


def test_the_graph_can_be_used_twice_and_only_while_nothing_changed():
    seed = torch.tensor(0.8, dtype=F64, requires_grad=True)
    y0 = draw(3).requires_grad_()
    y = solve(Pull(seed, draw(3)), y0, (0.0, 1.0), gradient="checkpoint").y
    first = torch.autograd.grad(y.sum(), [seed, y0], retain_graph=True)
    again = torch.autograd.grad(y.sum(), [seed, y0], retain_graph=True)
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    with torch.no_grad():
        seed += 1.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("gradient", ["adjoint", "checkpoint"])
def test_a_function_that_captured_tensors_is_refused_and_others_cost_no_evaluation(gradient):
    w = torch.tensor(0.8, dtype=F64, requires_grad=True)
    y0 = draw(3).requires_grad_()
    for state, f in (
        (y0, lambda t, y: -w * y),
        ((y0, y0), lambda t, y: (-y[0], -w * y[1])),
        (y0, Net().forward),
    ):
        with pytest.raises(ValueError, match=r"nn\.Module or a BoundField, or gradient='direct'"):
            solve(f, state, (0.0, 1.0), gradient=gradient)
    solve(Net(), y0, (0.0, 1.0), gradient=gradient)
    with torch.no_grad():
        solve(lambda t, y: -w * y, y0, (0.0, 1.0), gradient=gradient)

    def free(t, y):
        return -y

    options = {"solver": "euler", "step_size": 0.1, "gradient": gradient}
    assert solve(free, y0, (0.0, 1.0), **options).stats.nfe_forward == 10
    with torch.no_grad():
        assert solve(free, y0, (0.0, 1.0), **options).stats.nfe_forward == 10


def test_failures_have_the_same_status_from_checkpoints():
    y0 = torch.ones(2, dtype=F64, requires_grad=True)
    cases = {
        Status.NON_FINITE: (lambda t, y: (8 * y) ** 3, {"solver": "euler", "step_size": 0.2}),
        Status.MAX_NFE: (lambda t, y: -1e5 * (y - t.cos()), {"max_nfe": 20}),
        Status.STEP_UNDERFLOW: (lambda t, y: y * y, {}),
    }
    for status, (f, options) in cases.items():
        kinds = [
            solve(f, y0, (0.0, 2.0), throw=False, gradient=gradient, **options)
            for gradient in ("direct", "checkpoint")
        ]
        assert [s.status for s in kinds] == [status, status]
        assert bool(kinds[1].y.isnan().all())
        assert kinds[1].t_reached == pytest.approx(kinds[0].t_reached, abs=0.01)
    with pytest.raises(SolveError, match="budget"):
        solve(cases[Status.MAX_NFE][0], y0, (0.0, 2.0), max_nfe=20, gradient="checkpoint")


def test_wrong_choices_are_refused_in_words():
    with pytest.raises(ValueError, match=r"one of direct, adjoint, checkpoint \(got 'x'\)"):
        resolve_solver("dopri5", gradient="x")
    assert set(ONE_STEP_METHODS) == {*ADAPTIVE, "euler", "midpoint", "heun2", "heun3", "rk4"}
    for method in sorted(set(METHODS) - set(ONE_STEP_METHODS)):
        with pytest.raises(ValueError, match=rf"one-step method .*dopri5.*got '{method}'"):
            TorchDiffEq(method, gradient="checkpoint")


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("solver", ["dopri5", "rk4", "tsit5"])
@pytest.mark.parametrize("mode", ["linear", "nonlinear"])
def test_a_layer_learns_the_same_from_checkpoints(dtype, solver, mode, karate):
    def run(gradient):
        torch.manual_seed(0)
        encoder = torch.nn.Linear(5, 8).to(dtype)
        conv = GRANDConv(
            8, time=3.0, mode=mode, heads=2, learn_beta=True, solver=solver, gradient=gradient
        ).to(dtype)
        for parameter in conv.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        conv(encoder(draw(34, 5).to(dtype)), karate).pow(3).sum().backward()
        return [p.grad for p in (*conv.parameters(), *encoder.parameters())]

    tol = 1e-10 if dtype is F64 else 1e-4
    for found, expected in zip(run("checkpoint"), run("direct"), strict=True):
        assert float((found - expected).abs().max()) <= tol * float(expected.abs().max())
