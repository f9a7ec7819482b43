"""Clusters whose views and rounds the labels of validation nodes choose."""

from __future__ import annotations

import torch
from torch import Tensor

from grandpp.models.base import UNKNOWN
from grandpp.models.cluster_labels import ClusterGrowth
from grandpp.models.seeded_clusters import Clusters
from grandpp.models.views import GraphViews

# Features and diffused features as on a graph whose connected nodes are alike, with the graph from
# not at all to more than both; each alone for graphs that contradict the features, and noise.
_WEIGHTS = (
    (0.3, 0.7, 0.5),
    (0.3, 0.7, 0.25),
    (0.3, 0.7, 0.0),
    (0.3, 0.7, 1.0),
    (0.3, 0.7, 2.0),
    (1.0, 0.0, 0.0),
    (0.0, 0.0, 1.0),
)
_ROUNDS = (3, 8, 1)


def choose_clusters(
    views: GraphViews,
    labelled: Tensor,
    label: Tensor,
    num_classes: int,
    validation: Tensor,
) -> Clusters:
    """Grow clusters with several weights of the views and numbers of rounds; keep the best.

    The best are those with the most validation nodes right. Of equal ones the first is kept; the
    first has the weights of the views themselves and three rounds, as :func:`grow_clusters` alone.
    Validation labels choose and do nothing else: no cluster grows from them.

    Args:
        views: See :func:`graph_views`.
        labelled: Labelled nodes, int64 ``[I]`` or bool ``[N]``.
        label: Classes ``[N]``, read at the labelled and the validation nodes; -1 for none known.
        num_classes: Number C of classes.
        validation: Validation nodes, int64 ``[V]`` or bool ``[N]``; those of class -1 do not
            count. With none of them the answer is that of :func:`grow_clusters`.

    Returns:
        Probabilities as scores; ``trust`` is that of the views.

    Raises:
        ValueError: If a class has no labelled node.

    Cost: that of about 20 times :func:`grow_clusters`.
    """
    nodes = validation.nonzero().view(-1) if validation.dtype == torch.bool else validation
    nodes = nodes[label[nodes] != UNKNOWN]
    growth = ClusterGrowth(views, labelled, label, num_classes)
    best = growth.grow(views.weights)
    if nodes.numel() == 0:
        return best
    most = _right(best, label, nodes)
    first, second, third = views.weights  # a list where the views were moved to a device
    for rounds in _ROUNDS:
        for weights in dict.fromkeys(((first, second, third), *_WEIGHTS)):
            clusters = growth.grow(weights, rounds=rounds)
            right = _right(clusters, label, nodes)
            if right > most:
                best, most = clusters, right
    return best


def _right(clusters: Clusters, label: Tensor, nodes: Tensor) -> int:
    return int((clusters.label[nodes] == label[nodes]).sum())
