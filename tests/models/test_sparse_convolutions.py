"""Convolutions by sparse products against PyG's layers, outputs and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.explain import Explainer, GNNExplainer
from torch_geometric.nn import GATConv, GCNConv, GMMConv, SAGEConv

from grandpp.graph import prepare_graph
from grandpp.models import MoNet, gat, gcn, sage
from grandpp.models.sparse_convolutions import (
    GaussianConv,
    SparseGATConv,
    SparseGCNConv,
    SparseSAGEConv,
)

# Node 3 receives nothing; an edge is there twice, and node 1 has a loop of its own.
EDGES = torch.tensor([[0, 1, 2, 0, 0, 1, 3, 4, 1], [1, 2, 0, 2, 2, 1, 0, 0, 4]])


def pair(theirs, ours):
    torch.manual_seed(0)
    theirs = theirs.double()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter)
    ours = ours.double()
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def assert_same(theirs, ours, *inputs, expected_inputs=None):
    x = torch.randn(5, 6, dtype=torch.float64)
    results = []
    for module, rest in ((theirs, expected_inputs or inputs), (ours, inputs)):
        leaf = x.clone().requires_grad_()
        out = module(leaf, *rest)
        weights = torch.linspace(1, 2, out.numel(), dtype=out.dtype).view_as(out)
        grads = torch.autograd.grad((out * weights).sum(), [leaf, *module.parameters()])
        results.append([out, *grads])
    for expected, got in zip(*results, strict=True):
        torch.testing.assert_close(got, expected)


def test_gcn():
    theirs, ours = pair(GCNConv(6, 4), SparseGCNConv(6, 4))
    assert_same(theirs, ours, EDGES)
    assert_same(theirs, ours, prepare_graph(EDGES, 5), expected_inputs=(EDGES,))
    weight = torch.rand(EDGES.size(1), dtype=torch.float64)
    assert_same(theirs, ours, EDGES, weight)


@pytest.mark.parametrize("concat", [True, False])
def test_gat(concat):
    options = {"heads": 3, "concat": concat}
    theirs, ours = pair(GATConv(6, 4, **options), SparseGATConv(6, 4, **options))
    assert_same(theirs, ours, EDGES)


def test_attention_is_dropped_in_training_alone():
    _, ours = pair(GATConv(6, 4, dropout=0.5), SparseGATConv(6, 4, dropout=0.5))
    x = torch.randn(5, 6, dtype=torch.float64)
    assert not torch.equal(ours(x, EDGES), ours(x, EDGES))
    ours.eval()
    assert torch.equal(ours(x, EDGES), ours(x, EDGES))


def test_graphsage_whose_nodes_without_neighbours_have_a_mean_of_zero():
    theirs, ours = pair(SAGEConv(6, 4), SparseSAGEConv(6, 4))
    assert_same(theirs, ours, EDGES)


def test_gaussians():
    reference = GMMConv(6, 4, dim=2, kernel_size=3, aggr="add", root_weight=False)
    reference.root = None  # which its forward asks for
    theirs, ours = pair(
        reference,
        GaussianConv(6, 4, kernels=3, normalize=False),
    )
    graph = prepare_graph(EDGES, 5)
    places = torch.rand(graph.is_loop.numel(), 2, dtype=torch.float64)
    edges = torch.stack([graph.csr.col_long, graph.csr.row])
    assert_same(theirs, ours, graph, places, expected_inputs=(edges, places))


@pytest.mark.parametrize("name", ["gcn", "gat", "sage", "monet"])
def test_autocast_moves_a_node_with_a_thousand_neighbours_by_rounding_alone(name):
    star = torch.stack([torch.arange(1, 1000), torch.zeros(999, dtype=torch.long)])
    edges = torch.cat([star, star.flip(0)], dim=1)
    torch.manual_seed(0)
    model = {
        "gcn": lambda: gcn(16, 8, 3, 0.5),
        "gat": lambda: gat(16, 8, 3, 0.5, 2),
        "sage": lambda: sage(16, 8, 3, 0.5),
        "monet": lambda: MoNet(16, 8, 3),
    }[name]().eval()
    x = torch.randn(1000, 16)
    expected = model(x, edges)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(x, edges)
    torch.testing.assert_close(
        found.float(), expected, rtol=0.0, atol=0.02 * expected.abs().max().item()
    )


@pytest.mark.parametrize("conv", [SparseGCNConv, SparseGATConv, SparseSAGEConv])
def test_an_explainer_sees_the_messages(conv):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = conv(6, 4)

        def forward(self, x, edge_index):
            return self.conv(x, edge_index)

    torch.manual_seed(0)
    explainer = Explainer(
        Model(),
        GNNExplainer(epochs=3),
        explanation_type="model",
        edge_mask_type="object",
        model_config={
            "mode": "multiclass_classification",
            "task_level": "node",
            "return_type": "raw",
        },
    )
    mask = explainer(torch.randn(5, 6), EDGES, index=0).edge_mask
    assert mask.shape == (EDGES.size(1),)
    assert float(mask.max()) > 0
