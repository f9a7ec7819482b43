"""APPNP, SGC and GCNII against dense matrices and PyG's own layers."""

from __future__ import annotations

import math

import pytest
import torch
from reference import dense_symmetric
from torch_geometric.nn import GCN2Conv, SGConv

from grandpp.models import GCNII, PredictThenPropagate, SimplifiedGCN


@pytest.fixture
def weighted(karate):
    return karate, 1.0 + (karate.sum(0) % 3)


def test_appnp_tends_to_personalised_pagerank(weighted, sparse_x):
    edges, weight = weighted
    torch.manual_seed(0)
    model = PredictThenPropagate(50, 8, 3, hops=200, alpha=0.1).double().eval()
    with torch.no_grad():
        z = model.decoder(model.encoder(sparse_x.double()).relu())
        s = dense_symmetric(edges, weight, 34, loops=1.0)
        expected = 0.1 * torch.linalg.solve(torch.eye(34).double() - 0.9 * s, z)
        actual = model(sparse_x.double(), edges, weight.double())
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-8)


def test_sgc_from_the_right_is_pygs_from_the_left(weighted, sparse_x):
    edges, weight = weighted
    torch.manual_seed(0)
    model, theirs = SimplifiedGCN(50, 3, hops=4), SGConv(50, 3, K=4)
    torch.nn.init.normal_(model.bias)
    theirs.lin.weight = model.encoder.linear.weight
    theirs.lin.bias = model.bias
    torch.testing.assert_close(
        model(sparse_x, edges, weight), theirs(sparse_x, edges, weight), rtol=1e-4, atol=1e-5
    )


def test_gcnii_on_a_prepared_graph_is_pygs_layer_by_layer(weighted, sparse_x):
    edges, weight = weighted
    torch.manual_seed(0)
    model = GCNII(50, 8, 3, layers=5, alpha=0.2, theta=0.7).eval()
    first = h = model.encoder(sparse_x).relu()
    for i, own in enumerate(model.convs, start=1):
        theirs = GCN2Conv(8, 0.2, 0.7, layer=i)
        assert own.beta == pytest.approx(math.log(0.7 / i + 1))
        theirs.load_state_dict(own.state_dict())
        h = theirs(h, first, edges, weight).relu()
    torch.testing.assert_close(model(sparse_x, edges, weight), model.decoder(h))


@pytest.mark.parametrize("build", [PredictThenPropagate, GCNII])
def test_shares_out_of_range_are_refused(build):
    with pytest.raises(ValueError, match=r"'alpha' in \[0, 1\] \(got 1.5\)"):
        build(4, 4, 2, alpha=1.5)


@pytest.mark.parametrize("model", [PredictThenPropagate, SimplifiedGCN, GCNII])
def test_no_weights_are_weights_of_one_with_repeated_edges_and_loops(model):
    torch.manual_seed(0)
    net = model(5, 4, 2).eval() if model is not SimplifiedGCN else model(5, 2).eval()
    edges = torch.tensor([[0, 0, 0, 1, 1, 2, 0, 1], [0, 0, 1, 0, 2, 1, 1, 0]])
    x = torch.randn(3, 5)
    torch.testing.assert_close(net.logits(x, edges), net.logits(x, edges, torch.ones(8)))
