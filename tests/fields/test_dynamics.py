"""What all equations of motion share: wrapping, gradients, time spans of their own."""

from __future__ import annotations

import pytest
import torch
from flows import EXACT, F64, KINDS, make, points

from grandpp.fields import Augmented, Dynamics, GraphDiffusion, HeavyBall, time_scaled
from grandpp.solvers import BoundField, solve

SOLVE = {"solver": "dopri5", "rtol": 1e-9, "atol": 1e-9}


def gradients(kind, field, gradient, f=None, h=None, **options):
    """Gradients of a loss by the position and all parameters."""
    h = (points() if h is None else h).requires_grad_()
    parameters = [*kind.parameters(), *field.parameters()]
    f = kind.prepare(field if f is None else f)
    y0 = kind.start(h, None if kind.parts == 1 else h.sin())
    y = solve(f, y0, (0.0, 1.0), gradient=gradient, **(SOLVE | options)).y
    return torch.autograd.grad(kind.position(y).sin().sum(), [h, *parameters])


@pytest.mark.parametrize("name", KINDS)
def test_three_ways_to_a_gradient_agree(name):
    kind, field = make(name)
    direct = gradients(kind, field, "direct")
    for found, expected in zip(gradients(kind, field, "checkpoint"), direct, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-11, rtol=1e-10)
    for found, expected in zip(gradients(kind, field, "adjoint"), direct, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert all(bool(g.abs().max() > 1e-6) for g in direct)


@pytest.mark.parametrize("mode", ["linear", "nonlinear"])
def test_a_graph_field_goes_in_and_its_attention_gets_its_gradient(mode, karate, features):
    torch.manual_seed(0)
    field = GraphDiffusion(8, mode=mode, heads=2).double()
    kind = HeavyBall().double()
    found = {}
    for gradient in ("direct", "checkpoint", "adjoint"):
        f = field.prepare(features, karate)
        found[gradient] = gradients(kind, field, gradient, f, features.clone())
        assert isinstance(kind.prepare(f), BoundField)
        assert kind.prepare(f).kind is kind
    for other in ("checkpoint", "adjoint"):
        for a, b in zip(found[other], found["direct"], strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


def test_a_wrapped_function_cannot_hide_what_it_captured():
    kind = HeavyBall(gamma=0.1).double()
    hidden = torch.ones(3, dtype=F64, requires_grad=True)
    f = kind.prepare(lambda t, h: -hidden * h)
    y0 = kind.start(points())
    for wrapped, end in ((f, 1.0), (time_scaled(f, *torch.tensor([[0.0] * 4, [1.0] * 4]), 1), 1.0)):
        y = solve(wrapped, y0, (0.0, end)).y
        assert torch.autograd.grad(y.sum(), hidden)[0].abs().min() > 0
        with pytest.raises(ValueError, match="would be lost"):
            solve(wrapped, y0, (0.0, end), gradient="adjoint")


@pytest.mark.parametrize("name", KINDS)
def test_elements_with_spans_of_their_own_are_as_if_solved_alone(name):
    kind, field = make(name)
    start = torch.tensor([0.0, 0.5, -1.0, 0.3], dtype=F64, requires_grad=True)
    end = torch.tensor([1.0, 2.5, -0.4, 0.3], dtype=F64, requires_grad=True)
    h = points()
    momentum = None if kind.parts == 1 else h.sin()
    y0 = kind.start(h, momentum)
    f = time_scaled(kind.prepare(field), start, end, kind.batch_dim)
    together = kind.position(solve(f, y0, (0.0, 1.0), **EXACT).y)
    for i in range(4):
        m = None if momentum is None else momentum[i : i + 1]
        one = kind.start(h[i : i + 1], m)
        span = (float(start[i].detach()), float(end[i].detach()))
        alone = kind.position(solve(kind.prepare(field), one, span, **EXACT).y)
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-7, rtol=1e-7)
    by_start, by_end = torch.autograd.grad(together.sum(), [start, end])
    state = solve(f, y0, (0.0, 1.0), **EXACT).y
    slope = kind.prepare(field)(end.view(-1, 1), state)  # the state's velocity at its own end
    torch.testing.assert_close(by_end, kind.position(slope).sum(1).detach(), atol=1e-6, rtol=1e-6)
    assert float(by_start.abs().max()) > 1e-3


def test_spans_get_their_gradient_from_the_adjoint_too():
    kind, field = make("hbnode")
    found = {}
    for gradient in ("direct", "adjoint", "checkpoint"):
        end = torch.tensor([1.0, 2.0, 0.5, 1.5], dtype=F64, requires_grad=True)
        f = time_scaled(kind.prepare(field), torch.zeros(4, dtype=F64), end, 1)
        y = solve(f, kind.start(points()), (0.0, 1.0), gradient=gradient, **SOLVE).y
        found[gradient] = torch.autograd.grad(y[0].sum(), [end, *kind.parameters()])
    for other in ("adjoint", "checkpoint"):
        for a, b in zip(found[other], found["direct"], strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("shape", "dim"), [((4, 3), 1), ((2, 3, 5, 5), 1), ((3,), 0)])
def test_augmentation_pads_channels_with_zeros(shape, dim):
    kind = Augmented(2, channel_dim=dim)
    y = kind.start(torch.ones(shape))
    expected = list(shape)
    expected[dim] += 2
    assert list(y.shape) == expected
    assert float(y.sum()) == torch.ones(shape).sum()
    assert torch.equal(kind.position(y), y)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Augmented(-1), ValueError, r"'extra' >= 0 \(got -1\)"),
        (lambda: Dynamics().start(points(), points()), ValueError, "no initial momentum"),
        (lambda: Dynamics().prepare(3), TypeError, r"right-hand side.*\(got a int\)"),
        (
            lambda: time_scaled(torch.neg, torch.zeros(3), torch.ones(4)),
            ValueError,
            r"\(got \[3\] and \[4\]\)",
        ),
        (
            lambda: time_scaled(torch.neg, torch.zeros(1), torch.tensor([torch.inf])),
            ValueError,
            "finite start and end",
        ),
    ],
)
def test_wrong_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
