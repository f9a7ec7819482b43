"""tsit5: accuracy, cost, gradients, failures."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import solve_ivp

from grandpp.fields import MLPField
from grandpp.layers import GRANDConv, NeuralODE
from grandpp.solvers import SolveError, Status, Tsit5, solve

F64 = torch.float64
Y0 = torch.tensor([1.0, 0.5], dtype=F64)


def van_der_pol(t, y):
    return torch.stack([y[1], 3 * (1 - y[0] ** 2) * y[1] - y[0]])


def tsit5(f, y0, span, **options):
    return solve(f, y0, span, solver="tsit5", **options)


def test_the_error_follows_the_tolerance_and_the_cost_is_that_of_a_fifth_order_method():
    exact = solve_ivp(
        lambda t, y: [y[1], 3 * (1 - y[0] ** 2) * y[1] - y[0]],
        (0, 6), Y0.tolist(), method="DOP853", rtol=1e-12, atol=1e-12,
    ).y[:, -1]  # fmt: skip
    errors, costs = [], []
    for tol in (1e-4, 1e-6, 1e-8):
        solution = tsit5(van_der_pol, Y0, (0.0, 6.0), rtol=tol, atol=tol)
        errors.append(float((solution.y - torch.as_tensor(exact)).abs().max()))
        costs.append(solution.stats.nfe_forward)
        assert errors[-1] < 50 * tol  # the limit cycle amplifies errors on its way
    # Steps shrink by 100^(1/5) = 2.5 where the tolerance does by 100.
    assert 1.5 < costs[1] / costs[0] < 3.5
    assert 1.5 < costs[2] / costs[1] < 3.5
    assert errors[2] < errors[0] / 1000


def test_at_equal_error_it_needs_fewer_evaluations_than_dopri5():
    exact = torch.linalg.matrix_exp(10 * torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=F64)) @ Y0

    def cost(solver, tol):
        solution = solve(lambda t, y: torch.stack([y[1], -y[0]]), Y0, (0.0, 10.0), solver=solver,
                         rtol=tol, atol=tol)  # fmt: skip
        return float((solution.y - exact).norm()), solution.stats.nfe_forward

    error, evaluations = cost("dopri5", 1e-6)
    better = [cost("tsit5", 1e-6 * 1.5**k) for k in range(12)]
    assert min(n for e, n in better if e <= error) < 0.9 * evaluations


def test_every_evaluation_is_counted_and_one_saved_by_a_first_step():
    calls = []
    y0 = Y0.clone().requires_grad_()
    solution = tsit5(lambda t, y: calls.append(t) or y.cos(), y0, (0.0, 3.0))
    stats = solution.stats
    assert stats.steps > 1
    assert len(calls) == stats.nfe_forward == 6 * (stats.steps + stats.rejected) + 2
    assert stats.nfe_backward == 0
    solution.y.sum().backward()
    # The last slope of all and the probe for the first step do not reach the result.
    assert stats.nfe_backward == 6 * stats.steps
    first = tsit5(lambda t, y: y.cos(), Y0, (0.0, 3.0), first_step=0.1).stats
    assert first.nfe_forward == 6 * (first.steps + first.rejected) + 1


@pytest.mark.parametrize(("saved", "last"), [(None, 0), ([0.1, 3.0], 1)])
def test_checkpoints_take_the_last_slope_of_a_step_again_only_for_states_saved_inside(saved, last):
    y0 = Y0.clone().requires_grad_()
    options = {"save_at": saved, "gradient": "checkpoint"}
    solution = tsit5(lambda t, y: y.cos(), y0, (0.0, 3.0), **options)
    solution.ys.sum().backward()
    stats = solution.stats
    assert stats.steps > 2
    assert stats.nfe_backward == 12 * stats.steps + 2 * last


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_tuples_complex_parts_saved_times_and_both_directions(direction):
    ends = [direction * t for t in (0.5, 1.0, 2.0)]
    y0 = (Y0, torch.ones(2, 1, dtype=torch.complex128))
    solution = tsit5(
        lambda t, y: (-direction * y[0], 1j * direction * y[1]),
        y0, (0.0, ends[-1]), save_at=[0.0, *ends], rtol=1e-8, atol=1e-8,
    )  # fmt: skip
    for i, t in enumerate((0.0, 0.5, 1.0, 2.0)):
        torch.testing.assert_close(solution.ys[0][i], Y0 * math.exp(-t), rtol=0, atol=2e-7)
        turned = y0[1] * complex(math.cos(t), math.sin(t))
        torch.testing.assert_close(solution.ys[1][i], turned, rtol=0, atol=2e-7)
    assert solution.t_reached == ends[-1]


def test_the_worst_part_of_a_tuple_decides_on_the_steps():
    def f(t, y):
        return (-y[0], torch.zeros_like(y[1]))

    alone = tsit5(lambda t, y: -y, Y0, (0.0, 3.0), first_step=0.1).stats
    beside = tsit5(f, (Y0, torch.ones(1000, dtype=F64)), (0.0, 3.0), first_step=0.1).stats
    assert (alone.steps, alone.next_step) == (beside.steps, pytest.approx(beside.next_step))


@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.complex64])
def test_precision_shape_and_the_type_of_time_are_kept(dtype):
    def f(t, y):
        assert t.dtype == dtype.to_real()
        assert t.shape == ()
        assert y.dtype == dtype
        return -y

    y0 = torch.ones(2, 1, 3, dtype=dtype)
    y = tsit5(f, y0, (0.0, 1.0)).y
    assert (y.dtype, y.shape) == (dtype, y0.shape)
    torch.testing.assert_close(y, y0 * math.exp(-1), rtol=1e-4, atol=0)


def test_a_chain_of_short_spans_goes_on_with_the_proposed_step():
    def f(t, y):
        return torch.stack([y[1], -y[0]])

    options = {"rtol": 1e-6, "atol": 1e-6}
    y, step, evaluations = Y0, None, []
    for k in range(20):
        solution = tsit5(f, y, (0.05 * k, 0.05 * (k + 1)), first_step=step, **options)
        y, step = solution.y, solution.stats.next_step
        evaluations.append(solution.stats.nfe_forward)
        assert step > 0.05
    assert evaluations[1:] == [7] * 19
    whole = tsit5(f, Y0, (0.0, 1.0), **options)
    torch.testing.assert_close(y, whole.y, rtol=0, atol=1e-6)
    # Carried over spans that say nothing about it, the proposal is still a sound one.
    assert 0.1 < step / whole.stats.next_step < 10
    assert solve(f, Y0, (0.0, 1.0)).stats.next_step is None


def test_gradients_are_those_of_the_solution_to_states_tensors_and_both_times():
    a = torch.tensor(1.5, dtype=F64, requires_grad=True)
    y0 = torch.tensor([0.7], dtype=F64, requires_grad=True)
    start = torch.tensor(0.2, dtype=F64, requires_grad=True)
    saved = torch.tensor([0.9, 2.0], dtype=F64, requires_grad=True)

    def exact(y0, a, start, t):
        q = 1 + a * a
        forced = (a * t.sin() - t.cos()) / q
        return (y0 - (a * start.sin() - start.cos()) / q) * torch.exp(-a * (t - start)) + forced

    wanted = torch.autograd.grad(exact(y0, a, start, saved).sum(), (y0, a, start, saved))
    solution = tsit5(
        lambda t, y: -a * y + t.sin(), y0, (start, saved[-1]), save_at=saved, rtol=1e-10, atol=1e-10
    )
    got = torch.autograd.grad(solution.ys.sum(), (y0, a, start, saved))
    for g, w in zip(got, wanted, strict=True):
        torch.testing.assert_close(g, w, rtol=1e-6, atol=1e-8)


def test_direct_gradients_can_be_differentiated_again():
    def run(y0, rate):
        return tsit5(lambda t, y: -rate * y * y, y0, (0.0, 0.6), rtol=1e-9, atol=1e-9).y

    inputs = (
        torch.tensor([0.5, 1.0], dtype=F64, requires_grad=True),
        torch.tensor(0.8, dtype=F64, requires_grad=True),
    )
    assert torch.autograd.gradcheck(run, inputs, atol=1e-5)
    assert torch.autograd.gradgradcheck(run, inputs, atol=1e-4)


def test_rejected_steps_leave_the_gradient_alone():
    def run(**options):
        w = torch.tensor([2.0, 0.3], dtype=F64, requires_grad=True)
        solution = tsit5(lambda t, y: (w * y).sin() * 3, Y0, (0.0, 2.0), rtol=1e-6, atol=1e-6,
                         **options)  # fmt: skip
        solution.y.square().sum().backward()
        return w.grad, solution.stats

    found, stats = run(first_step=2.0)
    assert stats.rejected > 0
    assert stats.nfe_backward == 6 * stats.steps
    torch.testing.assert_close(found, run()[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("gradient", ["direct", "adjoint", "checkpoint"])
@pytest.mark.parametrize(
    ("field", "options", "status"),
    [
        (lambda t, y: y * math.nan, {}, Status.NON_FINITE),
        (lambda t, y: torch.where(t > 0.7, math.nan, -y), {}, Status.NON_FINITE),
        (lambda t, y: y * y, {}, Status.STEP_UNDERFLOW),
        (lambda t, y: -1e5 * (y - t.cos()), {"max_nfe": 50}, Status.MAX_NFE),
    ],
)
def test_failures_are_values(field, options, status, gradient):
    y0 = torch.ones(2, dtype=F64, requires_grad=True)
    solution = tsit5(field, y0, (0.0, 2.0), throw=False, gradient=gradient, **options)
    assert solution.status is status
    assert solution.t_reached < 1.01
    assert bool(torch.isnan(solution.y).all())
    if status is Status.MAX_NFE:
        assert solution.stats.nfe_forward == 50
    with pytest.raises(SolveError, match="tsit5 stopped at t ="):
        tsit5(field, y0, (0.0, 2.0), gradient=gradient, **options)


@pytest.mark.parametrize("gradient", ["adjoint", "checkpoint"])
def test_a_function_that_captured_tensors_is_refused_where_they_would_get_no_gradient(gradient):
    w = torch.tensor(0.8, dtype=F64, requires_grad=True)
    with pytest.raises(ValueError, match=r"nn\.Module or a BoundField, or gradient='direct'"):
        tsit5(lambda t, y: -w * y, Y0, (0.0, 1.0), gradient=gradient)
    plain = tsit5(lambda t, y: -y, Y0.clone().requires_grad_(), (0.0, 1.0), gradient=gradient)
    assert plain.stats.nfe_forward == 6 * plain.stats.steps + 2


def test_layers_take_it_by_name(karate):
    torch.manual_seed(0)
    x = torch.randn(34, 4, dtype=F64)
    for mode in ("linear", "nonlinear"):
        conv = GRANDConv(4, time=3.0, mode=mode, solver="tsit5", rtol=1e-8, atol=1e-8).double()
        same = GRANDConv(4, time=3.0, mode=mode, solver="dopri5", rtol=1e-8, atol=1e-8).double()
        same.load_state_dict(conv.state_dict())
        torch.testing.assert_close(conv(x, karate), same(x, karate), rtol=1e-6, atol=1e-7)
    node = NeuralODE(MLPField(4, (8,)), "hbnode", solver="tsit5", gradient="adjoint").double()
    assert node.solver == Tsit5(gradient="adjoint")
    node(x).sum().backward()
    assert all(p.grad is not None for p in node.field.parameters())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rtol": 0.0}, "rtol to be positive"),
        ({"first_step": -1.0}, r"first_step to be positive and finite \(got -1"),
        ({"max_nfe": math.inf}, "max_nfe to be positive and finite"),
        ({"gradient": "implicit"}, r"one of direct, adjoint, checkpoint \(got 'implicit'\)"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Tsit5(**options)


@pytest.mark.parametrize("gradient", ["direct", "checkpoint", "adjoint"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_right_hand_side_is_never_evaluated_outside_of_the_time_span(dtype, gradient):
    seen = []
    for start, end in ((0.1, 1.0), (0.3, 0.9), (1.7, 0.3), (1e3 + 0.1, 1e3 + 0.7), (0.0, 1e-3)):
        low, high = min(start, end), max(start, end)

        class Field(torch.nn.Module):
            def forward(self, t, y):
                seen.append(float(t))
                return -y * t.cos()

        y0 = torch.ones(2, dtype=dtype, requires_grad=True)
        seen.clear()
        solve(Field(), y0, (start, end), solver="tsit5", gradient=gradient).y.sum().backward()
        bounds = torch.tensor([low, high], dtype=torch.float64).to(dtype).tolist()
        assert bounds[0] <= min(seen)
        assert max(seen) <= bounds[1]
