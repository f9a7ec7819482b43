"""A state and a right-hand side that cannot be integrated are refused in words, by every solver."""

from __future__ import annotations

import pytest
import torch
from every_solver import EVERY, MARCHING, options
from torch import nn

from grandpp.fields import Augmented
from grandpp.image.flow import ContinuousFlow
from grandpp.layers import GRANDConv, NeuralODE
from grandpp.sequence import ODERNN
from grandpp.solvers import SOLVER_NAMES, resolve_solver, solve

T = torch.tensor([0.0, 1.0], dtype=torch.float64)


def run(f, y0, solver, gradient=""):
    return solve(f, y0, (0.0, 1.0), **options(solver, gradient))


@pytest.mark.parametrize("solver", SOLVER_NAMES)
@pytest.mark.parametrize(
    ("y0", "words"),
    [
        (torch.ones(3, dtype=torch.int64), "torch.int64"),
        (torch.ones(3, dtype=torch.bool), "torch.bool"),
        (torch.ones(3, dtype=torch.bfloat16), "torch.bfloat16"),
        (torch.ones(3, dtype=torch.float16), "torch.float16"),
        ((torch.ones(3), torch.ones(3, dtype=torch.int64)), "torch.int64"),
    ],
)
def test_only_floating_states_of_single_or_double_precision_are_taken(solver, y0, words):
    end = float("inf") if solver == "steady" else 1.0
    with pytest.raises(ValueError, match=f"float32 or float64.*got {words}"):
        solve(lambda t, y: y, y0, (0.0, end), solver=solver)
    if solver in MARCHING:
        with pytest.raises(ValueError, match="float32 or float64"):
            resolve_solver(solver).solve(lambda t, y: y, y0, T)


@pytest.mark.parametrize("y0", [1.0, [torch.ones(2)], (), None])
def test_a_state_is_a_tensor_or_a_tuple_of_tensors(y0):
    with pytest.raises(TypeError, match="a tensor or a tuple of tensors"):
        solve(lambda t, y: y, y0, (0.0, 1.0))
    with pytest.raises(TypeError, match="every part of a state"):
        solve(lambda t, y: y, (torch.ones(2), 1.0), (0.0, 1.0))


BAD = {
    "broadcast": (lambda t, y: -y[:, 0], ValueError, r"shape of y, \[3, 3\] \(got \[3\]\)"),
    "swapped": (lambda y, t: -y, ValueError, r"\(got \[\]\); the first argument of f is the time"),
    "column": (lambda t, y: -y[:, :1], ValueError, r"got \[3, 1\]"),
    "double": (lambda t, y: -y.double(), ValueError, "in torch.float32, like y .got torch.float64"),
    "half": (lambda t, y: -y.bfloat16(), ValueError, "got torch.bfloat16"),
    "whole": (lambda t, y: y.int(), ValueError, "got torch.int32"),
    "complex": (lambda t, y: 1j * y, ValueError, "got torch.complex64"),
    "device": (lambda t, y: y.to("meta"), ValueError, "on cpu, like y .got meta"),
    "number": (lambda t, y: 1.0, TypeError, "a tensor, as the state is .got a float"),
    "nothing": (lambda t, y: None, TypeError, "got a NoneType"),
    "tuple": (lambda t, y: (y,), TypeError, "got a tuple of 1"),
}


@pytest.mark.parametrize("fault", BAD)
@pytest.mark.parametrize("solver", MARCHING)
def test_a_derivative_fits_its_state(solver, fault):
    f, kind, words = BAD[fault]
    with pytest.raises(kind, match=words):
        run(f, torch.rand(3, 3) + 0.5, solver)


@pytest.mark.parametrize("gradient", ["direct", "checkpoint", "adjoint"])
@pytest.mark.parametrize("solver", ["rk4", "dopri5", "tsit5"])
def test_the_check_is_made_under_every_gradient(solver, gradient):
    for f, kind, words in BAD.values():
        with pytest.raises(kind, match=words):
            run(f, torch.rand(3, 3) + 0.5, solver, gradient)


@pytest.mark.parametrize("solver", MARCHING)
@pytest.mark.parametrize(
    ("f", "kind", "words"),
    [
        (lambda t, y: (y[0],), ValueError, r"each of the 2 parts of the state \(got 1\)"),
        (lambda t, y: (y[1], y[0]), ValueError, r"\[2, 3\] \(got \[3\]\)"),
        (lambda t, y: torch.cat([y[0].view(-1), y[1]]), TypeError, "a tuple of 2.*got a tensor"),
        (lambda t, y: (y[0], y[1].double()), ValueError, "got torch.float64"),
    ],
)
def test_every_part_of_a_derivative_fits(solver, f, kind, words):
    with pytest.raises(kind, match=words):
        run(f, (torch.ones(2, 3), torch.ones(3)), solver)


@pytest.mark.parametrize(("solver", "gradient"), EVERY)
def test_a_complex_state_keeps_its_imaginary_part(solver, gradient):
    if solver == "scipy_solver":
        pytest.skip("SciPy's method of this name integrates real states")
    y0 = torch.tensor([1.0 + 0.5j], dtype=torch.complex128)
    y = run(lambda t, y: 1j * y, y0, solver, gradient).y
    torch.testing.assert_close(y, y0 * torch.exp(torch.tensor(1j)), rtol=0.2, atol=0.1)


class InPlace(nn.Module):
    def __init__(self, where):
        super().__init__()
        self.linear, self.where = nn.Linear(3, 3), where
        self.buffer = torch.zeros(4, 3)

    def forward(self, t, y):
        if self.where == "state":
            y = nn.functional.relu(y, inplace=True)
        if self.where == "view":
            y[..., 0].mul_(0.5)
        if self.where == "time":
            t.mul_(2)
        return self.linear(y)


@pytest.mark.parametrize("where", ["state", "view", "time"])
@pytest.mark.parametrize(("solver", "gradient"), EVERY)
def test_a_field_that_writes_into_its_arguments_is_refused(solver, gradient, where):
    with pytest.raises(ValueError, match="leave its arguments as they are"):
        run(InPlace(where), torch.randn(4, 3), solver, gradient)
    with torch.no_grad(), pytest.raises(ValueError, match="leave its arguments as they are"):
        run(InPlace(where), torch.randn(4, 3), solver, gradient)


@pytest.mark.parametrize("solver", MARCHING)
def test_a_field_that_writes_into_its_state_gets_a_copy_in_inference_mode(solver):
    field, y0 = InPlace("state").double(), torch.randn(4, 3, dtype=torch.float64)
    with torch.inference_mode():
        found = run(field, y0.clone(), solver).y
        expected = run(lambda t, y: field.linear(y.relu()), y0.clone(), solver).y
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_a_field_that_writes_into_one_part_of_a_state_is_refused():
    def f(t, y):
        return y[0], y[1].neg_()

    for solver in MARCHING:
        with torch.no_grad(), pytest.raises(ValueError, match="leave its arguments"):
            run(f, (torch.ones(2), torch.ones(3)), solver)


@pytest.mark.parametrize("solver", ["tsit5", "euler", "rk4"])
def test_a_field_that_returns_one_buffer_again_and_again_is_refused_or_harmless(solver):
    out = torch.zeros(3)

    def f(t, y):
        return torch.mul(y, -1.0, out=out)

    expected = run(lambda t, y: -y, torch.ones(3), solver).y
    try:
        found = run(f, torch.ones(3), solver).y
    except ValueError as error:
        assert "overwrites the derivative it returned before" in str(error)
    else:
        torch.testing.assert_close(found, expected)


class Reluctant(nn.Module):
    """Starts with the operation in place, as many image networks do."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 3))

    def forward(self, t, h):
        return self.net(h)


# Where torch itself sees the write (a part of a stacked state), its words are as clear.
IN_PLACE = "leave its arguments|modified inplace|in-place operation"


@pytest.mark.parametrize("kind", ["node", "anode", "hbnode", "adamnode"])
@pytest.mark.parametrize(
    ("solver", "gradient"), [("auto", None), ("rk4", "direct"), ("tsit5", "adjoint")]
)
@pytest.mark.parametrize("grad", [True, False])
def test_neural_odes_refuse_such_a_field(kind, solver, gradient, grad):
    model = NeuralODE(Reluctant(), Augmented(0) if kind == "anode" else kind, solver=solver,
                      gradient=gradient)  # fmt: skip
    with torch.set_grad_enabled(grad), pytest.raises((ValueError, RuntimeError), match=IN_PLACE):
        model(torch.randn(4, 3))


@pytest.mark.parametrize("grad", [True, False])
def test_recurrent_networks_and_flows_refuse_such_a_field(grad):
    net = ODERNN("node", 2, 3, 1, field=Reluctant())
    flow = ContinuousFlow(Reluctant(), (3,))
    with torch.set_grad_enabled(grad):
        with pytest.raises((ValueError, RuntimeError), match=IN_PLACE):
            net(torch.randn(3, 4, 2), torch.arange(3.0).view(3, 1).expand(3, 4))
        with pytest.raises((ValueError, RuntimeError), match=IN_PLACE):
            flow(torch.randn(4, 3))


@pytest.mark.parametrize("gradient", ["direct", "checkpoint", "adjoint"])
@pytest.mark.parametrize("solver", ["dopri5", "tsit5", "rk4"])
def test_a_field_in_mixed_precision_has_its_derivative_in_the_precision_of_the_state(
    solver, gradient
):
    torch.manual_seed(0)
    field, y0 = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3)), torch.randn(4, 3)

    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = field

        def forward(self, t, y):
            return self.net(y)

    chosen = {} if solver == "rk4" else {"rtol": 1e-2, "atol": 1e-2}
    expected = solve(Field(), y0, (0.0, 1.0), solver=solver, **chosen).y
    (reference,) = torch.autograd.grad(expected.sum(), field[0].weight)
    with torch.autocast("cpu", torch.bfloat16):
        found = solve(Field(), y0, (0.0, 1.0), solver=solver, gradient=gradient, **chosen).y
        assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)
    (grad,) = torch.autograd.grad(found.sum(), field[0].weight)
    torch.testing.assert_close(grad, reference, rtol=0.1, atol=0.05)


def test_layers_of_graphs_still_take_double_precision(karate):
    x = torch.randn(34, 4, dtype=torch.float64)
    assert GRANDConv(4, solver="rk4").double()(x, karate).dtype == torch.float64
