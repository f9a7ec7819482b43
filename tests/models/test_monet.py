"""MoNet against a loop over edges."""

from __future__ import annotations

import pytest
import torch

from grandpp.models import MoNet


@pytest.mark.parametrize("normalize", [True, False])
def test_a_layer_is_the_mean_or_the_sum_of_neighbours_weighted_by_gaussians(
    karate, sparse_x, normalize
):
    torch.manual_seed(0)
    model = MoNet(50, 8, 3, layers=1, kernels=4, normalize=normalize).double().eval()
    conv, place = model.convs[0], model.places[0]
    x = sparse_x.double()
    d = torch.bincount(karate[1], minlength=34).double() + 1
    sums, total = torch.zeros(34, 4, 3).double(), torch.zeros(34, 4, 1).double()
    loops = torch.arange(34).repeat(2, 1)
    for j, i in torch.cat([karate, loops], dim=1).t().tolist():
        v = torch.tanh(place(torch.stack([d[i], d[j]]).rsqrt()))
        g = torch.exp(-0.5 * ((v - conv.mu) / conv.sigma).square().sum(1))
        sums[i] += g[:, None] * (x[j] @ conv.g).view(4, 3)
        total[i] += g[:, None]
    expected = (sums / total if normalize else sums).sum(1) + conv.bias
    torch.testing.assert_close(model(x, karate), expected)


def test_a_node_with_many_neighbours_like_itself_has_the_logits_of_one_with_few():
    star = torch.stack([torch.arange(1, 200), torch.zeros(199, dtype=torch.long)])
    edges = torch.cat([star, star.flip(0)], dim=1)
    torch.manual_seed(0)
    model = MoNet(40, 8, 3, layers=1).eval()
    logits = model(torch.ones(200, 40), edges)
    torch.testing.assert_close(logits, logits[:1].expand(200, 3))
    torch.manual_seed(0)
    plain = MoNet(40, 8, 3, layers=1, normalize=False).eval()
    assert float(plain(torch.ones(200, 40), edges)[0].detach().abs().max()) > 20


def test_narrow_gaussians_far_from_all_neighbours_give_finite_weights_and_gradients(karate):
    torch.manual_seed(0)
    model = MoNet(50, 8, 3).eval()
    for conv in model.convs:
        torch.nn.init.constant_(conv.sigma, 1e-3)
        torch.nn.init.constant_(conv.mu, 5.0)
    logits = model(torch.ones(34, 50), karate)
    logits.square().mean().backward()
    assert float(logits.detach().abs().max()) > 0
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_gaussians_start_wide():
    torch.manual_seed(0)
    model = MoNet(50, 8, 3, layers=3, kernels=5)
    assert len(model.convs) == 3
    assert all(bool((conv.sigma == 1).all()) for conv in model.convs)
    assert all(float(conv.mu.detach().abs().max()) < 1 for conv in model.convs)
