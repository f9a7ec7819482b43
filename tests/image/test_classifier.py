"""Classifiers of images: what they start from, what they compute, and their gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from grandpp.image import ODEClassifier
from grandpp.layers.neural_ode import KINDS

SHAPE = (2, 3, 4)


def images(batch: int = 3) -> Tensor:
    return torch.rand(batch, *SHAPE, generator=torch.Generator().manual_seed(1))


def tiny(kind: str, **options) -> ODEClassifier:
    torch.manual_seed(0)
    channels = 2 if kind == "node" else 3
    net = ODEClassifier(kind, SHAPE, channels, 3, 5, **{"tolerance": 1e-6} | options)
    # The kinks of ReLU cost small tolerances thousands of steps.
    net.flow.field.activation = nn.Tanh()
    return net.double()


def without_force(net: ODEClassifier) -> None:
    for parameter in net.flow.field.parameters():
        torch.nn.init.zeros_(parameter)


@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_gradients_of_all_ways_agree(kind):
    found = []
    for gradient in ("direct", "adjoint"):
        net = tiny(kind, gradient=gradient, tolerance=1e-7)
        x = images().double().requires_grad_()
        logits = net(x)
        assert logits.shape == (3, 5)
        torch.nn.functional.cross_entropy(logits, torch.tensor([0, 4, 2])).backward()
        # xi of HBNODE and the like are part of it: every parameter takes part.
        found.append(torch.cat([x.grad.flatten(), *(p.grad.flatten() for p in net.parameters())]))
    assert float(found[0].abs().max()) > 1e-3
    torch.testing.assert_close(found[1], found[0], atol=3e-6, rtol=1e-3)


def test_the_field_of_node_sees_the_time():
    net = tiny("node")
    without_force(net)
    # Only the plane of the time before the last convolution is passed on: h' = t.
    with torch.no_grad():
        net.flow.field.outer.weight[:, -1] = 1.0
    x = images().double()
    torch.testing.assert_close(net.solve(x).y, x + 0.5)


def test_anode_starts_from_the_image_and_zeros():
    net = tiny("anode")
    without_force(net)
    x = images().double()
    padded = torch.cat([x, torch.zeros(3, 1, 3, 4, dtype=torch.float64)], dim=1)
    torch.testing.assert_close(net(x), net.output(padded.flatten(1)))


def test_hbnode_without_force_glides_from_what_its_network_gives():
    net = tiny("hbnode", tolerance=1e-9)
    without_force(net)
    x = images().double()
    rest, momentum = net.flow.initial(x).split([1, 3], dim=1)
    gamma = 1 / (1 + math.exp(3))
    way = momentum * (1 - math.exp(-gamma)) / gamma
    torch.testing.assert_close(net(x), net.output((torch.cat([x, rest], 1) + way).flatten(1)))


@pytest.mark.parametrize("solver", ["dopri5", "tsit5", "dormand_prince"])
def test_evaluations_are_counted_and_grow_as_the_tolerance_falls(solver):
    net = tiny("hbnode", solver=solver)
    counts = []
    for tolerance in (1e-3, 1e-7):
        net.set_tolerance(tolerance)
        solution = net.solve(images().double())
        net.logits(solution).sum().backward()
        counts.append((solution.stats.nfe_forward, solution.stats.nfe_backward))
    assert counts[0][0] < counts[1][0] and 0 < counts[0][1] < counts[1][1]


def test_bfloat16_rounds_the_field_and_leaves_the_state_in_float32():
    torch.manual_seed(0)
    whole = ODEClassifier("ghbnode", SHAPE, 3, 4, tolerance=1e-2)
    rounded = ODEClassifier("ghbnode", SHAPE, 3, 4, tolerance=1e-2, amp=True)
    rounded.flow.field.field.load_state_dict(whole.flow.field.state_dict())
    for name in ("initial", "dynamics"):
        getattr(rounded.flow, name).load_state_dict(getattr(whole.flow, name).state_dict())
    rounded.output.load_state_dict(whole.output.state_dict())
    solution = rounded.solve(images())
    assert solution.y.dtype == torch.float32
    difference = (rounded(images()) - whole(images())).abs().max()
    assert 0 < float(difference.detach()) < 1e-2
    rounded(images()).sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in rounded.parameters())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cnn", SHAPE, 3, 4), r"node, anode.*\(got 'cnn'\)"),
        (("node", SHAPE, 3, 4), r"expected the image's 2 channels for node \(got 3\)"),
        (("anode", SHAPE, 1, 4), r"at least the image's 2 channels for anode \(got 1\)"),
        (("hbnode", SHAPE, 3, 0), "positive sizes"),
        (("hbnode", SHAPE, 3, 4, 1), "'num_classes' >= 2"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        ODEClassifier(*arguments)


def test_a_fixed_step_method_has_no_tolerance_to_set():
    net = ODEClassifier("node", SHAPE, 2, 4, tolerance=None, solver="rk4", step_size=0.5)
    assert net.solve(images()).stats.nfe_forward == 8
    with pytest.raises(TypeError, match=r"adaptive method, .*\(got 'rk4'\)"):
        net.set_tolerance(1e-3)
