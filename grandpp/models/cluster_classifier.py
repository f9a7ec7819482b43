"""Seeded clusters as a classifier of their own."""

from __future__ import annotations

from torch import Tensor

from grandpp.models.cluster_labels import cluster_labels
from grandpp.models.features import SparseFeatures
from grandpp.models.label_models import LabelClassifier, num_nodes


class ClusterClassifier(LabelClassifier):
    """The most probable of the clusters that grow from the labelled nodes; takes no training.

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
