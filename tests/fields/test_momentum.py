"""Heavy-ball equations against the propositions of the HBNODE paper."""

from __future__ import annotations

import math
import pickle

import pytest
import torch
from flows import EXACT, F64, adjoint_states, make, points, pull_back, slope_of_adjoint
from scipy.optimize import linear_sum_assignment

from grandpp.fields import Adam, GeneralizedHeavyBall, HeavyBall, SecondOrder
from grandpp.solvers import solve

T, NOW, END = torch.tensor(0.3, dtype=F64), 0.5, 1.1


def test_the_right_hand_sides_are_the_papers():
    h, m = points(), points().cos()
    state = torch.stack([h, m])
    f = lambda t, y: t + y**2  # noqa: E731
    ball = HeavyBall(gamma=0.4)
    assert torch.equal(ball.prepare(f)(T, state), torch.stack([m, T + h**2 - ball.gamma * m]))
    spring = GeneralizedHeavyBall(gamma=0.4, xi=0.25, activation="hardtanh")
    expected = torch.stack([5 * m, T + h**2 - spring.gamma * 10 * m - 0.25 * h])
    found = spring.prepare(f)(T, torch.stack([h, 10 * m]))
    torch.testing.assert_close(found[1], expected[1])
    torch.testing.assert_close(found[0], (10 * m).clamp(-5, 5))
    g = lambda t, z: z[:, :3] * z[:, 3:] - t  # noqa: E731
    assert torch.equal(SecondOrder().prepare(g)(T, state), torch.stack([m, h * m - T]))


def test_constants_start_where_the_papers_do_and_stay_in_bounds():
    ball = GeneralizedHeavyBall(max_gamma=2.0)
    assert float(ball.gamma.detach()) == pytest.approx(2 / (1 + math.exp(3)))
    assert float(ball.xi.detach()) == pytest.approx(math.log(2))
    with torch.no_grad():
        ball.omega.fill_(50.0)
        ball.chi.fill_(-50.0)
    assert float(ball.gamma.detach()) <= 2.0
    assert float(ball.xi.detach()) >= 0.0
    assert sum(p.numel() for p in HeavyBall().parameters()) == 1
    assert sum(p.numel() for p in ball.parameters()) == 2
    fixed = GeneralizedHeavyBall(gamma=0.0, xi=0.0, activation="identity")
    assert not list(fixed.parameters())


def test_a_learned_spring_starts_where_it_is_told_and_goes_back_there():
    ball = GeneralizedHeavyBall(chi=-3.0)
    assert float(ball.xi.detach()) == pytest.approx(math.log1p(math.exp(-3)))
    with torch.no_grad():
        ball.chi.fill_(1.0)
    ball.reset_parameters()
    assert float(ball.chi.detach()) == -3.0


def test_fixed_constants_keep_their_digits_and_the_type_of_a_state():
    ball = GeneralizedHeavyBall(gamma=0.3, xi=0.7)
    assert float(ball.double().gamma) == 0.3
    state = ball.start(points().float())
    assert ball.prepare(lambda t, h: -h)(T, state).dtype == torch.float32


def test_a_module_can_be_pickled():
    ball = GeneralizedHeavyBall(activation="hardtanh", gamma=0.3)
    again = pickle.loads(pickle.dumps(ball))
    state = ball.start(points(), points() * 9)
    f = torch.sub
    assert torch.equal(again.prepare(f)(T, state), ball.prepare(f)(T, state))


def test_momentum_starts_at_zero_or_where_it_is_told():
    h = points()
    assert torch.equal(HeavyBall().start(h), torch.stack([h, torch.zeros_like(h)]))
    state = HeavyBall().start(h, h + 1)
    assert torch.equal(state[1], h + 1)
    assert torch.equal(HeavyBall().position(state), h)
    assert torch.equal(HeavyBall().positions(state.expand(6, 2, 4, 3)), h.expand(6, 4, 3))


@pytest.mark.parametrize("name", ["hbnode", "ghbnode"])
def test_adjoint_of_the_system_is_the_papers_equation(name):
    """Props. 2 and 3, equations (13) and (16)."""
    kind, field = make(name)
    f = kind.prepare(field)
    y0, weights = kind.start(points(), points().sin()).detach(), points().cos()
    (h, m), (a_h, a_m) = adjoint_states(f, y0, NOW, END, weights)
    slope_h, slope_m = slope_of_adjoint(f, y0, NOW, END, weights)
    gamma = kind.gamma.detach()
    xi = kind.xi.detach() if name == "ghbnode" else 0.0
    bend = 1 - m.tanh() ** 2 if name == "ghbnode" else 1.0
    torch.testing.assert_close(
        slope_h, -(pull_back(field, NOW, h, a_m) - xi * a_m), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(slope_m, -a_h * bend + gamma * a_m, atol=1e-6, rtol=0)
    assert float(slope_h.abs().max()) > 0.01


def test_adjoint_of_a_heavy_ball_is_a_heavy_ball():
    """Prop. 1: solved backwards from a(T) = 0, a'(T) = -dL/dh by a heavy ball around a J."""
    kind, field = make("hbnode", time=False)
    f = kind.prepare(field)
    y0, weights = kind.start(points(), points().sin()).detach(), points().cos()
    path = solve(f, y0, (0.0, END), save_at=[END], **EXACT).y.detach()

    def backwards(tau, state):  # the trajectory and b(tau) = a(T - tau), equation (12)
        y, b = state[:2], state[2:]
        force = lambda t, h: pull_back(field, 0.0, y[0], h)  # noqa: E731
        return torch.cat([-f(tau, y), kind.prepare(force)(tau, b)]).detach()

    start = torch.cat([path, torch.stack([torch.zeros_like(weights), weights])])
    b = solve(backwards, start, (0.0, END), **EXACT).y[2]
    _, (_, a_m) = adjoint_states(f, y0, 0.0, END, weights)
    torch.testing.assert_close(b, a_m, atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize("name", ["hbnode", "ghbnode"])
def test_eigenvalues_pair_up_to_the_damping(name):
    """Prop. 4, for the mean of Jacobians at random states over a span of length 0.7."""
    kind, field = make(name, channels=5)
    span, mean = 0.7, torch.zeros(10, 10, dtype=F64)
    for seed in range(6):
        torch.manual_seed(seed)
        state = torch.randn(2, 1, 5, dtype=F64)
        f = kind.prepare(field)
        mean += torch.autograd.functional.jacobian(lambda y, f=f: f(T, y), state).view(10, 10) / 6
    values = torch.linalg.eigvals(span * mean)  # -M with t - T = -span
    partner = -span * kind.gamma.detach() - values
    cost = (values[:, None] - partner[None, :]).abs()
    rows, columns = linear_sum_assignment(cost.numpy())
    assert float(cost[rows, columns].max()) < 1e-9
    assert float((values - values.mean()).abs().max()) > 0.1


@torch.no_grad()
def test_strong_damping_gives_the_first_order_flow_in_slow_time():
    _, field = make("node", time=False)
    expected = solve(field, points(), (0.0, 1.0), **EXACT).y.detach()
    errors = []
    for gamma in (5.0, 10.0, 20.0):
        ball = HeavyBall(gamma=gamma).double()
        y = solve(ball.prepare(field), ball.start(points()), (0.0, gamma), rtol=1e-7, atol=1e-7).y
        errors.append(float((ball.position(y) - expected).abs().max()))
    assert errors[2] < 8e-3
    assert errors[1] < errors[0] / 3.5
    assert errors[2] < errors[1] / 3.5


@pytest.mark.parametrize(("gamma", "conserved"), [(0.0, True), (0.05, False)])
def test_without_damping_a_linear_ball_keeps_its_energy(gamma, conserved):
    root = torch.randn(3, 3, dtype=F64, generator=torch.Generator().manual_seed(2))
    stiffness = root @ root.T
    ball = HeavyBall(gamma=gamma).double()
    y0 = ball.start(points(), points().sin())
    times = torch.linspace(1.0, 8.0, 8)
    f = ball.prepare(lambda t, h: -h @ stiffness)
    ys = solve(f, y0, (0.0, 8.0), save_at=times, **EXACT).ys
    h, m = torch.cat([y0[None], ys]).unbind(1)
    energy = 0.5 * (m.square() + h * (h @ stiffness)).sum((1, 2))
    drift = float((energy / energy[0] - 1).abs().max())
    assert drift < 1e-7 if conserved else drift > 0.1


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: HeavyBall(gamma=-0.1), r"'gamma'.*\(got -0.1\)"),
        (lambda: HeavyBall(max_gamma=0.0), r"'max_gamma'.*\(got 0.0\)"),
        (lambda: GeneralizedHeavyBall(chi=math.inf), r"finite 'chi' \(got inf\)"),
        (lambda: GeneralizedHeavyBall(xi=math.nan), r"'xi'.*\(got nan\)"),
        (lambda: GeneralizedHeavyBall(activation="relu"), r"tanh, hardtanh, identity.*'relu'"),
        (lambda: GeneralizedHeavyBall(activation=torch.nn.PReLU()), "without parameters"),
        (lambda: HeavyBall().start(points(), points(5)), r"shape of h, \[4, 3\] \(got \[5, 3\]\)"),
    ],
)
def test_wrong_input_is_named(build, words):
    with pytest.raises(ValueError, match=words):
        build()


def test_fixed_constants_are_no_part_of_a_checkpoint():
    balls = (
        (HeavyBall(gamma=0.5), {"fixed_gamma": 0.1}),
        (GeneralizedHeavyBall(gamma=0.5, xi=2.0), {"fixed_gamma": 0.5, "fixed_xi": 1.0}),
        (Adam(alpha=0.9, beta=0.8), {"fixed_alpha": 0.9, "fixed_beta": 0.1}),
    )
    for ball, old in balls:
        assert ball.state_dict() == {}
        before = str(ball)
        with pytest.warns(UserWarning, match="left out"):
            ball.load_state_dict({k: torch.tensor(v, dtype=torch.float64) for k, v in old.items()})
        assert str(ball) == before
