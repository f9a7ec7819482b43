"""Suggested nodes: against brute force, covering planted groups, and odd input."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from partitions import planted

from grandpp.models.suggestion import suggest_from_views, suggest_nodes
from grandpp.models.views import graph_views


def cover(views, nodes):
    rows = views.embedding()
    return float((rows @ rows[list(nodes)].t()).amax(dim=1).sum())


def test_one_node_of_every_planted_class_is_suggested():
    graph = planted()
    found = suggest_nodes(graph.x, graph.edge_index, None, 3)
    assert graph.y[found].sort().values.tolist() == [0, 1, 2]


def test_the_choice_is_near_the_best_of_all_triples():
    graph = planted(30)
    views = graph_views(graph.x, graph.edge_index)
    best = max(cover(views, triple) for triple in combinations(range(30), 3))
    assert cover(views, suggest_from_views(views, 3).tolist()) >= 0.95 * best


def test_the_largest_group_comes_first():
    graph = planted(300)
    keep = (graph.y == 0) | (torch.arange(300) % 5 == 0)
    data = graph.subgraph(keep)
    found = suggest_nodes(data.x, data.edge_index, None, 3)
    assert data.y[found[0]] == 0
    assert data.y[found].unique().numel() == 3


def test_labelled_nodes_cover_what_they_see_and_are_not_suggested():
    graph = planted()
    views = graph_views(graph.x, graph.edge_index)
    labelled = (graph.y == 0).nonzero().view(-1)[:20]
    found = suggest_from_views(views, 2, labelled=labelled)
    assert graph.y[found].sort().values.tolist() == [1, 2]
    mask = torch.zeros(300, dtype=torch.bool)
    mask[labelled] = True
    assert torch.equal(suggest_from_views(views, 2, labelled=mask), found)
    rest = suggest_from_views(views, 280, labelled=mask)
    assert set(rest.tolist()) == set(range(300)) - set(labelled.tolist())
    unknown = torch.full_like(graph.y, -1)
    assert torch.equal(
        suggest_from_views(views, 2, labelled=mask, label=unknown), suggest_from_views(views, 2)
    )


def test_uncertain_nodes_are_covered_first():
    graph = planted()
    proba = torch.tensor([0.98, 0.01, 0.01]).repeat(300, 1)
    proba[graph.y == 2] = 1 / 3
    found = suggest_nodes(graph.x, graph.edge_index, None, 1, proba=proba)
    assert graph.y[found].tolist() == [2]


def test_the_seed_decides_and_nothing_else():
    graph = planted(kind="constant", edges="none")
    first, again, other = (
        suggest_nodes(graph.x, graph.edge_index, None, 10, seed=s) for s in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.unique().numel() == 10


@pytest.mark.parametrize("nodes", [1, 2, 10])
@pytest.mark.parametrize("kind", ["classes", "constant"])
def test_tiny_graphs_can_be_labelled_whole(nodes, kind):
    graph = planted(nodes, kind=kind)
    found = suggest_nodes(graph.x, graph.edge_index, None, nodes)
    assert found.sort().values.tolist() == list(range(nodes))


def test_impossible_wishes_are_refused():
    graph = planted(30)
    ask = (graph.x, graph.edge_index, None)
    for number in (0, -1, 31, 2.5, True):
        with pytest.raises(ValueError, match=r"integer from 1 to .* 30 \(got"):
            suggest_nodes(*ask, number)
    with pytest.raises(ValueError, match=r"28 \(got 29\)"):
        suggest_nodes(*ask, 29, labelled=torch.arange(2))
    with pytest.raises(ValueError, match=r"\[30, C\]"):
        suggest_nodes(*ask, 2, proba=torch.ones(29, 3))


@pytest.mark.parametrize("good", [0, 7, 19])
def test_the_start_whose_clusters_tell_most_wins_over_a_larger_objective(monkeypatch, good):
    graph = planted(300)
    views = graph_views(graph.x, graph.edge_index)
    rows = views.embedding().float()
    apart = torch.stack([rows[graph.y == c].mean(dim=0) for c in range(3)])
    near = rows[[0, 3, 1]]  # two centres in class 0, none in class 2
    assert graph.y[[0, 3, 1]].tolist() == [0, 0, 1]
    made = [(near, 100.1)] * 20
    made[good] = (apart / apart.norm(dim=1, keepdim=True), 100.0)
    monkeypatch.setattr("grandpp.models.suggestion._k_means", lambda *_, **__: made.pop(0))
    assert graph.y[suggest_from_views(views, 3)].sort().values.tolist() == [0, 1, 2]


def test_as_many_nodes_as_wished_where_clusters_are_no_longer_sought():
    graph = planted(300)
    views = graph_views(graph.x, graph.edge_index)
    for number in (1, 50, 51):
        assert suggest_from_views(views, number).unique().numel() == number
