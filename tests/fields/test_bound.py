"""Modules, functions and bound fields behind one face."""

from __future__ import annotations

import pytest
import torch
from flows import points
from torch import nn

from grandpp.fields.bound import (
    BoundFunction,
    BoundModule,
    as_bound,
    as_solver_field,
    names_all_tensors,
)
from grandpp.vector_field import BoundField

T = torch.tensor(2.0)


class Affine(nn.Module):
    """f(t, y) = t W y + b."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.0))
        self.bias = nn.Parameter(torch.tensor(1.0))

    def forward(self, t, y):
        return t * self.weight * y + self.bias


class Wrapper:
    """A bound field around another."""

    def __init__(self, f):
        self.f = f

    def __call__(self, t, y):
        return 2 * self.f(t, y)

    @property
    def captured(self):
        return self.f.captured

    def bind(self, captured):
        return Wrapper(self.f.bind(captured))


def test_a_module_names_its_parameters_and_takes_others_in_their_place():
    module = Affine()
    bound = BoundModule.of(module)
    assert isinstance(bound, BoundField)
    assert [id(c) for c in bound.captured] == [id(module.weight), id(module.bias)]
    assert bound(T, torch.ones(1)).item() == 7.0
    other = torch.tensor([5.0, 0.5], requires_grad=True)
    swapped = bound.bind(tuple(other))
    value = swapped(T, torch.ones(1))
    assert value.item() == 10.5
    (grad,) = torch.autograd.grad(value, other)
    assert grad.tolist() == [2.0, 1.0]
    assert module.weight.item() == 3.0
    assert bound(T, torch.ones(1)).item() == 7.0
    # Binding again binds what is bound, not the original.
    assert swapped.bind(swapped.captured)(T, torch.ones(1)).item() == 10.5


def test_a_function_names_nothing_and_stays_itself():
    bound = as_bound(lambda t, y: t * y)
    assert isinstance(bound, BoundFunction)
    assert bound.captured == ()
    assert bound.bind(()) is bound
    assert bound(T, torch.tensor(4.0)).item() == 8.0


def test_each_kind_of_field_is_recognised():
    module = as_bound(Affine())
    assert isinstance(module, BoundModule)
    assert as_bound(module) is module
    wrapper = Wrapper(module)
    assert as_bound(wrapper) is wrapper
    with pytest.raises(TypeError, match="got a str"):
        as_bound("gradient")


def test_a_function_at_the_bottom_of_all_wrappers_is_not_hidden():
    honest, hiding = Wrapper(Wrapper(BoundModule.of(Affine()))), Wrapper(as_bound(torch.mul))
    assert names_all_tensors(honest)
    assert as_solver_field(honest) is honest
    assert not names_all_tensors(hiding)
    shown = as_solver_field(hiding)
    assert not isinstance(shown, BoundField)
    assert shown(T, torch.tensor(4.0)).item() == 16.0


def test_a_shared_parameter_of_a_module_stays_shared_when_swapped():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 3, bias=False).double()
            self.b = nn.Linear(3, 3).double()
            self.b.weight = self.a.weight

        def forward(self, t, h):
            return self.b(torch.tanh(self.a(h)))

    net = Twice()
    bound = as_bound(net)
    assert len(bound.captured) == 2
    swapped = bound.bind([2 * c for c in bound.captured])
    weight, bias = net.a.weight, net.b.bias
    expected = torch.tanh(points() @ (2 * weight).T) @ (2 * weight).T + 2 * bias
    torch.testing.assert_close(swapped(torch.zeros(()), points()), expected)
