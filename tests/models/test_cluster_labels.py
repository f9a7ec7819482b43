"""Clusters of all views: planted classes, odd graphs, and what does not change the answer."""

from __future__ import annotations

import pytest
import torch
from partitions import planted

from grandpp.models.cluster_labels import cluster_labels, grow_clusters, refine_clusters
from grandpp.models.views import graph_views


def grow(graph, labelled=None, weight=None):
    labelled = torch.arange(3) if labelled is None else labelled
    return cluster_labels(graph.x, graph.edge_index, weight, labelled, graph.y, 3)


def accuracy(clusters, graph):
    return float((clusters.label == graph.y).double().mean())


@pytest.mark.parametrize(
    ("kind", "edges"),
    [
        ("classes", "homophilous"),
        ("noise", "homophilous"),
        ("constant", "homophilous"),
        ("one-hot", "homophilous"),
        ("classes", "random"),
        ("classes", "heterophilous"),
        ("classes", "none"),
    ],
)
def test_one_label_per_class_finds_planted_classes(kind, edges):
    graph = planted(kind=kind, edges=edges)
    clusters = grow(graph)
    assert accuracy(clusters, graph) > 0.97
    assert clusters.trust > 0.9
    assert clusters.confidence.min() >= 0


@pytest.mark.parametrize("kind", ["noise", "constant"])
def test_noise_is_not_trusted_and_not_confident(kind):
    clusters = grow(planted(kind=kind, edges="random"))
    assert clusters.trust < 0.05
    assert clusters.confidence[3:].mean() < 0.6
    assert clusters.label[:3].tolist() == [0, 1, 2]


def test_permuting_the_nodes_permutes_the_answer():
    graph = planted(150)
    order = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    back = order.argsort()
    moved = graph.clone()
    moved.x, moved.y, moved.edge_index = graph.x[order], graph.y[order], back[graph.edge_index]
    torch.testing.assert_close(
        grow(moved, back[:3]).score, grow(graph).score[order], atol=1e-3, rtol=0
    )


def test_labels_elsewhere_are_not_read_and_unknown_ones_do_not_count():
    graph = planted(150)
    hidden = graph.clone()
    hidden.y = torch.where(torch.arange(150) < 3, graph.y, -1)
    assert torch.equal(grow(hidden, torch.arange(20)).score, grow(graph).score)
    mask = torch.arange(150) < 20
    assert torch.equal(grow(hidden, mask).score, grow(graph).score)
    with pytest.raises(ValueError, match=r"each of the 3 classes.*\[1, 1, 0\]"):
        grow(graph, torch.arange(2))


def test_the_answer_is_the_same_every_time_and_arguments_stay():
    graph = planted(150)
    before = graph.clone()
    first = grow(graph)
    assert torch.equal(first.score, grow(graph).score)
    assert torch.equal(graph.x, before.x)
    assert torch.equal(graph.y, before.y)


@pytest.mark.parametrize("nodes", [3, 4, 10, 20])
@pytest.mark.parametrize("features", [0, 1, 2, 30])
def test_tiny_graphs_have_an_answer(nodes, features):
    graph = planted(nodes, features=features)
    clusters = grow(graph)
    assert clusters.score.shape == (nodes, 3)
    assert clusters.score.isfinite().all()
    assert clusters.label[:3].tolist() == [0, 1, 2]
    assert 0 <= clusters.trust <= 1


def test_isolated_nodes_directed_edges_and_components_do_not_matter():
    graph = planted(300)
    one_way = graph.clone()
    one_way.edge_index = graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]]
    assert accuracy(grow(one_way), graph) > 0.97
    cut = graph.clone()
    keep = ((graph.edge_index < 150).sum(dim=0) != 1) & (graph.edge_index < 290).all(dim=0)
    cut.edge_index = graph.edge_index[:, keep]
    assert accuracy(grow(cut), graph) > 0.97


def test_many_labels_outweigh_the_clusters():
    """Classes that no cluster shows are learnt from labels, as far as they are linear."""
    graph = planted(600, kind="noise", edges="none")
    graph.x = torch.cat([graph.x, 4 * (torch.arange(600) // 3 % 2).unsqueeze(1) - 2.0], dim=1)
    graph.y = (graph.x[:, 0] > 0).long()
    views = graph_views(graph.x, graph.edge_index)
    found = [
        accuracy(grow_clusters(views, torch.arange(count), graph.y, 2), graph)
        for count in (10, 300)
    ]
    assert found[1] > found[0] + 0.1
    assert found[1] > 0.7


def test_a_rough_clustering_is_refined_without_labels():
    graph = planted()
    views = graph_views(graph.x, graph.edge_index)
    guess = torch.nn.functional.one_hot(graph.y, 3).double()
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    guess[order[:150]] = 1 / 3
    guess[order[:60]] = torch.tensor([1.0, 0.0, 0.0]).double()
    before = guess.clone()
    found = refine_clusters(views, guess)
    assert torch.equal(guess, before)
    assert torch.allclose(found.sum(dim=1), torch.ones(300).double())
    assert (found.argmax(dim=1) == graph.y).double().mean() > 0.95
    blind = views._replace(weights=(0.0, 0.0, 0.0))
    assert torch.equal(refine_clusters(blind, guess), guess)
