"""Conventions of edges, loops and weights."""

from __future__ import annotations

import pytest
import torch
from reference import dense_random_walk, to_dense

from grandpp.graph import degree, dirichlet_energy, prepare_graph, row_normalize

LIKE = torch.zeros((), dtype=torch.float64)


@pytest.mark.parametrize("loop", [0.0, 1.0, 2.5])
def test_random_walk_equals_the_dense_one_with_user_loops_isolated_nodes_and_weights(loop):
    edge_index = torch.tensor([[0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 2, 3]])
    weight = torch.tensor([1.0, 2.0, 0.5, 0.5, 3.0, 4.0], dtype=torch.float64)
    for w in (None, weight):
        graph = prepare_graph(edge_index, 6)
        values = row_normalize(graph, graph.prior(w, loop, like=LIKE))
        expected = dense_random_walk(edge_index, 6, w, loop)
        torch.testing.assert_close(to_dense(graph, values), expected)


def test_a_node_that_receives_nothing_keeps_itself(path):
    graph = prepare_graph(path, 6)
    values = to_dense(graph, row_normalize(graph, graph.prior(None, 0.0, like=LIKE)))
    assert values[4, 4] == 1
    assert values[5, 5] == 1
    assert values[0, 0] == 0


def test_user_order_puts_edges_first_as_given_then_loops(karate):
    graph = prepare_graph(karate, 34)
    assert torch.equal(graph.edge_index[:, : karate.size(1)], karate)
    assert torch.equal(graph.edge_index[:, karate.size(1) :], torch.arange(34).repeat(2, 1))
    marks = torch.arange(graph.csr.col.numel(), dtype=torch.float64)
    assert torch.equal(graph.to_user_order(marks[graph.csr.perm]), marks)


def test_degree_counts_weights_and_the_loop(path):
    graph = prepare_graph(path, 4)
    assert degree(graph, graph.prior(None, 1.0, like=LIKE)).tolist() == [2, 3, 3, 2]


def test_a_changed_edge_index_is_prepared_anew_even_when_changed_behind_torchs_back():
    array = torch.tensor([[0, 1], [1, 0]]).numpy()
    edge_index = torch.from_numpy(array)
    before = prepare_graph(edge_index, 3)
    assert prepare_graph(edge_index, 3) is before
    array[:] = [[0, 2], [2, 0]]
    after = prepare_graph(edge_index, 3)
    assert torch.equal(after.edge_index[:, :2], torch.tensor([[0, 2], [2, 0]]))
    assert prepare_graph(edge_index, 4).num_nodes == 4


@pytest.mark.parametrize(
    ("edge_index", "error", "words"),
    [
        (torch.tensor([[0], [7]]), IndexError, r"\[0, 4\).*got 7"),
        (torch.tensor([[-1], [0]]), IndexError, "got -1"),
        (torch.tensor([0, 1]), ValueError, r"shape \[2, E\]"),
        (torch.zeros(2, 3), ValueError, "integer"),
    ],
)
def test_malformed_edges_are_refused_in_words(edge_index, error, words):
    with pytest.raises(error, match=words):
        prepare_graph(edge_index, 4)


@pytest.mark.parametrize("bad", [[1.0, -1.0], [1.0, float("nan")], [1.0], [1.0, float("inf")]])
def test_malformed_weights_are_refused(bad):
    graph = prepare_graph(torch.tensor([[0, 1], [1, 0]]), 2)
    with pytest.raises(ValueError, match="edge_weight"):
        graph.prior(torch.tensor(bad), 1.0, like=LIKE)


def test_dirichlet_energy_is_zero_for_constants_and_known_on_a_path(path):
    assert dirichlet_energy(torch.ones(4, 2), path) == 0
    x = torch.tensor([[0.0], [1.0], [3.0], [3.0]])
    assert dirichlet_energy(x, path) == pytest.approx(2 * (1 + 4 + 0) / 8)


@pytest.mark.parametrize("at_once", [1, 24, 2**22])
def test_dirichlet_energy_of_weighted_edges_does_not_depend_on_how_many_are_summed_at_once(
    karate, features, monkeypatch, at_once
):
    monkeypatch.setattr("grandpp.graph._DIFFERENCES", at_once)
    weight = torch.rand(karate.size(1), dtype=torch.float64)
    x = features.clone().requires_grad_()
    laplacian = torch.zeros(34, 34, dtype=torch.float64)
    for (source, target), w in zip(karate.t(), weight, strict=True):
        ends = torch.zeros(34, dtype=torch.float64)
        ends[source], ends[target] = 1.0, -1.0
        laplacian += w * torch.outer(ends, ends)
    energy = dirichlet_energy(x, karate, weight)
    assert float(energy.detach()) == pytest.approx(
        float((features * (laplacian @ features)).sum()) / 68
    )
    (gradient,) = torch.autograd.grad(energy, x)
    torch.testing.assert_close(gradient, 2 * laplacian @ features / 68)
    assert dirichlet_energy(features, karate[:, :0]) == 0


@pytest.mark.parametrize("loop", [0.0, 1.0, 2.5])
def test_no_weights_are_weights_of_one_with_repeated_edges_and_loops(loop):
    edge_index = torch.tensor([[0, 0, 0, 1, 0, 1], [0, 0, 1, 0, 1, 1]])
    graph = prepare_graph(edge_index, 3)
    none = graph.prior(None, loop, like=LIKE)
    assert torch.equal(none, graph.prior(torch.ones(6), loop, like=LIKE))
    expected = dense_random_walk(edge_index, 3, None, loop)
    torch.testing.assert_close(to_dense(graph, row_normalize(graph, none)), expected)
    x = torch.tensor([[1.0], [3.0], [0.0]])
    assert dirichlet_energy(x, edge_index) == dirichlet_energy(x, edge_index, torch.ones(6))


@pytest.mark.parametrize("size", [1e60, 3e38, 1e-60, 1e-42])
def test_weights_beyond_the_range_of_the_features_are_refused(size):
    edge_index = torch.tensor([[0, 1, 2, 0, 0], [1, 0, 0, 2, 0]])
    weight = torch.full((5,), size, dtype=torch.float64)
    graph, single = prepare_graph(edge_index, 3), torch.zeros(())
    with pytest.raises(ValueError, match=r"range of torch\.float32.*float64"):
        graph.prior(weight, 0.0, like=single)
    values = row_normalize(graph, graph.prior(weight, 0.0, like=LIKE))
    torch.testing.assert_close(to_dense(graph, values), dense_random_walk(edge_index, 3, None, 0.0))


def test_a_weight_too_small_to_count_beside_others_is_neglected():
    edge_index = torch.tensor([[0, 1, 2, 0, 0], [1, 0, 0, 2, 0]])
    weight = torch.tensor([1.0, 1e-60, 1.0, 1.0, 1e-41], dtype=torch.float64)
    graph = prepare_graph(edge_index, 3)
    wide = row_normalize(graph, graph.prior(weight, 0.0, like=LIKE))
    single = row_normalize(graph, graph.prior(weight, 0.0, like=torch.zeros(())))
    torch.testing.assert_close(single.double(), wide, rtol=1e-6, atol=1e-12)
    # A loop of weight 1 leaves nothing of it either.
    tiny = torch.full((5,), 1e-60, dtype=torch.float64)
    loops = prepare_graph(edge_index[:, :4], 3)
    values = row_normalize(loops, loops.prior(tiny[:4], 1.0, like=torch.zeros(())))
    assert torch.equal(to_dense(loops, values), torch.eye(3))
