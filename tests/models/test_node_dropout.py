"""Dropout by node: the same draws however nodes are grouped and features are stored."""

from __future__ import annotations

import pytest
import torch

from grandpp.models import FeatureEncoder, NodeDropout, SparseFeatures, drop_by_node, gcn
from grandpp.models.node_dropout import dropout


def drawn(nodes, step=1, x=None, seed=3, p=0.4, rows=None):
    by_node = NodeDropout(seed, nodes)
    by_node.begin(step)
    x = torch.ones(nodes.numel(), 50) if x is None else x
    return dropout(x, p, True, by_node, rows)


def test_an_entry_is_dropped_with_its_probability_and_the_mean_is_kept():
    kept = drawn(torch.arange(20_000))
    assert kept.unique().tolist() == [0.0, pytest.approx(1 / 0.6)]
    assert float((kept == 0).float().mean()) == pytest.approx(0.4, abs=0.002)
    # Neither nodes nor channels are dropped together.
    assert float((kept == 0).float().mean(0).std()) < 0.006
    a, b = (kept[:-1] == 0).double().reshape(-1), (kept[1:] == 0).double().reshape(-1)
    assert abs(float(torch.corrcoef(torch.stack([a, b]))[0, 1])) < 0.005


def test_draws_belong_to_nodes():
    every = drawn(torch.arange(100))
    nodes = torch.tensor([70, 3, 99])
    assert torch.equal(drawn(nodes), every[nodes])
    mask = torch.zeros(100, dtype=torch.bool)
    mask[nodes] = True
    x = torch.ones(3, 50)
    assert torch.equal(drawn(torch.arange(100), x=x, rows=mask), every[mask])
    assert torch.equal(drawn(torch.arange(100), x=x, rows=nodes), every[nodes])


def test_steps_seeds_and_dropouts_of_a_step_differ():
    nodes = torch.arange(40)
    first = drawn(nodes)
    assert torch.equal(first, drawn(nodes))
    assert not torch.equal(first, drawn(nodes, step=2))
    assert not torch.equal(first, drawn(nodes, seed=4))
    by_node = NodeDropout(3, nodes)
    by_node.begin(1)
    x = torch.ones(40, 50)
    assert torch.equal(dropout(x, 0.4, True, by_node), first)
    assert not torch.equal(dropout(x, 0.4, True, by_node), first)


def test_sparse_features_drop_the_same_entries():
    torch.manual_seed(0)
    x = torch.randn(30, 12) * (torch.rand(30, 12) < 0.3)
    encoder = FeatureEncoder(12, 5, dropout=0.5)
    by_node = NodeDropout(0, torch.arange(100, 130))
    drop_by_node(encoder, by_node)
    found = []
    for features in (x, SparseFeatures.from_dense(x)):
        by_node.begin(7)
        found.append(encoder(features))
    torch.testing.assert_close(*found)


def test_without_draws_by_node_nothing_changes():
    x, encoder = torch.randn(30, 12), FeatureEncoder(12, 5, dropout=0.5)
    torch.manual_seed(1)
    plain = encoder(x)
    drop_by_node(encoder, NodeDropout(0, torch.arange(30)))
    assert not torch.equal(encoder(x), plain)
    drop_by_node(encoder, None)
    torch.manual_seed(1)
    assert torch.equal(encoder(x), plain)


def test_evaluation_drops_nothing():
    x, model = torch.randn(30, 12), gcn(12, 5, 3, dropout=0.5, input_dropout=0.5)
    edges = torch.tensor([[0, 1], [1, 0]])
    model.eval()
    plain = model(x, edges)
    drop_by_node(model, NodeDropout(0, torch.arange(30)))
    assert torch.equal(model(x, edges), plain)
