"""Features from the edges alone, against dense eigenvectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from grandpp.data import read_graph, sbm
from grandpp.data.graph_files import structural, structural_features


def dense_vectors(edge_index, n, count, weight=None):
    a = np.zeros((n, n))
    np.add.at(a, tuple(edge_index), 1.0 if weight is None else weight)
    degree = a.sum(1)
    tau = degree.mean()
    scale = 1 / np.sqrt(degree + tau)
    _, vectors = np.linalg.eigh(scale[:, None] * (a + tau / n) * scale)
    return np.log1p(degree), vectors[:, ::-1][:, 1 : count + 1]


@pytest.mark.parametrize("n", [60, 600])
@pytest.mark.parametrize("weighted", [False, True])
def test_columns_are_log_degree_and_leading_eigenvectors(n, weighted):
    graph = sbm(num_nodes=n, num_edges=3 * n, num_features=4, words_per_node=2.0)
    edges = graph.edge_index.numpy()
    weight = None
    if weighted:
        low, high = edges.min(0), edges.max(0)
        weight = np.random.default_rng(0).random(n * n)[low * n + high]
    found = structural_features(edges, weight, n, 4)
    degree, vectors = dense_vectors(edges, n, 4, weight)
    np.testing.assert_allclose(found[:, 0], degree, rtol=1e-6)
    same = np.abs(found[:, 1:].T @ vectors) / np.sqrt(n)
    np.testing.assert_allclose(np.diag(same), 1, atol=2e-3)
    peak = found[np.abs(found).argmax(0), np.arange(5)]
    assert (peak > 0).all()


def test_they_are_the_same_in_every_run_and_leave_the_global_generator_alone():
    edges = sbm(
        num_nodes=600, num_edges=1500, num_features=4, words_per_node=2.0
    ).edge_index.numpy()
    np.random.seed(3)
    first = structural_features(edges, None, 600)
    assert np.random.random() == np.random.RandomState(3).random()
    np.testing.assert_array_equal(first, structural_features(edges, None, 600))
    assert first.shape == (600, 33)


def test_block_iterations_find_nearly_the_same_space(monkeypatch):
    graph = sbm(num_nodes=900, num_edges=4000, num_features=4, words_per_node=2.0)
    edges = graph.edge_index.numpy()
    exact = structural_features(edges, None, 900, 6)[:, 1:] / 30
    monkeypatch.setattr(structural, "_EXACT_NODES", 100)
    found = structural_features(edges, None, 900, 6)[:, 1:] / 30
    overlap = np.linalg.svd(exact.T @ found, compute_uv=False)
    assert overlap.min() > 0.9


def test_small_components_do_not_take_the_leading_vectors():
    """Two large communities and 30 pairs: the first vector tells the communities."""
    rng = np.random.default_rng(0)
    p = np.where(np.arange(100)[:, None] // 50 == np.arange(100) // 50, 0.3, 0.03)
    s, t = np.nonzero(np.triu(rng.random((100, 100)) < p, 1))
    pairs = 100 + np.arange(60).reshape(30, 2)
    ends = np.concatenate([np.stack([s, t]), pairs.T], axis=1)
    found = structural_features(np.concatenate([ends, ends[::-1]], axis=1), None, 160, 2)
    first = found[:100, 1]
    assert abs(np.sign(first[:50]).sum() - np.sign(first[50:]).sum()) > 80


def test_a_graph_without_features_gets_them_and_says_so(write):
    text = "".join(f"{i},{(i + 1) % 40}\n" for i in range(40))
    found = read_graph(write("e.csv", text), structural_dimensions=5)
    assert found.feature_names == ["log degree", *(f"spectral {i}" for i in range(1, 6))]
    assert found.x.shape == (40, 6) and bool(torch.isfinite(found.x).all())
    assert "none given; log degree and a spectral embedding of 5" in found.summary.features


@pytest.mark.parametrize("text", ["a,a\n", "a,b\n", "a,b\nb,a\nc,c\n"])
def test_the_smallest_graphs_have_finite_features(write, text):
    found = read_graph(write("e.csv", text))
    assert bool(torch.isfinite(found.x).all())
    assert found.x.size(0) == len(found.node_ids)


def test_one_direction_alone_counts_for_both(write):
    text = "".join(f"{i},{(i + 1) % 40}\n" for i in range(40)) + "0,7\n"
    one, other = (read_graph(write("e.csv", text), directed=d) for d in (False, True))
    torch.testing.assert_close(one.x, other.x)
