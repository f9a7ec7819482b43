"""Encoder, diffusion layer, decoder: the node classifier of GRAND and GRAND++."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from grandpp.layers import CGNNConv, GRANDConv, GRANDPPConv, HeavyBallConv
from grandpp.linalg import LOCAL, Reductions, all_finite
from grandpp.models.base import NodeModel, Output
from grandpp.models.encoder import FeatureEncoder
from grandpp.models.features import SparseFeatures
from grandpp.models.node_dropout import NodeDropout, dropout
from grandpp.solvers import SolveStats


class Diffused(NamedTuple):
    """Features ``[N, F]`` at the end time, and the cost of the solve."""

    features: Tensor
    stats: SolveStats


class DiffusionClassifier(NodeModel):
    r"""The classifier of GRAND and GRAND++ (thesis (4.5)): y = decoder(x(T)), x(0) = encoder(x).

    With :class:`grandpp.layers.CGNNConv` it is the continuous GNN.

    Args:
        in_channels: Size of the features.
        out_channels: Number of classes.
        conv: The diffusion layer; its ``channels`` is the hidden size.
        input_dropout: Dropout on the features. (default: ``0.5``)
        dropout: Dropout on the diffused state. (default: ``0.0``)
        layer_norm: Normalise the diffused state before the decoder, so that the scale of the
            decoder's inputs does not depend on the size of a source term. (default: ``False``)
        centred: Encode the difference from the mean of the features, see
            :class:`grandpp.models.FeatureEncoder`. (default: ``False``)
        estimate_shares: Let :meth:`adjust`, which training calls before every evaluation, adjust
            logits to the shares of the classes among the nodes, see
            :func:`grandpp.models.adjust_to_shares`; those in training come from
            :meth:`fit_shares`. (default: ``False``)

    Shapes:
        - **input:** see :meth:`NodeModel.classify`
        - **output:** logits ``[N, out_channels]``
    """

    trained_shares: Tensor | None
    node_dropout: NodeDropout | None = None
    """Where dropout is drawn by node, see :func:`grandpp.models.drop_by_node`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        conv: GRANDConv | GRANDPPConv | HeavyBallConv | CGNNConv,
        *,
        input_dropout: float = 0.5,
        dropout: float = 0.0,
        layer_norm: bool = False,
        centred: bool = False,
        estimate_shares: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = FeatureEncoder(in_channels, conv.channels, input_dropout, centred=centred)
        self.conv = conv
        self.norm = nn.LayerNorm(conv.channels) if layer_norm else nn.Identity()
        self.dropout = dropout
        self.decoder = nn.Linear(conv.channels, out_channels)
        # Saved with the model; all alike until they are known.
        alike = torch.full((out_channels,), 1 / out_channels) if estimate_shares else None
        self.register_buffer("trained_shares", alike)

    def fit_features(self, x: Tensor | SparseFeatures, reductions: Reductions = LOCAL) -> None:
        """Store the mean of the features, if the encoder subtracts it."""
        self.encoder.fit(x, reductions)

    def fit_shares(self, trained: Tensor) -> None:
        """Store the shares of the classes in training, if the model adjusts its logits."""
        if self.trained_shares is not None:
            self.trained_shares = trained.to(self.trained_shares)

    def classify(
        self,
        x: Tensor | SparseFeatures,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        source_index: Tensor | None = None,
        wanted: Tensor | None = None,
    ) -> Output:
        """Return logits and the cost of the solve."""
        encoded = self.encoder(x)
        if wanted is None or not isinstance(self.conv, GRANDConv | GRANDPPConv):
            y, stats = self.diffuse(encoded, edge_index, edge_weight, source_index)
            return Output(self.decode(y, wanted), stats)
        y, stats = self.diffuse(encoded, edge_index, edge_weight, source_index, nodes=wanted)
        return Output(self.decode(y, rows=wanted), stats)

    def decode(self, y: Tensor, wanted: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
        """Return the logits of diffused features; arguments as in :meth:`classify`.

        ``rows`` are the nodes that ``y`` is of, where they are not all.
        """
        z = torch.relu(self.norm(y if wanted is None else y[wanted]))
        rows = wanted if rows is None else rows
        return self.decoder(dropout(z, self.dropout, self.training, self.node_dropout, rows))

    def diffuse(
        self,
        x0: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        source_index: Tensor | None = None,
        **options: Any,
    ) -> Diffused:
        """Carry encoded features ``[N, F]`` through the layer; arguments as in :meth:`classify`.

        ``options`` are those of the layer's ``solve``.
        """
        trusted = self.trusted(source_index)
        solution = self.conv.solve(x0, edge_index, edge_weight, *trusted, **options)
        return Diffused(self.conv.position(solution.y), solution.stats)

    def classify_along(
        self,
        x: Tensor | SparseFeatures,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        source_index: Tensor | None = None,
        *,
        times: Sequence[float],
        throw: bool = True,
    ) -> list[Tensor]:
        """Return the logits ``[N, C]`` of the decoder at each of several times.

        Args:
            x, edge_index, edge_weight, source_index: As in :meth:`classify`.
            times: Increasing times >= 0; they may exceed the layer's end time.
            throw: Raise on failure instead of leaving out the times that were not reached.
                (default: ``True``)

        Raises:
            ValueError: If there are no times, they do not increase, or the layer computes only its
                limit T -> infinity.
            SolveError: If the solve to the last time fails.

        Cost: a solve from each time to the next, and memory for the states at all times.
        """
        if len(times) == 0:
            raise ValueError("expected times >= 0 in increasing order (got none)")
        conv = copy.copy(self.conv)  # the same parameters
        conv.time = times[-1]
        if isinstance(conv, GRANDPPConv | HeavyBallConv):
            conv.source_time = self.conv.time  # the same source at every end time
        trusted = self.trusted(source_index)
        x0 = self.encoder(x)
        ys = conv.solve(x0, edge_index, edge_weight, *trusted, save_at=times, throw=throw).ys
        reached = takewhile(all_finite, (conv.position(state) for state in ys))
        return [self.decode(features) for features in reached]

    def trusted(self, source_index: Tensor | None) -> tuple[Tensor | None, ...]:
        """The trusted nodes as arguments of a layer with a source; empty for other layers."""
        return () if getattr(self.conv, "source", None) is None else (source_index,)
