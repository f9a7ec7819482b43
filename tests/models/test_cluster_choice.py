"""Clusters that validation nodes choose: planted contradictions, and what validation may do."""

from __future__ import annotations

import pytest
import torch
from partitions import planted

from grandpp.models import choose_clusters, graph_views, grow_clusters


def views_of(graph):
    return graph_views(graph.x, graph.edge_index)


def accuracy(clusters, graph):
    return float((clusters.label == graph.y).double().mean())


def contradicting():
    """Features and graph have structure each, and connected nodes are alike; the graph is wrong."""
    graph = planted(300)
    misled = graph.clone()
    # Communities that are classes, but of another numbering than the features have.
    moved = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    misled.edge_index = moved[graph.edge_index]
    return misled


def test_without_validation_nodes_the_data_decide():
    graph = planted(150)
    views, labelled = views_of(graph), torch.arange(3)
    expected = grow_clusters(views, labelled, graph.y, 3)
    for none in (torch.zeros(150, dtype=torch.bool), torch.empty(0, dtype=torch.long)):
        found = choose_clusters(views, labelled, graph.y, 3, none)
        assert torch.equal(found.score, expected.score)
        assert found.trust == expected.trust


def test_validation_nodes_without_a_known_label_do_not_choose():
    graph = planted(150)
    views, labelled = views_of(graph), torch.arange(3)
    unknown = torch.where(torch.arange(150) < 3, graph.y, -1)
    found = choose_clusters(views, labelled, unknown, 3, torch.arange(150) >= 3)
    assert torch.equal(found.score, grow_clusters(views, labelled, graph.y, 3).score)


def test_validation_nodes_overrule_a_wrong_weight():
    graph = contradicting()
    views = views_of(graph)._replace(weights=(0.0, 0.0, 1.0))
    labelled, validation = torch.arange(3), torch.arange(3, 103)
    misled = grow_clusters(views, labelled, graph.y, 3)
    found = choose_clusters(views, labelled, graph.y, 3, validation)
    assert accuracy(misled, graph) < 0.6
    assert accuracy(found, graph) > 0.95
    mask = torch.zeros(300, dtype=torch.bool)
    mask[validation] = True
    assert torch.equal(choose_clusters(views, labelled, graph.y, 3, mask).score, found.score)


def test_validation_nodes_are_never_less_right_than_without_a_choice():
    graph = planted(300, kind="noise")
    views, labelled = views_of(graph), torch.arange(3)
    generator = torch.Generator().manual_seed(1)
    graph.y = torch.where(
        torch.rand(300, generator=generator) < 0.4,
        torch.randint(3, (300,), generator=generator),
        graph.y,
    )
    graph.y[:3] = torch.arange(3)
    validation = torch.arange(3, 40)

    def right(clusters):
        return int((clusters.label[validation] == graph.y[validation]).sum())

    found = choose_clusters(views, labelled, graph.y, 3, validation)
    assert right(found) >= right(grow_clusters(views, labelled, graph.y, 3))


def test_no_cluster_grows_from_a_validation_label():
    """Wrong validation labels change the choice at most: the answer is one of those without."""
    graph = planted(150)
    views, labelled = views_of(graph), torch.arange(3)
    wrong = torch.where(torch.arange(150) < 3, graph.y, (graph.y + 1) % 3)
    found = choose_clusters(views, labelled, wrong, 3, torch.arange(3, 60))
    assert found.label[:3].tolist() == graph.y[:3].tolist()
    assert accuracy(found, graph) > 0.6


def test_a_class_without_a_labelled_node_is_an_error():
    graph = planted(150)
    with pytest.raises(ValueError, match=r"each of the 3 classes.*\[1, 1, 0\]"):
        choose_clusters(views_of(graph), torch.arange(2), graph.y, 3, torch.arange(5, 9))
