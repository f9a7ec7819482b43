"""Laplace and Poisson learning against dense solves."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.utils import to_dense_adj

from grandpp.fields import GraphDiffusion, TrustedSource
from grandpp.models import LaplaceLearning, PoissonLearning
from grandpp.solvers import solve

INDEX, LABELS = torch.tensor([0, 33, 5]), torch.tensor([1, 0, 2])
X = torch.zeros(34, 1)


def fitted(kind, classes=3, index=INDEX, labels=LABELS):
    model = kind(classes)
    model.fit_labels(index, labels)
    return model


def dense_laplacian(edges, weight=None, n=34):
    w = to_dense_adj(edges, edge_attr=weight, max_num_nodes=n)[0].double()
    w.fill_diagonal_(0)
    return torch.diag(w.sum(1)) - w, w.sum(1)


@pytest.fixture(params=[False, True], ids=["plain", "weighted"])
def graph(request, karate):
    return karate, (1.0 + (karate.sum(0) % 3)) if request.param else None


def test_laplace_learning_is_harmonic_and_keeps_the_labels(graph):
    laplacian, _ = dense_laplacian(*graph)
    free = torch.ones(34, dtype=torch.bool).index_fill(0, INDEX, False)
    y = torch.eye(3).double()[LABELS]
    expected = torch.zeros(34, 3).double()
    expected[INDEX] = y
    expected[free] = -torch.linalg.solve(laplacian[free][:, free], laplacian[free][:, INDEX] @ y)
    u = fitted(LaplaceLearning)(X, *graph).double()
    torch.testing.assert_close(u, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(u.sum(1), torch.ones(34).double(), rtol=0, atol=1e-6)


def poisson(laplacian, degree, index=INDEX, labels=LABELS):
    b = torch.zeros(len(degree), 3).double()
    y = torch.eye(3).double()[labels]
    b[index] = y - y.mean(0)
    u = torch.linalg.pinv(laplacian) @ b
    return u - (degree @ u) / degree.sum()


def test_poisson_learning_solves_the_equation_with_weighted_mean_zero(graph):
    laplacian, degree = dense_laplacian(*graph)
    u = fitted(PoissonLearning)(X, *graph).double()
    torch.testing.assert_close(u, poisson(laplacian, degree), rtol=0, atol=1e-6)
    assert (degree @ u).abs().max() < 1e-4


def test_poisson_learning_is_where_the_balanced_source_of_grandpp_tends_to(karate):
    # One-hot labels instead of encoded features, and no loops: they change the mean, not L.
    one_hot = torch.zeros(34, 3).double()
    one_hot[INDEX, LABELS] = 1
    walk = GraphDiffusion(3, attention=None, learn_alpha=False, self_loop_weight=0.0).double()
    source = TrustedSource("balanced", gain=1.0, initial="zero").double()
    field, _ = source(walk.prepare(one_hot, karate), one_hot, INDEX)
    limit = solve(field, torch.zeros(34, 3).double(), (0.0, float("inf")), solver="steady").y
    u = fitted(PoissonLearning)(X, karate).double()
    torch.testing.assert_close(u, limit, rtol=0, atol=1e-6)


def test_components_have_their_own_means_and_those_without_labels_know_nothing():
    edges = torch.tensor([[0, 1, 2, 3, 3, 4, 5, 6], [1, 0, 3, 2, 4, 3, 6, 5]])
    index, labels = torch.tensor([0, 2, 4]), torch.tensor([0, 1, 2])
    x = torch.zeros(8, 1)  # 0-1, 2-3-4, 5-6 and 7 alone
    u = fitted(PoissonLearning, 3, index, labels)(x, edges)
    assert u[[0, 1, 5, 6, 7]].abs().max() == 0
    own, degree = dense_laplacian(edges[:, 2:6] - 2, n=3)
    expected = poisson(own, degree, torch.tensor([0, 2]), torch.tensor([1, 2]))
    torch.testing.assert_close(u[2:5].double(), expected, rtol=0, atol=1e-6)
    h = fitted(LaplaceLearning, 3, index, labels)(x, edges)
    torch.testing.assert_close(h[1], torch.tensor([1.0, 0, 0]))
    torch.testing.assert_close(h[3], torch.tensor([0, 0.5, 0.5]))
    assert h[[5, 6, 7]].abs().max() == 0


def test_all_nodes_labelled_and_loops_are_no_trouble(path):
    every = torch.arange(4)
    loops = torch.cat([path, every.repeat(2, 1)], dim=1)
    model = fitted(LaplaceLearning, 2, every, every % 2)
    assert torch.equal(model(X[:4], loops).argmax(1), every % 2)
    p = fitted(PoissonLearning, 2, every, every % 2)
    torch.testing.assert_close(p(X[:4], loops), p(X[:4], path))


@pytest.mark.parametrize(
    ("edges", "weight", "words"),
    [
        ([[0, 1, 2], [1, 0, 3]], None, "undirected.*reverse edge"),
        ([[0, 1], [1, 0]], [1.0, 2.0], "undirected"),
        ([[0, 1], [1, 0]], [-1.0, -1.0], "non-negative"),
        ([[0, 1], [1, 0]], [float("nan")] * 2, "finite"),
    ],
)
def test_directed_graphs_and_wrong_weights_are_refused(edges, weight, words):
    model = fitted(PoissonLearning, 2, torch.tensor([0, 1]), torch.tensor([0, 1]))
    weight = None if weight is None else torch.tensor(weight)
    with pytest.raises(ValueError, match=words):
        model(X[:4], torch.tensor(edges), weight)
