"""Fields on vectors and images."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from grandpp.fields import ConvField, DrivenField, MLPField

T = torch.tensor(0.25)


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("channels", "width", "size", "total"),
    [(1, 92, 28, 85_316), (6, 64, 28, 85_462), (3, 125, 32, 173_611), (13, 64, 32, 172_452)],
)
def test_convolutions_with_a_plane_of_time_have_the_papers_size(channels, width, size, total):
    """Field and a linear output layer of ten classes: NODE, ANODE of HBNODE paper Table 2."""
    assert count(ConvField(channels, width)) + 10 * channels * size**2 + 10 == total


def test_time_enters_before_every_convolution():
    torch.manual_seed(0)
    field, x = ConvField(2, 3), torch.randn(4, 2, 5, 6)
    plane = torch.full((4, 1, 5, 6), 0.25)
    h = x
    for conv in (field.inner, field.middle, field.outer):
        h = conv(torch.cat([h if h is x else h.relu(), plane], dim=1))
    torch.testing.assert_close(field(T, x), h)
    own = torch.tensor([0.25, 1.0, 2.0, 3.0]).view(4, 1, 1, 1)
    torch.testing.assert_close(field(own, x)[:1], h[:1])
    assert not torch.allclose(field(own, x)[1:], h[1:])
    assert ConvField(2, 3, in_channels=4)(T, torch.randn(1, 4, 5, 5)).shape == (1, 2, 5, 5)


def test_a_perceptron_is_linear_layers_with_elu_between():
    field = MLPField(3, (4, 5), in_channels=6)
    kinds = [type(m) for m in field.layers]
    assert kinds == [nn.Linear, nn.ELU, nn.Linear, nn.ELU, nn.Linear]
    assert field(T, torch.randn(2, 7, 6)).shape == (2, 7, 3)
    timed = MLPField(3, (), time=True)
    x = torch.randn(2, 3)
    expected = torch.cat([x, torch.full((2, 1), 0.25)], dim=1) @ timed.layers[0].weight.T
    torch.testing.assert_close(timed(T, x), expected + timed.layers[0].bias)


def test_the_driving_signal_is_linear_between_samples_and_constant_outside():
    field = DrivenField(1, torch.tensor([1.0, 3.0, 2.0]))
    times = torch.tensor([-1.0, 0.0, 0.5, 1.0, 1.75, 2.0, 9.0])
    expected = torch.tensor([1.0, 1.0, 2.0, 3.0, 2.25, 2.0, 2.0])
    torch.testing.assert_close(field.input(times), expected)
    x = torch.randn(7, 1)
    by_rows = torch.cat([field(t, x[i : i + 1]) for i, t in enumerate(times)])
    torch.testing.assert_close(field(times.view(7, 1), x), by_rows)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: MLPField(0), r"positive sizes of layers \(got \[0, 0\]\)"),
        (lambda: MLPField(2, (3,), activation="gelu"), r"elu, relu, tanh, softplus \(got 'gelu'\)"),
        (lambda: ConvField(2, 0), "positive sizes"),
        (lambda: DrivenField(1, torch.zeros(1)), r"\[T\] with T >= 2 \(got \[1\]\)"),
    ],
)
def test_wrong_input_is_named(build, words):
    with pytest.raises(ValueError, match=words):
        build()
