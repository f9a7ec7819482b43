"""MoNet: a mixture model network with pseudo-coordinates from node degrees."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GMMConv
from torch_geometric.utils import add_remaining_self_loops, degree, softmax

from grandpp.models.base import PlainClassifier, check_unweighted
from grandpp.models.encoder import drop_features
from grandpp.models.features import SparseFeatures, map_features

_LEAST = 1e-15  # added to squared widths, as in PyG's layer


class _GaussianConv(GMMConv):
    """PyG's layer without a root weight and with one set of Gaussians, for sparse features too.

    Args:
        normalize: Divide the Gaussians of the edges to a node by their sum.
    """

    def __init__(self, in_channels: int, out_channels: int, kernels: int, normalize: bool) -> None:
        options = {"dim": 2, "kernel_size": kernels, "aggr": "add", "root_weight": False}
        super().__init__(in_channels, out_channels, **options)
        self.normalize = normalize

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        mapped = map_features(x, self.g.t())
        out = self.propagate(edge_index, x=(mapped, None), edge_attr=edge_attr, size=None)
        return out + self.bias

    def message(self, x_j: Tensor, edge_attr: Tensor, index: Tensor, size_i: int | None) -> Tensor:
        """Weigh the mapped features of every edge's source."""
        if not self.normalize:
            return super().message(x_j, edge_attr)
        distance = (edge_attr.unsqueeze(1) - self.mu).square() / (_LEAST + self.sigma.square())
        # Gaussians over their sum, also where all of them underflow.
        weight = softmax(-0.5 * distance.sum(-1), index, num_nodes=size_i)
        mapped = x_j.view(-1, self.kernel_size, self.out_channels)
        return (mapped * weight.unsqueeze(-1)).sum(1)


class MoNet(PlainClassifier):
    r"""MoNet: convolution with learned Gaussians of pseudo-coordinates.

    Source: Monti et al. (2017), "Geometric Deep Learning on Graphs and Manifolds Using Mixture
    Model CNNs", section 5.2 (citation graphs).

    .. math:: x'_i = \sigma\Big( \sum_k \sum_{j \to i} \frac{g_{ijk}}{\sum_{l \to i} g_{ilk}}
        \Theta_k x_j + b \Big), \qquad
        g_{ijk} = e^{-\frac12 \lVert (v_{ij} - \mu_k) / \sigma_k \rVert^2}, \qquad
        v_{ij} = \tanh\big( B (d_i^{-1/2}, d_j^{-1/2})^\top + c \big)

    over neighbours and the node itself. The paper prints the sum without the denominator, which the
    authors' code has (Shchur et al., 2018, likewise): without it, nodes with many neighbours have
    features so large that nothing is learned on the Amazon graphs. Every layer learns
    :math:`\mu, \sigma, \Theta, b, B, c`.

    Args:
        in_channels, hidden, out_channels: Sizes.
        layers: Number of layers. (default: ``2``)
        kernels: Number of Gaussians. (default: ``3``)
        normalize: Divide the Gaussians of the edges to a node by their sum. (default: ``True``)
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
        normalize: bool = True,
        input_dropout: float = 0.0,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        sizes = [in_channels, *[hidden] * (layers - 1), out_channels]
        self.input_dropout, self.dropout = input_dropout, dropout
        self.places = nn.ModuleList(nn.Linear(2, 2) for _ in range(layers))
        convs = [_GaussianConv(a, b, kernels, normalize) for a, b in pairwise(sizes)]
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
