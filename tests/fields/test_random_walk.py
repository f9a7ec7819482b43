"""The measure of the walk against dense matrix exponentials."""

from __future__ import annotations

import pytest
import torch
from reference import dense_walk_measure, to_dense

import grandpp.fields.random_walk as module
from grandpp.fields import stationary_measure, walk_measure
from grandpp.graph import degree, prepare_graph, row_normalize


def random_directed(nodes=12, edges=30, seed=0):
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(nodes, (2, edges), generator=generator)
    graph = prepare_graph(edge_index, nodes)
    raw = torch.rand(graph.csr.col.numel(), generator=generator, dtype=torch.float64) + 0.05
    return graph, row_normalize(graph, raw), degree(graph, raw)


@pytest.fixture(params=[20 * 2**20, 0], ids=["all kept", "every eighth kept"])
def kept(request, monkeypatch):
    monkeypatch.setattr(module, "_KEPT_BYTES", request.param)
    monkeypatch.setattr(module, "_KEPT_AT_LEAST", 8)


@pytest.mark.parametrize("tau", [1e-3, 0.4, 9.0, 300.0])
def test_measure_equals_the_dense_exponential(tau):
    graph, weight, start = random_directed()
    exactly = torch.tensor(tau, dtype=torch.float64)
    measure = walk_measure(graph.csr, weight, start, exactly)
    expected = dense_walk_measure(to_dense(graph, weight), start, tau)
    torch.testing.assert_close(measure, expected, rtol=1e-10, atol=1e-10)
    single = walk_measure(graph.csr, weight.float(), start.float(), torch.tensor(tau))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-5])
def test_a_tolerance_bounds_the_measure_and_saves_products(tolerance):
    graph, weight, start = random_directed()
    expected = dense_walk_measure(to_dense(graph, weight), start, 9.0)
    tau = torch.tensor(9.0, dtype=torch.float64)
    found = walk_measure(graph.csr, weight, start, tau, tolerance)
    error = float((found - expected).abs().sum() / start.sum())
    assert 1e-3 * tolerance < error < tolerance
    torch.testing.assert_close(found.sum(), start.sum())


def test_no_time_leaves_the_start_and_a_long_one_gives_the_stationary_measure(karate):
    graph = prepare_graph(karate, 34)
    raw = torch.rand(graph.csr.col.numel(), dtype=torch.float64) + 0.05
    weight, start = row_normalize(graph, raw), degree(graph, torch.ones_like(raw))
    none = walk_measure(graph.csr, weight, start, torch.zeros(()))
    torch.testing.assert_close(none, start)
    results = []
    for far in (True, False):
        raw = raw.detach().clone().requires_grad_()
        weight = row_normalize(graph, raw)
        if far:
            measure = walk_measure(graph.csr, weight, start, torch.tensor(1e5))
        else:
            measure = stationary_measure(graph, weight, torch.ones_like(raw))
        measure.pow(3).sum().backward()
        results.append([measure.detach(), raw.grad])
    scale = float(results[0][1].abs().max())
    torch.testing.assert_close(*results, rtol=1e-8, atol=1e-8 * scale)


@pytest.mark.parametrize("tau", [0.7, 30.0])
def test_gradients_pass_gradcheck(tau, kept):
    graph, weight, start = random_directed(6, 12)
    inputs = [t.requires_grad_() for t in (weight, start, torch.tensor(tau).double())]
    assert torch.autograd.gradcheck(
        lambda w, d, t: walk_measure(graph.csr, w, d, t), inputs, atol=1e-7
    )


def test_what_is_computed_again_gives_the_same_gradients(kept, monkeypatch):
    gradients = []
    for size in (20 * 2**20, 0):
        monkeypatch.setattr(module, "_KEPT_BYTES", size)
        graph, weight, start = random_directed(40, 120)
        inputs = [t.requires_grad_() for t in (weight, start, torch.tensor(60.0).double())]
        walk_measure(graph.csr, *inputs).pow(3).sum().backward()
        gradients.append([t.grad for t in inputs])
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_very_long_series_ends_where_iterates_stop_changing(karate, dtype):
    # Of 2e6 products, which would take a minute, a few hundred are made.
    graph = prepare_graph(karate, 34)
    weight = row_normalize(graph, torch.rand(graph.csr.col.numel(), dtype=dtype) + 0.05)
    weight.requires_grad_()
    start = degree(graph, torch.ones_like(weight).detach())
    measure = walk_measure(graph.csr, weight, start, torch.tensor(1e6))
    expected = stationary_measure(graph, weight.detach(), torch.ones_like(weight).detach())
    torch.testing.assert_close(measure.detach(), expected, rtol=1e-5, atol=1e-5)
    measure.square().sum().backward()
    assert torch.isfinite(weight.grad).all()


def test_a_graph_without_nodes_has_an_empty_measure(kept):
    graph = prepare_graph(torch.empty(2, 0, dtype=torch.int64), 0)
    weight = torch.empty(0, dtype=torch.float64, requires_grad=True)
    tau = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    measure = walk_measure(graph.csr, weight, weight.detach(), tau)
    assert measure.shape == (0,)
    measure.sum().backward()
    assert weight.grad.shape == (0,)
    assert float(tau.grad) == 0
