"""What a solution keeps alive, and that it is freed."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from every_solver import EVERY, options
from torch import nn

from grandpp.fields import MLPField
from grandpp.layers import NeuralODE
from grandpp.solvers import solve

F64 = torch.float64


@pytest.fixture(autouse=True, scope="module")
def few_objects():
    """Let the garbage collector look at the objects of these tests alone, which is much faster."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class Field(nn.Module):
    def __init__(self, single=True):
        super().__init__()
        self.net, self.single = nn.Linear(3, 3, dtype=F64), single

    def forward(self, t, y):
        if self.single:
            return self.net(y).tanh()
        return self.net(y[0]).tanh(), y[0].sum(-1) - y[1]


def chosen_for(solver, gradient):
    chosen = options(solver, gradient)
    return chosen | ({"rtol": 1e-3, "atol": 1e-3} if "rtol" in chosen else {})


@pytest.mark.parametrize("single", [True, False], ids=["tensor", "tuple"])
@pytest.mark.parametrize(("solver", "gradient"), EVERY)
def test_a_model_that_keeps_its_solution_is_freed(solver, gradient, single):
    field, x = Field(single), torch.randn(2, 3, dtype=F64)
    state = x if single else (x, torch.zeros(2, dtype=F64))
    # The adjoint of Adams methods takes the end alone.
    save_at = None if "adams" in solver and gradient == "adjoint" else [0.5, 1.0]
    chosen = chosen_for(solver, gradient)
    field.states = solve(field, state, (0.0, 1.0), save_at=save_at, **chosen).ys
    gone = weakref.ref(field)
    del field
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(("solver", "gradient"), EVERY)
def test_a_model_that_nobody_else_keeps_lives_until_the_backward_pass(solver, gradient):
    chosen = chosen_for(solver, gradient)
    weights = []

    def build():
        torch.manual_seed(0)
        field = Field()
        weights.append(field.net.weight)
        return field

    x = torch.ones(2, 3, dtype=F64)
    loss = solve(build(), x, (0.0, 1.0), **chosen).y.square().sum()
    gc.collect()
    loss.backward()
    field = build()
    solve(field, x, (0.0, 1.0), **chosen).y.square().sum().backward()
    torch.testing.assert_close(weights[0].grad, field.net.weight.grad, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["node", "hbnode"])
@pytest.mark.parametrize(("solver", "gradient"), EVERY)
def test_a_neural_ode_that_keeps_its_output_is_freed(solver, gradient, kind):
    chosen = {k: v for k, v in chosen_for(solver, gradient).items() if k != "inner_tol"}
    model = NeuralODE(MLPField(3, (4,)), kind, **chosen)
    model.output = model(torch.randn(2, 3))
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
