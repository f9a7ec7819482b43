"""The embedded set: exact sizes, repeatable draws, and how near it is to Cora."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.sparse.csgraph import connected_components
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch_geometric.utils import contains_self_loops, is_undirected

from grandpp.data import GraphStatistics, graph_statistics, load_dataset, low_label_splits, sbm


def diffused(data, steps):
    """Unit rows of the centred P^steps X, with P the random walk with self-loops."""
    n = data.num_nodes
    source, target = data.edge_index.numpy()
    operator = sp.csr_matrix((np.ones(source.size), (target, source)), shape=(n, n)) + sp.eye(n)
    operator = sp.diags(1.0 / np.asarray(operator.sum(axis=1)).ravel()) @ operator
    state = data.x.numpy().astype(np.float64)
    for _ in range(steps):
        state = operator @ state
    state = state - state.mean(axis=0)
    return state / np.maximum(np.linalg.norm(state, axis=1, keepdims=True), 1e-12)


def accuracy(data, features, labels_per_class, splits=5):
    """Mean test accuracy of logistic regression over "grand" splits."""
    label, scores = data.y.numpy(), []
    for split in low_label_splits(data, labels_per_class, range(splits)):
        train, test = split.train_mask.numpy(), split.test_mask.numpy()
        # One thread: more of them wait for each other when the machine is busy.
        with threadpool_limits(1):
            model = LogisticRegression(C=10.0, max_iter=200).fit(features[train], label[train])
            scores.append(model.score(features[test], label[test]))
    return float(np.mean(scores))


def difficulty(data):
    """Accuracies at 1 and 20 labels per class on raw and diffused features."""
    return {
        (labels, steps): accuracy(data, features, labels)
        for steps in (0, 2, 16)
        for features in [diffused(data, steps)]
        for labels in (1, 20)
    }


def components(data):
    n, (source, target) = data.num_nodes, data.edge_index.numpy()
    graph = sp.csr_matrix((np.ones(source.size), (source, target)), shape=(n, n))
    return connected_components(graph, directed=False)[0]


SIZES = [
    (2485, 5069, 7, 1433),
    (300, 299, 3, 30),
    (1, 0, 1, 20),
    (2, 1, 2, 20),
    (40, 780, 4, 25),
    (60, 1200, 1, 25),
    (50, 600, 50, 25),
    (5000, 60000, 40, 20),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", [0, 1])
def test_sizes_are_exact_and_the_graph_is_simple_undirected_and_connected(size, seed):
    nodes, edges, classes, features = size
    data = sbm(nodes, edges, classes, features, seed=seed)
    assert data.x.shape == (nodes, features)
    assert data.edge_index.shape == (2, 2 * edges)
    assert data.is_coalesced()
    assert is_undirected(data.edge_index, num_nodes=nodes)
    assert not contains_self_loops(data.edge_index)
    assert components(data) == 1
    assert data.y.unique().tolist() == list(range(classes))
    torch.testing.assert_close(data.x.sum(dim=1), torch.ones(nodes))
    assert (data.name, data.num_classes) == ("sbm", classes)


def test_a_seed_repeats_bit_for_bit_and_another_differs():
    first, again, other = sbm(seed=3), sbm(seed=3), sbm(seed=4)
    assert torch.equal(first.edge_index, again.edge_index)
    assert torch.equal(first.x, again.x)
    assert torch.equal(first.y, again.y)
    assert not torch.equal(first.y, other.y)


def test_the_draw_does_not_touch_the_global_generators():
    np.random.seed(0)
    torch.manual_seed(0)
    expected = np.random.random(), torch.rand(1)
    np.random.seed(0)
    torch.manual_seed(0)
    sbm(50, 80, 2, 20)
    assert (np.random.random(), torch.rand(1)) == expected


def test_class_sizes_are_those_of_cora_or_as_given_or_equal():
    def sizes(**options):
        return torch.bincount(sbm(**options).y).tolist()

    assert sizes() == [344, 214, 406, 726, 379, 285, 131]
    given = {"num_nodes": 100, "num_edges": 200, "num_classes": 3, "num_features": 20}
    assert sizes(**given) == [34, 33, 33]
    assert sizes(**given, class_sizes=[1, 90, 9]) == [1, 90, 9]
    assert min(sizes(num_nodes=7, num_edges=6)) == 1


@pytest.mark.parametrize("homophily", [0.0, 0.2, 0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("classes", [2, 5, 40])
def test_homophily_is_reached_over_its_whole_range(homophily, classes):
    # A random tree on few nodes needs an edge or two of the other kind: hence the tolerance.
    data = sbm(4000, 20000, classes, 20, homophily=homophily, words_per_node=5.0)
    assert graph_statistics(data).homophily == pytest.approx(homophily, abs=0.03)


def test_an_infinite_degree_exponent_gives_no_hubs_and_a_small_one_does():
    def largest(exponent):
        return graph_statistics(sbm(degree_exponent=exponent)).max_degree

    assert largest(math.inf) < 25 < 50 < largest(2.2)


def test_stronger_topics_make_the_words_more_telling():
    def score(strength):
        data = sbm(topic_strength=strength)
        return accuracy(data, diffused(data, 0), 20, splits=2)

    weak, default, strong = score(0.0), score(1.1), score(2.0)
    assert weak < 0.25 < default < strong


# The table in the documentation of sbm; the keys of the accuracies are (labels, products).
DOCUMENTED = {
    "sbm": (
        GraphStatistics(2485, 5069, 0.807, 74, 4.62, 0.163, 0.062, 18.4),
        {
            (1, 0): 0.296,
            (1, 2): 0.409,
            (1, 16): 0.507,
            (20, 0): 0.631,
            (20, 2): 0.831,
            (20, 16): 0.858,
        },
    ),
    "Cora": (
        GraphStatistics(2485, 5069, 0.804, 168, 5.41, 0.142, 0.049, 18.3),
        {
            (1, 0): 0.268,
            (1, 2): 0.510,
            (1, 16): 0.519,
            (20, 0): 0.609,
            (20, 2): 0.813,
            (20, 16): 0.806,
        },
    ),
}


@pytest.mark.parametrize("name", ["sbm", pytest.param("Cora", marks=pytest.mark.realdata)])
def test_the_documented_statistics_are_those_measured(name):
    statistics, accuracies = DOCUMENTED[name]
    data = load_dataset(name, download=False)
    assert asdict(graph_statistics(data)) == pytest.approx(asdict(statistics), rel=0.01)
    assert difficulty(data) == pytest.approx(accuracies, abs=0.02)


@pytest.mark.parametrize("seed", [1, 2])
def test_other_seeds_are_as_near_to_cora(seed):
    found = graph_statistics(sbm(seed=seed))
    cora, _ = DOCUMENTED["Cora"]
    assert found.homophily == pytest.approx(cora.homophily, abs=0.03)
    assert 50 <= found.max_degree <= cora.max_degree
    assert found.degree_deviation == pytest.approx(cora.degree_deviation, abs=1.3)
    assert found.degree_one_share == pytest.approx(cora.degree_one_share, abs=0.04)
    assert found.degree_ten_share == pytest.approx(cora.degree_ten_share, abs=0.025)
    assert found.words_per_node == pytest.approx(cora.words_per_node, abs=0.4)


@pytest.mark.slow
def test_a_hundred_thousand_nodes_and_a_million_edges_are_drawn_without_a_loop_over_nodes():
    data = sbm(100_000, 1_000_000, num_features=64, words_per_node=8.0)
    assert data.edge_index.size(1) == 2_000_000
    assert components(data) == 1
    assert graph_statistics(data).homophily == pytest.approx(0.804, abs=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_nodes": 0}, r"'num_nodes' to be an integer >= 1 \(got 0\)"),
        ({"num_nodes": 10.5}, r"'num_nodes' to be an integer >= 1 \(got 10.5\)"),
        ({"num_nodes": 10, "num_edges": 8}, r"'num_edges' to be an integer in 9 .. 45 \(got 8\)"),
        ({"num_nodes": 10, "num_edges": 46}, r"in 9 .. 45 \(got 46\)"),
        ({"num_nodes": 5, "num_edges": 6}, r"'num_classes' to be an integer in 1 .. 5 \(got 7\)"),
        ({"num_classes": 0}, r"'num_classes' to be an integer in 1 .. 2485 \(got 0\)"),
        ({"num_features": 0}, r"'num_features' to be an integer >= 1"),
        ({"homophily": 1.1}, r"'homophily' in \[0, 1\] \(got 1.1\)"),
        ({"homophily": math.nan}, r"'homophily' in \[0, 1\] \(got nan\)"),
        ({"community_share": -0.1}, r"'community_share' in \[0, 1\]"),
        ({"misplaced_share": 2}, r"'misplaced_share' in \[0, 1\]"),
        ({"community_topics": 2}, r"'community_topics' in \[0, 1\]"),
        ({"communities_per_class": 0}, r"'communities_per_class' to be an integer >= 1"),
        ({"degree_exponent": 2.0}, r"'degree_exponent' > 2 \(got 2.0\)"),
        ({"words_per_node": 0}, r"'words_per_node' in \[1, 1433\] \(got 0\)"),
        ({"num_features": 10}, r"'words_per_node' in \[1, 10\] \(got 18.3\)"),
        ({"topic_strength": -1}, r"'topic_strength' in \[0, 10\]"),
        ({"seed": -1}, r"'seed' to be an integer >= 0"),
        ({"class_sizes": [1, 2]}, r"'class_sizes' to be 7 integers that add up to 2485"),
        ({"class_sizes": [0, 2485, 0, 0, 0, 0, 0]}, r"'class_sizes' of at least 1"),
    ],
)
def test_an_argument_out_of_range_is_refused_with_what_was_expected(options, message):
    with pytest.raises(ValueError, match=message):
        sbm(**options)
