"""What training aims at, with and without clusters."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from grandpp.data import low_label_split, sbm
from grandpp.models import (
    adjust_to_shares,
    choose_clusters,
    diffused_components,
    graph_views,
    seeded_clusters,
)
from grandpp.models import cluster_labels as grow_labels
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training import RunResult, train_run
from grandpp.training.loop import TrainingRun
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
    ratio = targets.weight[~labelled].sum() / own.sum()
    assert ratio.item() == pytest.approx(cluster_labels * 3 / 6, rel=1e-4)
    # Other nodes count by their confidence.
    clusters = seeded_clusters(diffused_components(data.x, data.edge_index), labelled, data.y, 3)
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
        base = tuned_run("sbm", "grand-l", 1, epochs=10)
        clustered = base.with_settings(cluster_labels=1.0)
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
    config = tuned_run("Cora", "grand++-cluster-l", 1)
    assert config.settings.cluster_labels == 1.0
    assert (config.settings.source, config.settings.initial, config.settings.time) == (
        "balanced",
        "features",
        18.3,
    )
    assert tuned_run("Cora", "grand++-l", 1).settings.cluster_labels is None
    assert tuned_run("Cora", "gcn", 1, cluster_labels=2.0).settings.cluster_labels == 2.0
    with pytest.raises(ValueError, match="cluster_labels"):
        tuned_run("Cora", "gcn", 1, cluster_labels=-1.0)


def test_clusters_of_all_views_count_by_their_trust(data):
    targets = clustered_targets(data, data.x, 3, 1.0, "views")
    labelled = data.train_mask
    clusters = grow_labels(data.x, data.edge_index, None, labelled, data.y, 3)
    assert 0 < clusters.trust <= 1
    assert torch.equal(targets.label, clusters.label)
    ratio = targets.weight[~labelled].sum() / targets.weight[labelled].sum()
    assert ratio.item() == pytest.approx(clusters.trust * 3 / 6, rel=1e-4)


def test_views_of_a_graph_are_made_once(data, monkeypatch):
    known = data.clone()
    known.views = graph_views(data.x, data.edge_index)
    expected = clustered_targets(data, data.x, 3, 1.0, "views")
    monkeypatch.setattr("grandpp.training.targets.graph_views", None)
    found = clustered_targets(known, data.x, 3, 1.0, "views")
    assert torch.equal(found.weight, expected.weight)


def test_clusters_of_noise_do_not_count(data):
    noise = data.clone()
    generator = torch.Generator().manual_seed(0)
    noise.x = torch.randn(300, 20, generator=generator)
    noise.edge_index = torch.empty(2, 0, dtype=torch.long)
    targets = clustered_targets(noise, noise.x, 3, 1.0, "views")
    assert targets.weight[~noise.train_mask].sum() < 0.05


def test_validation_nodes_choose_the_clusters_where_they_are_asked_to(data):
    noise = torch.randn(300, 20, generator=torch.Generator().manual_seed(0))
    misled = data.clone()
    misled.views = graph_views(noise, data.edge_index)._replace(weights=(1.0, 0.0, 0.0))
    targets = clustered_targets(misled, data.x, 3, 1.0, "chosen")
    clusters = choose_clusters(misled.views, data.train_mask, data.y, 3, data.val_mask)
    assert torch.equal(targets.label, clusters.label)
    without = misled.clone()
    without.val_mask = torch.zeros_like(data.val_mask)
    alone = clustered_targets(misled, data.x, 3, 1.0, "views")
    assert torch.equal(clustered_targets(without, data.x, 3, 1.0, "chosen").label, alone.label)
    right = [int((t.label == data.y)[data.val_mask].sum()) for t in (targets, alone)]
    assert right[0] > right[1]


def test_the_labels_of_test_nodes_do_not_choose(data):
    hidden = data.clone()
    hidden.y = torch.where(data.test_mask, 2, data.y)
    a, b = (clustered_targets(d, d.x, 3, 1.0, "chosen") for d in (data, hidden))
    assert torch.equal(a.label, b.label)
    assert torch.equal(a.weight, b.weight)


def test_the_default_model_has_the_same_settings_on_every_graph():
    names = ("*", "Cora", "CiteSeer", "PubMed", "CoauthorCS", "Photo", "Computers")
    settings = [tuned_run(name, "grand++-views-l", 1).settings for name in names]
    assert all(other == settings[0] for other in settings)


def test_shares_of_the_classes_are_those_of_the_loss(data):
    assert labelled_targets(data).shares(3).tolist() == pytest.approx([1 / 3] * 3)
    targets = clustered_targets(data, data.x, 3, 1.0)
    want = [float(targets.weight[targets.label == c].sum()) for c in range(3)]
    assert targets.shares(3).tolist() == pytest.approx(want)


def test_a_run_reports_the_accuracy_of_the_adjusted_logits(data):
    run = tuned_run("planted", "grand++-views-l", 2, epochs=2, estimate_shares=True)
    training = TrainingRun.begin(run, data, torch.device("cpu"))
    training.model.eval()
    inputs = (training.x, data.edge_index, data.edge_weight, data.train_mask)
    torch.testing.assert_close(training.model.trained_shares, training.targets.shares(3))
    shares = torch.tensor([0.05, 0.05, 0.9])
    training.model.fit_shares(shares)
    logits = training.model(*inputs)
    want = adjust_to_shares(logits, shares)
    result = RunResult()
    training.evaluate(1, result)
    right = want.argmax(1) == data.y
    assert not torch.equal(right, logits.argmax(1) == data.y)
    assert result.test_accuracy == pytest.approx(float(right[data.test_mask].float().mean()))
    assert result.val_accuracy == pytest.approx(float(right[data.val_mask].float().mean()))


@pytest.mark.parametrize("clusters", ["views", "chosen"])
def test_a_run_reports_the_accuracy_of_predictions_pooled_with_its_clusters(data, clusters):
    run = tuned_run(
        "planted", "grand++-views-l", 2, epochs=2, clusters=clusters, cluster_pool=2.0,
        estimate_shares=True,
    )  # fmt: skip
    training = TrainingRun.begin(run, data, torch.device("cpu"))
    training.model.eval()
    inputs = (training.x, data.edge_index, data.edge_weight, data.train_mask)
    found = grow_labels(data.x, data.edge_index, None, data.train_mask, data.y, 3)
    if clusters == "chosen":
        views = graph_views(data.x, data.edge_index)
        found = choose_clusters(views, data.train_mask, data.y, 3, data.val_mask)
    # Squared probabilities of the clusters times those of the network, then the shares.
    pooled = training.model(*inputs).softmax(1) * found.score.float().clamp(min=1e-12) ** 2
    want = adjust_to_shares(pooled.log(), training.targets.shares(3))
    result = RunResult()
    training.evaluate(1, result)
    right = want.argmax(1) == data.y
    assert not torch.equal(right, training.model(*inputs).argmax(1) == data.y)
    assert result.test_accuracy == pytest.approx(float(right[data.test_mask].float().mean()))
    assert result.val_accuracy == pytest.approx(float(right[data.val_mask].float().mean()))


def test_only_clusters_with_probabilities_are_pooled():
    default = tuned_run("Cora", "grand++-views-l", 1)
    pooled = tuned_run("Cora", "grand++-views-l", 1, cluster_pool=0.5)
    assert pooled.config_hash != default.config_hash
    nothing = tuned_run("Cora", "grand++-views-l", 1, cluster_pool=0.0)
    assert nothing.settings.cluster_pool is None
    assert nothing.config_hash == default.config_hash
    for model, settings in (("gcn", {}), ("grand++-cluster-l", {}),
                            ("grand++-views-l", {"cluster_labels": 0.0}),
                            ("gcn", {"clusters": "views"})):  # fmt: skip
        with pytest.raises(ValueError, match=r"expected clusters of the views \(views or chosen\)"):
            tuned_run("Cora", model, 1, cluster_pool=0.5, **settings)
    for weight in (-1.0, float("inf")):
        with pytest.raises(ValueError, match="'cluster_pool' to be finite"):
            tuned_run("Cora", "grand++-views-l", 1, cluster_pool=weight)


@pytest.mark.parametrize(
    "make",
    [
        labelled_targets,
        lambda d: clustered_targets(d, d.x, 3, 1.0),
        lambda d: clustered_targets(d, d.x, 3, 1.0, "features"),
    ],
)
def test_targets_without_probabilities_cannot_be_pooled(data, make):
    """Cosines, the scores of clusters of diffused features, are none."""
    logits = torch.zeros(300, 3)
    assert make(data).pool(logits, None) is logits
    with pytest.raises(ValueError, match="expected probabilities of clusters to pool with"):
        make(data).pool(logits, 0.5)


def test_the_default_model_estimates_shares_from_twenty_labels_on():
    for labels, estimates in ((1, None), (5, None), (19, None), (20, True), (50, True)):
        run = tuned_run("Cora", "grand++-views-l", labels)
        assert run.settings.estimate_shares is estimates
    without = tuned_run("Cora", "grand++-views-l", 20, estimate_shares=False)
    assert without.settings.estimate_shares is None
    assert without.config_hash != tuned_run("Cora", "grand++-views-l", 20).config_hash
    few = tuned_run("Cora", "grand++-views-l", 1, estimate_shares=False)
    assert few.config_hash == tuned_run("Cora", "grand++-views-l", 1).config_hash


def test_the_model_with_views_trains_on_their_clusters():
    assert tuned_run("Cora", "grand++-views-l", 1).settings.clusters == "chosen"
    assert tuned_run("Cora", "grand++-cluster-l", 1).settings.clusters is None
    changed = tuned_run("Cora", "grand++-cluster-l", 1, clusters="views")
    assert changed.config_hash != tuned_run("Cora", "grand++-cluster-l", 1).config_hash
    with pytest.raises(ValueError, match="'clusters' to be one of features, views, chosen"):
        tuned_run("Cora", "gcn", 1, clusters="words")
