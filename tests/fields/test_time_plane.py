"""A plane of the time in convolutions, against the concatenated plane."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from grandpp.fields import ConvField
from grandpp.fields.convolution import ConvStackField
from grandpp.fields.precision import LowPrecision
from grandpp.fields.time_plane import as_channels_last, convolve_with_time

F64 = torch.float64


def with_plane(layer: nn.Conv2d, t, h):
    """The convolution as it is written in the papers: the time is one more channel."""
    plane = t.to(h.dtype).expand(h.size(0), 1, *h.shape[2:])
    x = torch.cat([h, plane], dim=1)
    return F.conv2d(x, layer.weight, layer.bias, padding=layer.padding)


def dense(field, t, h):
    """A whole field by :func:`with_plane`."""
    stack = isinstance(field, ConvStackField)
    layers = field.layers if stack else (field.inner, field.middle, field.outer)
    for n, layer in enumerate(layers):
        h = with_plane(layer, t, h if n == 0 else field.activation(h))
    return h


def fields():
    torch.manual_seed(0)
    return {
        "one channel": (ConvField(1, 7), 1),
        "twice the channels": (ConvField(2, 5, in_channels=4, activation="elu"), 4),
        "stack": (ConvStackField(3, (4, 6)), 3),
        "stack of kernels 5": (ConvStackField(1, (4,), kernel=5, activation="tanh"), 1),
    }


FIELDS = tuple(fields())
TIMES = {"scalar": torch.tensor(0.7), "each": torch.tensor([0.3, -1.2, 2.0]).view(3, 1, 1, 1)}


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("name", FIELDS)
def test_values_and_gradients_are_those_of_the_concatenated_plane(name, time):
    field, channels = fields()[name]
    field.double()
    h = torch.randn(3, channels, 4, 6, dtype=F64, requires_grad=True)
    t = TIMES[time].to(F64).requires_grad_()
    wanted = (t, h, *field.parameters())
    ours, expected = field(t, h), dense(field, t, h)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    weight = torch.randn_like(expected)
    found = torch.autograd.grad(ours, wanted, weight)
    for a, b in zip(found, torch.autograd.grad(expected, wanted, weight), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", FIELDS)
def test_single_precision_differs_by_rounding_alone_and_the_layout_is_the_usual_one(name):
    field, channels = fields()[name]
    h, t = torch.randn(3, channels, 9, 5), torch.tensor(0.4)
    out = field(t, h)
    torch.testing.assert_close(out, dense(field, t, h), rtol=1e-5, atol=1e-5)
    assert out.is_contiguous()


def test_the_border_sees_less_of_the_kernel_than_the_middle():
    layer = nn.Conv2d(2, 1, 3, padding=1).double()
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    out = convolve_with_time(layer, torch.tensor(0.5, dtype=F64), torch.zeros(1, 1, 3, 4).double())
    assert out[0, 0].tolist() == [[2.0, 3.0, 3.0, 2.0], [3.0, 4.5, 4.5, 3.0], [2.0, 3.0, 3.0, 2.0]]


@pytest.mark.parametrize("name", FIELDS)
def test_second_derivatives_and_batches_of_products_exist(name):
    field, channels = fields()[name]
    field.double()
    h, t = torch.randn(2, channels, 3, 3, dtype=F64), torch.tensor(0.4, dtype=F64)

    def jacobian(of):
        inputs = h.clone().requires_grad_()
        out = of(t, inputs).flatten()
        rows = torch.eye(len(out), dtype=F64)
        (found,) = torch.autograd.grad(out, inputs, rows, is_grads_batched=True, create_graph=True)
        loss = found.square().sum()
        return found, torch.autograd.grad(loss, inputs, allow_unused=True)[0]

    for a, b in zip(jacobian(field), jacobian(lambda t, h: dense(field, t, h)), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_functions_of_torch_func_reach_through_the_layout():
    field, channels = fields()["one channel"]
    h, t = torch.randn(4, 2, channels, 3, 3), torch.tensor(0.4)
    each = torch.stack([field(t, part) for part in h])
    torch.testing.assert_close(torch.func.vmap(field, (None, 0))(t, h), each)
    _, tangent = torch.func.jvp(lambda t: field(t, h[0]), (t,), (torch.ones(()),))
    _, expected = torch.func.jvp(lambda t: dense(field, t, h[0]), (t,), (torch.ones(()),))
    torch.testing.assert_close(tangent, expected, rtol=1e-4, atol=1e-5)


def test_bfloat16_stays_within_its_rounding():
    field, channels = fields()["twice the channels"]
    h, t = torch.randn(3, channels, 5, 5), torch.tensor(0.9)
    error = LowPrecision(field)(t, h) - dense(field, t, h)
    assert error.norm() < 0.02 * dense(field, t, h).norm()


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_are_side_by_side_without_a_change_of_values(channels):
    x = torch.randn(2, channels, 4, 5)
    moved = as_channels_last(x)
    assert torch.equal(moved, x) and moved.stride() == (20 * channels, 1, 5 * channels, channels)
