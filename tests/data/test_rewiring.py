"""Rewiring by name, and two hops."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import Compose, NormalizeFeatures
from torch_geometric.utils import to_undirected

from grandpp.data import REWIRINGS, DiffusionRewiring, TwoHopRewiring, rewire, sbm


def test_two_hops_join_neighbours_of_neighbours(path):
    data = Data(edge_index=path, x=torch.ones(4, 1))
    edges = set(map(tuple, rewire(data, "two_hop").edge_index.t().tolist()))
    one = {(0, 1), (1, 2), (2, 3)}
    two = {(0, 2), (1, 3)}
    assert edges == {pair for i, j in one | two for pair in ((i, j), (j, i))}


def test_two_hops_follow_directed_edges():
    data = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
    made = rewire(data, "two_hop").edge_index.t().tolist()
    assert sorted(made) == [[0, 1], [0, 2], [1, 2]]


def test_two_hops_refuse_weights_and_hubs_beyond_memory(monkeypatch):
    weighted = Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.ones(1), num_nodes=2)
    with pytest.raises(ValueError, match="without 'edge_weight'"):
        rewire(weighted, "two_hop")
    star = to_undirected(torch.stack([torch.zeros(20).long(), torch.arange(1, 21)]))
    data = Data(edge_index=star, num_nodes=21)
    paths = 20 * 20 + 20  # through the hub, and from the hub through a leaf
    monkeypatch.setattr("grandpp.data.rewiring._MOST_PATHS", paths)
    assert rewire(data, "two_hop").num_edges == 20 * 20 + 20
    monkeypatch.setattr("grandpp.data.rewiring._MOST_PATHS", paths - 1)
    with pytest.raises(ValueError, match=r"got 420\); use kind='gdc'"):
        rewire(data, "two_hop")


@pytest.mark.parametrize("kind", REWIRINGS)
def test_only_the_edges_change_and_the_given_graph_does_not(kind):
    data = sbm(200, 400, num_classes=2, num_features=8, words_per_node=2)
    data.train_mask = data.y == 0
    data.edge_attr = torch.ones(data.num_edges, 3)
    before = data.to_dict()
    made = rewire(data, kind)
    assert data.to_dict() == before
    assert made.x is data.x and made.train_mask is data.train_mask
    assert (made.name, made.num_classes, made.num_nodes) == ("sbm", 2, 200)
    assert "edge_attr" not in made
    assert made.num_edges > data.num_edges
    assert ("edge_weight" in made) == (kind == "gdc")
    if kind == "gdc":
        assert made.edge_weight.dtype == data.x.dtype


def test_a_graph_without_features_keeps_its_number_of_nodes():
    data = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=5)
    assert rewire(data).num_nodes == 5
    assert rewire(data, "two_hop").num_nodes == 5


def test_the_transforms_work_in_pygs_pipelines():
    data = sbm(100, 200, num_classes=2, num_features=8, words_per_node=2)
    for kind, transform in (("gdc", DiffusionRewiring()), ("two_hop", TwoHopRewiring())):
        made = Compose([NormalizeFeatures(), transform])(data)
        assert torch.equal(made.edge_index, rewire(data, kind).edge_index)


def test_unknown_kinds_and_options_are_refused():
    data = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
    with pytest.raises(ValueError, match="'kind' to be one of gdc, two_hop"):
        rewire(data, "three_hop")
    with pytest.raises(TypeError, match="beta"):
        rewire(data, beta=0.1)
    with pytest.raises(TypeError):
        rewire(data, "two_hop", alpha=0.1)


@pytest.mark.parametrize("kind", REWIRINGS)
@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"edge_index": None}, ValueError, "a tensor 'edge_index'"),
        ({"edge_index": torch.zeros(3, 2).long()}, ValueError, r"shape \[2, num_edges\]"),
        ({"edge_index": torch.tensor([[0], [7]])}, IndexError, "got 7"),
        ({"edge_weight": torch.ones(3)}, ValueError, r"'edge_weight' of shape \[2\]"),
        ({"edge_weight": torch.tensor([1.0, -1.0])}, ValueError, "got -1"),
        ({"edge_weight": torch.tensor([1.0, torch.nan])}, ValueError, "got nan"),
    ],
)
def test_wrong_graphs_are_named(kind, changes, error, words):
    values = {"edge_index": torch.tensor([[0, 1], [1, 0]]), "num_nodes": 2} | changes
    with pytest.raises(error, match=words):
        rewire(Data(**values), kind)


@pytest.mark.parametrize("kind", REWIRINGS)
def test_edges_that_are_not_contiguous_in_memory_are_rewired_alike(karate, kind):
    strided = torch.stack([karate[0], karate[1]], dim=1).t()
    assert not strided.is_contiguous()
    found, expected = (rewire(Data(x=torch.eye(34), edge_index=e), kind) for e in (strided, karate))
    assert torch.equal(found.edge_index, expected.edge_index)
