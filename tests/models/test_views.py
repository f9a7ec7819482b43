"""Views of a graph: against dense algebra, and their weights where features or edges are noise."""

from __future__ import annotations

import networkx as nx
import pytest
import scipy.sparse as sp
import torch
from partitions import planted
from torch_geometric.utils import to_dense_adj

from grandpp.models.leading_eigenvectors import leading_eigenvectors, leading_singular_vectors
from grandpp.models.views import graph_views, undirected, walks


def gram(view):
    return view @ view.t()


def unit(x):
    return x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)


def test_views_equal_those_of_dense_algebra():
    graph = planted(60, features=12)
    got = graph_views(graph.x, graph.edge_index, steps=2, components=4, eigenvectors=60)
    n = len(graph.x)
    looped = to_dense_adj(graph.edge_index, max_num_nodes=n)[0].double() + torch.eye(n)
    degree = looped.sum(1)
    x = graph.x.double()
    x = unit(x * (torch.log((1 + n) / (1 + (x != 0).sum(0).double())) + 1))
    walk = looped / degree[:, None]
    for view, h in ((got.features, x), (got.diffused, walk @ walk @ x)):
        u, sigma, _ = torch.linalg.svd(h - h.mean(0), full_matrices=False)
        torch.testing.assert_close(gram(view), gram(unit(u[:, :4] * sigma[:4])))
    values, vectors = torch.linalg.eigh(looped / degree.sqrt().outer(degree.sqrt()))
    want = gram(unit(vectors * values.clamp(min=0) ** 20))
    torch.testing.assert_close(gram(got.graph), want, atol=1e-6, rtol=0)


def test_leading_eigenvalues_of_a_larger_graph():
    graph = nx.to_scipy_sparse_array(nx.planted_partition_graph(10, 60, 0.4, 0.02, seed=0))
    matrix = walks(sp.csr_matrix(graph, dtype=float))[1]
    values, vectors = leading_eigenvectors(matrix, 10)
    want = torch.linalg.eigvalsh(torch.from_numpy(matrix.toarray())).flip(0)[:10]
    torch.testing.assert_close(torch.from_numpy(values.copy()), want)
    residual = matrix @ vectors - vectors * values
    assert abs(residual).max() < 1e-6


def test_leading_singular_values():
    torch.manual_seed(0)
    a = (torch.randn(300, 5, dtype=torch.float64) @ torch.randn(5, 90, dtype=torch.float64)).numpy()
    u, sigma = leading_singular_vectors(lambda v: a @ v, lambda v: a.T @ v, a.shape, 7)
    want = torch.linalg.svdvals(torch.from_numpy(a))[:7]
    torch.testing.assert_close(torch.from_numpy(sigma), want, atol=1e-9, rtol=1e-9)
    assert u.shape == (300, 7)


def test_all_views_count_where_connected_nodes_are_alike():
    graph = planted()
    views = graph_views(graph.x, graph.edge_index)
    assert views.weights == pytest.approx((0.3, 0.7, 0.5))
    assert views.trust == 1


@pytest.mark.parametrize("kind", ["noise", "constant", "one-hot", "words"])
def test_the_graph_alone_counts_where_features_are_noise(kind):
    graph = planted(kind=kind)
    views = graph_views(graph.x, graph.edge_index)
    assert views.weights == pytest.approx((0, 0, 1))
    assert views.trust == 1


@pytest.mark.parametrize("edges", ["random", "heterophilous", "none"])
def test_features_alone_count_where_connected_nodes_are_not_alike(edges):
    graph = planted(edges=edges)
    views = graph_views(graph.x, graph.edge_index)
    assert views.weights == pytest.approx((1, 0, 0), abs=0.02)
    assert views.trust == pytest.approx(1, abs=0.02)
    if edges == "heterophilous":
        assert views.evidence.alike < -0.1


@pytest.mark.parametrize("kind", ["noise", "constant", "one-hot", "words"])
@pytest.mark.parametrize("edges", ["random", "none"])
def test_nothing_counts_where_all_is_noise(kind, edges):
    graph = planted(kind=kind, edges=edges)
    assert graph_views(graph.x, graph.edge_index).trust < 0.05


def test_features_and_graph_that_contradict_each_other_are_half_trusted():
    graph = planted(600)
    shuffled = graph.x[torch.randperm(600, generator=torch.Generator().manual_seed(1))]
    views = graph_views(shuffled, graph.edge_index)
    assert views.weights == pytest.approx((1, 0, 0), abs=0.05)
    assert views.trust == pytest.approx(0.5, abs=0.05)


def test_a_directed_graph_is_read_as_its_undirected_mean():
    one_way = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 2]])
    mean = undirected(one_way, torch.tensor([2.0, 4.0, 6.0, 9.0]), 3).toarray()
    assert mean.tolist() == [[0, 1, 3], [1, 0, 2], [3, 2, 0]]


def test_sparse_features_give_the_same_views():
    graph = planted(kind="words")
    dense = graph_views(graph.x, graph.edge_index)
    again = graph_views(graph.x.to_sparse_csr(), graph.edge_index)
    torch.testing.assert_close(again.diffused, dense.diffused)
    assert again.weights == dense.weights


def test_bad_arguments_are_refused():
    graph = planted(30)
    with pytest.raises(ValueError, match="got -1"):
        graph_views(graph.x, graph.edge_index, steps=-1)
    weight = torch.full((graph.edge_index.size(1),), -1.0)
    with pytest.raises(ValueError, match="non-negative"):
        graph_views(graph.x, graph.edge_index, weight)
    with pytest.raises(ValueError, match="NaN"):
        graph_views(graph.x.masked_fill(graph.x > 1, torch.nan), graph.edge_index)
