"""Classifiers that propagate the labels of the training nodes; propagation by PyG."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.nn import CorrectAndSmooth, LabelPropagation
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.utils import one_hot

from grandpp.models.base import UNKNOWN, NodeModel, PlainClassifier
from grandpp.models.features import SparseFeatures
from grandpp.models.propagation import check_share


class LabelClassifier(PlainClassifier):
    """A classifier that stores the labels of the training nodes.

    Args:
        out_channels: Number C of classes.
    """

    index: Tensor | None
    labels: Tensor | None

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        # Not saved with the model: they belong to a graph. They move with the model to a device.
        self.register_buffer("index", None, persistent=False)
        self.register_buffer("labels", None, persistent=False)

    def fit_labels(self, index: Tensor, labels: Tensor) -> None:
        """Store the labels; see :meth:`NodeModel.fit_labels`.

        Raises:
            ValueError: If the shapes differ, no label is known, or a class is out of range.
        """
        if index.dim() != 1 or index.shape != labels.shape or index.numel() == 0:
            raise ValueError(
                "expected one label for each of some nodes, 'index' and 'labels' of shape [I] "
                f"(got {list(index.shape)} and {list(labels.shape)})"
            )
        known = labels != UNKNOWN
        if not bool(known.any()):
            raise ValueError(f"expected a known label (got {UNKNOWN}, unknown, for all nodes)")
        index, labels = index[known], labels[known]
        low, high = labels.aminmax()
        if int(low) < 0 or int(high) >= self.out_channels:
            raise ValueError(
                f"expected 'labels' in [0, {self.out_channels}) (got {int(low)} to {int(high)})"
            )
        self.index, self.labels = index, labels

    def known(self) -> tuple[Tensor, Tensor]:
        """The labelled nodes ``[I]`` and their classes as rows of the identity ``[I, C]``.

        Raises:
            ValueError: If :meth:`fit_labels` was not called.
        """
        if self.index is None or self.labels is None:
            raise ValueError("expected labels of training nodes (got none): call fit_labels first")
        return self.index, one_hot(self.labels, num_classes=self.out_channels)


class LabelSpreading(LabelClassifier):
    r"""Label propagation with the symmetric normalisation; takes no training.

    Source: Zhou et al. (2004), "Learning with Local and Global Consistency".

    .. math:: Y^{(k+1)} = \alpha S Y^{(k)} + (1 - \alpha) Y^{(0)}, \qquad S = D^{-1/2} A D^{-1/2}

    Scores are not clipped to [0, 1]: those of a hub may exceed 1, and clipped ones would tie.

    Args:
        out_channels: Number of classes.
        hops: Number of propagations. (default: ``50``)
        alpha: Weight of the neighbours, in [0, 1]. (default: ``0.9``)

    Raises:
        ValueError: If ``alpha`` is out of range.
    """

    def __init__(self, out_channels: int, *, hops: int = 50, alpha: float = 0.9) -> None:
        super().__init__(out_channels)
        check_share("alpha", alpha)
        self.propagation = LabelPropagation(hops, alpha)

    def logits(
        self, x: Tensor | SparseFeatures, edge_index: Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Return the propagated labels; features are ignored."""
        index, rows = self.known()
        n = num_nodes(x)
        start = rows.new_zeros(n, self.out_channels).index_copy(0, index, rows)
        # PyG normalises only without edge weights.
        edge_index, weight = gcn_norm(edge_index, edge_weight, n, add_self_loops=False)
        spread: Tensor = self.propagation(
            start,
            edge_index,
            edge_weight=weight,
            post_step=lambda y: y,  # PyG's default clips the scores to [0, 1] in every step
        )
        return spread


class CorrectedClassifier(LabelClassifier):
    r"""Correct and smooth: propagate the training errors of a classifier, then its predictions.

    Source: Huang et al. (2021), "Combining Label Propagation and Simple Models Out-performs Graph
    Neural Networks", with the automatic scale of the correction and, as in the authors' code, with
    every step clipped to the range of its values:

    .. math::
        E^{(k+1)} &= [\alpha S E^{(k)} + (1 - \alpha) E^{(0)}]_{-1}^{1}, \qquad
        E^{(0)}_i = Y_i - Z_i \ \text{with a label, else } 0 \\
        \hat Z_i &= Z_i + s_i E_i, \qquad
        s_i = \frac{\tfrac1{|I|} \sum_{j \in I} \lVert E^{(0)}_j \rVert_1}{\lVert E_i \rVert_1}
        \ \text{or } 1 \text{ where that is above } 1000 \\
        Y^{(k+1)} &= [\alpha S Y^{(k)} + (1 - \alpha) Y^{(0)}]_0^1, \qquad
        Y^{(0)}_i = Y_i \ \text{with a label, else } \hat Z_i

    with the softmax Z of the classifier's logits and :math:`S = D^{-1/2} A D^{-1/2}`. The
    classifier trains as it does alone; only in evaluation are its predictions corrected.

    Args:
        base: The classifier.
        out_channels: Number of classes.
        hops: Propagations of errors and of predictions each. (default: ``50``)
        alpha: Weight of the neighbours in both, in [0, 1]. (default: ``0.8``)

    Raises:
        ValueError: If ``alpha`` is out of range.
    """

    def __init__(
        self, base: NodeModel, out_channels: int, *, hops: int = 50, alpha: float = 0.8
    ) -> None:
        super().__init__(out_channels)
        check_share("alpha", alpha)
        self.base = base
        self.post = CorrectAndSmooth(hops, alpha, hops, alpha)

    def logits(
        self, x: Tensor | SparseFeatures, edge_index: Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Return the classifier's logits in training, corrected scores in evaluation."""
        if self.training:
            trained: Tensor = self.base(x, edge_index, edge_weight)
            return trained
        index, rows = self.known()
        logits = self.base(x, edge_index, edge_weight)
        edge_index, weight = gcn_norm(edge_index, edge_weight, num_nodes(x), add_self_loops=False)
        scores: Tensor = self.post(torch.softmax(logits, dim=-1), rows, index, edge_index, weight)
        return scores


def num_nodes(x: Tensor | SparseFeatures) -> int:
    """Number of nodes that features ``[N, F]`` belong to."""
    return x.size(0) if isinstance(x, Tensor) else x.num_nodes
