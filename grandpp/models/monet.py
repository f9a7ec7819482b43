"""MoNet: a mixture model network with pseudo-coordinates from node degrees."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grandpp.graph import prepare_graph
from grandpp.models.base import PlainClassifier, check_unweighted
from grandpp.models.encoder import drop_features
from grandpp.models.features import SparseFeatures
from grandpp.models.sparse_convolutions import GaussianConv


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
        convs = [GaussianConv(a, b, kernels, normalize) for a, b in pairwise(sizes)]
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
        graph = prepare_graph(edge_index, h.size(0))
        csr = graph.csr
        scale = csr.rowptr.diff().to(next(self.parameters()).dtype).rsqrt()
        ends = torch.stack([scale[csr.row], scale[csr.col_long]], dim=1)
        for i, (place, conv) in enumerate(zip(self.places, self.convs, strict=True)):
            if i > 0:
                h = F.dropout(h.relu(), self.dropout, self.training)
            h = conv(h, graph, place(ends).tanh())
        return h
