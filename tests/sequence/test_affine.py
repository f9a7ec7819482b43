"""Intervals solved by a matrix exponential, against an adaptive solver and in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from series import F64
from torch import nn

from grandpp.fields import GeneralizedHeavyBall, HeavyBall
from grandpp.fields.dense import MLPField
from grandpp.layers import KINDS
from grandpp.sequence import ODERNN, walker2d_model
from grandpp.sequence.affine import AffineFlow
from grandpp.solvers import SolveError, Status

LINEAR = ("node", "anode", "sonode", "hbnode")


def sequences(rows=7, batch=5, *, whole=True):
    """Unequal lengths, and gaps of one, two or three, or each one of its own."""
    generator = torch.Generator().manual_seed(1)
    if whole:
        gaps = torch.randint(1, 4, (rows, batch), generator=generator).to(F64) / 8
    else:
        gaps = 0.1 + torch.rand(rows, batch, generator=generator, dtype=F64) / 2
    x = torch.randn(rows, batch, 17, generator=generator, dtype=F64)
    times = gaps.cumsum(0)
    horizon = torch.stack([times[-1] + 0.25, times[-1] + 0.75])
    return x, times, torch.tensor([7, 3, 5, 1, 7][:batch]), horizon


def run(kind, solver, inputs, **options):
    torch.manual_seed(0)
    net = walker2d_model(kind, solver=solver, **options).double()
    out = net(*inputs)
    (out.outputs.square().sum() + out.forecast.square().sum()).backward()
    return out, [p.grad for p in net.parameters()]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("kind", LINEAR)
def test_states_and_gradients_are_those_of_an_adaptive_solver(kind, whole):
    inputs = sequences(whole=whole)
    found, gradients = run(kind, "exact", inputs)
    expected, others = run(kind, "tsit5", inputs, rtol=1e-11, atol=1e-11)
    for name in ("outputs", "reconstruction", "forecast", "state"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name))
    torch.testing.assert_close(gradients, others, rtol=1e-6, atol=1e-7)


def test_one_evaluation_serves_all_intervals():
    out, _ = run("hbnode", "exact", sequences())
    assert out.stats.nfe_forward == 1
    # Of seven rows and two horizons; past its end an element rests.
    assert out.stats.steps == 8


@pytest.mark.parametrize("different", [1, 5, 40])
def test_every_element_moves_by_the_exponential_of_its_own_duration(different):
    """However many different durations there are: few of them share their exponentials."""
    state = torch.randn(2, 40, 3, dtype=F64)
    field, ball = MLPField(3).double(), HeavyBall(gamma=0.3).double()
    duration = torch.arange(40, dtype=F64) % different / 7
    found = AffineFlow(ball.prepare(field), state, 1, duration)(state, duration)
    generator = torch.zeros(7, 7, dtype=F64)  # of (h, m, 1) as columns
    (linear,) = field.layers
    generator[:3, 3:6] = torch.eye(3)
    generator[3:6, :3], generator[3:6, 6] = linear.weight.detach(), linear.bias.detach()
    generator[3:6, 3:6] = -0.3 * torch.eye(3)
    for i, s in enumerate(duration):
        start = torch.cat([*state[:, i], torch.ones(1, dtype=F64)])
        expected = torch.matrix_exp(s * generator) @ start
        torch.testing.assert_close(found[:, i].flatten(), expected[:6])


def test_a_constant_right_hand_side_moves_states_straight_on():
    field = MLPField(2).double()
    nn.init.zeros_(field.layers[-1].weight)
    state, duration = torch.randn(3, 2, dtype=F64), torch.tensor([0.5, 1.0, 4.0], dtype=F64)
    net = ODERNN("node", 1, 2, 1, field=field, solver="exact").double()
    flow = AffineFlow(net.dynamics.prepare(field), state, 0, duration)
    bias = field.layers[-1].bias
    torch.testing.assert_close(flow(state, duration), state + duration.unsqueeze(1) * bias)


def test_gradients_reach_the_times():
    x, times, _, horizon = sequences()
    net = walker2d_model("hbnode", solver="exact").double()

    def forecast(times):
        return net(x, times, None, horizon).forecast[..., :3]

    assert torch.autograd.gradcheck(forecast, (times.requires_grad_(),), fast_mode=True)


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in LINEAR])
def test_equations_that_are_not_linear_are_refused(kind):
    with pytest.raises(TypeError, match=r"linear in the state .* solver='exact' .* 'tsit5'"):
        run(kind, "exact", sequences())


def test_what_is_linear_near_the_origin_alone_is_refused():
    spring = GeneralizedHeavyBall(activation="hardtanh")  # linear up to 5
    with pytest.raises(TypeError, match="linear in the state"):
        ODERNN(spring, 17, 3, 17, field=MLPField(3), solver="exact").double()(*sequences())


def test_a_spring_without_saturation_is_linear():
    spring = GeneralizedHeavyBall(activation=lambda m: m)
    net = ODERNN(spring, 17, 3, 17, field=MLPField(3), solver="exact").double()
    other = ODERNN(spring, 17, 3, 17, field=MLPField(3), rtol=1e-10, atol=1e-10).double()
    other.load_state_dict(net.state_dict())
    inputs = sequences()
    torch.testing.assert_close(net(*inputs).forecast, other(*inputs).forecast)


@pytest.mark.parametrize("clock", [lambda t: t, lambda t: (2 * math.pi * t).sin()])
def test_a_field_of_time_is_refused(clock):
    class Clock(nn.Module):
        def forward(self, t, h):
            return h + clock(t)

    with pytest.raises(TypeError, match="does not depend on time"):
        ODERNN("node", 17, 3, 17, field=Clock(), solver="exact").double()(*sequences())


def test_states_that_leave_the_finite_numbers_are_a_status():
    field = MLPField(3).double()
    nn.init.constant_(field.layers[-1].weight, 1e4)
    net = ODERNN("node", 17, 3, 17, field=field, solver="exact").double()
    with pytest.raises(SolveError, match="exact after observation 0"):
        net(*sequences())
    out = net.solve(*sequences(), throw=False)
    assert out.status is Status.NON_FINITE
    assert math.isnan(float(out.state[0, 0]))
