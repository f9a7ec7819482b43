"""MoNet against a loop over edges."""

from __future__ import annotations

import torch

from grandpp.models import MoNet


def test_a_layer_equals_the_sum_of_gaussians_over_neighbours(karate, sparse_x):
    torch.manual_seed(0)
    model = MoNet(50, 8, 3, layers=1, kernels=4).double().eval()
    conv, place = model.convs[0], model.places[0]
    x = sparse_x.double()
    d = torch.bincount(karate[1], minlength=34).double() + 1
    expected = conv.bias.expand(34, 3).clone()
    loops = torch.arange(34).repeat(2, 1)
    for j, i in torch.cat([karate, loops], dim=1).t().tolist():
        v = torch.tanh(place(torch.stack([d[i], d[j]]).rsqrt()))
        g = torch.exp(-0.5 * ((v - conv.mu) / conv.sigma).square().sum(1))
        maps = (x[j] @ conv.g).view(4, 3)
        expected[i] = expected[i] + (g[:, None] * maps).sum(0)
    torch.testing.assert_close(model(x, karate), expected)


def test_gaussians_start_wide():
    torch.manual_seed(0)
    model = MoNet(50, 8, 3, layers=3, kernels=5)
    assert len(model.convs) == 3
    assert all(bool((conv.sigma == 1).all()) for conv in model.convs)
    assert all(float(conv.mu.detach().abs().max()) < 1 for conv in model.convs)
