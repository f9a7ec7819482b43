"""Seeded clusters: the embedding against dense algebra, the clusters on data with an answer."""

from __future__ import annotations

import math

import pytest
import torch
from torch_geometric.utils import to_dense_adj

from grandpp.models import (
    ClusterClassifier,
    SparseFeatures,
    cluster_labels,
    diffused_components,
    seeded_clusters,
)


def words(n=34, f=12):
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(n, f, generator=generator) < 0.3).double()


def dense_components(x, edge_index, steps, components, weight=None):
    n = x.size(0)
    x = x * (torch.log((1 + n) / (1 + (x != 0).sum(0).double())) + 1)
    x = x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)
    adjacency = to_dense_adj(edge_index.flip(0), edge_attr=weight, max_num_nodes=n)[0].double()
    adjacency = adjacency + torch.eye(n)
    step = adjacency / adjacency.sum(1).sqrt().outer(adjacency.sum(0).sqrt())
    h = torch.linalg.matrix_power(step, steps) @ x
    u, sigma, _ = torch.linalg.svd(h - h.mean(0), full_matrices=False)
    rows = u[:, :components] * sigma[:components]
    return rows / rows.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_components_equal_those_of_dense_algebra_up_to_signs(karate, steps, weighted):
    weight = torch.linspace(0.5, 2, karate.size(1)) if weighted else None
    got = diffused_components(words(), karate, weight, steps=steps, components=4)
    want = dense_components(words(), karate, steps, 4, weight)
    # Cosines between nodes do not depend on signs and order.
    torch.testing.assert_close(got @ got.t(), want @ want.t(), atol=1e-6, rtol=0)
    again = diffused_components(
        SparseFeatures.from_dense(words()), karate, weight, steps=steps, components=4
    )
    torch.testing.assert_close(again, got)


def test_components_are_cut_to_the_features(karate):
    assert diffused_components(words(f=5), karate, components=16).shape == (34, 4)
    for arguments in ({"steps": -1}, {"components": 0}):
        with pytest.raises(ValueError, match="expected steps"):
            diffused_components(words(), karate, **arguments)
    with pytest.raises(ValueError, match="3 features"):
        diffused_components(words(f=2), karate)


def blobs(per_class=30, spread=0.15):
    generator = torch.Generator().manual_seed(1)
    angle = torch.arange(3).repeat_interleave(per_class) * (2 * math.pi / 3)
    angle = angle + spread * torch.randn(angle.numel(), generator=generator)
    label = torch.arange(3).repeat_interleave(per_class)
    return torch.stack([angle.cos(), angle.sin()], 1).double(), label


def test_one_seed_per_class_finds_well_parted_clusters_and_names_them():
    points, label = blobs()
    for shift in range(3):
        renamed = (label + shift) % 3
        seeds = torch.tensor([3, 33, 63])
        clusters = seeded_clusters(points, seeds, renamed, 3)
        assert torch.equal(clusters.label, renamed)
        assert clusters.confidence.min() > 0.5


def test_wrong_labels_elsewhere_are_not_read_and_seeds_keep_theirs():
    points, label = blobs()
    seeds = torch.zeros(90, dtype=torch.bool)
    seeds[[3, 33, 63]] = True
    hidden = torch.where(seeds, label, 0)
    assert torch.equal(seeded_clusters(points, seeds, hidden, 3).label, label)
    hidden[[3, 4]] = 2
    seeds[4] = True
    hidden[5], seeds[5] = 0, True
    clusters = seeded_clusters(points, seeds, hidden, 3)
    assert clusters.label[[3, 4, 5]].tolist() == [2, 2, 0]
    assert clusters.confidence[[3, 4, 5]].tolist() == [1, 1, 1]


def test_seeds_without_a_known_label_are_left_out():
    points, label = blobs()
    label[[4, 5]] = -1
    some, all_known = torch.tensor([3, 4, 5, 33, 63]), torch.tensor([3, 33, 63])
    found, expected = (seeded_clusters(points, seeds, label, 3) for seeds in (some, all_known))
    assert torch.equal(found.score, expected.score)


def test_a_node_between_two_clusters_has_no_confidence():
    points, label = blobs(spread=0.0)
    middle = torch.tensor([[math.cos(math.pi / 3), math.sin(math.pi / 3)]], dtype=torch.float64)
    clusters = seeded_clusters(
        torch.cat([points, middle]), torch.tensor([0, 30, 60]), torch.cat([label, label[:1]]), 3
    )
    assert clusters.confidence[-1] < 1e-6
    assert clusters.confidence[:-1].min() > 0.9


def test_a_class_without_labelled_node_is_refused():
    points, label = blobs()
    with pytest.raises(ValueError, match=r"\[1, 1, 0\]"):
        seeded_clusters(points, torch.tensor([0, 30]), label, 3)


def test_the_classifier_names_the_most_probable_cluster(karate):
    index, labels = torch.tensor([0, 33]), torch.tensor([0, 1])
    model = ClusterClassifier(2)
    assert not model.is_trained
    with pytest.raises(ValueError, match="fit_labels"):
        model(words(), karate)
    model.fit_labels(index, labels)
    everywhere = torch.zeros(34, dtype=torch.long).index_copy(0, index, labels)
    clusters = cluster_labels(words(), karate, None, index, everywhere, 2)
    logits = model(words(), karate)
    assert torch.equal(logits.argmax(1), clusters.label)
    assert torch.equal(model.classify(words(), karate, wanted=index).logits, logits[index])


def test_nodes_without_a_known_label_are_not_labelled():
    torch.manual_seed(0)
    embedding = torch.nn.functional.normalize(torch.randn(20, 4), dim=1)
    label = torch.full((20,), -1)
    label[:4] = torch.tensor([0, 1, 0, 1])
    found = seeded_clusters(embedding, torch.arange(6), label, 2)
    expected = seeded_clusters(embedding, torch.arange(4), label, 2)
    assert torch.equal(found.score, expected.score)
    mask = torch.arange(20) < 6
    assert torch.equal(seeded_clusters(embedding, mask, label, 2).score, expected.score)
    with pytest.raises(ValueError, match="a labelled node of each of the 2 classes"):
        seeded_clusters(embedding, torch.arange(3, 6), label, 2)
