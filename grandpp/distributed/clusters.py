"""Seeded clusters for training on shards: grown on the whole graph, when it is partitioned."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch_geometric.data import Data

from grandpp.distributed.edges import Array
from grandpp.training.settings import Run
from grandpp.training.targets import targets_of, without_unknown

CLUSTERED: tuple[str, ...] = ("grand++-cluster-l", "grand++-views-l")
"""Models that train on clusters and can be trained on shards."""


def cluster_settings(run: Run) -> dict[str, Any] | None:
    """Return the settings that determine the clusters of a run; ``None`` if it has none."""
    settings = run.settings
    if not settings.cluster_labels:
        return None
    # Clusters grow in features as loaded, but where the network gets them as rows.
    features = settings.features if settings.features == "rows" else None
    return {
        "cluster_labels": settings.cluster_labels,
        "clusters": settings.clusters,
        "features": features,
    }


class GrownTargets(NamedTuple):
    """What a run trains on.

    Args:
        targets: A class of every node, int64 ``[N]``, and its share in the loss, float64 ``[N]``,
            which sum to 1.
        target_proba: Probabilities of the clusters, float32 ``[N, C]``; ``None`` where they have
            none.
    """

    targets: tuple[Array, Array]
    target_proba: Array | None


def grow_targets(run: Run, data: Data) -> GrownTargets:
    """Grow the clusters of a run, and return what it trains on.

    Args:
        run: A run of one of :data:`CLUSTERED`.
        data: The whole graph, with the masks of the split.

    Raises:
        ValueError: If the run has no clusters, or a class has no labelled node.

    Cost: that of the clusters on one process.
    """
    settings = run.settings
    targets = targets_of(
        without_unknown(data), settings.features, settings.cluster_labels, settings.clusters
    )
    if targets.weight is None:
        raise ValueError(f"expected a model with clusters (got '{run.model}')")
    proba = None if targets.proba is None else targets.proba.numpy()
    return GrownTargets((targets.label.numpy(), targets.weight.double().numpy()), proba)
