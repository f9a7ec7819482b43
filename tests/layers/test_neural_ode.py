"""A field, an equation of motion and a solver in one module."""

from __future__ import annotations

import pytest
import torch
from flows import F64, points
from torch import nn

from grandpp.fields import (
    Augmented,
    ConvField,
    GeneralizedHeavyBall,
    HeavyBall,
    MLPField,
)
from grandpp.layers import KINDS, NeuralODE, make_dynamics
from grandpp.solvers import SolveError, solve


def field(kind, n=3):
    torch.manual_seed(0)
    n += kind == "anode"
    return MLPField(n, (5,), in_channels=2 * n if kind == "sonode" else n)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_a_position_and_trains(kind):
    flow = NeuralODE(field(kind), kind).double()
    out = flow(points())
    assert out.shape == (4, 4 if kind == "anode" else 3)
    solution = flow.solve(points(), save_at=[0.5, 1.0])
    assert torch.equal(flow.dynamics.positions(solution.ys)[-1], out)
    out.sum().backward()
    assert all(p.grad is not None for p in flow.parameters())


def test_forward_is_the_solve_of_the_wrapped_field():
    flow = NeuralODE(field("hbnode"), HeavyBall(gamma=0.3), time=2.0, rtol=1e-8, atol=1e-8)
    flow.double()
    y0 = torch.stack([points(), points().cos()])
    f = flow.dynamics.prepare(flow.field)
    expected = solve(f, y0, (0.0, 2.0), rtol=1e-8, atol=1e-8).y[0]
    assert torch.equal(flow(points(), points().cos()), expected)


def test_an_initial_network_completes_the_position_and_gives_the_momentum():
    """HBNODE paper App. E.3: c channels in, 2n - c from the network."""
    torch.manual_seed(0)
    net = nn.Conv2d(1, 5, 1)
    flow = NeuralODE(ConvField(3, 4), "hbnode", initial=net)
    x = torch.randn(2, 1, 6, 6)
    h, m = flow.initial_state(x)
    assert torch.equal(h, torch.cat([x, net(x)[:, :2]], dim=1))
    assert torch.equal(m, net(x)[:, 2:])
    assert flow(x).shape == (2, 3, 6, 6)
    assert torch.equal(flow.initial_state(h, m)[1], m)


def test_images_take_spans_of_their_own():
    torch.manual_seed(0)
    flow = NeuralODE(ConvField(2, 4), GeneralizedHeavyBall(), rtol=1e-7, atol=1e-7).double()
    x = torch.randn(2, 2, 5, 5, dtype=F64)
    spans = (torch.tensor([0.0, 0.5]), torch.tensor([1.0, 0.7]))
    state = flow.solve(x, spans=spans).y
    f = flow.dynamics.prepare(flow.field)
    alone = solve(f, flow.dynamics.start(x[1:]), (0.5, 0.7), rtol=1e-7, atol=1e-7).y
    torch.testing.assert_close(state[:, 1:], alone, atol=1e-5, rtol=1e-5)


def test_a_failed_solve_says_so_or_raises():
    flow = NeuralODE(field("node"), max_nfe=3).double()
    assert not flow.solve(points(), throw=False).successful
    with pytest.raises(SolveError, match="max_nfe"):
        flow(points())


def test_the_text_of_a_module_names_its_choices():
    text = str(NeuralODE(field("ghbnode"), "ghbnode", gradient="adjoint", time=3.0))
    for part in ("time=3", "gradient='adjoint'", "activation=tanh", "gamma=0.0474", "xi=0.693"):
        assert part in text
    assert "extra=2" in str(Augmented(2))
    assert "positive=softplus" in str(make_dynamics("adamnode"))


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: NeuralODE(field("node"), "rnode"), ValueError, r"'kind'.*\(got 'rnode'\)"),
        (lambda: NeuralODE(field("node"), initial=nn.Identity()), ValueError, "second order"),
        (lambda: NeuralODE(field("node"), gradient="none"), ValueError, "'none'"),
        (lambda: NeuralODE(field("node"), step_size=0.1), TypeError, "step_size"),
        (lambda: make_dynamics("hbnode", xi=1.0), TypeError, "xi"),
    ],
)
def test_wrong_input_is_named(build, error, words):
    with pytest.raises(error, match=words):
        build()


class Autonomous(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, t, h):
        return self.f(h)


def test_a_parameter_that_is_not_finite_is_named():
    node = NeuralODE(Autonomous(nn.Linear(2, 2)), solver="rk4", step_size=0.5)
    with torch.no_grad():
        node.field.f.bias[0] = float("nan")
    with pytest.raises(SolveError, match=r"in 'field.f.bias'.*learning rate"):
        node(torch.ones(1, 2))


def test_a_learned_time_is_printed():
    node = NeuralODE(Autonomous(nn.Linear(2, 2)), time=nn.Parameter(torch.tensor(0.5)))
    assert "time=0.5 (learned)" in repr(node)
    node(torch.ones(1, 2)).sum().backward()
    assert node.time.grad is not None
