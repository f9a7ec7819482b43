"""Filters of long scales, and Horner's rule for short ones."""

from __future__ import annotations

import torch
from reference import dense_symmetric
from torch import nn

from grandpp.graph import prepare_graph, symmetric_normalize
from grandpp.models.lanczos_layer import LanczosLayer, MatrixFilter, RitzFilter, Scales


def test_matrix_filters_are_symmetric_whatever_the_perceptron():
    torch.manual_seed(0)
    filter, t = MatrixFilter(1, 5), torch.randn(1, 5, 5)
    rows = filter(t, torch.eye(3).unsqueeze(0))  # the space was exhausted after three steps
    torch.testing.assert_close(rows, rows.t())


def test_ritz_filters_act_on_each_value_alone():
    torch.manual_seed(0)
    filter, powers, z = RitzFilter(2), torch.rand(2, 5), torch.randn(2, 5, 3)
    whole = filter(powers, z)
    for i in range(5):
        torch.testing.assert_close(filter(powers[:, i : i + 1], z[:, i : i + 1]), whole[i : i + 1])
    torch.testing.assert_close(filter(powers, 2 * z), 2 * whole)


def test_short_scales_share_their_products(karate, monkeypatch):
    import grandpp.models.lanczos_layer as module

    products = []

    def counted(*args):
        products.append(args[2].shape)
        return spmm(*args)

    spmm = module.spmm
    monkeypatch.setattr(module, "spmm", counted)
    torch.manual_seed(0)
    graph = prepare_graph(karate, 34)
    weight = symmetric_normalize(graph, graph.prior(None, 1.0, like=torch.ones(())))
    layer = LanczosLayer(nn.Linear(6, 4 * 3, bias=False), RitzFilter(1), (1, 2, 7), 3)
    x = torch.randn(34, 6)
    empty = Scales(graph, weight, torch.zeros(34, 2), torch.zeros(1, 2))
    y = layer(x, empty)
    assert products == [(34, 3)] * 7
    s = dense_symmetric(karate, torch.ones(156), 34, loops=1.0).float()
    parts = layer.encoder(x).unflatten(1, (4, 3)).unbind(1)
    expected = sum(
        torch.linalg.matrix_power(s, p) @ part for p, part in zip((1, 2, 7), parts, strict=False)
    )
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5)
