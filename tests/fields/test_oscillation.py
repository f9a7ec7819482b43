"""Heavy balls on a graph: waves, and the linear systems that solvers may know them as."""

from __future__ import annotations

import math

import pytest
import torch

from grandpp.fields import Adam, Dynamics, GeneralizedHeavyBall, GraphDiffusion, HeavyBall
from grandpp.fields.oscillation import LinearOscillation, Wave, linearize_momentum

F64 = torch.float64
T = torch.tensor(0.7, dtype=F64)


def diffusion(karate, features, **options):
    torch.manual_seed(0)
    return GraphDiffusion(8, heads=2, **options).double().prepare(features, karate)


def state(features):
    return torch.stack([features, features.flip(0)])


BALL, WAVE = HeavyBall(gamma=0.4), Wave(gamma=0.4)
SPRING = GeneralizedHeavyBall(activation="identity", gamma=0.3, xi=0.7)


@pytest.mark.parametrize(
    ("kind", "driven"),
    [(BALL, False), (BALL, True), (WAVE, False), (SPRING, False), (SPRING, True)],
    ids=["ball", "driven ball", "wave", "spring", "driven spring"],
)
def test_the_blocks_of_a_linear_system_are_its_right_hand_side(kind, driven, karate, features):
    f = diffusion(karate, features, learn_beta=driven)
    if driven:
        f = f.bind([f.generator, 0.3 * features])
    system = linearize_momentum(kind, f)
    assert isinstance(system, LinearOscillation)
    y = state(features)
    dense = torch.zeros(34, 34, dtype=F64)
    dense[system.csr.row, system.csr.col_long] = system.weight.detach()
    expected = torch.einsum("ij,jnf->inf", system.constant, y)
    expected = expected + torch.einsum("ij,nm,jmf->inf", system.coupling, dense, y)
    for i, source in enumerate(system.sources):
        expected[i] += 0 if source is None else source
    torch.testing.assert_close(system(T, y), expected)
    assert (system.sources[1] is not None) is driven


@pytest.mark.parametrize(
    ("kind", "options", "linear"),
    [
        (HeavyBall(), {}, True),
        (Wave(), {}, True),
        (Wave(), {"learn_beta": True}, False),
        (GeneralizedHeavyBall(activation="identity"), {}, True),
        (GeneralizedHeavyBall(), {}, False),
        (Adam(), {}, False),
        (Dynamics(), {}, False),
        (HeavyBall(), {"mode": "nonlinear"}, False),
    ],
)
def test_what_is_linear_is_known_as_such_and_nothing_else(kind, options, linear, karate, features):
    f = linearize_momentum(kind, diffusion(karate, features, **options))
    assert isinstance(f, LinearOscillation) is linear


def test_the_walk_on_an_undirected_graph_stays_reversible(karate, features):
    walk = linearize_momentum(HeavyBall(), diffusion(karate, features, attention=None))
    attention = linearize_momentum(HeavyBall(), diffusion(karate, features))
    assert walk.reversible
    assert not attention.reversible


def test_a_wave_is_a_ball_without_its_friction():
    gamma, rate = 0.6, 2.0
    wave, ball = Wave(gamma=gamma), HeavyBall(gamma=gamma)
    ts = torch.linspace(0, 3, 4, dtype=F64)
    # h'' + gamma h' + rate h = 0 from h = 1, h' = 0, by formula.
    omega = math.sqrt(rate - gamma**2 / 4)
    w = (omega * ts).cos() + gamma / (2 * omega) * (omega * ts).sin()
    p = -omega * (omega * ts).sin() + gamma / 2 * (omega * ts).cos()
    h = torch.ones(1, dtype=F64)
    torch.testing.assert_close(wave.start(h), torch.tensor([[1.0], [gamma / 2]], dtype=F64))
    states = torch.stack([w, p], dim=1).unsqueeze(-1)
    f = lambda t, y: -rate * y  # noqa: E731
    for t, s in zip(ts, states, strict=True):
        slope = wave.rate(wave.constants(), f, t, s)
        torch.testing.assert_close(slope[1], -(omega**2) * s[0])
    balls = wave.to_ball(states, ts)
    torch.testing.assert_close(balls[:, 0, 0], torch.exp(-gamma * ts / 2) * w)
    # The momentum of the ball is the velocity of its position.
    t = ts.clone().requires_grad_()
    position = torch.exp(-gamma * t / 2) * (
        (omega * t).cos() + gamma / (2 * omega) * (omega * t).sin()
    )
    (velocity,) = torch.autograd.grad(position.sum(), t)
    torch.testing.assert_close(balls[:, 1, 0], velocity)
    slopes = torch.stack([ball.rate(ball.constants(), f, T, s) for s in balls])
    torch.testing.assert_close(slopes[:, 0], balls[:, 1])
