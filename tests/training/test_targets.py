"""What training aims at, with and without clusters."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from grandpp.data import low_label_split, sbm
from grandpp.models import cluster_labels as grow_labels
from grandpp.training import train_run, tuned_config
from grandpp.training.targets import clustered_targets, labelled_targets


@pytest.fixture(scope="module")
def data():
    graph = sbm(300, 900, num_classes=3, num_features=64, words_per_node=8, seed=1)
    return low_label_split(graph, 2, seed=0, num_development=150)


def test_labels_alone_are_the_plain_cross_entropy(data):
    targets = labelled_targets(data)
    logits = torch.randn(6, 3)
    want = F.cross_entropy(logits, data.y[data.train_mask])
    assert torch.equal(targets.loss(logits), want)


@pytest.mark.parametrize("cluster_labels", [1.0, 6.0])
def test_clusters_count_as_so_many_labels_per_class(data, cluster_labels):
    targets = clustered_targets(data, data.x, 3, cluster_labels)
    labelled = data.train_mask
    assert torch.equal(targets.label[labelled], data.y[labelled])
    assert targets.weight.sum().item() == pytest.approx(1)
    own = targets.weight[labelled]
    assert own.max() == own.min()
    clusters = grow_labels(data.x, data.edge_index, None, labelled, data.y, 3)
    ratio = targets.weight[~labelled].sum() / own.sum()
    assert ratio.item() == pytest.approx(clusters.trust * cluster_labels * 3 / 6, rel=1e-4)
    # Other nodes count by their confidence.
    others, confidence = targets.weight[~labelled], clusters.confidence.float()[~labelled]
    torch.testing.assert_close(others / others.sum(), confidence / confidence.sum())
    logits = torch.randn(300, 3)
    want = (targets.weight * F.cross_entropy(logits, targets.label, reduction="none")).sum()
    torch.testing.assert_close(targets.loss(logits), want)


def test_hidden_labels_do_not_reach_the_targets(data):
    hidden = data.clone()
    hidden.y = torch.where(data.train_mask, data.y, 2)
    a, b = (clustered_targets(d, d.x, 3, 4.0) for d in (data, hidden))
    assert torch.equal(a.label, b.label)
    assert torch.equal(a.weight, b.weight)


def test_clusters_make_up_for_missing_labels(data):
    gains = []
    for split in range(6):  # the gain differs much between single splits
        graph = low_label_split(data, 1, seed=split, num_development=150)
        base = tuned_config("sbm", "grand-l", 1, epochs=10)
        clustered = replace(base, cluster_labels=1.0)
        plain, helped = (train_run(c, graph, torch.device("cpu")) for c in (base, clustered))
        gains.append(helped.last_test_accuracy - plain.last_test_accuracy)
    assert sum(gains) / 6 > 0.05, gains


def test_nodes_without_a_known_label_are_no_targets(data):
    unknown = data.clone()
    first = data.train_mask.nonzero()[0]
    unknown.y[first] = -1
    unknown.y[data.test_mask] = -1
    targets = labelled_targets(unknown)
    assert int(targets.nodes.sum()) == 5
    assert not bool(targets.nodes[first])
    assert torch.isfinite(targets.loss(torch.randn(5, 3)))
    fewer = data.clone()
    fewer.train_mask[first] = False
    found, expected = (clustered_targets(d, d.x, 3, 1.0) for d in (unknown, fewer))
    assert torch.equal(found.label, expected.label)
    assert torch.equal(found.weight, expected.weight)
    assert int(found.label.min()) >= 0


def test_the_model_with_clusters_has_them_by_default_and_keeps_its_name():
    config = tuned_config("Cora", "grand++-cluster-l", 1)
    assert config.cluster_labels == 1.0
    assert (config.source, config.initial, config.time) == ("balanced", "features", 18.3)
    assert tuned_config("Cora", "grand++-l", 1).cluster_labels is None
    assert tuned_config("Cora", "gcn", 1, cluster_labels=2.0).cluster_labels == 2.0
    with pytest.raises(ValueError, match="cluster_labels"):
        tuned_config("Cora", "gcn", 1, cluster_labels=-1.0)


def test_clusters_of_noise_do_not_count(data):
    noise = data.clone()
    generator = torch.Generator().manual_seed(0)
    noise.x = torch.randn(300, 20, generator=generator)
    noise.edge_index = torch.empty(2, 0, dtype=torch.long)
    targets = clustered_targets(noise, noise.x, 3, 1.0)
    assert targets.weight[~noise.train_mask].sum() < 0.05
