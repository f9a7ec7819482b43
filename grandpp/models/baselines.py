"""Models of PyG with the interface of this package."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch_geometric.nn import GAT, GCN, MLP, GATConv, GCNConv, GraphSAGE, SAGEConv

from grandpp.models.base import PlainClassifier, check_unweighted
from grandpp.models.encoder import FirstLinear, drop_features
from grandpp.models.features import SparseFeatures
from grandpp.models.node_dropout import NodeDropout, dropout
from grandpp.models.sparse_convolutions import SparseGATConv, SparseGCNConv, SparseSAGEConv


class GraphBaseline(PlainClassifier):
    """GCN, GAT or GraphSAGE of PyG, whose first linear map skips the zeros of sparse features.

    Args:
        model: A PyG model called as ``model(x, edge_index, edge_weight=...)``.
        weighted: Whether the model takes edge weights. (default: ``True``)
        input_dropout: Dropout on the features. (default: ``0.0``)
    """

    node_dropout: NodeDropout | None = None
    """Where dropout is drawn by node, see :func:`grandpp.models.drop_by_node`."""

    def __init__(self, model: nn.Module, weighted: bool = True, input_dropout: float = 0.0) -> None:
        super().__init__()
        self.model, self.weighted, self.input_dropout = model, weighted, input_dropout

    def logits(
        self, x: Tensor | SparseFeatures, edge_index: Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Return logits; there is no solve."""
        if not self.weighted:
            check_unweighted(edge_weight, type(self.model).__name__.strip("_"))
        weights = {"edge_weight": edge_weight} if self.weighted else {}
        x = drop_features(x, self.input_dropout, self.training, self.node_dropout)
        return self.model(x, edge_index, **weights)


class FeatureBaseline(PlainClassifier):
    """A model of the node features only.

    Args:
        model: Called as ``model(x)``.
        input_dropout: Dropout on the features. (default: ``0.0``)
    """

    def __init__(self, model: nn.Module, input_dropout: float = 0.0) -> None:
        super().__init__()
        self.model, self.input_dropout = model, input_dropout

    def logits(
        self, x: Tensor | SparseFeatures, edge_index: Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Return logits; the graph is ignored."""
        return self.model(drop_features(x, self.input_dropout, self.training))


class _NodeDropout(nn.Dropout):
    """Dropout that may be drawn by node."""

    node_dropout: NodeDropout | None = None

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training, self.node_dropout)


class _GCN(GCN):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.add_module("dropout", _NodeDropout(self.get_submodule("dropout").p))

    def init_conv(self, in_channels: int, out_channels: int, **kwargs: Any) -> GCNConv:
        conv = SparseGCNConv(in_channels, out_channels, **kwargs)
        conv.lin = FirstLinear.of(conv.lin)
        return conv


class _GAT(GAT):
    def init_conv(self, in_channels: int, out_channels: int, **kwargs: Any) -> GATConv:
        conv = super().init_conv(in_channels, out_channels, **kwargs)
        conv.__class__ = SparseGATConv  # PyG's method computes the channels of a head
        conv.lin = FirstLinear.of(conv.lin)
        return conv


class _GraphSAGE(GraphSAGE):
    def init_conv(self, in_channels: int, out_channels: int, **kwargs: Any) -> SAGEConv:
        return SparseSAGEConv(in_channels, out_channels, **kwargs)


def gcn(
    in_channels: int,
    hidden: int,
    out_channels: int,
    dropout: float,
    *,
    layers: int = 2,
    input_dropout: float = 0.0,
) -> GraphBaseline:
    """GCN (Kipf & Welling 2017)."""
    model = _GCN(in_channels, hidden, layers, out_channels, dropout=dropout)
    return GraphBaseline(model, input_dropout=input_dropout)


def gat(
    in_channels: int,
    hidden: int,
    out_channels: int,
    dropout: float,
    heads: int,
    *,
    layers: int = 2,
    input_dropout: float = 0.0,
) -> GraphBaseline:
    """GAT (Velickovic et al. 2018), without edge weights; ``hidden`` is the size of all heads."""
    model = _GAT(in_channels, hidden, layers, out_channels, dropout=dropout, heads=heads)
    return GraphBaseline(model, weighted=False, input_dropout=input_dropout)


def sage(
    in_channels: int,
    hidden: int,
    out_channels: int,
    dropout: float,
    *,
    layers: int = 2,
    input_dropout: float = 0.0,
) -> GraphBaseline:
    """GraphSAGE with mean aggregation (Hamilton et al. 2017), without edge weights."""
    model = _GraphSAGE(in_channels, hidden, layers, out_channels, dropout=dropout)
    return GraphBaseline(model, weighted=False, input_dropout=input_dropout)


def mlp(
    in_channels: int,
    hidden: int,
    out_channels: int,
    dropout: float,
    *,
    layers: int = 2,
    input_dropout: float = 0.0,
) -> FeatureBaseline:
    """Multi-layer perceptron, which does not use the graph."""
    sizes = [in_channels, *[hidden] * (layers - 1), out_channels]
    model = MLP(sizes, dropout=dropout, norm=None)
    model.lins[0] = FirstLinear.of(model.lins[0])
    return FeatureBaseline(model, input_dropout)
