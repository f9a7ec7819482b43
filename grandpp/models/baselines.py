"""PyG's own models behind the interface of this package."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.nn import GAT, GCN, MLP

from grandpp.models.base import NodeClassifier, Output, SparseFeatures, to_dense


class GraphBaseline(NodeClassifier):
    """GCN or GAT of PyG.

    Args:
        model: A PyG model called as ``model(x, edge_index, edge_weight=...)``.
        weighted: Whether the model takes edge weights. (default: ``True``)
    """

    def __init__(self, model: nn.Module, weighted: bool = True) -> None:
        super().__init__()
        self.model, self.weighted = model, weighted

    def classify(
        self,
        x: Tensor | SparseFeatures,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        source_index: Tensor | None = None,
        wanted: Tensor | None = None,
    ) -> Output:
        """Return logits; there is no solve."""
        if edge_weight is not None and not self.weighted:
            raise ValueError("expected no 'edge_weight': this model takes none")
        weights = {"edge_weight": edge_weight} if self.weighted else {}
        logits = self.model(to_dense(x), edge_index, **weights)
        return Output(logits if wanted is None else logits[wanted], None)


class FeatureBaseline(NodeClassifier):
    """An MLP that sees no graph.

    Args:
        model: Called as ``model(x)``.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def classify(
        self,
        x: Tensor | SparseFeatures,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        source_index: Tensor | None = None,
        wanted: Tensor | None = None,
    ) -> Output:
        """Return logits; the graph is ignored."""
        logits = self.model(to_dense(x))
        return Output(logits if wanted is None else logits[wanted], None)


def gcn(in_channels: int, hidden: int, out_channels: int, dropout: float) -> GraphBaseline:
    """Two-layer GCN (Kipf & Welling 2017)."""
    return GraphBaseline(GCN(in_channels, hidden, 2, out_channels, dropout=dropout))


def gat(
    in_channels: int, hidden: int, out_channels: int, dropout: float, heads: int
) -> GraphBaseline:
    """Two-layer GAT (Velickovic et al. 2018)."""
    model = GAT(in_channels, hidden, 2, out_channels, dropout=dropout, heads=heads)
    return GraphBaseline(model, weighted=False)


def mlp(in_channels: int, hidden: int, out_channels: int, dropout: float) -> FeatureBaseline:
    """Two-layer perceptron."""
    return FeatureBaseline(MLP([in_channels, hidden, out_channels], dropout=dropout, norm=None))
