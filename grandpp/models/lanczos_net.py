"""Graph convolution at many scales by the Lanczos algorithm: LanczosNet and AdaLanczosNet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grandpp.graph import Graph, prepare_graph, symmetric_normalize
from grandpp.linalg.lanczos import Krylov, lanczos, random_start
from grandpp.models.base import PlainClassifier
from grandpp.models.encoder import FeatureEncoder
from grandpp.models.features import SparseFeatures
from grandpp.models.label_models import num_nodes
from grandpp.models.lanczos_layer import LanczosLayer, MatrixFilter, RitzFilter, Scales

SHORT: tuple[int, ...] = (1, 2, 5, 7)
LONG: tuple[int, ...] = (10, 20, 30)


class LanczosNet(PlainClassifier):
    r"""LanczosNet: convolution by powers of S and by learned filters of its Ritz values.

    Source: Liao et al. (2019), "LanczosNet: Multi-Scale Deep Graph Convolutional Networks".

    S is :math:`D^{-1/2} (A + I) D^{-1/2}`. Short scales are powers of S; long scales are
    :math:`V f_l(R^{l_1}, R^{l_2}, \dots) V^\top` with the Ritz pairs (V, R) of S after some Lanczos
    steps and perceptrons f_l without biases. See :class:`LanczosLayer`.

    Args:
        in_channels, hidden, out_channels: Sizes.
        layers: Number of layers. (default: ``2``)
        steps: Lanczos steps K. (default: ``20``)
        short: Powers of S, ascending, >= 0. (default: ``(1, 2, 5, 7)``)
        long: Powers of the Ritz values, at least one. (default: ``(10, 20, 30)``)
        input_dropout: Dropout on the features. (default: ``0.5``)
        dropout: Dropout between layers. (default: ``0.5``)

    Raises:
        ValueError: If the scales are out of range or not ascending.

    Note:
        The Lanczos steps run in every forward pass and cost K products with one vector. The graph
        is assumed to be undirected.
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        out_channels: int,
        *,
        layers: int = 2,
        steps: int = 20,
        short: Sequence[int] = SHORT,
        long: Sequence[int] = LONG,
        input_dropout: float = 0.5,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        _check_scales(short, long)
        self.dropout, self.steps, self.long = dropout, steps, tuple(long)
        sizes = [in_channels, *[hidden] * (layers - 1), out_channels]
        many = len(short) + len(long)
        self.layers = nn.ModuleList()
        for i, (size, out) in enumerate(pairwise(sizes)):
            drop = input_dropout if i == 0 else dropout
            encoder = FeatureEncoder(size, many * out, drop, bias=False)
            self.layers.append(LanczosLayer(encoder, self._filter(), short, out))

    def _filter(self) -> nn.Module:
        return RitzFilter(len(self.long))

    def logits(
        self, x: Tensor | SparseFeatures, edge_index: Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Return logits; there is no solve."""
        graph = prepare_graph(edge_index, num_nodes(x))
        prior = graph.prior(edge_weight, 1.0, like=next(self.parameters()))
        scales = self._scales(x, graph, prior)
        h = self.layers[0](x, scales)
        for layer in self.layers[1:]:
            h = layer(h.relu(), scales)
        return h

    def _scales(self, x: Tensor | SparseFeatures, graph: Graph, prior: Tensor) -> Scales:
        weight = symmetric_normalize(graph, prior)
        with torch.no_grad():
            vectors, values = self._krylov(graph, weight).ritz()
        powers = torch.stack([values**p for p in self.long])
        return Scales(graph, weight, vectors, powers)

    def _krylov(self, graph: Graph, weight: Tensor) -> Krylov:
        start = random_start(graph.num_nodes, like=weight)
        return lanczos(graph.csr, weight, start, self.steps)


class AdaLanczosNet(LanczosNet):
    r"""AdaLanczosNet: LanczosNet whose long scales use learned edge weights.

    Source: Liao et al. (2019), section 4. Short scales use the given weights a, as in the official
    code; gradients pass through the Lanczos steps.

    .. math:: w_{ij} = a_{ij} \exp\big( -\lVert z_i - z_j \rVert^2 / \varepsilon \big), \qquad
        z = \mathrm{MLP}(x)

    where :math:`\varepsilon` is the mean squared distance over edges, weighted by a. The filters
    are symmetric matrix functions :math:`f_l(T^{l})` of the tridiagonal T, because gradients
    of eigenvectors are unstable.

    Args:
        in_channels, hidden, out_channels, kwargs: As :class:`LanczosNet`.
        embedding: Size of z. (default: ``16``)
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        out_channels: int,
        *,
        embedding: int = 16,
        **kwargs: Any,
    ) -> None:
        super().__init__(in_channels, hidden, out_channels, **kwargs)
        self.place = FeatureEncoder(in_channels, hidden)
        self.embed = nn.Linear(hidden, embedding)

    def _filter(self) -> nn.Module:
        return MatrixFilter(len(self.long), self.steps)

    def _scales(self, x: Tensor | SparseFeatures, graph: Graph, prior: Tensor) -> Scales:
        z = self.embed(F.relu(self.place(x)))
        square = (z[graph.csr.row] - z[graph.csr.col_long]).square().sum(-1)
        share = prior * ~graph.is_loop
        width = (share @ square) / share.sum().clamp(min=torch.finfo(z.dtype).tiny)
        kernel = prior * torch.exp(-square / width.clamp(min=torch.finfo(z.dtype).tiny))
        space = self._krylov(graph, symmetric_normalize(graph, kernel))
        t = space.padded(self.steps)
        powers = torch.stack([torch.linalg.matrix_power(t, p) for p in self.long])
        return Scales(graph, symmetric_normalize(graph, prior), space.basis, powers)


def _check_scales(short: Sequence[int], long: Sequence[int]) -> None:
    if list(short) != sorted(set(short)) or any(p < 0 for p in short):
        raise ValueError(f"expected 'short' scales ascending from 0 on (got {tuple(short)})")
    if len(long) == 0 or any(p < 1 for p in long):
        raise ValueError(f"expected some 'long' scales of at least 1 (got {tuple(long)})")
