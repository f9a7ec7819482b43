"""The adjoint equation: against autograd, what it costs, and what it refuses."""

from __future__ import annotations

import weakref

import pytest
import torch

from grandpp.solvers import SolveError, solve

F64 = torch.float64
TIGHT = {"rtol": 1e-9, "atol": 1e-10}


class Field:
    """Names its two tensors; ``unit`` is the unit that the first is measured in."""

    def __init__(self, rate, target, unit=1.0):
        self.rate, self.target, self.unit = rate, target, unit

    @property
    def captured(self):
        return (self.rate, self.target)

    def bind(self, captured):
        return Field(*captured, self.unit)

    def __call__(self, t, y):
        rate = self.unit * self.rate
        if isinstance(y, tuple):
            pull = (-rate * y[0]).sin().mean(0) * self.target
            return ((rate * y[1] + t).expand_as(y[0]), pull)
        return rate * (self.target - y) + t.cos() * (2 * y).sin()


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7), dtype=F64)


def gradients(gradient, times, tuple_state=False, unit=1.0, **options):
    rate = torch.tensor(0.8 / unit, dtype=F64, requires_grad=True)
    target = draw(3).requires_grad_()
    y0 = draw(4, 3).requires_grad_()
    ts = torch.tensor(times, dtype=F64, requires_grad=True)
    state = (y0, y0[:2].cos().sum(0)) if tuple_state else y0
    f = Field(rate, target, unit)
    if tuple_state:
        f = Field(rate, target.sum().expand(4, 3)[:1].squeeze(0), unit)
    solution = solve(f, state, (ts[0], ts[-1]), save_at=ts[1:], gradient=gradient,
                     **{"solver": "tsit5", **TIGHT, **options})  # fmt: skip
    parts = solution.ys if tuple_state else (solution.ys,)
    loss = sum((p.cumsum(0) ** 2).sum() for p in parts)
    found = torch.autograd.grad(loss, (rate, target, y0, ts))
    return found, solution.stats


@pytest.mark.parametrize("times", [(0.1, 1.0), (0.0, 0.3, 0.31, 1.2), (1.0, 0.6, -0.2)])
@pytest.mark.parametrize("tuple_state", [False, True])
def test_gradients_are_those_of_autograd_to_states_tensors_and_times(times, tuple_state):
    expected, _ = gradients("direct", times, tuple_state)
    found, _ = gradients("adjoint", times, tuple_state)
    for a, b in zip(found, expected, strict=True):
        assert float(b.abs().max()) > 1e-2
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_complex_states_have_the_gradient_of_autograd():
    def run(gradient):
        net = torch.nn.Linear(2, 2, dtype=torch.complex128)
        torch.manual_seed(0)
        torch.nn.init.normal_(net.weight, std=0.5)
        torch.nn.init.zeros_(net.bias)

        class Turn(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.net = net

            def forward(self, t, y):
                return 1j * self.net(y)

        y0 = torch.complex(draw(2), draw(2).flip(0)).requires_grad_()
        y = solve(Turn(), y0, (0.0, 1.0), solver="tsit5", gradient=gradient, **TIGHT).y
        y.abs().pow(3).sum().backward()
        return y0.grad, net.weight.grad

    for a, b in zip(run("adjoint"), run("direct"), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_gradients_to_parameters_take_no_part_in_the_choice_of_steps():
    # In units a million times larger the gradient is a million times larger, the states the same.
    (small, *_), of_small = gradients("adjoint", (0.0, 1.5))
    (large, *_), of_large = gradients("adjoint", (0.0, 1.5), unit=1e6)
    assert float(large / small) == pytest.approx(1e6, rel=1e-6)
    assert of_small.nfe_backward == of_large.nfe_backward > 6


def test_it_needs_fewer_evaluations_than_one_that_controls_all_errors():
    times = (0.0, 0.5, 1.0, 2.0)
    options = {"rtol": 1e-7, "atol": 1e-7, "unit": 1e4}
    exact, _ = gradients("direct", times, unit=1e4)
    found, stats = gradients("adjoint", times, **options)
    _, of_other = gradients("adjoint", times, solver="dopri5", **options)
    for a, b in zip(found, exact, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * float(b.abs().max()))
    assert stats.nfe_backward < 0.7 * of_other.nfe_backward
    # One evaluation per saved state and six per step; the first step is that of the forward solve.
    assert stats.nfe_backward % 6 == 3


def test_the_backward_pass_can_be_repeated_and_stores_saved_states_alone():
    held = weakref.WeakSet()

    class Held:
        def __init__(self, tensor):
            self.tensor = tensor.detach()
            held.add(self)

    rate = torch.tensor(0.8, dtype=F64, requires_grad=True)
    y0 = draw(100).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(Held, lambda h: h.tensor):
        y = solve(Field(rate, draw(1)), y0, (0.0, 9.0), solver="tsit5", gradient="adjoint").y
    sizes = [h.tensor.numel() for h in held]
    assert sorted(n for n in sizes if n > 1) == [2, 100]  # times, the saved state
    first = torch.autograd.grad(y.sum(), (rate, y0), retain_graph=True)
    again = torch.autograd.grad(y.sum(), (rate, y0), retain_graph=True)
    torch.testing.assert_close(first, again, rtol=0, atol=0)


def test_a_backward_pass_that_blows_up_says_so_in_words():
    rate = torch.tensor(60.0, requires_grad=True)

    class Cubic(Field):
        def bind(self, captured):
            return Cubic(*captured)

        def __call__(self, t, y):
            return -self.rate * y**3

    y0 = torch.full((4,), 3.0, requires_grad=True)
    solution = solve(Cubic(rate, rate), y0, (0.0, 30.0), solver="tsit5", gradient="adjoint")
    with pytest.raises(SolveError, match="adjoint of this solve stopped"):
        solution.y.sum().backward()


def test_a_field_without_parameters_or_without_the_state_has_gradients_too():
    y0 = draw(3).requires_grad_()

    class Drift(torch.nn.Module):
        def forward(self, t, y):
            return t.cos() * torch.ones_like(y)

    y = solve(Drift(), y0, (0.0, 1.0), solver="tsit5", gradient="adjoint").y
    (grad,) = torch.autograd.grad(y.sum(), y0)
    assert grad.tolist() == [1.0, 1.0, 1.0]


def test_a_gradient_of_zero_is_zero():
    y0 = draw(5).requires_grad_()
    rate = torch.tensor(0.8, dtype=F64, requires_grad=True)
    y = solve(Field(rate, draw(1)), y0, (0.0, 1.0), solver="tsit5", gradient="adjoint").y
    (0 * y).sum().backward()
    assert not y0.grad.any()
    assert float(rate.grad) == 0.0


def test_a_backward_pass_has_the_budget_of_a_forward_one():
    weight = torch.tensor(8.0, dtype=F64, requires_grad=True)

    class Decay:
        captured = (weight,)

        def __init__(self, weight=weight):
            self.weight = weight

        def bind(self, captured):
            return Decay(*captured)

        def __call__(self, t, y):
            return -self.weight * y * (1 + y * y)

    y = torch.tensor([1.0, 0.5], dtype=F64)
    options = {"solver": "tsit5", "rtol": 1e-8, "atol": 1e-8, "gradient": "adjoint"}
    enough = solve(Decay(), y, (0.0, 1.0), **options)
    enough.y.sum().backward()
    assert enough.stats.nfe_backward > enough.stats.nfe_forward
    between = (enough.stats.nfe_forward + enough.stats.nfe_backward) // 2
    scarce = solve(Decay(), y, (0.0, 1.0), max_nfe=between, **options)
    with pytest.raises(SolveError, match=r"adjoint of this solve.*max_nfe"):
        scarce.y.sum().backward()
