"""Classifier by seeded clusters."""

from __future__ import annotations

from torch import Tensor

from grandpp.models.cluster_labels import cluster_labels
from grandpp.models.features import SparseFeatures
from grandpp.models.label_models import LabelClassifier, num_nodes
from grandpp.models.seeded_clusters import diffused_components, seeded_clusters


class ClusterClassifier(LabelClassifier):
    """Classify a node by the nearest seeded cluster; needs no training.

    Source: :func:`grandpp.models.diffused_components` and
    :func:`grandpp.models.seeded_clusters`.

    Args:
        out_channels: Number of classes.

    Raises:
        ValueError: When classifying, if a class has no labelled node.
    """

    def logits(
        self, x: Tensor | SparseFeatures, edge_index: Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Return the cosine similarities with the centres of the clusters."""
        index, rows = self.known()
        embedding = diffused_components(x, edge_index, edge_weight)
        label = index.new_zeros(embedding.size(0)).index_copy(0, index, rows.argmax(dim=1))
        clusters = seeded_clusters(embedding, index, label, self.out_channels)
        return clusters.score.float()


class ViewClusterClassifier(LabelClassifier):
    """Classify a node by the most probable cluster of all views; needs no training.

    Source: :func:`grandpp.models.cluster_labels`.

    Args:
        out_channels: Number of classes.

    Raises:
        ValueError: When classifying, if a class has no labelled node.
    """

    def logits(
        self, x: Tensor | SparseFeatures, edge_index: Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Return the logarithms of the clusters' probabilities."""
        index, rows = self.known()
        label = index.new_zeros(num_nodes(x)).index_copy(0, index, rows.argmax(dim=1))
        clusters = cluster_labels(x, edge_index, edge_weight, index, label, self.out_channels)
        return clusters.score.clamp(min=1e-12).log().float()
