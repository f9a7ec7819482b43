"""Training targets: nodes, their classes and their weights in the loss."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data

from grandpp.data.features import scale_features
from grandpp.models import (
    Clusters,
    SparseFeatures,
    choose_clusters,
    diffused_components,
    graph_views,
    grow_clusters,
    pool_with_clusters,
    seeded_clusters,
    sparse_if_sparse,
    training_shares,
)

CLUSTERS: tuple[str, ...] = ("features", "views", "chosen")
"""What clusters grow in, see :func:`clustered_targets`."""

WITH_PROBABILITIES: tuple[str, ...] = ("views", "chosen")
"""Those of :data:`CLUSTERS` whose scores are probabilities."""


@dataclass(frozen=True)
class Targets:
    """Nodes with a class to learn.

    Args:
        nodes: Which nodes, bool ``[N]`` with I of them.
        label: Their classes ``[I]``.
        weight: Share of each in the loss ``[I]``, sums to 1; ``None``: all alike.
        proba: Probabilities of the clusters for all nodes ``[N, C]``, where they have some.
            (default: ``None``)
    """

    nodes: Tensor
    label: Tensor
    weight: Tensor | None
    proba: Tensor | None = None

    def loss(self, logits: Tensor) -> Tensor:
        """Cross-entropy of the logits ``[I, C]`` of these nodes."""
        if self.weight is None:
            return F.cross_entropy(logits, self.label)
        return self.weight @ F.cross_entropy(logits, self.label, reduction="none")

    def pool(self, logits: Tensor, weight: float | None) -> Tensor:
        """Pool logits of all nodes ``[N, C]`` with the clusters, which have this weight.

        Raises:
            ValueError: If there are no probabilities of clusters for a weight above 0.
        """
        if not weight:
            return logits
        if self.proba is None:
            raise ValueError("expected probabilities of clusters to pool with (got none)")
        return pool_with_clusters(logits, self.proba, weight)

    def shares(self, num_classes: int) -> Tensor:
        """Shares of the classes in the loss ``[C]``."""
        return training_shares(self.label, self.weight, num_classes)


def without_unknown(data: Data) -> Data:
    """The graph whose masks leave out nodes without a known label; a copy if there are some."""
    known = data.y >= 0
    if bool(known.all()):
        return data
    data = copy.copy(data)
    for name in ("train_mask", "val_mask", "test_mask"):
        data[name] = data[name] & known
    return data


def labelled_targets(data: Data) -> Targets:
    """The training nodes with a known label, and nothing else."""
    nodes = data.train_mask & (data.y >= 0)
    return Targets(nodes, data.y[nodes], None)


def targets_of(
    data: Data,
    features: str | None,
    cluster_labels: float | None,
    clusters: str | None,
    x: Tensor | SparseFeatures | None = None,
) -> Targets:
    """What a run trains on: its labelled nodes, or with ``cluster_labels`` all nodes.

    Args:
        data: Graph with its split.
        features: The form of features that the network gets.
        cluster_labels: The factor lambda of :func:`clustered_targets`; 0 or ``None``: no clusters.
        clusters: What they grow in, see there.
        x: Features in that form ``[N, F]``, if they are there already. (default: ``None``)

    Raises:
        ValueError: With clusters, if a class has no labelled node.
    """
    if not cluster_labels:
        return labelled_targets(data)
    # In the features as loaded, for which clusters were chosen, whatever the network gets.
    if features not in (None, "rows"):
        x = sparse_if_sparse(data.x)
    elif x is None:
        x = sparse_if_sparse(scale_features(data.x, features))
    return clustered_targets(data, x, int(data.y.max()) + 1, cluster_labels, clusters)


def clustered_targets(
    data: Data,
    x: Tensor | SparseFeatures,
    num_classes: int,
    cluster_labels: float,
    kind: str | None = None,
) -> Targets:
    r"""All nodes, with the classes of seeded clusters where there is no label.

    .. math:: \mathcal L = \frac{1}{|I| + \lambda \tau C} \Big( \sum_{i \in I} \ell_i +
        \lambda \tau C \sum_{i \notin I} c_i \ell_i \Big/ \sum_{i \notin I} c_i \Big)

    with the confidence c_i and the trust tau of :class:`grandpp.models.Clusters`: trusted clusters
    count as lambda labelled nodes per class, so their weight falls as labels are added. A source
    term stays at the labelled nodes: one at all nodes, weighted by confidence, was no better on
    validation nodes.

    Args:
        data: Graph with its split; its ``views``, :func:`grandpp.models.graph_views`, are used
            where it has them.
        x: Its features.
        num_classes: Number C of classes.
        cluster_labels: The factor lambda.
        kind: One of :data:`CLUSTERS`: clusters by :func:`grandpp.models.seeded_clusters` of the
            diffused features, whose trust is 1, by :func:`grandpp.models.grow_clusters` in all
            views, or by :func:`grandpp.models.choose_clusters`, whose weights of the views
            validation nodes choose, if there are some. (default: ``None``: ``"features"``)
    """
    labelled = data.train_mask & (data.y >= 0)
    clusters = _clusters(data, x, labelled, num_classes, kind)
    confidence = clusters.confidence.float()
    others = torch.where(labelled, 0.0, confidence)
    share = clusters.trust * cluster_labels * num_classes / others.sum().clamp(min=1e-30)
    weight = torch.where(labelled, 1.0, share * others)
    everyone = torch.ones_like(labelled)
    proba = clusters.score.float() if kind in WITH_PROBABILITIES else None
    return Targets(everyone, clusters.label, weight / weight.sum(), proba)


def _clusters(
    data: Data, x: Tensor | SparseFeatures, labelled: Tensor, num_classes: int, kind: str | None
) -> Clusters:
    if kind in WITH_PROBABILITIES:
        views = data.get("views") or graph_views(x, data.edge_index, data.edge_weight)
        if kind == "chosen":
            return choose_clusters(views, labelled, data.y, num_classes, data.val_mask)
        return grow_clusters(views, labelled, data.y, num_classes)
    embedding = diffused_components(x, data.edge_index, data.edge_weight)
    return seeded_clusters(embedding, labelled, data.y, num_classes)
