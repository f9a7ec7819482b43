"""Autocast around a layer changes nothing of what it computes."""

from __future__ import annotations

import torch
from fuzzing import assert_near, fuzz, gradients
from hypothesis import strategies as st
from strategies import cases
from test_neural_ode import flows

HALF = (torch.bfloat16, torch.float16)


def check(module, inputs, half, features, double):
    """The same values and gradients inside and outside, of features that are already rounded."""
    x = features.to(half)
    inside, outside = x.clone().requires_grad_(), x.to(features.dtype).requires_grad_()
    with torch.autocast("cpu", half):
        got = module(inside, *inputs)
    expected = module(outside, *inputs)
    assert got.dtype == expected.dtype == features.dtype
    rounding = 1e-12 if double else 1e-6
    assert_near(got, expected, rounding)
    factor = torch.linspace(-1, 1, got.numel(), dtype=got.dtype).view_as(got)
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    found = gradients((factor * got).sum(), {**parameters, "x": inside})
    wanted = gradients((factor * expected).sum(), {**parameters, "x": outside})
    for name, gradient in found.items():
        assert gradient.dtype == (half if name == "x" else features.dtype)
        # The gradient to the features takes their type.
        allowed = 2 * torch.finfo(half).eps if name == "x" else 10 * rounding
        assert_near(gradient, wanted[name], allowed, name)


@fuzz(40, drawn=cases(), half=st.sampled_from(HALF))
def test_a_layer_under_autocast_is_itself(drawn, half):
    case = drawn.case
    conv, (x, *inputs) = case.build(), case.inputs()
    if any(True for _ in conv.parameters()):  # without parameters a layer takes the type of x
        check(conv, inputs, half, x, case.double)


@fuzz(20, drawn=flows(), half=st.sampled_from(HALF))
def test_a_neural_ode_under_autocast_is_itself(drawn, half):
    flow, x = drawn.build()
    check(flow, (), half, x, drawn.double)
