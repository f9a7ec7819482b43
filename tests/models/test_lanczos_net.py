"""Convolution at many scales against dense powers."""

from __future__ import annotations

import pytest
import torch
from reference import dense_symmetric
from torch import nn

from grandpp.graph import prepare_graph, symmetric_normalize
from grandpp.models import AdaLanczosNet, LanczosNet


class Powers(nn.Module):
    """Filters that are the powers themselves."""

    def forward(self, powers, z):
        f = powers if powers.dim() == 3 else torch.diag_embed(powers)
        return (f @ z).sum(0)


@pytest.mark.parametrize("kind", [LanczosNet, AdaLanczosNet])
def test_a_layer_with_plain_filters_is_a_polynomial_of_the_adjacency(kind, karate, sparse_x):
    torch.manual_seed(0)
    model = kind(50, 8, 3, layers=1, steps=34, short=(0, 2, 3), long=(4, 9)).double().eval()
    layer = model.layers[0]
    layer.filter = Powers()
    nn.init.normal_(layer.bias)
    x, weight = sparse_x.double(), (1.0 + (karate.sum(0) % 3)).double()
    s = dense_symmetric(karate, weight, 34, loops=1.0)
    if kind is AdaLanczosNet:  # the same place for all nodes: the learned graph is the given one
        nn.init.zeros_(model.embed.weight)
    parts = layer.encoder(x).unflatten(1, (5, 3)).unbind(1)
    with torch.no_grad():
        space = model._krylov(*_operator(model, karate, weight))
        inside = space.basis @ space.basis.t()
        expected = sum(
            torch.linalg.matrix_power(s, p) @ part
            for p, part in zip((0, 2, 3), parts[:3], strict=True)
        )
        # Eigenvalues of multiple eigenvectors are seen by one vector each.
        expected = expected + sum(
            inside @ torch.linalg.matrix_power(s, p) @ inside @ part
            for p, part in zip((4, 9), parts[3:], strict=True)
        )
        torch.testing.assert_close(model(x, karate, weight), expected + layer.bias)


def _operator(model, edges, weight):
    graph = prepare_graph(edges, 34)
    return graph, symmetric_normalize(graph, graph.prior(weight, 1.0, like=weight))


def test_the_learned_graph_cuts_edges_between_distant_nodes(karate, sparse_x):
    torch.manual_seed(0)
    model = AdaLanczosNet(50, 8, 3, steps=10).eval()
    seen = {}

    def watch(graph, weight):
        seen["weight"], seen["graph"] = weight, graph
        return LanczosNet._krylov(model, graph, weight)

    model._krylov = watch
    logits = model(sparse_x, karate)
    z = model.embed(model.place(sparse_x).relu()).double()
    square = (z[karate[0]] - z[karate[1]]).square().sum(1)
    kernel = torch.exp(-square / square.mean())
    expected = dense_symmetric(karate, kernel, 34, loops=1.0)
    dense = torch.zeros(34, 34, dtype=torch.float64)
    csr = seen["graph"].csr
    dense[csr.row, csr.col_long] = seen["weight"].double()
    torch.testing.assert_close(dense, expected, rtol=1e-5, atol=1e-6)
    logits.sum().backward()
    assert model.embed.weight.grad.abs().max() > 0


def test_the_same_graph_gives_the_same_logits_and_small_ones_work(path, sparse_x):
    torch.manual_seed(0)
    model = LanczosNet(50, 8, 3).eval()
    logits = model(sparse_x[:4], path)
    torch.manual_seed(1)
    assert torch.equal(model(sparse_x[:4], path), logits)
    ada = AdaLanczosNet(50, 8, 3).eval()
    assert ada(sparse_x[:4], path).isfinite().all()


@pytest.mark.parametrize(
    ("scales", "words"),
    [({"short": (2, 1)}, "ascending"), ({"long": ()}, "'long'"), ({"long": (0, 3)}, "at least 1")],
)
def test_scales_that_make_no_sense_are_refused(scales, words):
    with pytest.raises(ValueError, match=words):
        LanczosNet(4, 4, 2, **scales)
