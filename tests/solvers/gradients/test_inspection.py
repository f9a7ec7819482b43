"""Gradients that evaluate f again: nothing that f touches is lost, and nothing random passes."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from every_solver import EVERY, RECOMPUTING, options
from torch import nn

from grandpp.fields import MLPField
from grandpp.layers import GRANDConv, NeuralODE
from grandpp.solvers import solve

F64 = torch.float64


class Computed(nn.Module):
    """Holds results that were computed from tensors which are no parameters of it."""

    def __init__(self, w, a, own):
        super().__init__()
        self.own = nn.Parameter(own)
        self.c, self.d = 2 * w, (a * w).exp()
        self.e = self.own.exp()

    def forward(self, t, y):
        return (self.c * y).tanh() - self.d * y - self.e * y.flip(0) + self.own


class Hidden(nn.Module):
    """Uses networks in a dictionary and a list, and what a closure captured."""

    def __init__(self, w, a, own):
        super().__init__()
        self.own = nn.Parameter(own)
        self.nets = {"a": nn.Linear(3, 3, dtype=F64), "b": [nn.Linear(3, 3, dtype=F64)]}
        with torch.no_grad():
            for i, net in enumerate((self.nets["a"], *self.nets["b"])):
                net.weight.copy_(torch.linspace(-1, 1, 9).view(3, 3) * (i + 0.5))
                net.bias.fill_(0.1)
        self.pull = lambda y: w * y.sin() + a * (2 * w) * y

    def forward(self, t, y):
        return self.nets["b"][0](self.nets["a"](y).tanh()) + self.pull(y) + self.own


def gradients(kind, wrap, chosen):
    w = torch.tensor([0.3, 0.9, -0.5], dtype=F64, requires_grad=True)
    a = torch.tensor(0.4, dtype=F64, requires_grad=True)
    own = torch.tensor([0.1, 0.2, -0.4], dtype=F64)
    field = kind(w, a, own)
    model = NeuralODE(field, "hbnode", **chosen) if wrap else None
    y0 = torch.tensor([0.5, -1.0, 0.8], dtype=F64, requires_grad=True)
    y = model(y0.view(1, 3))[0] if wrap else solve(field, y0, (0.0, 1.0), **chosen).y
    nets = getattr(field, "nets", None)
    inner = () if nets is None else (nets["a"].weight, nets["b"][0].weight, nets["b"][0].bias)
    return torch.autograd.grad((y * torch.arange(1, 4)).sum(), (w, a, y0, field.own, *inner))


@cache
def reference(kind, wrap):
    return gradients(kind, wrap, {"solver": "rk4", "step_size": 0.05})


@pytest.mark.parametrize("wrap", [False, True], ids=["module", "bound"])
@pytest.mark.parametrize("kind", [Computed, Hidden])
@pytest.mark.parametrize(("solver", "gradient"), EVERY)
def test_gradients_reach_everything_that_a_module_touches(solver, gradient, kind, wrap):
    chosen = options(solver, gradient)
    if "rtol" in chosen:
        # fehlberg2 of torchdiffeq is far from its tolerance.
        tight = 1e-6 if solver == "fehlberg2" else 1e-3
        chosen |= {"rtol": tight, "atol": tight / 10}
    if "inner_tol" in chosen and wrap:
        pytest.skip("NeuralODE takes the solver's own inner tolerance")
    found = gradients(kind, wrap, chosen)
    if gradient == "checkpoint":
        expected, tol = gradients(kind, wrap, {**chosen, "gradient": "direct"}), 1e-9
    else:
        expected = reference(kind, wrap)
        tol = 0.6 if "step_size" in chosen else 0.05
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=tol, atol=tol)


@pytest.mark.parametrize("gradient", ["checkpoint", "adjoint"])
@pytest.mark.parametrize("solver", ["dopri5", "tsit5"])
def test_a_parameter_in_a_message_hook_gets_its_gradient(karate, solver, gradient):
    x = torch.randn(34, 4, dtype=F64, generator=torch.Generator().manual_seed(0))

    def run(gradient):
        torch.manual_seed(0)
        conv = GRANDConv(4, time=1.0, solver=solver, gradient=gradient, rtol=1e-8, atol=1e-8)
        conv = conv.double()
        gain = nn.Parameter(torch.tensor(0.7, dtype=F64))
        conv.register_message_forward_hook(lambda module, inputs, output: gain * output)
        y = conv(x, karate)
        return torch.autograd.grad(y.square().sum(), (gain, *conv.parameters()))

    for a, b in zip(run(gradient), run("direct"), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


class Noisy(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(4, 4), layer)

    def forward(self, t, y):
        return self.layer(y)


LAYERS = {
    "dropout": lambda: nn.Dropout(0.5),
    "alpha dropout": lambda: nn.AlphaDropout(0.5),
    "rrelu": lambda: nn.RReLU(),
    "batch norm": lambda: nn.BatchNorm1d(4),
}
REPEATING = tuple(e for e in EVERY if e[1] in ("checkpoint", "adjoint", "implicit"))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("solver", "gradient"), REPEATING)
def test_a_random_or_changing_field_is_refused_where_it_is_evaluated_again(solver, gradient, layer):
    field = Noisy(LAYERS[layer]())
    words = "changes a buffer" if layer == "batch norm" else "draws random numbers"
    chosen = {k: v for k, v in options(solver, gradient).items() if "tol" not in k}
    y0 = torch.randn(5, 4)
    with pytest.raises(ValueError, match=f"{words}.*call eval"):
        solve(field, y0, (0.0, 1.0), **chosen)
    y = solve(field.eval(), y0, (0.0, 1.0), **chosen).y
    y.sum().backward()
    assert field.layer[0].weight.grad is not None


@pytest.mark.parametrize("gradient", ["checkpoint", "adjoint"])
def test_it_is_refused_inside_every_wrapper(gradient):
    for make in (
        lambda: NeuralODE(Noisy(nn.Dropout(0.5)), "hbnode", gradient=gradient),
        lambda: NeuralODE(Noisy(nn.BatchNorm1d(4)), "adamnode", solver="tsit5", gradient=gradient),
    ):
        with pytest.raises(ValueError, match=r"expected a .*right-hand side"):
            make()(torch.randn(5, 4))


def test_back_propagation_through_a_random_field_is_taken():
    field = Noisy(nn.Dropout(0.5))
    torch.manual_seed(0)
    y0 = torch.randn(5, 4)
    for solver in ("rk4", "euler"):
        solve(field, y0, (0.0, 1.0), solver=solver).y.sum().backward()
    with torch.no_grad():  # nothing is evaluated again
        solve(field, y0, (0.0, 1.0), solver="rk4", gradient="checkpoint")


@pytest.mark.parametrize(("solver", "gradient"), RECOMPUTING)
def test_looking_costs_no_evaluation(solver, gradient):
    calls = []

    class Counting(MLPField):
        def forward(self, t, h):
            calls.append(t)
            return super().forward(t, h)

    chosen = options(solver, gradient)
    if "rtol" in chosen:
        chosen |= {"rtol": 1e-4, "atol": 1e-4}
    field = Counting(3, (4,)).double()
    y0 = torch.randn(2, 3, dtype=F64)
    stats = solve(field, y0, (0.0, 1.0), **chosen).stats
    looked = len(calls)
    assert stats.nfe_forward == looked
    with torch.no_grad():
        solve(field, y0, (0.0, 1.0), **chosen)
    assert len(calls) - looked == looked
