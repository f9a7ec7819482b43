"""The stationary measure and its gradient."""

from __future__ import annotations

import pytest
import torch
from reference import to_dense

import grandpp.linalg.singular as module
from grandpp.fields import stationary_measure
from grandpp.graph import degree, prepare_graph, row_normalize


def random_operator(graph, seed=0):
    generator = torch.Generator().manual_seed(seed)
    raw = torch.rand(graph.csr.col.numel(), generator=generator, dtype=torch.float64) + 0.05
    return row_normalize(graph, raw)


@pytest.fixture(params=[50_000, 0], ids=["factorised", "krylov"])
def method(request, monkeypatch):
    monkeypatch.setattr(module, "_FACTOR_UP_TO", request.param)


def test_degrees_are_stationary_for_the_random_walk(karate, features):
    # Proposition 6 of the thesis, with self-loops counted in the degree.
    graph = prepare_graph(karate, 34)
    prior = graph.prior(None, 1.0, like=features)
    d = degree(graph, prior)
    assert torch.equal(stationary_measure(graph, row_normalize(graph, prior), prior), d)


def test_measure_is_invariant_and_keeps_the_mass_of_every_component(karate, method):
    edge_index = torch.cat([karate, karate + 34], dim=1)
    graph = prepare_graph(edge_index, 70)  # two clubs and two isolated nodes
    weight = random_operator(graph)
    prior = torch.rand(graph.csr.col.numel(), dtype=torch.float64) + 0.5
    start = degree(graph, prior)
    pi = stationary_measure(graph, weight, prior)
    dense = to_dense(graph, weight)
    torch.testing.assert_close(pi @ dense, pi, rtol=0, atol=1e-9)
    assert pi.min() > 0
    for nodes in (slice(0, 34), slice(34, 68), slice(68, 69), slice(69, 70)):
        assert pi[nodes].sum() == pytest.approx(float(start[nodes].sum()), abs=1e-8)


def test_gradient_passes_gradcheck_through_the_normalisation(karate, method):
    edge_index = torch.tensor([[0, 1, 1, 2, 2, 0, 3, 4], [1, 0, 2, 1, 0, 2, 4, 3]])
    graph = prepare_graph(edge_index, 5)
    raw = torch.rand(graph.csr.col.numel(), dtype=torch.float64) + 0.2
    raw.requires_grad_()
    prior = torch.rand_like(raw) + 0.5
    assert torch.autograd.gradcheck(
        lambda r: stationary_measure(graph, row_normalize(graph, r), prior), (raw,), atol=1e-5
    )


def test_float32_weights_converge_too(karate):
    graph = prepare_graph(karate, 34)
    weight = random_operator(graph).float().requires_grad_()
    pi = stationary_measure(graph, weight, torch.ones_like(weight).detach())
    pi.square().sum().backward()
    assert pi.dtype == torch.float32
    assert torch.isfinite(weight.grad).all()


def test_saturated_attention_still_has_a_measure(path):
    # The middle edge is all but cut: one factorisation finds nothing, a little random walk helps.
    graph = prepare_graph(path, 4)
    raw = torch.ones(graph.csr.col.numel(), dtype=torch.float64)
    row, col = graph.csr.row, graph.csr.col_long
    raw[((row == 1) & (col == 2)) | ((row == 2) & (col == 1))] = 0.0
    weight = row_normalize(graph, raw).requires_grad_()
    pi = stationary_measure(graph, weight, torch.ones_like(raw))
    dense = to_dense(graph, weight.detach())
    torch.testing.assert_close(pi @ dense, pi, rtol=0, atol=1e-6)
    pi.square().sum().backward()
    assert torch.isfinite(weight.grad).all()
