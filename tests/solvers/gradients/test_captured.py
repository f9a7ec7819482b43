"""Captured tensors are named, swapped, or refused."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from grandpp.solvers.gradients.captured import (
    bind_tensors,
    captured_tensors,
    fresh_leaves,
    named_tensors,
)
from grandpp.solvers.gradients.counting import CountedField

T, Y = torch.zeros((), dtype=torch.float64), torch.ones(2)


@dataclass(frozen=True)
class Scaled:
    """A bound field: y' = rate y."""

    rate: Tensor

    def __call__(self, t, y):
        return self.rate * y

    @property
    def captured(self):
        return (self.rate,)

    def bind(self, captured):
        return Scaled(*captured)


@dataclass(frozen=True)
class Both(Scaled):
    """y' = rate other y."""

    other: Tensor

    @property
    def captured(self):
        return (self.rate, self.other)


def counted(f):
    return CountedField(f, 10, t_start=0.0)


def module():
    net = torch.nn.Linear(2, 2)
    net.bias.requires_grad_(False)
    net.register_forward_pre_hook(lambda m, args: args[1:])  # drops the time
    return net


def test_bound_fields_and_modules_name_their_tensors():
    rate, net = torch.ones(2, requires_grad=True), module()
    for f, expected in ((Scaled(rate), (rate,)), (net, (net.weight,))):
        for found in (named_tensors(f), captured_tensors(counted(f), T, Y, "adjoint")):
            assert [id(t) for t in found] == [id(t) for t in expected]


def test_the_evaluation_to_see_is_the_first_one_of_the_solve():
    calls = []
    counted_field = counted(lambda t, y: calls.append(t) or -y)
    captured_tensors(counted_field, T, Y, "adjoint")
    assert counted_field(T, Y).tolist() == [-1.0, -1.0]
    assert len(calls) == counted_field.stats.nfe_forward == 1
    counted_field(T, Y)
    assert len(calls) == counted_field.stats.nfe_forward == 2
    other = counted(lambda t, y: -y)
    captured_tensors(other, T, Y, "adjoint")
    assert other(T, 2 * Y).tolist() == [-2.0, -2.0]


@pytest.mark.parametrize("state", [Y, (Y, Y)], ids=["tensor", "tuple"])
def test_a_function_is_tried_once_and_refused_if_it_hides_a_tensor(state):
    rate = torch.ones(2, requires_grad=True)

    def hides(t, y):
        return rate * y if isinstance(y, Tensor) else (y[0], rate * y[1])

    def honest(t, y):
        assert t.dtype == torch.float32
        return y

    counted_field = counted(honest)
    grown = Y.clone().requires_grad_()
    asking = grown if isinstance(state, Tensor) else (grown, grown)
    assert captured_tensors(counted_field, T, asking, "adjoint") == ()
    assert counted_field.stats.nfe_forward == 1
    with pytest.raises(ValueError, match=r"nn.Module or a BoundField.*got a function"):
        captured_tensors(counted(hides), T, state, "adjoint")
    with torch.no_grad():
        silent = counted(hides)
        assert captured_tensors(silent, T, state, "adjoint") == ()
        assert silent.stats.nfe_forward == 0


def test_bound_fields_take_other_tensors_and_modules_keep_their_own():
    field = Scaled(torch.ones(2))
    swapped = bind_tensors(field, (torch.full((2,), 3.0),))
    assert swapped(T, Y).tolist() == [3.0, 3.0]
    assert field(T, Y).tolist() == [1.0, 1.0]
    net = module()
    assert bind_tensors(net, ()) is net


def test_leaves_are_cut_off_from_one_another_so_that_no_gradient_counts_twice():
    first = torch.tensor([2.0], requires_grad=True)
    second = 3 * first
    a, b = fresh_leaves(Both(first, second), (first, second))
    found = torch.autograd.grad((a * b).sum(), (a, b))
    assert [g.item() for g in found] == [6.0, 2.0]
    assert a.is_leaf
    assert b.is_leaf
    # A leaf beyond those that the field names is used by the field as it is.
    assert fresh_leaves(Scaled(second), (second, first))[1] is first
    (fixed,) = fresh_leaves(Scaled(first), (torch.ones(1),))
    assert not fixed.requires_grad
    net = module()
    assert fresh_leaves(net, (net.weight,))[0] is net.weight
