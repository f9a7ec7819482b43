"""Components of graphs."""

from __future__ import annotations

import torch

from grandpp.graph import prepare_graph
from grandpp.linalg.components import find_classes, find_components


def test_components_are_distinguished():
    edge_index = torch.tensor([[0, 1, 3], [1, 0, 2]])
    label = prepare_graph(edge_index, 5).classes.components.label
    assert label[0] == label[1]
    assert label[2] == label[3]
    assert len({int(label[0]), int(label[2]), int(label[4])}) == 3


def test_an_edge_of_weight_zero_does_not_join_components(path):
    graph = prepare_graph(path, 4)
    edge_weight = torch.ones(6, dtype=torch.float64)
    edge_weight[((path[0] == 1) & (path[1] == 2)) | ((path[0] == 2) & (path[1] == 1))] = 0.0
    prior = graph.prior(edge_weight, 1.0, like=edge_weight)
    assert graph.classes.components.count == 1
    assert graph.classes_of(prior).components.count == 2


def test_looking_for_components_leaves_the_pattern_alone(path):
    graph = prepare_graph(path, 4)
    rowptr, col = graph.csr.rowptr.clone(), graph.csr.col.clone()
    find_components(graph.csr, ~graph.is_loop)
    assert torch.equal(graph.csr.rowptr, rowptr)
    assert torch.equal(graph.csr.col, col)


def test_closed_classes_are_those_that_receive_nothing():
    # 0 <-> 1 -> 2 <-> 3 and 4 -> 3, 5 alone: 2 and 3 are transient.
    edge_index = torch.tensor([[0, 1, 1, 2, 3, 4], [1, 0, 2, 3, 2, 3]])
    classes = prepare_graph(edge_index, 6).classes
    assert classes.closed.tolist() == [True, True, False, False, True, True]
    label = classes.groups.label.tolist()
    assert label[0] == label[1] and label[2] == label[3]
    assert len({label[0], label[2], label[4], label[5]}) == 4 == classes.groups.count
    assert label[2] == 3  # the transient nodes come last
    assert classes.first_nodes().tolist() == [0, 4, 5]
    assert classes.components.count == 2


def test_closed_classes_of_an_undirected_graph_are_its_components(karate):
    classes = prepare_graph(torch.cat([karate, karate + 34], dim=1), 69).classes
    assert classes.all_closed and classes.closed.all()
    assert classes.groups is classes.components
    assert classes.groups.count == 3


def test_an_edge_of_weight_zero_leads_nowhere(path):
    graph = prepare_graph(path, 4)
    open_end = ~((graph.csr.row == 1) & (graph.csr.col == 2))  # 1 receives nothing from 2
    classes = find_classes(graph.csr, open_end)
    assert classes.closed.tolist() == [True, True, False, False]
