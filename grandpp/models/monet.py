"""MoNet: a mixture model network with pseudo-coordinates from node degrees."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GMMConv
from torch_geometric.utils import add_remaining_self_loops, degree

from grandpp.models.base import PlainClassifier, check_unweighted
from grandpp.models.encoder import drop_features
from grandpp.models.features import SparseFeatures, map_features


class _GaussianConv(GMMConv):
    """PyG's layer without a root weight and with one set of Gaussians, for sparse features too."""

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        mapped = map_features(x, self.g.t())
        out = self.propagate(edge_index, x=(mapped, None), edge_attr=edge_attr, size=None)
        return out + self.bias


class MoNet(PlainClassifier):
    r"""MoNet: convolution with learned Gaussians of pseudo-coordinates.

    Source: Monti et al. (2017), "Geometric Deep Learning on Graphs and Manifolds Using Mixture
    Model CNNs", section 5.2 (citation graphs).

    .. math:: x'_i = \sigma\Big( \sum_{j \to i} \sum_k
        e^{-\frac12 \lVert (v_{ij} - \mu_k) / \sigma_k \rVert^2} \Theta_k x_j + b \Big), \qquad
        v_{ij} = \tanh\big( B (d_i^{-1/2}, d_j^{-1/2})^\top + c \big)

    over neighbours and the node itself, with learned :math:`\mu, \sigma, \Theta, B, c` per layer.

    Args:
        in_channels, hidden, out_channels: Sizes.
        layers: Number of layers. (default: ``2``)
        kernels: Number of Gaussians. (default: ``3``)
        input_dropout: Dropout on the features. (default: ``0.0``)
        dropout: Dropout between layers. (default: ``0.5``)
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        out_channels: int,
        *,
        layers: int = 2,
        kernels: int = 3,
        input_dropout: float = 0.0,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        sizes = [in_channels, *[hidden] * (layers - 1), out_channels]
        self.input_dropout, self.dropout = input_dropout, dropout
        self.places = nn.ModuleList(nn.Linear(2, 2) for _ in range(layers))
        convs = [
            _GaussianConv(a, b, dim=2, kernel_size=kernels, aggr="add", root_weight=False)
            for a, b in pairwise(sizes)
        ]
        for conv in convs:
            # PyG draws widths around 0, where the gradient of a Gaussian explodes.
            nn.init.normal_(conv.mu, std=0.1)
            nn.init.ones_(conv.sigma)
        self.convs = nn.ModuleList(convs)

    def logits(
        self, x: Tensor | SparseFeatures, edge_index: Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Return logits; there is no solve."""
        check_unweighted(edge_weight, "MoNet on degrees")
        h = drop_features(x, self.input_dropout, self.training)
        edge_index, _ = add_remaining_self_loops(edge_index, num_nodes=h.size(0))
        scale = degree(edge_index[1], h.size(0), self.places[0].weight.dtype).rsqrt()
        ends = torch.stack([scale[edge_index[1]], scale[edge_index[0]]], dim=1)
        for i, (place, conv) in enumerate(zip(self.places, self.convs, strict=True)):
            if i > 0:
                h = F.dropout(h.relu(), self.dropout, self.training)
            h = conv(h, edge_index, place(ends).tanh())
        return h
