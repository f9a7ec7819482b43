"""A second derivative is exact, or an error: never one that lacks terms."""

from __future__ import annotations

import pytest
import torch
from every_solver import EVERY, OF_DIFFUSION, options

from grandpp.fields.stationary import stationary_measure
from grandpp.graph import prepare_graph
from grandpp.layers import GRANDConv, NeuralODE
from grandpp.solvers import solve

F64 = torch.float64
LOW_ORDER = ("adaptive_heun", "bosh3", "fehlberg2")
REFUSED = "one differentiation of a solve"


class Field(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([0.5, -0.3, 0.8], dtype=F64))

    def forward(self, t, y):
        return (self.weight * y).tanh() - 0.5 * y.flip(0)


def run(field, chosen):
    y0 = torch.tensor([0.4, 1.0, -0.7], dtype=F64, requires_grad=True)
    return y0, solve(field, y0, (0.0, 1.0), **chosen).y


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize(("solver", "gradient"), EVERY)
def test_second_derivatives_are_exact_or_refused(solver, gradient, power):
    chosen, field = options(solver, gradient), Field()
    if solver in LOW_ORDER:
        chosen |= {"rtol": 1e-5, "atol": 1e-6}
    y0, y = run(field, chosen)
    loss = y.pow(power).sum()
    grads = torch.autograd.grad(loss, (field.weight, y0), create_graph=True)
    # The loss has a graph of its own: lost terms of the penalty would go unnoticed.
    penalty = loss + torch.cat(grads).square().sum()
    if gradient not in ("direct", ""):
        with pytest.raises(NotImplementedError, match=REFUSED):
            torch.autograd.grad(penalty, field.weight)
        return
    (found,) = torch.autograd.grad(penalty, field.weight)
    if "rtol" in chosen:  # step sizes count as constants: compare with the equation itself
        expected = differences({"solver": "rk4", "step_size": 0.05}, power)
        # dopri8 interpolates its last state to a lower order.
        tol = 0.05 if solver in (*LOW_ORDER, "dopri8") else 1e-4
    else:
        expected, tol = differences(chosen, power), 1e-6
    torch.testing.assert_close(found, expected, rtol=tol, atol=tol)


def differences(chosen, power):
    """Central differences of the penalised loss, from first derivatives alone."""

    def value(weight):
        field = Field()
        with torch.no_grad():
            field.weight.copy_(weight)
        y0, y = run(field, chosen)
        loss = y.pow(power).sum()
        grads = torch.autograd.grad(loss, (field.weight, y0))
        return float(loss + torch.cat(grads).square().sum())

    weight, eps = Field().weight.detach(), 1e-4
    steps = eps * torch.eye(3, dtype=F64)
    return torch.tensor(
        [(value(weight + s) - value(weight - s)) / (2 * eps) for s in steps], dtype=F64
    )


@pytest.mark.parametrize("solver", OF_DIFFUSION)
def test_solvers_of_diffusion_refuse(karate, solver):
    options = {"time": float("inf")} if solver == "steady" else {"solver": solver}
    if solver == "commutator_free":
        options["mode"] = "nonlinear"
    conv = GRANDConv(4, **options).double()
    x = torch.randn(34, 4, dtype=F64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    y = conv(x, karate)
    (to_x,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match=REFUSED):
        (y.sum() + to_x.square().sum()).backward()


def test_a_stationary_measure_refuses():
    graph = prepare_graph(torch.tensor([[0, 1, 2, 0], [1, 2, 0, 2]]), 3)
    prior = graph.prior(None, 1.0, like=torch.ones((), dtype=F64))
    raw = torch.rand(len(prior), dtype=F64).requires_grad_()
    total = torch.zeros(3, dtype=F64).index_add(0, graph.csr.row, raw)
    measure = stationary_measure(graph, raw / total[graph.csr.row], prior)
    (grad,) = torch.autograd.grad(measure.square().sum(), raw, create_graph=True)
    with pytest.raises(NotImplementedError, match=REFUSED):
        grad.square().sum().backward()


@pytest.mark.parametrize("gradient", ["adjoint", "checkpoint"])
@pytest.mark.parametrize("solver", ["dopri5", "tsit5"])
def test_first_derivatives_with_a_graph_are_those_without(solver, gradient):
    model = NeuralODE(Field(), solver=solver, gradient=gradient)
    x = torch.tensor([[0.3, 0.1, 0.9]], dtype=F64)
    model(x).sum().backward(create_graph=True)
    found = model.field.weight.grad.detach().clone()
    model.field.weight.grad = None
    model(x).sum().backward()
    torch.testing.assert_close(found, model.field.weight.grad, rtol=0, atol=0)
