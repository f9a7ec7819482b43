"""A stack of convolutions with planes of the time."""

from __future__ import annotations

import pytest
import torch

from grandpp.fields.convolution import ConvStackField


def test_parameters_are_those_of_the_paper():
    field = ConvStackField(1, (64, 64, 64, 64))
    sizes = [(2, 64), (65, 64), (65, 64), (65, 64), (65, 1)]
    assert sum(p.numel() for p in field.parameters()) == sum(9 * a * b + b for a, b in sizes)


def test_shape_is_kept_and_every_layer_sees_the_time():
    torch.manual_seed(0)
    field = ConvStackField(2, (3, 4))
    h = torch.randn(2, 2, 5, 6)
    early, late = field(torch.tensor(0.0), h), field(torch.tensor(1.0), h)
    assert early.shape == h.shape
    assert not torch.allclose(early, late)
    # A kernel of time at the last layer alone moves the output by its sum inside of the border.
    for parameter in field.parameters():
        parameter.data.zero_()
    field.layers[-1].weight.data[0, -1] = 1.0
    moved = field(torch.tensor(2.0), h).detach()
    assert float(moved[0, 0, 2, 2]) == 18.0
    assert float(moved[0, 0, 0, 0]) == 8.0
    assert float(moved[0, 1].abs().max()) == 0.0


def test_times_of_their_own_for_the_elements_of_a_batch():
    torch.manual_seed(0)
    field = ConvStackField(1, (3,))
    h = torch.randn(2, 1, 4, 4)
    both = field(torch.tensor([0.1, 0.7]).view(2, 1, 1, 1), h)
    torch.testing.assert_close(both[1:], field(torch.tensor(0.7), h[1:]))


def test_no_hidden_layer_is_one_convolution():
    field = ConvStackField(2, ())
    h = torch.randn(1, 2, 4, 4)
    t = torch.tensor(0.0)
    assert len(field.layers) == 1
    torch.testing.assert_close(field(t, 2 * h) - field(t, h), field(t, h) - field(t, 0 * h))


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match=r"odd 'kernel'.* .got 2"):
        ConvStackField(1, (2,), kernel=2)
    with pytest.raises(ValueError, match="positive sizes"):
        ConvStackField(1, (0,))
    with pytest.raises(ValueError, match="'activation' to be one of"):
        ConvStackField(1, (2,), activation="sine")
