"""The Adam flow against its equation and autograd."""

from __future__ import annotations

import pytest
import torch
from flows import F64, adjoint_states, make, points, pull_back, slope_of_adjoint

from grandpp.fields import Adam
from grandpp.solvers import solve

T = torch.tensor(0.3, dtype=F64)


def test_the_right_hand_side_is_equation_7():
    kind = Adam(alpha=0.9, beta=0.99, epsilon=0.01, positive="clamp").double()
    h, m, v = points(), points().cos(), points().square()
    force = T + h**2
    alpha, beta = kind.constants()
    expected = torch.stack(
        [-m / (v + 0.01).sqrt(), (1 - alpha) * (-force - m), (1 - beta) * (force**2 - v)]
    )
    found = kind.prepare(lambda t, y: t + y**2)(T, torch.stack([h, m, v]))
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=0)
    torch.testing.assert_close(alpha, torch.tensor(0.9, dtype=F64), atol=1e-7, rtol=0)


@pytest.mark.parametrize("positive", ["clamp", "softplus"])
def test_a_negative_second_moment_of_a_trial_step_gives_no_nan(positive):
    kind = Adam(positive=positive)
    state = torch.stack([points(), points(), -points().square() - 1])
    assert bool(torch.isfinite(kind.prepare(lambda t, h: -h)(T, state)).all())


def test_the_second_moment_starts_at_the_square_of_the_first():
    h = points()
    assert torch.equal(Adam().start(h, h.cos()), torch.stack([h, h.cos(), h.cos() ** 2]))
    assert not Adam().start(h)[1:].any()


def test_the_true_adjoint_has_the_factors_that_the_printed_one_lacks():
    kind, field = make("adamnode-clamp")
    f = kind.prepare(field)
    y0, weights = kind.start(points(), points().sin() + 2).detach(), points().cos()
    (h, m, v), (a_h, a_m, a_v) = adjoint_states(f, y0, 0.5, 1.1, weights)
    slope_h, slope_m, slope_v = slope_of_adjoint(f, y0, 0.5, 1.1, weights)
    alpha, beta = (c.detach() for c in kind.constants())
    root = (v + kind.epsilon).sqrt()
    force = field(torch.tensor(0.5, dtype=F64), h).detach()
    through_m, through_v = (1 - alpha) * a_m, 2 * (1 - beta) * force * a_v
    true = pull_back(field, 0.5, h, through_m - through_v)
    printed = pull_back(field, 0.5, h, a_m - a_v)
    torch.testing.assert_close(slope_h, true, atol=1e-6, rtol=0)
    assert float((slope_h - printed).abs().max()) > 1e-2
    torch.testing.assert_close(slope_m, a_h / root + (1 - alpha) * a_m, atol=1e-6, rtol=0)
    torch.testing.assert_close(
        slope_v, -a_h * m / (2 * root**3) + (1 - beta) * a_v, atol=1e-6, rtol=0
    )


def test_the_gradient_of_the_memories_is_that_of_differences():
    kind, field = make("adamnode")

    def loss():
        y0 = kind.start(points(), points().sin())
        y = solve(kind.prepare(field), y0, (0.0, 1.0), rtol=1e-10, atol=1e-10).y
        return kind.position(y).square().sum()

    loss().backward()
    for logit in (kind.alpha_logit, kind.beta_logit):
        with torch.no_grad():
            values = []
            for step in (1e-4, -2e-4, 1e-4):
                logit += step
                values.append(float(loss()))
        difference = (values[0] - values[1]) / 2e-4
        assert float(logit.grad) == pytest.approx(difference, rel=1e-4)
        assert abs(difference) > 1e-4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alpha": 1.0}, r"'alpha' between 0 and 1 \(got 1.0\)"),
        ({"beta": 0.0}, r"'beta' between 0 and 1 \(got 0.0\)"),
        ({"epsilon": 0.0}, r"'epsilon' to be positive \(got 0.0\)"),
        ({"positive": "abs"}, r"clamp, softplus \(got 'abs'\)"),
    ],
)
def test_wrong_input_is_named(options, words):
    with pytest.raises(ValueError, match=words):
        Adam(**options)


@pytest.mark.parametrize("options", [{"alpha": "1"}, {"beta": 1j}, {"epsilon": None}])
def test_a_constant_that_is_no_number_is_refused_by_its_name(options):
    with pytest.raises(TypeError, match=rf"'{next(iter(options))}' to be a number"):
        Adam(**options)
