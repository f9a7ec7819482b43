"""Networks that propagate apart from their learned maps: APPNP, SGC, GCNII; layers by PyG."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import APPNP, GCN2Conv

from grandpp.graph import Graph, prepare_graph, symmetric_normalize
from grandpp.linalg import spmm
from grandpp.models.base import PlainClassifier
from grandpp.models.encoder import FeatureEncoder
from grandpp.models.features import SparseFeatures


class PredictThenPropagate(PlainClassifier):
    r"""APPNP: predictions of a perceptron, propagated by personalised PageRank.

    Source: Gasteiger et al. (2019), "Predict then Propagate".

    .. math:: Z^{(0)} = \mathrm{MLP}(x), \qquad
        Z^{(k+1)} = (1 - \alpha) \hat S Z^{(k)} + \alpha Z^{(0)}

    with :math:`\hat S = \hat D^{-1/2} (A + I) \hat D^{-1/2}`.

    Args:
        in_channels, hidden, out_channels: Sizes of the perceptron.
        hops: Number of propagations. (default: ``10``)
        alpha: Teleport probability in [0, 1]. (default: ``0.1``)
        input_dropout: Dropout on the features. (default: ``0.5``)
        dropout: Dropout on the hidden state. (default: ``0.5``)

    Raises:
        ValueError: If ``alpha`` is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        out_channels: int,
        *,
        hops: int = 10,
        alpha: float = 0.1,
        input_dropout: float = 0.5,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_share("alpha", alpha)
        self.encoder = FeatureEncoder(in_channels, hidden, input_dropout)
        self.dropout = dropout
        self.decoder = nn.Linear(hidden, out_channels)
        self.propagation = APPNP(hops, alpha)

    def logits(
        self, x: Tensor | SparseFeatures, edge_index: Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Return logits; there is no solve."""
        h = F.dropout(self.encoder(x).relu(), self.dropout, self.training)
        return self.propagation(self.decoder(h), edge_index, edge_weight)


class SimplifiedGCN(PlainClassifier):
    r"""SGC: a GCN without nonlinearities.

    Source: Wu et al. (2019), "Simplifying Graph Convolutional Networks".

    .. math:: Z = \hat S^K x \Theta + b

    PyG's ``SGConv`` propagates the features. Here they are first mapped to the classes, which gives
    the same logits with fewer columns to propagate (APPNP without teleport).

    Args:
        in_channels: Size of the features.
        out_channels: Number of classes.
        hops: Number K of propagations. (default: ``2``)
        input_dropout: Dropout on the features. (default: ``0.0``)
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, hops: int = 2, input_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.encoder = FeatureEncoder(in_channels, out_channels, input_dropout, bias=False)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.propagation = APPNP(hops, alpha=0.0)

    def logits(
        self, x: Tensor | SparseFeatures, edge_index: Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Return logits; there is no solve."""
        z = self.propagation(self.encoder(x), edge_index, edge_weight)
        return z + self.bias


class _ResidualConv(GCN2Conv):
    """PyG's layer on a prepared graph, which takes a third of the time."""

    def propagate(self, graph: Graph, x: Tensor, edge_weight: Tensor) -> Tensor:
        return spmm(graph.csr, edge_weight, x)


class GCNII(PlainClassifier):
    r"""GCNII: a deep GCN with initial residual connections and identity maps.

    Source: Chen et al. (2020), "Simple and Deep Graph Convolutional Networks", (5).

    .. math:: H^{(l+1)} = \sigma\big( ((1 - \alpha) \hat S H^{(l)} + \alpha H^{(0)})
        ((1 - \beta_l) I + \beta_l W_l) \big), \qquad \beta_l = \log(\theta / l + 1)

    Args:
        in_channels, hidden, out_channels: Sizes.
        layers: Number of layers. (default: ``64``)
        alpha: Initial residual in [0, 1]. (default: ``0.1``)
        theta: Weight of the learned maps, > 0. (default: ``0.5``)
        input_dropout: Dropout on the features. (default: ``0.6``)
        dropout: Dropout before every layer. (default: ``0.6``)

    Raises:
        ValueError: If ``alpha`` is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        out_channels: int,
        *,
        layers: int = 64,
        alpha: float = 0.1,
        theta: float = 0.5,
        input_dropout: float = 0.6,
        dropout: float = 0.6,
    ) -> None:
        super().__init__()
        check_share("alpha", alpha)
        self.encoder = FeatureEncoder(in_channels, hidden, input_dropout)
        self.dropout = dropout
        self.convs = nn.ModuleList(
            _ResidualConv(hidden, alpha, theta, layer, normalize=False)
            for layer in range(1, layers + 1)
        )
        self.decoder = nn.Linear(hidden, out_channels)

    def logits(
        self, x: Tensor | SparseFeatures, edge_index: Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Return logits; there is no solve."""
        first = h = self.encoder(x).relu()
        graph = prepare_graph(edge_index, h.size(0))
        weight = symmetric_normalize(graph, graph.prior(edge_weight, 1.0, like=h))
        for conv in self.convs:
            h = F.dropout(h, self.dropout, self.training)
            h = conv(h, first, graph, weight).relu()
        h = F.dropout(h, self.dropout, self.training)
        logits: Tensor = self.decoder(h)
        return logits


def check_share(name: str, value: float) -> None:
    """Check that a number lies in [0, 1].

    Raises:
        ValueError: If it does not.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"expected '{name}' in [0, 1] (got {value})")
