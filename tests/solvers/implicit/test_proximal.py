"""The proximal solvers: order, stability, implicit gradients, failures."""

from __future__ import annotations

import math

import pytest
import torch

from grandpp.solvers import Proximal, SolveError, Status, solve
from grandpp.solvers.implicit.inner import INNER_SOLVERS
from grandpp.solvers.implicit.schemes import PROXIMAL_METHODS, SCHEMES

TIGHT = {"inner_tol": 1e-13}


def decay(t, y):
    return -y


def random_system(size=4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(size, size, generator=generator, dtype=torch.float64) / 2
    return a, torch.randn(size, 2, generator=generator, dtype=torch.float64)


def diffusion(n=128):
    """u_t = u_xx on a periodic grid as the thesis has it: largest eigenvalue 4/dx^2 = 64,516."""
    dx = 1 / (n - 1)
    x = torch.linspace(0, 1, n, dtype=torch.float64)

    def f(t, u):
        return (u.roll(1) + u.roll(-1) - 2 * u) / dx**2

    u0 = torch.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    matrix = torch.stack([f(None, row) for row in torch.eye(n, dtype=torch.float64)])
    return f, u0, matrix


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("prox_be", 1),
        ("prox_cn", 2),
        ("prox_bdf2", 2),
        ("prox_bdf3", 3),
        ("prox_bdf4", 4),
        ("prox_ms2", 2),
        ("prox_ms3", 3),
    ],
)
def test_methods_have_their_order_against_the_matrix_exponential(name, order):
    a, y0 = random_system()
    exact = torch.matrix_exp(a) @ y0
    steps = torch.tensor([1 / 16, 1 / 32, 1 / 64, 1 / 128], dtype=torch.float64)
    errors = []
    for h in steps:
        solution = solve(
            lambda t, y: a @ y, y0, (0.0, 1.0), solver=name, step_size=float(h), **TIGHT
        )
        errors.append((solution.y - exact).norm())
        assert solution.stats.steps == round(1 / float(h))
    x, e = steps.log(), torch.stack(errors).log()
    slope = float(((x - x.mean()) * (e - e.mean())).sum() / (x - x.mean()).square().sum())
    assert abs(slope - order) < 0.3
    assert Proximal(name).order == order


@pytest.mark.parametrize("start", ["prox_bdf2", "prox_bdf3", "prox_bdf4", "prox_ms2", "prox_ms3"])
def test_starting_methods_have_the_order_of_the_method_also_in_time(start):
    # One step from t = 0: the local error of y' = -y + cos t falls as s^(order + 1).
    def exact(t):
        return (math.cos(t) + math.sin(t)) / 2 + math.exp(-t) / 2

    y0 = torch.ones(1, dtype=torch.float64)
    errors = []
    for s in (0.05, 0.025):
        y = solve(lambda t, y: t.cos() - y, y0, (0.0, s), solver=start, **TIGHT).y
        errors.append(abs(float(y) - exact(s)))
    assert math.log2(errors[0] / errors[1]) > SCHEMES[start].order + 0.7


@pytest.mark.parametrize("inner", tuple(INNER_SOLVERS))
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("s", [0.3, 30.0])
def test_a_backward_euler_step_equals_the_dense_solve(inner, symmetric, s):
    generator = torch.Generator().manual_seed(7)
    raw = torch.randn(30, 30, generator=generator, dtype=torch.float64) / 30**0.5
    skew = raw - raw.T
    a = -raw @ raw.T - 0.1 * torch.eye(30) + (0.0 if symmetric else 1.0) * skew
    y0 = torch.randn(30, generator=generator, dtype=torch.float64)
    solver = Proximal("prox_be", step_size=s, inner=inner, inner_tol=1e-10, max_inner=5000)
    solution = solve(lambda t, y: a @ y, y0, (0.0, s), solver=solver)
    dense = torch.linalg.solve(torch.eye(30, dtype=torch.float64) - s * a, y0)
    torch.testing.assert_close(solution.y, dense, rtol=1e-7, atol=1e-8)
    assert solution.stats.steps == 1
    assert 0 < solution.stats.max_residual <= 1e-10


@pytest.mark.parametrize("name", PROXIMAL_METHODS)
def test_stiff_problems_are_stable_at_steps_no_explicit_method_survives(name):
    # Prothero-Robinson h' = -50 (h - cos t): s * lambda = 5.
    y0 = torch.zeros(1, dtype=torch.float64)
    solution = solve(lambda t, y: -50 * (y - t.cos()), y0, (0.0, 3.0), solver=name, step_size=0.1)
    exact = (2500 * math.cos(3) + 50 * math.sin(3)) / 2501
    assert abs(float(solution.y) - exact) < 2e-3


@pytest.mark.parametrize("name", PROXIMAL_METHODS)
def test_diffusion_with_s_lambda_32_is_solved_with_few_evaluations(name):
    f, u0, matrix = diffusion()
    solution = solve(f, u0, (0.0, 0.1), solver=name, step_size=1 / 2000, inner_tol=1e-9)
    exact = torch.matrix_exp(0.1 * matrix) @ u0
    assert (solution.y - exact).abs().max() < 2e-4
    # An explicit method is held to 64516 / 2.8 stages per unit of time or more.
    assert solution.stats.steps == 200
    assert solution.stats.nfe_forward < 200 * 30


def test_evaluations_are_counted_one_by_one():
    f, u0, _ = diffusion()
    calls = 0

    def counted(t, u):
        nonlocal calls
        calls += 1
        return f(t, u)

    stats = solve(counted, u0, (0.0, 0.01), solver="prox_bdf3", step_size=1 / 2000).stats
    assert stats.nfe_forward == calls
    assert stats.steps == 20
    assert 0 < stats.inner_iterations < calls


def test_a_state_moving_smoothly_is_extrapolated_and_costs_fewer_iterations_later():
    f, u0, _ = diffusion()
    early = solve(f, u0, (0.0, 0.005), solver="prox_bdf3", step_size=0.0005).stats
    later = solve(f, u0, (0.0, 0.1), solver="prox_bdf3", step_size=0.0005).stats
    assert later.inner_iterations / later.steps < 0.7 * early.inner_iterations / early.steps


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", PROXIMAL_METHODS)
def test_dtype_and_shape_are_kept_for_tensors_and_tuples(dtype, name):
    y0 = (torch.ones(2, 3, dtype=dtype), torch.full((), 2.0, dtype=dtype))
    times = [0.0, 0.4, 1.0]
    solution = solve(
        lambda t, y: (-y[0], -2 * y[1]), y0, (0.0, 1.0), solver=name, step_size=0.05, save_at=times
    )
    assert [y.dtype for y in solution.ys] == [dtype, dtype]
    assert [tuple(y.shape) for y in solution.ys] == [(3, 2, 3), (3,)]
    assert solution.stats.steps == 20
    error = 0.1 if SCHEMES[name].order == 1 else 0.008
    expected = torch.tensor(times, dtype=dtype).neg().exp()
    torch.testing.assert_close(solution.ys[0][:, 0, 0], expected, rtol=error, atol=0)
    torch.testing.assert_close(solution.ys[1], 2 * expected**2, rtol=error, atol=0)


def test_segments_of_other_steps_start_the_history_again_and_keep_the_order():
    y0 = torch.ones(1, dtype=torch.float64)
    errors = []
    for step in (0.1, 0.05):
        solution = solve(
            decay, y0, (0.0, 2.0), solver="prox_bdf4", step_size=step, save_at=[0.73, 2.0], **TIGHT
        )
        errors.append(abs(float(solution.y) - math.exp(-2)))
    assert 3.7 < math.log2(errors[0] / errors[1]) < 5.5


def test_backward_time_undoes_forward_time():
    a, y0 = random_system()
    for t0, t1 in ((0.0, 1.0), (1.0, 0.0)):
        solution = solve(
            lambda t, y: a @ y, y0, (t0, t1), solver="prox_bdf4", step_size=0.02, **TIGHT
        )
        torch.testing.assert_close(
            solution.y, torch.matrix_exp((t1 - t0) * a) @ y0, rtol=1e-5, atol=1e-5
        )


def test_complex_states_turn():
    y0 = torch.ones(2, dtype=torch.complex128)
    solution = solve(lambda t, y: 1j * y, y0, (0.0, 1.0), solver="prox_cn", step_size=0.01, **TIGHT)
    assert solution.y.dtype is torch.complex128
    torch.testing.assert_close(
        solution.y, y0 * complex(math.cos(1), math.sin(1)), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("name", PROXIMAL_METHODS)
def test_implicit_gradients_pass_gradcheck_for_state_parameters_and_end_time(name):
    generator = torch.Generator().manual_seed(3)

    def leaf(*size):
        return torch.randn(*size, generator=generator, dtype=torch.float64).requires_grad_()

    def run(y0, weight, bias, end):
        def f(t, y):
            return torch.tanh(y @ weight + t * bias) - 3 * y + y0.mean()

        # 0.67 is no multiple of the step: the number of steps does not jump.
        return solve(f, y0, (0.0, end), solver=name, step_size=0.15, **TIGHT).y

    end = torch.tensor(0.67, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(run, (leaf(2, 3), leaf(3, 3), leaf(3), end))


def test_gradients_agree_with_those_through_dopri5():
    a, y0 = random_system()
    grads = []
    for solver, options in (
        ("dopri5", {"rtol": 1e-10, "atol": 1e-12}),
        ("prox_bdf4", {"step_size": 0.01, **TIGHT}),
    ):
        w = (a - torch.eye(4)).requires_grad_()
        y = y0.clone().requires_grad_()

        def f(t, z, w=w):
            return torch.tanh(w @ z)

        solution = solve(f, y, (0.0, 1.0), solver=solver, **options)
        solution.y.pow(3).sum().backward()
        grads.append((w.grad, y.grad))
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-5, atol=1e-6)


def test_inner_iterations_leave_nothing_in_the_graph_and_vjps_are_counted():
    a, y0 = random_system()
    w = (a - torch.eye(4)).requires_grad_()
    saved = []

    def keep(tensor):
        saved.append(tensor.numel())
        return tensor

    used = []
    for tol in (1e-3, 1e-12):
        saved.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            solution = solve(
                lambda t, z: torch.tanh(w @ z),
                y0,
                (0.0, 1.0),
                solver="prox_be",
                step_size=0.1,
                inner_tol=tol,
            )
        used.append((sum(saved), solution.stats.inner_iterations))
    assert used[0][0] == used[1][0]
    assert used[0][1] < used[1][1]

    products = 0

    def tick(grad):
        nonlocal products
        products += 1

    def counted(t, z):
        dz = torch.tanh(w @ z)
        if dz.requires_grad:
            dz.register_hook(tick)
        return dz

    solution = solve(counted, y0, (0.0, 1.0), solver="prox_be", step_size=0.1)
    assert solution.stats.nfe_backward == 0
    solution.y.sum().backward()
    assert solution.stats.nfe_backward == products > 2 * solution.stats.steps


def test_no_grad_stores_nothing_and_evaluates_less():
    w = torch.tensor(-1.0, requires_grad=True)
    y0 = torch.ones(3)
    with torch.no_grad():
        bare = solve(lambda t, y: w * y, y0, (0.0, 1.0), solver="prox_be", step_size=0.1)
    full = solve(lambda t, y: w * y, y0, (0.0, 1.0), solver="prox_be", step_size=0.1)
    assert not bare.y.requires_grad
    assert full.stats.nfe_forward == bare.stats.nfe_forward + 10
    assert torch.equal(full.y.detach(), bare.y)


def test_failures_are_statuses_with_nan_states_and_advice():
    f, u0, _ = diffusion()
    stuck = solve(f, u0, (0.0, 1.0), solver="prox_be", step_size=0.1, max_inner=2, throw=False)
    assert stuck.status is Status.INNER_NOT_CONVERGED
    assert torch.isnan(stuck.y).all()
    with pytest.raises(SolveError, match=r"inner solver.*max_inner"):
        solve(f, u0, (0.0, 1.0), solver="prox_be", step_size=0.1, max_inner=2)

    poor = solve(f, u0, (0.0, 1.0), solver="prox_be", step_size=0.001, max_nfe=300, throw=False)
    assert poor.status is Status.MAX_NFE
    assert poor.stats.nfe_forward == 300
    assert 0 < poor.t_reached < 1

    nan = solve(
        lambda t, y: y * (math.nan if t > 0.5 else -1.0),
        u0,
        (0.0, 1.0),
        solver="prox_bdf2",
        step_size=0.1,
        throw=False,
    )
    assert nan.status is Status.NON_FINITE
    assert nan.t_reached == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "prox_bdf9"}, "prox_bdf4.*prox_bdf9"),
        ({"step_size": 0.0}, "step_size"),
        ({"inner": "adam"}, "anderson.*adam"),
        ({"inner_tol": math.nan}, "inner_tol"),
    ],
)
def test_wrong_arguments_are_refused_in_words(options, words):
    with pytest.raises(ValueError, match=words):
        Proximal(**options)


def test_an_unconverged_equation_is_solved_again_with_a_new_estimate_of_the_jacobian():
    # Robertson's reactions: the Jacobian grows from 0.04 to 2000 within the first steps.
    def f(t, y):
        a, b, c = y.unbind()
        first, second = 0.04 * a - 1e4 * b * c, 3e7 * b * b
        return torch.stack([-first, first - second, second])

    y0 = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    y = solve(f, y0, (0.0, 40.0), solver="prox_bdf4", step_size=1.0, inner_tol=1e-9).y
    # Hairer and Wanner II, section IV.10: y(40)
    exact = torch.tensor([0.7158270688, 9.185534765e-6, 0.2841637457], dtype=torch.float64)
    torch.testing.assert_close(y, exact, rtol=0, atol=2e-4)
