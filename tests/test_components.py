"""Components of graphs."""

from __future__ import annotations

import torch

from grandpp.components import find_components
from grandpp.graph import prepare_graph


def test_components_are_told_apart():
    edge_index = torch.tensor([[0, 1, 3], [1, 0, 2]])
    label = prepare_graph(edge_index, 5).components.label
    assert label[0] == label[1]
    assert label[2] == label[3]
    assert len({int(label[0]), int(label[2]), int(label[4])}) == 3


def test_an_edge_of_weight_zero_does_not_join_components(path):
    graph = prepare_graph(path, 4)
    edge_weight = torch.ones(6, dtype=torch.float64)
    edge_weight[((path[0] == 1) & (path[1] == 2)) | ((path[0] == 2) & (path[1] == 1))] = 0.0
    prior = graph.prior(edge_weight, 1.0, like=edge_weight)
    assert graph.components.count == 1
    assert graph.components_of(prior).count == 2


def test_looking_for_components_leaves_the_pattern_alone(path):
    graph = prepare_graph(path, 4)
    rowptr, col = graph.csr.rowptr.clone(), graph.csr.col.clone()
    find_components(graph.csr, ~graph.is_loop)
    assert torch.equal(graph.csr.rowptr, rowptr)
    assert torch.equal(graph.csr.col, col)
